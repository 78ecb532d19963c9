"""Backups are whole, know that they are copies, overwrite nothing, and leave nothing behind when they fail."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.store import read_executions, read_journal
from fsm_exec.store.files.acknowledged import SUFFIX
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance.backups import CopyFailed, copy_database, migrate_database
from fsm_exec.store.maintenance.integrity import check_database
from tests.store.histories import INSTANCE, fill
from tests.store.test_failures import no_file_may_grow_beyond
from tests.store.test_killed import ROOT

AT_US = 1_681_149_800_000_000
DrawInstance = Callable[[], str]


def opened_instance(path: Path, draw: DrawInstance) -> str:
    opened = open_database(OpenRequest(path=path, draw_instance=draw, at_us=AT_US))
    opened.connection.close()
    return opened.instance


def contents(path: Path) -> object:
    return [(one, read_journal(path, one.execution_id)) for one in read_executions(path)]


@pytest.fixture
def filled(database: Path) -> Path:
    """A database alone in its directory: its mark is gone, for these tests look at what is left there."""
    fill(database, ["filled", "walking", "settling"])
    database.with_name(database.name + SUFFIX).unlink()
    return database


def test_a_backup_is_the_database_in_one_file(filled: Path, tmp_path: Path) -> None:
    """Every execution and every row; the original is not touched, and nothing else is left in the directory."""
    before = filled.read_bytes()
    copied = copy_database(filled, tmp_path / "copy.db")
    assert contents(copied.target) == contents(filled)
    assert (copied.report.findings, copied.instance) == ([], INSTANCE)
    assert filled.read_bytes() == before
    copied.target.with_name("copy.db-wal").unlink(missing_ok=True)  # left by looking at the contents
    copied.target.with_name("copy.db-shm").unlink(missing_ok=True)
    assert {path.name for path in tmp_path.iterdir()} - {"engine.db-wal", "engine.db-shm"} == {"engine.db", "copy.db"}
    assert copied.bytes == copied.target.stat().st_size


def test_a_backup_draws_a_new_instance_even_in_the_place_of_its_original(
    filled: Path, tmp_path: Path, draw_instance: DrawInstance
) -> None:
    """Put back under the old path and the very inode of the old file, it still knows that it is a copy; the old
    instance is remembered, and each opening after the first keeps the new one."""
    assert opened_instance(filled, draw_instance) == INSTANCE
    copied = copy_database(filled, tmp_path / "copy.db")
    inode = filled.stat().st_ino
    filled.write_bytes(copied.target.read_bytes())
    assert filled.stat().st_ino == inode
    drawn = opened_instance(filled, draw_instance)
    assert drawn != INSTANCE
    assert opened_instance(filled, draw_instance) == drawn
    with closing(sqlite3.connect(filled)) as connection:
        assert connection.execute("SELECT instance FROM meta_history").fetchall() == [(INSTANCE,)]
    assert opened_instance(copied.target, draw_instance) not in (INSTANCE, drawn)


def test_the_copy_before_a_migration_is_known_for_a_copy_too(database: Path, draw_instance: DrawInstance) -> None:
    """Back in its original's place it draws a new instance."""
    old = OpenRequest(path=database, draw_instance=draw_instance, at_us=AT_US, migrations=SCHEMA[:1])
    first = open_database(old)
    first.connection.close()
    migrated = migrate_database(database)
    assert (migrated.before, migrated.after) == (1, len(SCHEMA))
    assert migrated.copy == database.with_name("engine.db.v1.backup")
    assert opened_instance(database, draw_instance) == first.instance
    database.write_bytes(migrated.copy.read_bytes())
    assert opened_instance(database, draw_instance) != first.instance


def test_migrating_twice_does_nothing(filled: Path) -> None:
    """A database of today's schema is not copied either."""
    before = filled.read_bytes()
    migrated = migrate_database(filled)
    assert (migrated.before, migrated.copy) == (len(SCHEMA), None)
    assert filled.read_bytes() == before
    with pytest.raises(UserError, match="does not exist"):
        migrate_database(filled.with_name("none.db"))
    assert not filled.with_name("none.db").exists()


