"""The copy of the log for systemd's journal: priorities, words, and an engine that waits for no reader."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsm_exec.cli.logs.journal import WAITING_MAX, JournalCopy, is_journal, journal_lines
from fsm_exec.cli.logs.rotating_file import RotatingFile
from tests.cli.support import COMMAND, environment

WARNING = '{"at":"2026-10-01T12:00:00.000000Z","event":"no_tokens","level":"warning","rank":"create"}\n'


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def open_copy(directory: Path, descriptor: int) -> JournalCopy:
    return JournalCopy(RotatingFile(directory / "log", max_bytes=10_000_000, keep=1), descriptor)


@pytest.mark.parametrize(
    ("level", "priority"), [("info", 6), ("warning", 4), ("error", 3), ("critical", 2), ("debug", 7), ("odd", 3)]
)
def test_each_level_has_its_priority(level: str, priority: int) -> None:
    """As syslog numbers them; a level nobody knows is an error. The journal has its own time."""
    line = WARNING.replace("warning", level)
    assert journal_lines(line) == f"<{priority}>no tokens: rank create\n"


def test_what_is_no_line_of_ours_is_an_error() -> None:
    """It is told as it stands."""
    assert journal_lines("oops\n") == "<3>oops\n"


def test_the_file_and_the_journal_have_the_same(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """JSON in the one, words in the other, and all of it is written when the log is closed."""
    log = open_copy(tmp_path, pipe[1])
    log.write(WARNING)
    log.close()
    assert os.read(pipe[0], 1_000) == b"<4>no tokens: rank create\n"
    assert (tmp_path / "log").read_text() == WARNING


def test_a_journal_that_hangs_holds_nobody_up(tmp_path: Path, pipe: tuple[int, int]) -> None:
    """Nobody reads the pipe: every line is in the file, and how many the journal lacks is said once it reads again."""
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4_096)
    log = open_copy(tmp_path, pipe[1])
    for _ in range(3 * WAITING_MAX):
        log.write(WARNING)
    assert (tmp_path / "log").read_text() == WARNING * 3 * WAITING_MAX
    heard = b""
    while b"lines of the log are not here; the file has them" not in heard:
        heard += os.read(pipe[0], 4_096)
        log.write(WARNING)
    os.set_blocking(pipe[0], False)
    log.close()


def test_a_journal_that_has_gone_is_no_reason_to_stop(tmp_path: Path) -> None:
    """The other end is closed: the file goes on."""
    reader, writer = os.pipe()
    os.close(reader)
    log = open_copy(tmp_path, writer)
    for _ in range(5):
        log.write(WARNING)
    log.close()
    os.close(writer)
    assert (tmp_path / "log").read_text() == WARNING * 5


def test_the_journal_is_known_by_what_systemd_says_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Device and inode of the stream; any other file is none, nor is one that is closed."""
    with (tmp_path / "stream").open("w") as stream, (tmp_path / "other").open("w") as other:
        assert not is_journal(stream)
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        assert is_journal(stream)
        assert not is_journal(other)
        assert not is_journal(None)
    assert not is_journal(stream)


def test_a_command_that_fails_under_systemd_is_an_error_there(tmp_path: Path) -> None:
    """`journalctl -p err` shows why a unit did not start."""
    with (tmp_path / "stream").open("w+") as stream:
        found = os.fstat(stream.fileno())
        told = {**environment(), "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        arguments = [*COMMAND, "logs", "--db", "absent.sqlite"]
        assert subprocess.run(arguments, cwd=tmp_path, env=told, stderr=stream, check=False).returncode == 2
        stream.seek(0)
        assert stream.read().startswith("<3>fsm-exec: no log absent.sqlite.log")
