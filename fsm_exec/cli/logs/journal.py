"""A copy of the log for systemd's journal: each line in words, with its priority before it, as `sd-daemon(3)` has it.

A thread writes it: a journal that hangs, or a pipe that is not emptied, must not hold up an engine with orders at an
exchange. What cannot be written in time is dropped and counted; the file has everything.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress
from typing import Final, TextIO

from fsm_exec.cli.logs.entries import Entry, parse_entry
from fsm_exec.cli.logs.rotating_file import RotatingFile
from fsm_exec.cli.logs.wording import describe_entry, describe_step

STREAM_VARIABLE: Final = "JOURNAL_STREAM"
PRIORITIES: Final = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
ERROR: Final = "<3>"
WAITING_MAX: Final = 1_000
FINISH_WITHIN_S: Final = 1.0


def is_journal(file: TextIO | None) -> bool:
    """Whether an open file is the journal, as systemd tells its units: `device:inode` in the environment."""
    told = os.environ.get(STREAM_VARIABLE)
    if not told or file is None:
        return False
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError):  # closed, or no file of the system's
        return False
    return told == f"{found.st_dev}:{found.st_ino}"


class JournalCopy:
    """A log file whose lines are also written to `descriptor`, for the journal."""

    def __init__(self, file: RotatingFile, descriptor: int) -> None:
        self._file, self._descriptor = file, descriptor
        self._waiting: queue.Queue[str | None] = queue.Queue(WAITING_MAX)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)  # one that hangs ends nobody
        self._thread.start()

    @property
    def closed(self) -> bool:
        return self._file.closed

    def write(self, text: str, /) -> int:
        """Write to the file as ever, and have the journal told. Raises what the file raises."""
        try:
            self._waiting.put_nowait(text)
        except queue.Full:
            self._dropped += text.count("\n")
        return self._file.write(text)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Close the file, and wait a moment until the journal has been told."""
        self._file.close()
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(FINISH_WITHIN_S)

    def _run(self) -> None:
        with suppress(OSError):  # nobody reads it any more, which is no reason to stop working orders
            while (text := self._waiting.get()) is not None:
                dropped, self._dropped = self._dropped, 0
                if dropped:
                    self._put(f"<{PRIORITIES['warning']}>{dropped} lines of the log are not here; the file has them\n")
                self._put(journal_lines(text))

    def _put(self, text: str) -> None:
        left = text.encode("utf-8", "backslashreplace")
        while left:
            left = left[os.write(self._descriptor, left) :]


def journal_lines(text: str) -> str:
    """Return lines of the log as the journal takes them: the priority, then words; the journal stamps them itself."""
    return "".join(_journal_line(line) for line in text.splitlines() if line)


def _journal_line(line: str) -> str:
    entry = parse_entry(line)
    if entry is None:
        return f"{ERROR}{line[:200]}\n"
    return f"<{_priority(entry)}>{describe_entry(entry) if entry.step() is None else describe_step([entry])}\n"


def _priority(entry: Entry) -> int:
    return PRIORITIES.get(entry.level, PRIORITIES["error"])
