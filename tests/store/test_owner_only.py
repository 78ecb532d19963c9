"""Whatever an engine writes is its owner's alone: made so whatever the umask, narrowed if it was wider."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from fsm_exec.cli.log_file import open_log_file
from fsm_exec.recordings.format import Header
from fsm_exec.recordings.writer import RecordingWriter
from fsm_exec.store import open_live_store, open_virtual_store
from fsm_exec.store.files.file_modes import restrict_modes
from fsm_exec.store.files.locks import database_lock
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance.backups import copy_database


@pytest.fixture(autouse=True)
def generous_umask() -> Iterator[None]:
    """It gives every right to everybody."""
    before = os.umask(0o000)
    yield
    os.umask(before)


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in sorted(directory.iterdir())}


async def test_a_database_its_logs_lock_and_backup_are_made_for_their_owner(
    tmp_path: Path, draw_instance: Callable[[], str]
) -> None:
    """Both lanes, with the write-ahead log and its index there, and the log of the command."""
    with ExitStack() as held:
        for name, open_store in (("live", open_live_store), ("virtual", open_virtual_store)):
            path = tmp_path / f"{name}.sqlite"
            held.enter_context(database_lock(path, what="this test", since="now"))
            held.enter_context(open_log_file(path))
            async with open_store(path, draw_instance=draw_instance, at_us=0):
                found = modes(tmp_path)
                assert {f"{name}.sqlite{suffix}" for suffix in ("", "-wal", "-shm", ".log", ".lock")} <= set(found)
                assert set(found.values()) == {0}
        copy_database(tmp_path / "live.sqlite", tmp_path / "backup.sqlite")
        writer = RecordingWriter(
            tmp_path / "day.jsonl.gz", Header(format="1", ticker="T", price_level_structure="linear_cent")
        )
        writer.write(1, "{}")
        writer.close()
    assert set(modes(tmp_path)) >= {"backup.sqlite", "day.jsonl.gz"}
    assert set(modes(tmp_path).values()) == {0}


def test_the_copy_made_before_migrating_is_its_owners_alone(tmp_path: Path, draw_instance: Callable[[], str]) -> None:
    """It holds all that the database does."""
    path = tmp_path / "engine.sqlite"
    old = OpenRequest(path=path, draw_instance=draw_instance, at_us=0, migrations=SCHEMA[:-1])
    open_database(old).connection.close()
    open_database(OpenRequest(path=path, draw_instance=draw_instance, at_us=1)).connection.close()
    assert f"engine.sqlite.v{len(SCHEMA) - 1}.backup" in modes(tmp_path)
    assert set(modes(tmp_path).values()) == {0}


def test_what_was_wider_is_narrowed_and_said(tmp_path: Path) -> None:
    """A line for each file that others could use, with its mode; those of other names are left alone, and so is what a
    symbolic link leads to."""
    open_database(OpenRequest(path=tmp_path / "a.sqlite", draw_instance=lambda: "a" * 10, at_us=0)).connection.close()
    for name in ("a.sqlite", "a.sqlite-wal", "a.sqlite.log", "a.sqlite.v3.backup", "a.sqlite.lock2", "b.sqlite"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    (tmp_path / "a.sqlite-shm").symlink_to(tmp_path / "b.sqlite")
    said = restrict_modes(tmp_path / "a.sqlite")
    assert [line.split()[0] for line in said] == [
        str(tmp_path / name) for name in ("a.sqlite", "a.sqlite-wal", "a.sqlite.log", "a.sqlite.v3.backup")
    ]
    assert all("mode 644" in line and "\n" not in line for line in said)
    found = modes(tmp_path)
    assert {name for name, mode in found.items() if mode} == {"a.sqlite.lock2", "b.sqlite", "a.sqlite-shm"}
    assert restrict_modes(tmp_path / "a.sqlite") == []
    assert restrict_modes(tmp_path / "not [there].sqlite") == []
    assert restrict_modes(tmp_path / "nul\0") == []


def test_what_is_no_database_of_ours_keeps_its_rights(tmp_path: Path) -> None:
    """A path given by mistake: text, nothing at all, somebody else's database, a pipe (which is not waited for)."""
    (tmp_path / "text").write_text("SQLite, says somebody")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    with closing(sqlite3.connect(tmp_path / "theirs")) as theirs:
        theirs.execute("CREATE TABLE t (x)")
    before = {}
    for path in tmp_path.iterdir():
        path.chmod(0o644)
        before[path.name] = 0o044
    for path in tmp_path.iterdir():
        assert restrict_modes(path) == []
    assert modes(tmp_path) == before
