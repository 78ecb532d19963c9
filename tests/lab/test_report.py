"""Reports: a page holds what it was given and nothing else; its numbers are those of the results and of the tables."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest
from plotly.graph_objects import Figure, Scatter
from plotly.offline import get_plotlyjs

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, PriceE4, PriceGrid, PriceRange
from fsm_exec.lab import figure_texts
from fsm_exec.lab.experiment.groups import Scope
from fsm_exec.lab.experiment.results import results_at
from fsm_exec.lab.experiment.summary import ComparisonReport, summarize
from fsm_exec.lab.report import method_table, method_texts
from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.renderers import comparison_sections, overview_pictures, overview_sections, render_page
from fsm_exec.lab.report.tables import Table
from fsm_exec.lab.report.theme import DARK
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads import report_queries
from tests.lab.report_sources import METHODS, TAPES, demo, experiment

Made: TypeAlias = tuple[str, list[tuple[str, str]], list[Section]]
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"
LIBRARY: str = get_plotlyjs()
OUTSIDE = re.compile(r"https?:|//[a-z]|\bsrc=|\bhref=(?!\"#)|@import|url\(", re.IGNORECASE)


def sections_of(made: Made) -> dict[str, Section]:
    return {section.title: section for section in made[2]}


def lines(section: Section) -> list[dict[str, str]]:
    """The rows of its table by column."""
    assert section.table is not None
    return [dict(zip(section.table.columns, row, strict=True)) for row in section.table.rows]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return experiment(tmp_path_factory.mktemp("experiment"))


@pytest.fixture(scope="module")
def drawn(results: Path) -> Made:
    return comparison_sections(results, baseline="passive_mid", each_tape=True)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a demo, of which one execution was ended by its owner and another's cost is not known."""
    path = demo(tmp_path_factory.mktemp("demo"), "passive_mid", "deadline_walker")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = ON")
        named = (
            "(SELECT execution_id FROM execution_state WHERE method = 'passive_mid@1' ORDER BY rowid LIMIT 1 OFFSET ?)"
        )
        connection.execute(
            f"UPDATE execution_state SET state = 'cancelled', reason = 'user' WHERE execution_id = {named}", (0,)
        )
        connection.execute(
            "UPDATE execution_metrics SET delay_e7 = NULL, spread_e7 = NULL, drift_e7 = NULL, opportunity_e7 = NULL, "
            f"over_fill_e7 = NULL, shortfall = NULL, shortfall_e7 = NULL WHERE execution_id = {named}",
            (1,),
        )
    return path


