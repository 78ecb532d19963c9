"""Paths and files that cannot be used, copies of databases, and migrations."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.store import open_live_store, open_virtual_store, read_executions, read_journal
from fsm_exec.store.files.copy_mark import ATTRIBUTE, write_mark
from fsm_exec.store.files.migrations import APPLICATION_ID, SCHEMA, Migration
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.reads.recovery import load_owners

if TYPE_CHECKING:
    from tests.store.conftest import OpenStore, Samples

DrawInstance = Callable[[], str]
AT_US = 1_681_149_600_000_000

NEWEST = len(SCHEMA)
NEW = (*SCHEMA, Migration(NEWEST + 1, "CREATE TABLE added (x INTEGER) STRICT;"))


def open_once(path: Path, draw: DrawInstance, migrations: tuple[Migration, ...] = SCHEMA, *, at_us: int = AT_US) -> str:
    opened = open_database(OpenRequest(path=path, draw_instance=draw, at_us=at_us, migrations=migrations))
    opened.connection.close()
    return opened.instance


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_a_path_that_cannot_be_created_is_one_line_and_leaves_nothing(
    open_file_store: OpenStore, database: Path, tmp_path: Path
) -> None:
    """A missing directory: the error names the path and the remedy, and no file or directory appears."""

    async def main() -> None:
        async with open_file_store():
            pass

    shutil.rmtree(tmp_path)
    with pytest.raises(UserError) as caught:
        trio.run(main)
    message = str(caught.value)
    assert str(database) in message
    assert "No such file or directory" in message
    assert "give a path" in message
    assert "\n" not in message
    assert not tmp_path.exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "directory"),
        ("a file/engine.db", "Not a directory"),
        ("x" * 300, "File name too long"),
        ("bad\0name", "null"),
    ],
)
def test_impossible_paths(tmp_path: Path, draw_instance: DrawInstance, name: str, says: str) -> None:
    """A directory, a file used as a directory, a name too long or with a NUL: one line with the reason."""
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(UserError, match=says) as caught:
        open_once(tmp_path / name, draw_instance)
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a file"]


def test_a_device_that_takes_no_database_is_refused(draw_instance: DrawInstance) -> None:
    """A path that exists and is no regular file is refused, not written to."""
    with pytest.raises(UserError, match="cannot use the database"):
        open_once(Path("/dev/null"), draw_instance)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere; run as another user")
def test_a_read_only_file_is_refused(database: Path, draw_instance: DrawInstance) -> None:
    """A database that cannot be written is refused when it is opened, not at the first order."""
    open_once(database, draw_instance)
    database.chmod(0o400)
    with pytest.raises(UserError, match="make the file and its directory writable"):
        open_once(database, draw_instance)
    assert [p.name for p in database.parent.iterdir()] == ["engine.db"]


def test_a_database_that_cannot_be_finished_is_removed(database: Path, draw_instance: DrawInstance) -> None:
    """When creating fails half-way, neither the file nor its log is left behind."""
    broken = (*SCHEMA, Migration(NEWEST + 1, "CREATE TABLE twice (x); CREATE TABLE twice (x);"))
    with pytest.raises(UserError, match="twice"):
        open_once(database, draw_instance, broken)
    assert list(database.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"not a database, but long enough to be looked at " * 50, b"SQLite format 3\0..."])
def test_a_file_that_is_no_database_is_left_alone(database: Path, draw_instance: DrawInstance, content: bytes) -> None:
    """Some other file under this name is refused and not changed by a byte."""
    database.write_bytes(content)
    with pytest.raises(UserError, match="cannot use the database"):
        open_once(database, draw_instance)
    assert database.read_bytes() == content
    assert list(database.parent.iterdir()) == [database]


def test_the_database_of_another_program_is_left_alone(database: Path, draw_instance: DrawInstance) -> None:
    """A SQLite database without our mark is refused and not migrated."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE notes (x)")
    before = database.read_bytes()
    with pytest.raises(UserError, match="not one of fsm-exec"):
        open_once(database, draw_instance)
    with pytest.raises(UserError, match="not one of fsm-exec"):
        read_executions(database)
    assert database.read_bytes() == before


def test_an_empty_file_becomes_a_database(database: Path, draw_instance: DrawInstance) -> None:
    """A file of no bytes, as a temporary-file tool makes it, is used."""
    database.touch()
    open_once(database, draw_instance)
    assert rows(database, "PRAGMA application_id") == [(APPLICATION_ID,)]


