"""Locks between processes: one holder, known by name, and gone with its process however that ends."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal import crashpoints
from fsm_exec.store.files.locks import LockHeld, database_lock, read_holder

ROOT = Path(__file__).parents[2]
SINCE = "2026-10-01T12:00:00.000000Z"
HOLDER = """
import sys, time
from pathlib import Path
from fsm_exec.core.errors import ExecError
from fsm_exec.store.files.locks import database_lock
try:
    with database_lock(Path(sys.argv[1]), what="the holder", since=sys.argv[2]):
        print("held", flush=True)
        sys.stdin.read()
    print("let go", flush=True)
except ExecError as error:
    print(type(error).__name__, error, flush=True)
"""


@contextmanager
def holder(database: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that takes the lock until its stdin is closed, and the first line it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(database), SINCE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    with process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def take(database: Path) -> None:
    """Get it and let it go."""
    with database_lock(database, what="this test", since=SINCE):
        pass


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    """One line with the process, since when and what it is; by a symbolic link too. It is free when it is let go,
    and no file stays."""
    database = tmp_path / "engine.sqlite"
    (tmp_path / "link.sqlite").symlink_to(database)
    with holder(database) as (process, said):
        assert said == "held"
        for path in (database, tmp_path / "link.sqlite"):
            with pytest.raises(LockHeld, match=f"process {process.pid}, since {SINCE}") as refused:
                take(path)
            assert "\n" not in str(refused.value)
            assert "the holder" in str(refused.value)
        take(tmp_path / "other.sqlite")
        assert process.communicate("")[0].strip() == "let go"
    take(database)
    assert [path.name for path in tmp_path.iterdir()] == ["link.sqlite"]


def test_a_dead_process_holds_nothing(tmp_path: Path) -> None:
    """After SIGKILL its file is still there and says its name; the lock is free, and the file is taken over."""
    database = tmp_path / "engine.sqlite"
    with holder(database) as (process, said):
        assert said == "held"
        process.send_signal(signal.SIGKILL)
        process.wait()
    lock = tmp_path / "engine.sqlite.lock"
    assert str(process.pid) in lock.read_text()
    assert read_holder(lock) is None
    with database_lock(database, what="this test", since=SINCE):
        assert str(os.getpid()) in lock.read_text()
        with holder(database) as (_, said):
            assert said.startswith("LockHeld")
            assert str(os.getpid()) in said


def test_a_copy_is_another_database(tmp_path: Path) -> None:
    """Its lock is its own; a file of the same inode under a second name is refused, before and while it is held."""
    database = tmp_path / "engine.sqlite"
    database.write_bytes(b"contents")
    with holder(database) as (_, said):
        assert said == "held"
        (tmp_path / "copy.sqlite").write_bytes(database.read_bytes())
        take(tmp_path / "copy.sqlite")
        os.link(database, tmp_path / "hard.sqlite")
        with pytest.raises(UserError, match="hard link"):
            take(tmp_path / "hard.sqlite")
    with pytest.raises(UserError, match="remove the other name"):
        take(database)
    (tmp_path / "hard.sqlite").unlink()
    take(database)


def test_a_lock_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A directory that is not there, that is a file, and a lock file that is a link to somewhere else."""
    (tmp_path / "file").write_text("")
    (tmp_path / "linked.lock").symlink_to(tmp_path / "elsewhere")
    for path in ("missing/engine.sqlite", "file/engine.sqlite", "linked", "nul\0"):
        with pytest.raises(UserError) as refused:
            take(tmp_path / path)
        assert "\n" not in str(refused.value)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere; run as another user")
def test_a_read_only_directory_is_one_line(tmp_path: Path) -> None:
    """What to do stands in it; a lock file that is there already and may be written does."""
    lock = tmp_path / "engine.sqlite.lock"
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match="can be written to"):
            take(tmp_path / "engine.sqlite")
        tmp_path.chmod(0o700)
        lock.write_text("")
        tmp_path.chmod(0o500)
        take(tmp_path / "engine.sqlite")
    finally:
        tmp_path.chmod(0o700)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_a_file_removed_under_a_waiting_process_is_noticed(tmp_path: Path) -> None:
    """Whoever opened the file just before its holder removed it does not hold the old one beside a new one: two
    hundred changes of hands between two processes, and never two holders."""
    database = tmp_path / "engine.sqlite"
    script = (
        "import sys, os\nfrom pathlib import Path\n"
        "from fsm_exec.store.files.locks import LockHeld, database_lock\n"
        "inside = Path(sys.argv[1] + '.inside')\ntook = 0\n"
        "while took < 200:\n"
        "    try:\n"
        "        with database_lock(Path(sys.argv[1]), what='x', since='y'):\n"
        "            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))\n"
        "            os.unlink(inside)\n"
        "            took += 1\n"
        "    except LockHeld:\n"
        "        pass\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(database)], env={**os.environ, "PYTHONPATH": str(ROOT)})
        for _ in range(2)
    ]
    assert [process.wait(timeout=60) for process in both] == [0, 0]


def test_the_crash_points_of_the_lock_are_passed(tmp_path: Path) -> None:
    """Before it is taken and once it is held, so that tests can end the process there."""
    seen: list[str] = []
    before = crashpoints.install(seen.append)
    try:
        take(tmp_path / "engine.sqlite")
    finally:
        crashpoints.install(before)
    assert seen == ["lock.before", "lock.after"]
