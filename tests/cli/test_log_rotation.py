"""The log's files: a full one is renamed, whoever else renames, deletes or cuts it, and no line is lost by it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fsm_exec.cli.logs.rotating_file import RotatingFile
from fsm_exec.cli.logs.settings import LogSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import open_log

LIMIT = 100
LINE = "x" * 29 + "\n"  # three fit, and a little more


@pytest.fixture
def log(tmp_path: Path) -> Iterator[RotatingFile]:
    file = RotatingFile(tmp_path / "e.sqlite.log", max_bytes=LIMIT, keep=3)
    yield file
    file.close()


def files(directory: Path) -> dict[str, str]:
    return {path.name.removeprefix("e.sqlite"): path.read_text() for path in directory.iterdir()}


def write(file: RotatingFile, first: int, last: int) -> None:
    for number in range(first, last):
        file.write(f"{number:029d}\n")


def numbers(text: str) -> list[int]:
    return [int(line) for line in text.split()]


def test_a_full_file_is_renamed_and_the_oldest_goes(tmp_path: Path, log: RotatingFile) -> None:
    """No file is above its size, so many stay as are kept, and what is there is the newest, in order."""
    write(log, 0, 17)
    found = {name: numbers(text) for name, text in files(tmp_path).items()}
    assert found == {".log": [15, 16], ".log.1": [12, 13, 14], ".log.2": [9, 10, 11], ".log.3": [6, 7, 8]}


def test_files_that_something_else_packed_move_on_too(tmp_path: Path, log: RotatingFile) -> None:
    """A NAME.1.gz becomes NAME.2.gz: it is not mistaken for the newest, and goes in its turn."""
    (tmp_path / "e.sqlite.log.1.gz").write_text("packed")
    write(log, 0, 4)
    assert (tmp_path / "e.sqlite.log.2.gz").read_text() == "packed"
    write(log, 4, 13)
    assert not list(tmp_path.glob("*.gz"))


def test_every_file_is_its_owner_s_alone(tmp_path: Path, log: RotatingFile) -> None:
    """Under any umask, like the first."""
    before = os.umask(0)
    try:
        write(log, 0, 5)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("how", ["renamed", "deleted"])
def test_a_log_that_something_else_took_away_goes_on_under_its_name(
    tmp_path: Path, log: RotatingFile, how: str
) -> None:
    """The next line stands in a new file; nothing is written where nobody looks."""
    path = tmp_path / "e.sqlite.log"
    log.write("before\n")
    if how == "renamed":
        path.rename(tmp_path / "e.sqlite.log-20261001")
    else:
        path.unlink()
    log.write("after\n")
    assert path.read_text() == "after\n"


def test_a_log_that_is_copied_and_cut_goes_on_at_its_new_end(tmp_path: Path, log: RotatingFile) -> None:
    """As logrotate's copytruncate does it: no hole of zeros, and its size is counted from there."""
    path = tmp_path / "e.sqlite.log"
    write(log, 0, 3)
    os.truncate(path, 0)
    write(log, 3, 6)
    assert numbers(path.read_text()) == [3, 4, 5]
    assert files(tmp_path).keys() == {".log"}


def test_where_nothing_can_be_renamed_the_log_grows(tmp_path: Path, log: RotatingFile) -> None:
    """A directory has the name of the oldest: every line is still there, in one file, and no error is raised."""
    (tmp_path / "e.sqlite.log.3").mkdir()
    write(log, 0, 20)
    assert numbers((tmp_path / "e.sqlite.log").read_text()) == list(range(20))


def test_a_line_that_was_torn_does_not_swallow_the_next(tmp_path: Path) -> None:
    """A process died in the middle of one: the next line begins on a line of its own."""
    path = tmp_path / "e.sqlite.log"
    path.write_text('{"at":"2026')
    file = RotatingFile(path, max_bytes=LIMIT, keep=1)
    file.write("whole\n")
    file.write("more\n")
    file.close()
    assert path.read_text().splitlines() == ['{"at":"2026', "whole", "more"]


def test_a_disk_that_takes_half_a_line_and_then_room_again(
    tmp_path: Path, log: RotatingFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half stays alone on its line. The call of the system is the one that is played here: it has no other way to
    write half."""
    real, left = os.write, [4]

    def full(descriptor: int, data: memoryview) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = real(descriptor, data[: left[0]])
        left[0] -= taken
        return taken

    with monkeypatch.context() as patched:
        patched.setattr("fsm_exec.cli.logs.rotating_file.os.write", full)
        with pytest.raises(OSError, match="No space left"):
            log.write("lost line\n")
    log.write("next\n")
    assert (tmp_path / "e.sqlite.log").read_text().splitlines() == ["lost", "next"]


async def test_the_engine_s_log_goes_through_it_whole(tmp_path: Path) -> None:
    """Lines of structlog, over many files: each stands whole in one of them."""
    file = RotatingFile(tmp_path / "e.sqlite.log", max_bytes=1_000, keep=500)
    log = open_log(file, WallClock(0))
    for number in range(300):
        log.warning("something", number=number, text="ü" * 40)
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.write("late\n")
    log.warning("after its end")  # a run outlives its log
    lines = [line for text in files(tmp_path).values() for line in text.splitlines()]
    assert len(lines) == 300
    assert all(line.startswith("{") and line.endswith("}") for line in lines)


WRITER = """
import sys
from pathlib import Path
from fsm_exec.cli.logs.rotating_file import RotatingFile
file = RotatingFile(Path(sys.argv[1]), max_bytes=2_000, keep=900)
for number in range(2_000):
    file.write(f"{sys.argv[2]}-{number:06d}\\n")
"""


def test_several_processes_write_to_one_log(tmp_path: Path) -> None:
    """Three of them, over many rotations: every line of each is there once."""
    path = tmp_path / "e.sqlite.log"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "abc"]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    lines = sorted(line for each in tmp_path.iterdir() for line in each.read_text().split())
    assert lines == [f"{name}-{number:06d}" for name in "abc" for number in range(2_000)]
    assert len(list(tmp_path.iterdir())) > 2


def test_settings_have_honest_bounds() -> None:
    """The defaults take under 300 MB in all."""
    assert (LogSettings().keep + 1) * LogSettings().max_bytes < 300_000_000
