"""Rewards are shown as parts of the cost of their own: what they add up to, that they are an estimate, and the option
that leaves them out."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from fsm_exec.cli.daemon.execution_tables import print_detail
from fsm_exec.control.schema import ExecutionDetail
from fsm_exec.core.values.units import parse_fixed
from fsm_exec.lab.report.execution import execution_sections
from fsm_exec.lab.report.execution_costs import UNKNOWN_REWARDS
from fsm_exec.lab.report.method_table import method_rows, score_executions
from fsm_exec.lab.report.page import Section
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.api_queries import load_detail
from fsm_exec.store.reads.report_queries import load_worked
from fsm_exec.store.reads.review_queries import load_saved
from tests.cli.invoking import invoke

PAID, UNKNOWN, NOTHING = "e000001", "e000002", "e000003"
LIQUIDITY_E7, VOLUME_E7 = -1_234_567, -20_003
DEMO = ("demo", "--profile", "moderate", "--executions", "3", "--speed", "max", "--algorithm", "deadline_walker")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three executions: one that two programmes pay, one of which that is not known, one that none pays."""
    directory = tmp_path_factory.mktemp("paid")
    done = invoke(directory, *DEMO, "--db", "demo.sqlite")
    assert done.returncode == 0, done.stderr
    path = directory / "demo.sqlite"
    with closing(sqlite3.connect(path)) as opened, opened:
        for name, values in ((PAID, (LIQUIDITY_E7, VOLUME_E7)), (UNKNOWN, (None, None)), (NOTHING, (0, 0))):
            opened.execute(
                "UPDATE execution_metrics SET liquidity_reward_e7 = ?, volume_reward_e7 = ? WHERE execution_id = ?",
                (*values, name),
            )
    return path


def cost_of(database: Path, name: str, *, with_rewards: bool = True) -> Section:
    return execution_sections(database, name, None, with_rewards=with_rewards)[2][1]


def dollars(section: Section) -> dict[str, int]:
    """The rows of the table, in 10^-7 dollars."""
    assert section.table is not None
    return {row[0]: parse_fixed(row[2], 7) for row in section.table.rows}


def test_the_waterfall_goes_on_to_the_cost(database: Path) -> None:
    """Six parts to the shortfall, two rewards to the cost, exactly; the picture has the same steps."""
    section = cost_of(database, PAID)
    found = dollars(section)
    *parts, shortfall, liquidity, volume, cost = found.values()
    assert list(found)[6:] == ["shortfall", "liquidity reward", "volume reward", "cost"]
    assert (sum(parts), liquidity, volume) == (shortfall, LIQUIDITY_E7, VOLUME_E7)
    assert cost == shortfall + LIQUIDITY_E7 + VOLUME_E7
    assert section.figure is not None
    (drawn,) = section.figure.data
    assert list(drawn.x) == list(found)
    assert list(drawn.measure) == ["relative"] * 6 + ["total", "relative", "relative", "total"]
    assert section.table is not None
    assert "estimate" in section.table.rows[7][3]


def test_they_can_be_left_out(database: Path) -> None:
    """Then the waterfall ends with the shortfall, as it does where nothing is paid; unknown is said, and not nought."""
    left_out = cost_of(database, PAID, with_rewards=False)
    assert list(dollars(left_out))[-1] == list(dollars(cost_of(database, NOTHING)))[-1] == "shortfall"
    assert dollars(left_out)["shortfall"] == dollars(cost_of(database, PAID))["shortfall"]
    notes = {name: cost_of(database, name).note for name in (PAID, UNKNOWN, NOTHING)}
    assert [name for name, note in notes.items() if UNKNOWN_REWARDS in note] == [UNKNOWN]
    assert UNKNOWN_REWARDS not in cost_of(database, UNKNOWN, with_rewards=False).note


def test_the_methods_cost_has_them_as_parts(database: Path) -> None:
    """The parts of the desk's table add up to its cost with them; without them to the shortfall."""
    with open_read_only(database) as opened:
        worked = load_worked(opened.connection)
    asked = sum(one.target_e2 for one in worked)
    sums = {}
    for with_rewards in (True, False):
        (row,) = method_rows(score_executions(worked, with_rewards=with_rewards), {})
        assert row.estimate is not None
        sums[with_rewards] = sum(row.parts.values(), Decimal(0))
        assert float(sums[with_rewards]) == pytest.approx(row.estimate.mean)
    assert Fraction(sums[False] - sums[True]) == pytest.approx(Fraction(-LIQUIDITY_E7 - VOLUME_E7, asked * 1_000))


def test_show_prints_them(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of their own, said to be estimated; none where nothing is paid, or where they are to be left out."""
    said = {}
    for name, with_rewards in ((PAID, True), (PAID, False), (UNKNOWN, True), (NOTHING, True)):
        with open_read_only(database) as opened:
            stored = load_detail(opened.connection, name, 0)
        assert stored is not None
        print_detail(
            ExecutionDetail(**{field: getattr(stored, field) for field in stored.__struct_fields__}),
            with_rewards=with_rewards,
        )
        said[name, with_rewards] = capsys.readouterr().out
    assert "rewards, estimated, $ per contract" in said[PAID, True]
    assert "not known" in said[UNKNOWN, True]
    assert "rewards" not in said[PAID, False] + said[NOTHING, True]


def test_review_compares_costs_with_them(database: Path) -> None:
    """What a trade saves counts them, unless they are left out."""
    with open_read_only(database) as opened:
        rows = load_saved(opened.connection, 0)
    assert [row.rewards_e7 for row in rows] == [LIQUIDITY_E7 + VOLUME_E7, 0, 0]
    (first, *_) = rows
    assert first.shortfall_e7 is not None
    assert first.cost_e7 == first.shortfall_e7 + LIQUIDITY_E7 + VOLUME_E7


@pytest.mark.parametrize("arguments", [("report", "--force", "--out", "page.html"), ("review", "--json")])
def test_the_option_of_the_commands(database: Path, arguments: tuple[str, ...]) -> None:
    """`report` and `review` take it; the page then has no word of rewards."""
    command, *rest = arguments
    done = invoke(database.parent, command, database.name, *rest, "--without-rewards")
    assert done.returncode == 0, done.stderr
    page = database.parent / "page.html"
    if command == "report":
        without = page.read_text(encoding="utf-8")
        assert invoke(database.parent, command, database.name, *rest).returncode == 0
        assert "liquidity reward" in page.read_text(encoding="utf-8")
        assert "liquidity reward" not in without
