"""Writes the tapes an engine keeps, in a thread of its own: whoever hands frames over never waits for a disk.

What is handed over waits in a queue of limited length; a caller that finds it full is told so, and has to begin anew
with a whole book. The first thing that goes wrong with a file ends all of it, for good: `failure` then says why, what
is handed over is dropped, and what was flushed stays readable. So does what a kill leaves.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, NamedTuple, TypeAlias

import msgspec

from fsm_exec.core.values.units import US_PER_S
from fsm_exec.recordings.format import Header
from fsm_exec.recordings.kept import KeptTape, can_be_directory, find_all_kept_tapes, tape_name
from fsm_exec.recordings.writer import RecordingWriter, part_of

QUEUE_MAX: Final = 20_000
FLUSH_S: Final = 2.0
TIDY_S: Final = 60.0
DAY_US: Final = 86_400 * US_PER_S
MB: Final = 1_000_000
OWNER_ONLY_DIRECTORY: Final = 0o700

Line: TypeAlias = tuple[int, str | bytes]
"""When a frame was received, and the frame."""


class TapeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[tapes]`: whether the frames of worked markets are kept, how much of a disk all tapes of a database
    may take, and how long each stays."""

    keep: bool = True
    max_mb: Annotated[int, msgspec.Meta(ge=10, le=10_000_000)] = 2_000
    keep_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 30


class _Begin(NamedTuple):
    header: Header
    began_us: int
    lines: Sequence[Line]

    @property
    def ticker(self) -> str:
        return self.header.ticker


class _Frame(NamedTuple):
    ticker: str
    line: Line


class _End(NamedTuple):
    ticker: str


class TapeWriter:
    """One thread and the files it writes, below `directory`. `spare_mb` is what it leaves free on the disk for whatever
    else writes there. Each hand-over returns at once, False where the queue was full."""

    def __init__(
        self, directory: Path, settings: TapeSettings, *, spare_mb: int = 0, queue_max: int = QUEUE_MAX
    ) -> None:
        self.failure: str | None = None
        self._directory, self._settings, self._spare_mb = directory, settings, spare_mb
        self._queue: queue.Queue[_Begin | _Frame | _End] = queue.Queue(queue_max)
        self._files: dict[str, RecordingWriter] = {}
        self._newest_us = 0  # of all that was handed over: days are counted back from there
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tapes", daemon=True)  # a disk that hangs ends nobody

    @property
    def waiting(self) -> int:
        """How many things wait to be written."""
        return self._queue.qsize()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin(self, header: Header, began_us: int, lines: Sequence[Line]) -> bool:
        """Begin a tape with these frames; nothing, or a snapshot first."""
        return self._hand_over(_Begin(header, began_us, lines))

    def put(self, ticker: str, line: Line) -> bool:
        """Write one frame to the tape that was begun."""
        return self._hand_over(_Frame(ticker, line))

    def end(self, ticker: str) -> bool:
        """Make a tape whole."""
        return self._hand_over(_End(ticker))

    def close(self, within_s: float) -> None:
        """Make everything whole that was handed over, and end the thread. A disk that takes longer is left to itself:
        what it has is readable. Blocks."""
        self._ending.set()
        self._thread.join(within_s)

    def _hand_over(self, item: _Begin | _Frame | _End) -> bool:
        if self.failure is not None:
            return True  # dropped
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    # In the thread.

    def _run(self) -> None:
        try:
            self._work()
        except OSError as error:
            self.failure = f"{error.filename or self._directory}: {error.strerror or error}"
        except Exception as error:  # whatever it is, it must not be seen by an execution
            self.failure = f"{self._directory}: {type(error).__name__}: {error}"
        for file in self._files.values():
            with suppress(OSError):
                file.close()

    def _work(self) -> None:
        flushed_s = tidied_s = -TIDY_S
        while True:
            now_s = time.monotonic()
            if now_s - flushed_s >= FLUSH_S:
                flushed_s = now_s
                self._check_room()
                for file in self._files.values():
                    file.flush()
            if now_s - tidied_s >= TIDY_S:
                tidied_s = now_s
                self._tidy()
            try:
                item = self._queue.get(timeout=0.0 if self._ending.is_set() else FLUSH_S / 4)
            except queue.Empty:
                if self._ending.is_set():
                    return
                continue
            self._write(item)

    def _write(self, item: _Begin | _Frame | _End) -> None:
        match item:
            case _Begin() if can_be_directory(item.ticker):
                self._end(item.ticker)
                self._newest_us = max(self._newest_us, item.began_us)
                directory = self._directory / item.ticker
                for made in (self._directory, directory):
                    made.mkdir(mode=OWNER_ONLY_DIRECTORY, exist_ok=True)
                self._check_room()
                file = self._files[item.ticker] = RecordingWriter(directory / tape_name(item.began_us), item.header)
                for at_us, frame in item.lines:
                    file.write(at_us, frame)
            case _Frame() if (open_file := self._files.get(item.ticker)) is not None:
                open_file.write(*item.line)
            case _End():
                self._end(item.ticker)
            case _:
                pass

    def _end(self, ticker: str) -> None:
        file = self._files.pop(ticker, None)
        if file is not None:
            file.close()

    def _check_room(self) -> None:
        """Raises OSError where the disk has too little left."""
        if not self._spare_mb or not self._directory.exists():
            return
        free_mb = shutil.disk_usage(self._directory).free // MB
        if free_mb < self._spare_mb:
            raise OSError(0, f"the disk has {free_mb} MB left, and {self._spare_mb} are for the database")

    def _tidy(self) -> None:
        """Delete what is too old, and the oldest while all take too much. Raises OSError where what is being written is
        too much alone."""
        oldest_us = self._newest_us - self._settings.keep_days * DAY_US
        kept: list[tuple[KeptTape, int]] = []
        for tape in find_all_kept_tapes(self._directory):
            if tape.began_us < oldest_us and not self._is_open(tape):
                tape.path.unlink()
            else:
                kept.append((tape, tape.path.stat().st_size))
        total = sum(size for _, size in kept)
        for tape, size in kept:
            if total <= self._settings.max_mb * MB:
                return
            if not self._is_open(tape):
                tape.path.unlink()
                total -= size
        if total > self._settings.max_mb * MB:
            raise OSError(0, f"what is being written takes {total // MB} MB; raise max_mb of [tapes]")

    def _is_open(self, tape: KeptTape) -> bool:
        return any(tape.path in (file.path, part_of(file.path)) for file in self._files.values())
