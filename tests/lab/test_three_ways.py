"""One experiment on the terminal, as JSON and on a page: the same figures, and what rounds to nought has no sign."""

from __future__ import annotations

import json
import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, NamedTuple

import pytest

from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.renderers import comparison_sections, render_page
from tests.cli.invoking import invoke

ARGUMENTS = (
    *("compare", "--tape", "index:1", "--tape", "thin:2", "--methods", "passive_mid,deadline_walker,market"),
    *("--quantity", "20,100", "--horizon", "30", "--every", "7000", "--workers", "1", "--each-tape", "--buckets"),
)
MEANS = ("fill*", "fill", "cost", "d", "95 %", "better", "gap")
CAUSES = ("trade", "queue", "crossing", "through", "taken", "assumed")
TAILS = ("p5", "p50", "p95", "worst", "d p50", "d trimmed", "blocks better", "neighbours")
FIGURES = {  # of a page's table, by what `--json` calls them
    "fill*": "fill_before_close", "fill": "fill", "cost": "shortfall", "d": "delta", "better": "p_better",
    "gap": "gap_closed", "limit": "bound", "hindsight": "static", "p5": "cost_p5", "p50": "cost_median",
    "p95": "cost_p95", "worst": "cost_worst", "d p50": "delta_median", "d trimmed": "delta_trimmed",
    "blocks better": "share_better", "neighbours": "autocorrelation",
}  # fmt: skip
SHARES = {"fill*", "fill", "better", "gap", "blocks better"}
SIGNED = {"d", "d p50", "d trimmed", "neighbours"}


class Told(NamedTuple):
    terminal: list[str]
    document: dict[str, Any]
    sections: dict[str, Section]
    page: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The same results three times; nothing is worked after the first."""
    directory = tmp_path_factory.mktemp("three")
    first = invoke(directory, *ARGUMENTS, "--out", "out")
    assert first.returncode == 0, first.stderr
    document = invoke(directory, *ARGUMENTS, "--out", "out", "--resume", "--json")
    made = comparison_sections(directory / "out" / "compare.sqlite", baseline="passive_mid", each_tape=True)
    sections = {section.title: section for section in made[2]}
    return Told(first.stdout.splitlines(), json.loads(document.stdout), sections, render_page(*made))


def rows(told: Told, *titles: str) -> list[dict[str, str]]:
    """Those of the page's tables by column, method names as they were asked for."""
    found = []
    for title in titles:
        table = told.sections[title].table
        assert table is not None
        for row in table.rows:
            named = dict(zip(table.columns, row, strict=True))
            found.append(named | {"method": named["method"].removesuffix("@1")})
    return found


def words(line: str) -> str:
    return " ".join(line.split())


def expected(column: str, value: str | None) -> str:
    """By a reckoning of its own: two decimals or whole per cent, half to even, nought without a sign."""
    if value is None:
        return ""
    scale, places = (100, "1") if column in SHARES else (1, "0.01")
    rounded = (scale * Decimal(value)).quantize(Decimal(places), ROUND_HALF_EVEN)
    rounded = rounded or abs(rounded)
    return f"{rounded:+}" if column in SIGNED else f"{rounded} %" if column in SHARES else f"{rounded}"


def test_every_figure_of_the_page_is_one_of_the_document(told: Told) -> None:
    """Cell by cell: means, intervals, tails, limit; and there is a row for each cell."""
    cells = {(c["tape"], c["quantity"], c["method"]): c for c in told.document["cells"]}
    paired = {(p["tape"], p["quantity"], p["method"]): p for p in told.document["paired"]}
    seen = 0
    for titles in (("The desk's table", "By tape"), ("Middle and tails", "By tape: middle and tails")):
        for row in rows(told, *titles):
            tape = row["market"].partition(", ")[2] or "all"
            key = (tape, row["contracts"], row["method"])
            figures = cells[key] | paired.get(key, {})
            for column, name in FIGURES.items():
                is_compared = key in paired or not (column in SIGNED or column in ("better", "gap", "hindsight"))
                if column in row:
                    assert row[column] == (expected(column, figures.get(name)) if is_compared else ""), (key, column)
                    seen += 1
            if "95 %" in row and key in paired:
                low, high = (expected("d", figures[end]) for end in ("delta_low", "delta_high"))
                assert row["95 %"] == f"{'~' if figures['is_rough'] else ''}[{low}, {high}]"
    assert seen > 300
    assert len(cells) == len(rows(told, "The desk's table", "By tape")) == 18


def test_every_line_of_the_terminal_is_a_row_of_the_page(told: Told) -> None:
    """In the same order, word for word: all products or the product first, then each tape."""
    printed = [words(line) for line in told.terminal]
    for columns, titles in (
        (MEANS, ("The desk's table", "By tape")),
        (TAILS, ("Middle and tails", "By tape: middle and tails")),
    ):
        for row in rows(told, *titles):
            line = words(f"{row['method']} {' '.join(row[column] for column in columns)}")
            assert any(each == line or each.startswith(f"{line} ") for each in printed), line


def test_buckets_are_the_same_three_times(told: Told) -> None:
    """Difference, interval and adjusted p-value."""
    page = rows(told, "By liquidity")
    document = told.document["buckets"]
    printed = [words(line) for line in told.terminal]
    assert len(page) == len(document) > 4
    for row, bucket in zip(page, document, strict=True):
        assert (row["method"], row["d"]) == (bucket["method"], expected("d", bucket["delta"]))
        assert row["p"] == (bucket["p_holm"] or "")
        line = f"{row['method']} {row['bucket']} {row['episodes']} {row['d']} {row['95 %']} {row['p']}"
        assert words(line) in printed


def test_what_filled_the_orders_is_the_same_three_times(told: Told) -> None:
    """By cause, and how much of it is assumed."""
    fills = {(f["tape"], f["quantity"], f["method"]): f for f in told.document["fills"]}
    printed = [words(line) for line in told.terminal]
    page = rows(told, "What filled the orders")
    assert len(page) == 6
    for row in page:
        found = fills[row["market"].partition(", ")[2] or "all", row["contracts"], row["method"]]
        shares = {cause: "" if found[cause] is None else expected("fill", found[cause]) for cause in CAUSES}
        assert {cause: row[cause] for cause in CAUSES} == shares
        assert words(f"{row['method']} {' '.join(shares.values())}") in printed


def test_nought_has_no_sign_anywhere(told: Told) -> None:
    """Neither `-0.00` nor `-0 %` nor `-0.0000`, on any of the three."""
    signed_nought = re.compile(r"-0(\.0+)?(?![\d.])")
    assert [line for line in told.terminal if signed_nought.search(line)] == []
    assert signed_nought.search(json.dumps([*told.document["cells"], *told.document["paired"]])) is None
    tables = [section.table for section in told.sections.values() if section.table is not None]
    assert [text for table in tables for row in table.rows for text in row if signed_nought.fullmatch(text)] == []


def test_the_terminal_is_within_eighty_columns(told: Told) -> None:
    """All tables; what explains them is wrapped by the terminal."""
    tables = told.terminal[: next(n for n, line in enumerate(told.terminal) if line.startswith("cost: all-in"))]
    assert max(map(len, tables)) <= 80
    assert not any("…" in line for line in tables)