def test_a_newer_database_is_refused(database: Path, draw_instance: DrawInstance) -> None:
    """A database of a later version is refused with both versions and left as it is, by readers too."""
    open_once(database, draw_instance, NEW)
    with pytest.raises(
        UserError, match=rf"{database} has schema version {NEWEST + 1}, .* up to {NEWEST}; use the newer"
    ):
        open_once(database, draw_instance)
    with pytest.raises(UserError, match=f"schema version {NEWEST + 1}"):
        read_journal(database, "e1")
    assert rows(database, "PRAGMA user_version") == [(NEWEST + 1,)]


async def test_an_older_database_is_copied_and_migrated(
    open_file_store: OpenStore, samples: Samples, database: Path, draw_instance: DrawInstance
) -> None:
    """Before it is migrated the database is copied whole, with what its log held; the rows stay in both."""
    async with open_file_store() as store:
        await store.save(samples.save())
        instance = store.instance
    assert open_once(database, draw_instance, NEW) == instance
    copy = database.with_name(f"engine.db.v{NEWEST}.backup")
    assert "added" in tables(database)
    assert "added" not in tables(copy)
    for path in (database, copy):
        assert rows(path, "SELECT execution_id FROM execution_state") == [("e1",)]
    assert rows(copy, "PRAGMA user_version") == [(NEWEST,)]


def test_a_failed_migration_changes_nothing(database: Path, draw_instance: DrawInstance) -> None:
    """A migration is whole or not at all; a second try needs no second copy of what is still the same."""
    open_once(database, draw_instance)
    broken = (*SCHEMA, Migration(NEWEST + 1, "CREATE TABLE added (x); CREATE TABLE meta (x);"))
    for _ in range(2):
        with pytest.raises(UserError, match="meta"):
            open_once(database, draw_instance, broken)
    assert "added" not in tables(database)
    assert rows(database, "PRAGMA user_version") == [(NEWEST,)]
    (copy,) = (p for p in database.parent.iterdir() if p.suffix == ".backup")
    assert copy.name == f"engine.db.v{NEWEST}.backup"
    assert "added" not in tables(copy)
    assert rows(copy, "PRAGMA user_version") == [(NEWEST,)]
    open_once(database, draw_instance)


def test_a_new_database_is_not_copied(database: Path, draw_instance: DrawInstance) -> None:
    """There is nothing to keep of a database that has just been created."""
    open_once(database, draw_instance, NEW)
    assert [p.name for p in database.parent.iterdir()] == ["engine.db"]


def test_a_copied_database_gets_a_new_instance(database: Path, draw_instance: DrawInstance) -> None:
    """The copy draws its own instance and remembers the old one; the original keeps its own."""
    original = open_once(database, draw_instance)
    copy = database.with_name("copy.db")
    shutil.copy(database, copy)
    drawn = open_once(copy, draw_instance)
    assert drawn != original
    assert open_once(copy, draw_instance) == drawn
    assert open_once(database, draw_instance) == original
    assert rows(copy, "SELECT instance, path FROM meta_history") == [(original, str(database))]
    assert rows(database, "SELECT * FROM meta_history") == []


def test_a_restored_database_gets_a_new_instance(database: Path, draw_instance: DrawInstance) -> None:
    """A backup moved to the old path is another file there: its order ids must not be used twice."""
    original = open_once(database, draw_instance)
    backup = database.with_name("backup.db")
    shutil.copy(database, backup)
    backup.replace(database)
    assert open_once(database, draw_instance) != original


def test_a_bare_copy_in_the_very_place_of_its_original_gets_a_new_instance(
    database: Path, draw_instance: DrawInstance
) -> None:
    """An older copy written over the file, which keeps its path and its inode; and a copy that was given the removed
    file's inode: neither is the database that was opened here last."""
    original = open_once(database, draw_instance)
    if not marks_here(database):
        pytest.skip("this file system has no extended attributes: path and inode are all there is")
    bare = database.read_bytes()
    assert open_once(database, draw_instance, at_us=AT_US + 1) == original
    database.write_bytes(bare)
    second = open_once(database, draw_instance, at_us=AT_US + 2)
    assert second != original
    bare = database.read_bytes()
    os.removexattr(database, ATTRIBUTE)  # what removing and copying leaves when the inode is used again
    third = open_once(database, draw_instance, at_us=AT_US + 3)
    assert third not in (original, second)
    assert open_once(database, draw_instance, at_us=AT_US + 4) == third


def marks_here(path: Path) -> bool:
    try:
        return bool(os.getxattr(path, ATTRIBUTE))
    except (AttributeError, OSError):
        return False


def test_an_opening_that_was_killed_before_its_commit_makes_no_copy_of_it(
    database: Path, draw_instance: DrawInstance
) -> None:
    """The file is marked for an opening that never was: the database is still the one it was."""
    original = open_once(database, draw_instance)
    write_mark(database, to_iso(AT_US), to_iso(AT_US + 5))
    assert open_once(database, draw_instance, at_us=AT_US + 6) == original


