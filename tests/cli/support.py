"""What the tests of the commands share: the command as a process of its own, and what must hold of any database."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.journal.to_rows import CHILD_STATUS
from fsm_exec.core.values.units import format_count, format_price
from fsm_exec.store import read_executions, read_journal

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "fsm_exec")
HANGING_UP = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""  # runs a command on the terminal that is its input, in a session of its own: closed, the terminal hangs up


def environment() -> dict[str, str]:
    """This checkout first, whatever is installed, from whichever directory the command starts."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def run(
    directory: Path, *arguments: str | Path, before: Callable[[], None] | None = None
) -> subprocess.CompletedProcess[str]:
    """`fsm-exec ARGUMENTS` in `directory`; `before` runs in the new process first."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=before,
    )


def folded(database: Path) -> list[Execution]:
    """Every execution as its journal tells it; asserts that each snapshot is that, byte for byte."""
    executions = []
    for stored in read_executions(database):
        journal = read_journal(database, stored.execution_id)
        assert [row.seq for row in journal] == list(range(1, len(journal) + 1))
        execution = fold(decode_entry(row.event, row.intents) for row in journal)
        assert stored.snapshot == encode_snapshot(execution), f"{stored.execution_id}: the snapshot is not the fold"
        assert (stored.state, stored.quarantine) == (execution.state, None)
        executions.append(execution)
    return executions


def assert_rows_agree(database: Path, executions: list[Execution]) -> None:
    """`split_orders` and `fills` say what the snapshots say, no more and no less; every outbox entry has its order."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        orders = connection.execute(
            "SELECT execution_id, client_order_id, state, order_id, price, quantity, filled_quantity FROM split_orders"
        ).fetchall()
        statuses = dict(connection.execute("SELECT client_order_id, status FROM split_orders").fetchall())
        fills = connection.execute("SELECT client_order_id, order_id, fill_id, quantity FROM fills").fetchall()
    children = [(execution, child) for execution in executions for child in execution.children]
    assert sorted(orders, key=str) == sorted(
        (
            (
                execution.execution_id,
                child.client_order_id,
                child.state,
                child.order_id,
                format_price(child.price_e4),
                format_count(child.count_e2),
                format_count(child.filled_e2),
            )
            for execution, child in children
        ),
        key=str,
    )
    for _, child in children:
        partly = child.state in ("cancelling", "settling") and child.counted_e2 > 0
        assert statuses[child.client_order_id] == ("partial" if partly else CHILD_STATUS[child.state])
    assert sorted(fills) == sorted(
        (child.client_order_id, fill.order_id, fill.fill_id, format_count(fill.count_e2))
        for _, child in children
        for fill in (*child.fills, *child.late)
    )
    for execution in executions:
        for entry in execution.outbox:
            asked = execution.child(entry.client_order_id)
            assert asked is not None
            assert asked.is_open, f"{entry} waits for an order that has ended"
