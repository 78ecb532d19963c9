"""The kernel's lock on the database itself: had once whatever lies beside it, and what it guards is watched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import DatabaseLost
from fsm_exec.store import open_virtual_store
from fsm_exec.store.files.held_file import HeldFile
from fsm_exec.store.files.locks import LockHeld, database_lock
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance.backups import migrate_database
from fsm_exec.store.sqlite_store import FILE_CHECK_INTERVAL_S
from tests.store.conftest import Samples

ROOT = Path(__file__).parents[2]
HOLDER = """
import pathlib, sys
from fsm_exec.store.files.open_database import OpenRequest, open_database
opened = open_database(OpenRequest(path=pathlib.Path(sys.argv[1]), draw_instance=lambda: "a" * 10, at_us=0))
print("open", flush=True)
sys.stdin.read()
"""


@contextmanager
def holder(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has it open until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_whatever_name_leads_to_it_it_is_had_once(tmp_path: Path, draw_instance: Callable[[], str]) -> None:
    """With no lock file beside it at all: by its own name, a symbolic link, a hard link, a name it was moved to. Who
    has it is said, and nothing of it is touched; after SIGKILL it is free."""
    database = tmp_path / "engine.sqlite"
    (tmp_path / "link.sqlite").symlink_to(database)
    with holder(database) as process:
        os.link(database, tmp_path / "hard.sqlite")
        os.link(database, tmp_path / "moved.sqlite")
        for name in ("engine.sqlite", "link.sqlite", "hard.sqlite", "moved.sqlite"):
            with pytest.raises(LockHeld, match=f"held by process {process.pid}") as refused:
                open_database(OpenRequest(path=tmp_path / name, draw_instance=draw_instance, at_us=1))
            assert "\n" not in str(refused.value)
            with pytest.raises(LockHeld):
                migrate_database(tmp_path / name)
        (tmp_path / "hard.sqlite").unlink()
        (tmp_path / "moved.sqlite").unlink()
        process.send_signal(signal.SIGKILL)
        process.wait()
    open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=1)).connection.close()


def test_refusing_a_second_opening_leaves_the_locks_of_the_first(
    tmp_path: Path, draw_instance: Callable[[], str]
) -> None:
    """Closing a descriptor of the file would drop what SQLite holds on it in this process: another process still finds
    the write lock of an open transaction, after a refused opening and after a file that was let go."""
    database = tmp_path / "engine.sqlite"
    with closing(
        open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=0)).connection
    ) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # its locks are on the file itself, not on the log's index
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeld, match="in this process"):
            open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=1))
        script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('SELECT * FROM meta')"
        done = subprocess.run(
            [sys.executable, "-c", script, str(database)], capture_output=True, text=True, check=False
        )
        assert "database is locked" in done.stderr
        connection.execute("ROLLBACK")


def test_a_new_file_of_somebody_else_is_not_removed(tmp_path: Path, draw_instance: Callable[[], str]) -> None:
    """An opening that is refused because another was faster leaves that one's file alone."""
    database = tmp_path / "engine.sqlite"
    database.touch()
    with closing(HeldFile(database)), pytest.raises(LockHeld):
        open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=0))
    assert database.exists()


def test_a_lock_file_that_was_removed_is_not_removed_again(tmp_path: Path) -> None:
    """Whoever made a new one in its place keeps it."""
    lock = tmp_path / "engine.sqlite.lock"
    with database_lock(tmp_path / "engine.sqlite", what="the first", since="now"):
        lock.unlink()
        lock.write_text("another's")
    assert lock.read_text() == "another's"


def deleted(database: Path) -> None:
    database.unlink()


def moved(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (database.parent / (database.name + suffix)).rename(database.parent / f"moved{suffix}")


def replaced(database: Path) -> None:
    shutil.copy(database, database.parent / "copy")
    (database.parent / "copy").replace(database)


def directory_moved(database: Path) -> None:
    database.parent.rename(database.parent.parent / "elsewhere")


def log_deleted(database: Path) -> None:
    database.with_name(database.name + "-wal").unlink()


def index_replaced(database: Path) -> None:
    index = database.with_name(database.name + "-shm")
    shutil.copy(index, database.parent / "copy")
    (database.parent / "copy").replace(index)


def overwritten(database: Path) -> None:
    with database.open("r+b") as file:
        file.write(bytes(100))


def emptied(database: Path) -> None:
    os.truncate(database, 0)


LOSSES = (deleted, moved, replaced, directory_moved, log_deleted, index_replaced, overwritten, emptied)


@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_a_database_that_is_lost_is_noticed_and_saved_to_no_more(
    tmp_path: Path, draw_instance: Callable[[], str], samples: Samples, lose: Callable[[Path], None]
) -> None:
    """Within seconds, in one line that names the file; a save after that fails, and says why."""
    (tmp_path / "directory").mkdir()
    database = tmp_path / "directory" / "engine.sqlite"

    async def main() -> None:
        async with open_virtual_store(database, draw_instance=draw_instance, at_us=0) as store:
            await store.save(samples.save("e1"))
            with trio.move_on_after(10 * FILE_CHECK_INTERVAL_S):
                await store.watch()  # nothing is wrong so far
            await store.save(samples.save("e2"))
            lose(database)
            with (
                trio.fail_after(2 * FILE_CHECK_INTERVAL_S),
                pytest.raises(DatabaseLost, match="while it was in use") as lost,
            ):
                await store.watch()
            assert "engine.sqlite" in str(lost.value)
            assert "\n" not in str(lost.value)
            with pytest.raises(DatabaseLost, match="while it was in use"):
                await store.save(samples.save("e3"))

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_one_in_memory_cannot_be_lost(autojump_clock: MockClock, draw_instance: Callable[[], str]) -> None:
    """Nothing is found in an hour; only a failure of a save could end the watch."""
    async with open_virtual_store(None, draw_instance=draw_instance, at_us=0) as store:
        with trio.move_on_after(3_600) as hour:
            await store.watch()
        assert hour.cancelled_caught


def test_closing_one_that_was_moved_leaves_the_log_of_the_one_in_its_place(
    tmp_path: Path, draw_instance: Callable[[], str]
) -> None:
    """SQLite deletes a log by its name when it closes; not that of another database."""
    database = tmp_path / "engine.sqlite"
    old = open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=0)).connection
    moved(database)
    with closing(open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=1)).connection) as new:
        new.execute("UPDATE meta SET halted_at = 'now'")
        old.close()
        assert (tmp_path / "engine.sqlite-wal").stat().st_size > 0
    assert not (tmp_path / "engine.sqlite-wal").exists()