def asked(database: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def test_whatever_comes_from_outside_is_text() -> None:
    """In titles, facts, notes, tables, summaries and the names of traces."""
    figure = Figure(Scatter(x=[1], y=[2], name=HOSTILE))
    section = Section(HOSTILE, HOSTILE, figure, Table((HOSTILE, "n"), [(HOSTILE, "1")], frozenset({"n"})), folded=True)
    page = render_page(HOSTILE, [(HOSTILE, HOSTILE)], [section])
    assert "<img" not in page.replace(LIBRARY, "")
    assert page.count("</script>") == page.count("<script")


def test_the_page_is_whole_and_the_same_each_time(results: Path, drawn: Made, database: Path) -> None:
    """Beyond the library that is in it there is no address in it; two makings give the same bytes, below 8 MB."""
    for first, second in (
        (drawn, comparison_sections(results, baseline="passive_mid", each_tape=True)),
        (overview_sections(database), overview_sections(database)),
    ):
        page = render_page(*first)
        assert page == render_page(*second)
        assert page.count(LIBRARY) == 1
        assert OUTSIDE.search(page.replace(LIBRARY, "")) is None
        assert "default-src 'none'" in page
        assert len(page.encode()) < 8_000_000


def colours_in(value: object, *, is_colour: bool = False) -> set[str]:
    """Every colour that a figure names."""
    if isinstance(value, dict):
        parts = [colours_in(one, is_colour=is_colour or "color" in name) for name, one in value.items()]
        return set().union(*parts)
    if isinstance(value, list | tuple):
        return set().union(*(colours_in(one, is_colour=is_colour) for one in value))
    return {value.lower()} if is_colour and isinstance(value, str) else set()


def brightness(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    red, green, blue = (int(digits[at : at + 2], 16) for at in (0, 2, 4))
    return (2 * red + 7 * green + blue) / 10


def test_every_colour_of_a_figure_is_seen_on_a_dark_ground(drawn: Made, database: Path) -> None:
    """Nothing drawn is darker than can be told from it, or as bright as paper, unless it has another colour there."""
    overview_made = overview_sections(database)[2]
    pictures = [section for one in overview_pictures(database, overview_made) for section in one.sections]
    figures = [s.figure for s in (*drawn[2], *overview_made, *pictures) if s.figure is not None]
    found = set().union(*(colours_in(figure.to_plotly_json()) for figure in figures))
    found -= colours_in(figures[0].layout.template.to_plotly_json())
    left = {colour for colour in found - DARK.keys() if colour.startswith("#")}
    assert left
    assert {colour for colour in left if not 70 <= brightness(colour) <= 235} == set()
    both = {"rgb(214,96,77)", "rgb(67,147,195)"}
    assert {colour for colour in found if colour.startswith("rgb")} <= DARK.keys() | both


def test_nought_has_no_sign() -> None:
    """What rounds to nought is nought, in every table."""
    assert (method_texts.two(Decimal("-0.004")), method_texts.percent(Decimal("-0.004"))) == ("0.00", "0 %")
    texts = figure_texts
    assert texts.decimal_text(-0.00004) == texts.decimal_text(Fraction(-1, 30_000)) == "0.0000"
    assert (texts.two("-0.0001"), texts.signed("-0.0001"), texts.percent("-0.001")) == ("0.00", "+0.00", "0 %")
    assert texts.interval("-0.0041", "-0.0001", is_rough=True) == "~[+0.00, +0.00]"


def test_a_figure_is_rounded_once_from_its_text() -> None:
    """Half to even, as the text says it: a binary fraction just below a half would round the other way."""
    texts = figure_texts
    assert (texts.two("0.4250"), texts.two("0.4350"), texts.signed("-0.4350")) == ("0.42", "0.44", "-0.44")
    assert (texts.percent("0.4650"), texts.percent("0.4750"), texts.percent("0.0625", 1)) == ("46 %", "48 %", "6.2 %")
    assert texts.decimal_text(Fraction(1, 3)) == texts.decimal_text(1 / 3) == "0.3333"
    assert (texts.decimal_text(None), texts.two(None), texts.percent(None)) == (None, "", "")


def test_what_cannot_be_drawn_is_said_in_its_place(database: Path, tmp_path: Path) -> None:
    """A picture of a damaged journal does not cost the report."""
    copy = tmp_path / "copy.sqlite"
    copy.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("DELETE FROM execution_events WHERE execution_id = 'e000003' AND seq > 1 AND seq < 4")
    pictures = {one.execution_id: one for one in overview_pictures(copy, overview_sections(copy)[2])}
    assert [section.title for section in pictures["e000003"].sections] == ["Not drawn"]
    assert pictures["e000004"].sections[0].figure is not None


def test_a_page_of_tables_needs_no_library() -> None:
    """Then no script is in it at all."""
    assert "<script" not in render_page("t", [], [Section("s", "n", table=Table(("a",), [("1",)]))])


@pytest.fixture(scope="module")
def told(results: Path) -> ComparisonReport:
    """What `compare` says of the same results."""
    with results_at(results) as opened:
        episodes = list(opened.read(METHODS))
    scope = Scope(
        products=dict.fromkeys(TAPES, "KXINX"),
        methods=METHODS,
        baseline=METHODS[0],
        quantities_e2=(CountE2(2_000), CountE2(10_000)),
        horizons_us=(45_000_000, 180_000_000),
        each_tape=True,
    )
    return summarize(scope, episodes, unfinished=0, with_buckets=True)


def test_the_table_of_an_experiment_says_what_compare_says(drawn: Made, told: ComparisonReport) -> None:
    """Cell by cell: episodes, fills, cost, difference with its interval, limit, hindsight, gap and writes."""
    found = {(row["contracts"], row["s"], row["method"]): row for row in lines(sections_of(drawn)["The desk's table"])}
    cells = [cell for cell in told.cells if cell.tape == "all"]
    more = {(p.quantity, p.horizon, p.method): p for p in told.paired if p.tape == "all"}
    assert len(found) == len(cells) == 12
    for cell in cells:
        row = found[cell.quantity, str(cell.horizon), cell.method]
        assert row["episodes"] == str(cell.episodes)
        assert (row["fill*"], row["fill"]) == (_percent(cell.fill_before_close), _percent(cell.fill))
        assert (row["cost"], row["limit"], row["writes"]) == (_two(cell.shortfall), _two(cell.bound), cell.writes)
        if cell.method == METHODS[0]:
            assert (row["d"], row["95 %"], row["gap"]) == ("", "", "")
            continue
        paired = more[cell.quantity, cell.horizon, cell.method]
        assert cell.delta_low is not None
        assert cell.delta_high is not None
        assert cell.gap_closed is not None
        assert row["d"] == _signed(cell.delta)
        assert row["95 %"] == f"[{_signed(cell.delta_low)}, {_signed(cell.delta_high)}]"
        assert (row["hindsight"], row["gap"]) == (_two(paired.static), _percent(cell.gap_closed))


def test_what_filled_the_orders_is_what_compare_says(drawn: Made, told: ComparisonReport) -> None:
    """Shares by cause for each method, and that the tapes hold no trades, which these were said not to."""
    rows = lines(sections_of(drawn)["What filled the orders"])
    causes = ("trade", "queue", "crossing", "through", "taken", "assumed")
    assert [[row["method"], *(row[cause] for cause in causes)] for row in rows] == [
        [found.method, *(figure_texts.percent(getattr(found, cause)) for cause in causes)]
        for found in told.fills
        if found.tape == "all"
    ]
    assert {row["crossing"] for row in rows} == {"100 %"}
    _, facts, _ = drawn
    assert dict(facts)["without trades"].startswith("index-1, index-2: ")


def test_buckets_and_tapes_are_those_of_compare(drawn: Made, told: ComparisonReport) -> None:
    """With the p-values adjusted by Holm."""
    sections = sections_of(drawn)
    rows = lines(sections["By liquidity"])
    assert [(r["kind"], r["bucket"], r["method"], r["d"], r["p"]) for r in rows] == [
        (b.kind, b.bucket, b.method, _signed(b.delta), b.p_holm or "") for b in told.buckets
    ]
    by_tape = lines(sections["By tape"])
    assert [(r["method"], r["cost"]) for r in by_tape] == [
        (c.method, _two(c.shortfall)) for c in told.cells if c.tape != "all"
    ]


def test_episodes_that_not_all_methods_have_worked_are_left_out_and_said(tmp_path: Path) -> None:
    """An interrupted experiment has its report."""
    path = experiment(tmp_path, unfinished=9)
    title, facts, sections = comparison_sections(path, baseline="passive_mid")
    assert "9 episodes" in dict(facts)["left out"]
    rows = [row for row in lines(sections_of((title, facts, sections))["The desk's table"]) if row["s"] == "45"]
    assert {row["episodes"] for row in rows} != {"96"}


def test_an_experiment_without_the_baseline_is_refused_by_name(results: Path) -> None:
    """And the reader is told which methods there are."""
    with pytest.raises(UserError, match=r"holds nothing of market@1; it holds: .*join_bid@1"):
        comparison_sections(results, baseline="market")


def test_the_baseline_alone_has_a_page(tmp_path: Path) -> None:
    """Nothing is drawn of differences where there is nobody to differ."""
    path = experiment(tmp_path, ("passive_mid@1",))
    made = comparison_sections(path, baseline="passive_mid", each_tape=True)
    titles = [section.title for section in made[2]]
    assert not [title for title in titles if "ifferen" in title or "Cheaper" in title]
    assert {row["method"] for row in lines(sections_of(made)["The desk's table"])} == {"passive_mid@1"}


def test_the_table_of_a_database_says_what_its_tables_hold(database: Path) -> None:
    """Executions, fills and costs by method are those of queries anybody can make; the parts add up to the cost."""
    rows = lines(sections_of(overview_sections(database))["The desk's table"])
    assert [row["method"] for row in rows] == ["deadline_walker@1", "passive_mid@1"]
    for row in rows:
        judged = (
            "FROM execution_state e JOIN execution_metrics x USING (execution_id) "
            f"WHERE method = '{row['method']}' AND reason != 'user'"
        )
        ((count, filled, targets),) = asked(
            database,
            "SELECT count(*), sum(CAST(filled_quantity AS INTEGER)), sum(CAST(x.target_quantity AS INTEGER)) " + judged,
        )
        assert (row["n"], row["asked"]) == (str(count), str(targets))
        assert isinstance(filled, int)
        assert isinstance(targets, int)
        assert row["fill Q"] == f"{Decimal(100 * filled) / targets:.0f} %"
        ((cost_e7, priced),) = asked(
            database,
            f"SELECT sum(shortfall_e7), sum(CAST(x.target_quantity AS INTEGER)) {judged} AND shortfall_e7 IS NOT NULL",
        )
        assert isinstance(cost_e7, int)
        assert isinstance(priced, int)
        assert Decimal(row["cost"]) == round(Decimal(cost_e7) / (priced * 100_000), 2)
        parts = [Decimal(row.get(name) or 0) for name in ("delay", "spread", "drift", "fees", "opportunity")]
        assert abs(sum(parts) - Decimal(row["cost"])) <= Decimal("0.03")


def test_what_is_kept_out_or_unknown_is_counted(database: Path) -> None:
    """An end by the owner blames no method, and an unknown cost is not a cost of nothing."""
    made = overview_sections(database)
    assert dict(made[1])["judged here"] == "11"
    assert dict(made[1])["kept out"].startswith("1 ")
    rows = {row["method"]: row for row in lines(sections_of(made)["The desk's table"])}
    assert (rows["passive_mid@1"]["n"], rows["passive_mid@1"]["no cost"]) == ("5", "1")
    assert (rows["deadline_walker@1"]["n"], rows["deadline_walker@1"]["no cost"]) == ("6", "")
    ends = lines(sections_of(made)["Where executions ended"])
    assert sum(int(row["executions"]) for row in ends) == 12
    assert ("passive_mid@1", "cancelled: user", "1") in [tuple(row.values()) for row in ends]


def test_buckets_hold_every_execution_once(database: Path) -> None:
    """By size over the touch and by spread: within each, the numbers add up to those of the whole."""
    rows = lines(sections_of(overview_sections(database))["By liquidity at arrival"])
    for kind in ("quantity over the touch", "spread"):
        assert sum(int(row["n"]) for row in rows if row["by"] == kind) == 11


def test_markouts_are_gains_of_what_was_bought(database: Path) -> None:
    """The mid after the fill less its price, times the count, exactly; a mid that is missing is counted."""
    with open_read_only(database) as found:
        totals = report_queries.load_markouts(found.connection)
    joined = "FROM markouts m JOIN fills f USING (order_id, fill_id) WHERE horizon_s = 5"
    expected: dict[str, Decimal] = {}
    for execution_id, mid, price, quantity in asked(database, f"SELECT execution_id, mid, price, quantity {joined}"):
        if mid is not None:
            gain = (Decimal(str(mid)) - Decimal(str(price))) * Decimal(str(quantity))
            expected[str(execution_id)] = expected.get(str(execution_id), Decimal(0)) + gain
    assert expected
    for execution_id, gain in expected.items():
        assert totals[execution_id, 5].gain_e7 == gain * 10**7


@pytest.mark.parametrize(
    ("times", "half"),
    [
        ([(1, True), (2, True), (3, True), (4, True)], 2),
        ([(1, True), (5, False), (5, False), (5, False)], None),
        ([(1, False), (2, True), (3, True)], 2),  # two of three are at risk when the first of them gets there
        ([(3, False), (3, True), (1, True)], 3),
        ([], None),
    ],
)
def test_half_is_reached_as_kaplan_and_meier_say(times: list[tuple[int, bool]], half: int | None) -> None:
    """Whoever ended without it counts until then, and proves nothing after."""
    assert method_table.half_reached(times) == half


@pytest.mark.parametrize(
    ("bid", "ask", "count"),
    [(4_000, 4_100, 1), (4_000, 4_300, 3), (4_000, 4_900, 4), (9_980, 9_990, 1), (8_900, 9_010, 2)],
)
def test_ticks_are_those_of_the_market(bid: int, ask: int, count: int) -> None:
    """A grid of cents below 90 and of tenths from there on; four stands for more."""
    grid = PriceGrid(
        (PriceRange(PriceE4(0), PriceE4(9_000), PriceE4(100)), PriceRange(PriceE4(9_000), PriceE4(10_000), PriceE4(10)))
    )
    assert method_table.ticks(grid, PriceE4(bid), PriceE4(ask)) == count
    assert method_table.ticks(LINEAR_CENT, PriceE4(100), PriceE4(200)) == 1


def test_a_database_without_executions_is_nothing_to_report(tmp_path: Path, database: Path) -> None:
    """One line instead of an empty page."""
    empty = tmp_path / "empty.sqlite"
    empty.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(empty)) as connection, connection:
        for table in ("edges", "markouts", "fills", "child_metrics", "split_orders", "execution_metrics",
                      "execution_events", "submissions", "execution_state"):  # fmt: skip
            connection.execute(f"DELETE FROM {table}")
    with pytest.raises(UserError, match="no execution"):
        overview_sections(empty)


def _two(text: str) -> str:
    return f"{Decimal(text):.2f}"


def _signed(text: str) -> str:
    return f"{Decimal(text):+.2f}"


def _percent(share: str) -> str:
    return f"{100 * Decimal(share):.0f} %"


def test_the_newest_are_named_whatever_became_of_them(database: Path) -> None:
    """Every execution can be found on the page by its name, newest first."""
    rows = lines(sections_of(overview_sections(database))["The newest executions"])
    assert [row["execution"] for row in rows] == [f"e{number:06}" for number in range(12, 0, -1)]
    assert "user" in {row["reason"] for row in rows}
