"""A migration that is killed is gone on with: one whole copy of the database as it was, and nothing half."""

from __future__ import annotations

import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import trio

from fsm_exec.store.blocking_lane import BlockingLane
from fsm_exec.store.files import migrations
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.files.open_database import OpenRequest
from fsm_exec.store.maintenance.backups import migrate_database
from fsm_exec.store.sqlite_store import run_store
from tests.cli.support import ROOT, environment
from tests.store.conftest import T0_US, Samples

OLD = 13
KILLED = """
import os, signal, sys
from pathlib import Path
from fsm_exec.store.files import migrations
from fsm_exec.store.maintenance.backups import migrate_database
migrations.TOLD_FROM_BYTES, migrations.PAGES_AT_ONCE = 0, 5
def kill(line):
    if sys.argv[2] in line:
        os.kill(os.getpid(), signal.SIGKILL)
migrate_database(Path(sys.argv[1]), kill)
"""
POINTS = ("% copied", *(f"to schema version {number} " for number in range(OLD + 1, len(SCHEMA) + 1)))


@pytest.fixture
async def old_database(database: Path, samples: Samples, draw_instance: Callable[[], str]) -> Path:
    """A database of schema version 13 with an execution in it."""
    opening = OpenRequest(path=database, draw_instance=draw_instance, at_us=T0_US, migrations=SCHEMA[:OLD])
    async with run_store(BlockingLane(opening)) as store:
        await store.save(samples.save(children=(samples.child(),), fills=(samples.fill(),)))
    return database


def looked_into(path: Path) -> tuple[int, int]:
    """The schema version, and how many executions there are."""
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (count,) = connection.execute("SELECT count(*) FROM execution_state").fetchone()
    return version, count


async def test_a_migration_that_is_killed_anywhere_is_gone_on_with(old_database: Path) -> None:
    """Killed in its copy and before each of its steps, one after the other: in the end there is one copy, whole and as
    the database was at first, and the database is today's."""
    for point in POINTS:
        command = [sys.executable, "-c", KILLED, str(old_database), point]
        done = await trio.run_process(command, cwd=ROOT, env=environment(), check=False)
        assert done.returncode == -signal.SIGKILL, point
    copy = migrate_database(old_database).copy
    assert copy == old_database.with_name(f"{old_database.name}.v{OLD}.backup")
    assert looked_into(copy) == (OLD, 1)
    assert looked_into(old_database) == (len(SCHEMA), 1)
    assert sorted(path.name for path in old_database.parent.glob("*backup*")) == [copy.name]


async def test_a_big_migration_says_how_far_it_is(old_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy in parts of a hundred, then each step; a small one says nothing."""
    monkeypatch.setattr(migrations, "PAGES_AT_ONCE", 5)
    monkeypatch.setattr(migrations, "TOLD_FROM_BYTES", 0)
    told: list[str] = []
    migrate_database(old_database, told.append)
    assert "% copied to engine.db.v13.backup" in told[0]
    assert told[-1] == f"{old_database}: to schema version {len(SCHEMA)} of {len(SCHEMA)}"
