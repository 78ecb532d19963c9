"""A database whose executions may move: real histories that have ended, scored, in a market that has settled, and one
that is at work."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from fsm_exec.core.journal import crashpoints
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.archive.offline import ArchiveReport, archive_database
from tests.store.histories import fill

LATER_US = 1_700_000_000_000_000  # long after everything in the histories
AT = to_iso(LATER_US)
ENDED = ("filled", "cancelled_late", "long_lived", "walking")
"""e1, e2 and e3 have ended; e4 is at work, and was begun last."""


def make_database(path: Path) -> None:
    """Make it: e1, e2 and e3 may move."""
    fill(path, ENDED)
    with closing(sqlite3.connect(path)) as connection:
        settle(connection)


def settle(connection: sqlite3.Connection) -> None:
    """Settle every market with YES, measure every fill at that, and let the executions at work begin long after the
    others ended."""
    connection.execute(
        "INSERT OR IGNORE INTO markouts SELECT f.order_id, f.fill_id, 0, CASE e.outcome WHEN 'yes' THEN '1.00000' "
        "ELSE '0.00000' END, NULL, f.traded_at FROM fills f JOIN execution_state e USING (execution_id)"
    )
    connection.execute(
        "INSERT OR IGNORE INTO settlements SELECT DISTINCT ticker, 'EVENT', 'yes', '1.0000', '0.00', '0.00', "
        "'0.000000', '0.000000', '0.000000', '0.000000', accepted_at FROM execution_state"
    )
    connection.execute("UPDATE execution_state SET accepted_at = ?, updated_at = ? WHERE reason IS NULL", (AT, AT))
    connection.execute(
        "UPDATE edges SET created_at = ? WHERE execution_id IN (SELECT execution_id FROM "
        "execution_state WHERE reason IS NULL)",
        (AT,),
    )
    connection.execute(
        "INSERT INTO submissions SELECT 'key-' || execution_id, execution_id, '{\"a\":1}', accepted_at "
        "FROM execution_state WHERE reason IS NOT NULL"
    )
    connection.execute(
        "UPDATE edges SET key = 'key-' || execution_id WHERE execution_id IN (SELECT execution_id FROM submissions)"
    )
    connection.execute(
        "INSERT INTO order_book_snapshots (ticker, execution_id, taken_at, why, yes_depth, no_depth) "
        "SELECT ticker, execution_id, accepted_at, 'arrival', '[]', '[]' FROM execution_state"
    )
    connection.execute(
        "INSERT INTO forecasts (execution_id, ticker, outcome, kind, made_at, due_at, forecast, last_value, happened, "
        "completed_at) SELECT execution_id, ticker, outcome, 'mid', accepted_at, accepted_at, '0.500000', '0.500000', "
        "'0.510000', accepted_at FROM execution_state WHERE reason IS NOT NULL"
    )
    connection.execute(
        "INSERT OR IGNORE INTO child_metrics (execution_id, client_order_id, quantity, filled_quantity, fill_rate, "
        "fees, walks) SELECT execution_id, client_order_id, quantity, filled_quantity, '1.0', '0.000000', walks "
        "FROM split_orders JOIN execution_state e USING (execution_id) WHERE e.reason IS NOT NULL"
    )
    connection.execute(
        "INSERT INTO incentive_programs VALUES ('p1', 'T', 'liquidity', ?, ?, '1.0000', NULL, NULL, NULL, '', ?)",
        (AT, AT, AT),
    )
    connection.execute(
        "INSERT INTO execution_rewards SELECT execution_id, 'p1', 5, 7, updated_at FROM execution_state "
        "WHERE reason IS NOT NULL"
    )
    connection.commit()


def archive(path: Path, before_us: int = LATER_US) -> ArchiveReport:
    """Move what may move."""
    return archive_database(path, before_us, AT, lambda _: None)


def rows_of(path: Path, table: str, renumbered: str | None = None) -> list[tuple[Any, ...]]:
    """All rows of a table, sorted, without the numbers that an archive gives anew."""
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] != renumbered]
        return sorted(connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall(), key=repr)


def run_and_die(work: Callable[[], object], point: str, visit: int) -> bool:
    """Run `work` in a child that dies of SIGKILL at the n-th visit of a point; return whether it died there. Nothing
    of the child's memory is left: only what it wrote."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        seen = 0

        def visit_point(name: crashpoints.PointName) -> None:
            nonlocal seen
            seen += name == point
            if seen == visit:
                os.kill(os.getpid(), signal.SIGKILL)

        crashpoints.install(visit_point)
        try:
            work()
        except BaseException:
            os._exit(3)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status) == signal.SIGKILL
    assert os.WEXITSTATUS(status) == 0, "the work failed"
    return False
