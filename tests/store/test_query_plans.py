"""No query of a running daemon reads a table that grows: whatever it executes is explained, and its steps are counted
on a database eight times as long."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from fsm_exec.store.files.migrations import migrate
from fsm_exec.web.desk.stored import load_endings, load_newest_alerts
from fsm_exec.web.methods.view import load_methods
from tests.benchmarks.big_database import make_block, multiply_block
from tests.store.daemon_walk import walk_daemon
from tests.store.recorded_sql import Recorded, recorded_sql

SHORT: Final = 300
LONG: Final = 2_400
TIMES_MOST: Final = 1.5
STEPS_MORE: Final = 500  # a tree of pages is a page deeper now and then
GROWING: Final = (
    "account_adjustments",
    "account_differences",
    "account_fills",
    "alert_deliveries",
    "alerts",
    "archived_executions",
    "archived_settlements",
    "child_metrics",
    "edges",
    "execution_events",
    "execution_metrics",
    "execution_rewards",
    "execution_state",
    "fills",
    "forecasts",
    "markouts",
    "order_book_snapshots",
    "snapshot_parts",
    "risk_log",
    "split_orders",
    "submissions",
)
BOUNDED: Final = (
    "account_differences_standing",
    "alerts_pending",
    "alerts_standing",
    "archived_executions_uncleared",
    "execution_state_quarantined",
    "execution_state_unfinished",
)
"""Indexes that hold what is under way, not what was: to go through one of them is no scan."""

_NAMED: Final = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)(?:\s+(?:AS\s+)?(?!WHERE|ON|USING|SET|ORDER|INDEXED)(\w+))?", re.IGNORECASE
)
_SCAN: Final = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?")
_PER_MARKET: Final = "WITH RECURSIVE worked"
"""The list of all markets ever traded, of which profit is folded: it has as many steps as there are markets."""


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recorded, Recorded]:
    """What a daemon executed on a short database and on a long one."""
    directory = tmp_path_factory.mktemp("walks")
    short, long = directory / "short.sqlite", directory / "long.sqlite"
    make_block(short)
    shutil.copy(short, long)
    return _walked(short, SHORT), _walked(long, LONG)


def _walked(path: Path, executions: int) -> Recorded:
    multiply_block(path, executions)
    with recorded_sql() as recorded:
        walk_daemon(path)
    return recorded


def test_no_statement_of_a_daemon_scans_a_growing_table(walks: tuple[Recorded, Recorded]) -> None:
    """Each is found by an index, or by one that holds only what is under way."""
    long = walks[1]
    assert len(long.plans) > 80
    assert not [f"{line}: {statement}" for statement, plan in long.plans.items() for line in scans(statement, plan)]


def test_no_statement_of_a_daemon_takes_more_steps_on_a_longer_database(walks: tuple[Recorded, Recorded]) -> None:
    """Eight times as many executions are behind it, and each takes as many steps as before."""
    short, long = walks
    slower = {
        statement: (short.steps.get(statement, 0), steps)
        for statement, steps in long.steps.items()
        if steps > TIMES_MOST * short.steps.get(statement, 0) + STEPS_MORE and not statement.startswith(_PER_MARKET)
    }
    assert not slower


def test_the_page_of_the_methods_reads_the_newest_alone() -> None:
    """Its markouts are found from its executions, not these among all markouts; the desk's lists have indexes too."""
    with recorded_sql() as recorded, closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, None)
        recorded.plans.clear()
        load_methods(connection)
        load_endings(connection)
        load_newest_alerts(connection)
    assert len(recorded.plans) > 4
    assert not [f"{line}: {statement}" for statement, plan in recorded.plans.items() for line in scans(statement, plan)]


def scans(statement: str, plan: list[str]) -> Iterator[str]:
    """Yield the lines of a plan that go through a growing table."""
    names = {alias or table: table for table, alias in _NAMED.findall(statement)}
    for line in plan:
        found = _SCAN.match(line)
        if found is not None and names.get(found[1], found[1]) in GROWING and found[2] not in BOUNDED:
            yield line