def test_another_name_of_the_same_file_keeps_the_instance(
    database: Path, draw_instance: DrawInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A symbolic link or a relative path leads to the same database, not to a copy."""
    original = open_once(database, draw_instance)
    link = database.with_name("link.db")
    link.symlink_to(database)
    monkeypatch.chdir(database.parent)
    assert open_once(link, draw_instance) == original
    assert open_once(Path("engine.db"), draw_instance) == original


def test_the_instance_has_the_exchange_safe_alphabet(database: Path) -> None:
    """An instance that is not ten characters of a-z2-7 is never written."""
    with pytest.raises(UserError, match="CHECK"):
        open_once(database, lambda: "TOO LONG FOR US")
    assert not database.exists()


def test_the_database_is_set_up_for_durability(database: Path, draw_instance: DrawInstance) -> None:
    """Write-ahead log, a sync at every commit, foreign keys checked, every table typed strictly."""
    opened = open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=AT_US))
    with closing(opened.connection) as connection:
        for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 5000)):
            assert connection.execute(f"PRAGMA {pragma}").fetchone() == (value,)
        tables = "SELECT name FROM pragma_table_list WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        loose = connection.execute(f"{tables} AND strict = 0")
        assert loose.fetchall() == []


async def test_a_fault_of_the_callers_comes_back_to_the_caller(database: Path) -> None:
    """What `draw_instance` raises reaches whoever opens the store, in both lanes, and leaves no file."""

    def draw() -> str:
        raise KeyError("no source")

    for open_store in (open_virtual_store, open_live_store):
        with pytest.raises(KeyError, match="no source"):
            async with open_store(database, draw_instance=draw, at_us=AT_US):
                pass
        assert list(database.parent.iterdir()) == []


@pytest.mark.parametrize("emptied", [False, True])
def test_a_log_whose_database_is_gone_is_not_deleted(
    tmp_path: Path, draw_instance: DrawInstance, samples: Samples, emptied: bool
) -> None:
    """A start in the place of a database that was moved away leaves its log alone; put back, all of it is there."""
    engine, moved, log = (tmp_path / name for name in ("engine.sqlite", "moved.sqlite", "engine.sqlite-wal"))

    async def work() -> bytes:
        async with open_virtual_store(engine, draw_instance=draw_instance, at_us=samples.at_us) as store:
            await store.save(samples.save("e000001"))
            shutil.copy(engine, moved)
            return await trio.Path(log).read_bytes()

    image = trio.run(work)  # as a killed process leaves it
    engine.unlink()
    if emptied:
        engine.touch()
    log.write_bytes(image)
    with pytest.raises(UserError, match="put the database back") as refused:
        open_once(engine, draw_instance)
    assert "\n" not in str(refused.value)
    assert log.read_bytes() == image
    assert engine.exists() == emptied
    moved.replace(engine)
    assert [row.execution_id for row in read_executions(engine)] == ["e000001"]


def test_a_socket_is_no_database(tmp_path: Path, draw_instance: DrawInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else that has a name in the file system is refused and stays."""
    monkeypatch.chdir(tmp_path)
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind("s")
        with pytest.raises(UserError, match="cannot use the database"):
            open_once(tmp_path / "s", draw_instance)
        assert (tmp_path / "s").is_socket()


@pytest.mark.parametrize("table", ["split_orders", "fills"])
def test_an_order_of_the_exchange_is_found_without_reading_the_table(table: str) -> None:
    """A fill that nobody in memory owns is looked up while every save waits, however many orders there were."""
    opened = open_database(OpenRequest(path=None, draw_instance=lambda: "aaaaaaaaaa", at_us=0))
    with closing(opened.connection) as connection:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        load_owners(connection, ["o1", "o2"])
        connection.set_trace_callback(None)
        (statement,) = [one for one in asked if f" FROM {table} " in one]
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    assert plan[3].startswith(f"SEARCH {table} USING"), plan


def test_a_database_in_memory_is_the_one_that_the_migrations_make(tmp_path: Path) -> None:
    """It is copied from one that was migrated, once for a process; nothing written to one shows in another."""
    asked = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    path = tmp_path / "file.db"
    open_once(path, lambda: "a" * 10)
    for instance in ("b" * 10, "c" * 10):
        opened = open_database(OpenRequest(path=None, draw_instance=partial(str, instance), at_us=AT_US))
        with closing(opened.connection) as memory:
            assert memory.execute(asked).fetchall() == rows(path, asked)
            for pragma in ("user_version", "application_id"):
                assert memory.execute(f"PRAGMA {pragma}").fetchall() == rows(path, f"PRAGMA {pragma}")
            assert memory.execute("PRAGMA foreign_keys").fetchone() == (1,)
            assert memory.execute("SELECT instance FROM meta").fetchall() == [(instance,)]
