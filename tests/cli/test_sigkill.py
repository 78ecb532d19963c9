"""The demo's process dies of SIGKILL with orders at work: the database it leaves can be trusted.

Twenty kills, at growing lengths of the journal, each waiting for an order in one of the states in which the exchange
may hold it: told to be placed (which a restart must call unknown), resting, partly filled, told to be cancelled.
"""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cli.support import COMMAND, assert_rows_agree, environment, folded, run
from tests.leftovers import open_threads

KILLS = 20
ROWS_STEP = 12  # journal rows more from kill to kill
AT_WORK = ("intended", "unknown", "resting", "partial", "cancelling")
WANTED = ("resting", "intended", "partial", "cancelling")
PATIENCE_S = 4.0  # for the wanted state; then any order at work will do
DEMO = ("demo", "--executions", "200", "--horizon", "60", "--speed", "60", "--json")


class Kill(NamedTuple):
    """`states`: of the orders that had not ended, with their numbers; `left`: executions that had not."""

    number: int
    rows: int
    states: dict[str, int]
    left: int


def looked_at(database: Path) -> tuple[int, dict[str, int]]:
    """Journal rows, and the open orders by state; read from outside, while it is written."""
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.execute("BEGIN")
        (rows,) = connection.execute("SELECT count(*) FROM execution_events").fetchone()
        states = dict(
            connection.execute(
                f"SELECT state, count(*) FROM split_orders WHERE state IN {AT_WORK} GROUP BY state"
            ).fetchall()
        )
    return rows, states


def kill_one(directory: Path, number: int) -> Kill:
    """Start a demo, kill it at its moment, and check what it leaves."""
    database = directory / f"killed-{number}.sqlite"
    rows_wanted, state_wanted = 1 + ROWS_STEP * number, WANTED[number % len(WANTED)]
    with subprocess.Popen(
        [*COMMAND, *DEMO, "--seed", str(number), "--db", database.name],
        cwd=directory,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        enough_at = None
        while process.poll() is None:
            with contextlib.suppress(sqlite3.OperationalError):  # not there yet
                rows, states = looked_at(database)
                if rows >= rows_wanted and enough_at is None:
                    enough_at = time.monotonic()
                waited = enough_at is not None and time.monotonic() - enough_at > PATIENCE_S
                if enough_at is not None and (state_wanted in states or (waited and states)):
                    process.kill()
                    break
            time.sleep(0.004)
        assert process.wait(timeout=300) == -signal.SIGKILL, "it ended before it was killed"
    executions = folded(database)
    assert_rows_agree(database, executions)
    rows, states = looked_at(database)
    assert rows == sum(execution.seq for execution in executions)
    assert states, "no order was at work when it died"
    refused = run(directory, "demo", "--db", database.name)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert database.name in refused.stderr
    assert "unfinished" in refused.stderr
    assert folded(database) == executions, "a refused start changed what it found"
    assert_rows_agree(database, executions)
    return Kill(number, rows, states, sum(not execution.is_ended for execution in executions))


def test_what_sigkill_leaves_can_be_trusted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After each of 20 kills the database opens and is sound, every snapshot is the fold of its journal byte for byte,
    the rows and the outbox agree with it, and new work on it is refused with exit 2."""
    with open_threads(2) as pool:
        kills = list(pool.map(lambda number: kill_one(tmp_path, number), range(KILLS)))
    with capsys.disabled():
        sys.stdout.write("\nkill  journal rows  executions left  orders at work\n")
        for kill in kills:
            states = ", ".join(f"{count} {state}" for state, count in sorted(kill.states.items()))
            sys.stdout.write(f"{kill.number + 1:>4}  {kill.rows:>12}  {kill.left:>15}  {states}\n")
    assert len({kill.rows for kill in kills}) > KILLS * 3 // 4, "the journals were hardly of different lengths"
    assert {state for kill in kills for state in kill.states} >= {"intended", "resting", "partial"}