def test_a_backup_is_made_while_the_engine_writes(database: Path, tmp_path: Path) -> None:
    """It is one moment of a database that goes on: each snapshot is that of the last row of its journal."""
    code = (
        "import pathlib, sys, trio\n"
        "from fsm_exec.store import open_live_store\n"
        "from tests.store.conftest import Samples\n"
        "async def main():\n"
        "    async with open_live_store(pathlib.Path(sys.argv[1]), draw_instance=lambda: 'a' * 10, at_us=0) as store:\n"
        "        for seq in range(1, 10**9):\n"
        "            await store.save(Samples().save('e1', seq, snapshot=b'%d' % seq))\n"
        "            print(seq, flush=True)\n"
        "trio.run(main)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        try:
            for number in range(5):
                for _ in range(20):
                    reported = int(writer.stdout.readline())
                target = tmp_path / f"{number}.backup"
                copy_database(database, target)
                (held,) = read_executions(target)
                assert held.snapshot == b"%d" % len(read_journal(target, "e1"))
                assert int(held.snapshot) >= reported
        finally:
            writer.kill()


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_nothing_is_overwritten(filled: Path, tmp_path: Path, suffix: str) -> None:
    """Neither a file of that name, nor a dangling link, nor what would be taken for the copy's log."""
    target = tmp_path / "copy.db"
    there = tmp_path / f"copy.db{suffix}"
    for make in (lambda: there.write_bytes(b"precious"), lambda: there.symlink_to(tmp_path / "nowhere")):
        make()
        before = there.lstat()
        with pytest.raises(UserError, match=r"exists; nothing is ever overwritten|is there, a log of another"):
            copy_database(filled, target)
        assert there.lstat() == before
        assert sorted(tmp_path.iterdir()) == sorted({filled, there})
        there.unlink()


def test_a_target_that_cannot_be_is_one_line(filled: Path, tmp_path: Path) -> None:
    """A missing directory, a file in the way, a path with a NUL in it."""
    for target, says in (
        (tmp_path / "none" / "copy.db", "its directory does not exist"),
        (filled / "copy.db", "its directory does not exist"),
        (tmp_path / "a\0b", "null"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            copy_database(filled, target)
        assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [filled]


def test_a_full_disk_leaves_no_half_copy(filled: Path, tmp_path: Path) -> None:
    """The error says what to do, nothing is left of the copy, and the database is as it was."""
    before = filled.read_bytes()
    with no_file_may_grow_beyond(20_000), pytest.raises(CopyFailed, match=r"cannot write .*copy\.db: .*; make room"):
        copy_database(filled, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == [filled]
    assert filled.read_bytes() == before


def test_a_full_disk_at_a_migration_leaves_the_database_as_it_was(database: Path, draw_instance: DrawInstance) -> None:
    """No half of a copy, no half of a migration; with room it goes on."""
    old = OpenRequest(path=database, draw_instance=draw_instance, at_us=AT_US, migrations=SCHEMA[:1])
    open_database(old).connection.close()
    before = database.read_bytes()
    with no_file_may_grow_beyond(20_000), pytest.raises(UserError, match=r"cannot use the database .*; (free|check)"):
        migrate_database(database)
    assert list(database.parent.glob("*.backup")) == []
    assert database.read_bytes() == before
    assert migrate_database(database).after == len(SCHEMA)


def test_a_damaged_database_is_copied_as_it_is_and_said_to_be_damaged(filled: Path, tmp_path: Path) -> None:
    """What is left of it is worth a copy."""
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("UPDATE execution_state SET snapshot = '{}' WHERE execution_id = 'e2'")
    copied = copy_database(filled, tmp_path / "copy.db")
    assert [finding.execution_id for finding in copied.report.findings] == ["e2", "e2"]
    assert check_database(copied.target, every=True).executions == 3
