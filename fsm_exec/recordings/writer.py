"""A recording is written under another name until it is whole, and never over an existing file.

The name is PATH.part. Its writer holds its lock, so a file that is not locked was left behind by a kill (`unfinished`).
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
from pathlib import Path
from typing import BinaryIO

from fsm_exec.owner_only import owner_only
from fsm_exec.recordings.format import PART, Header, frame_line, header_line


class RecordingWriter:
    """Writes under `PATH.part`; `close` makes the file whole and gives it its name. The caller writes the frames of
    the header's market, from a snapshot on, and flushes now and then: what was flushed survives a kill. OSErrors come
    as they are."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises FileExistsError rather than overwrite either name."""
        if path.exists():
            raise _exists(path)
        self.path = path
        self.frames = 0
        self._part = part_of(path)
        self._raw = open(self._part, "xb", opener=owner_only)  # noqa: SIM115  # closed by `close`
        if not lock(self._raw) or not self._is_there():
            raise _exists(self._part)
        # Neither name nor time in the file: the same frames make the same bytes.
        self._zip = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        self._last_us = 0
        self._waits = False
        self._put(header_line(header))

    def write(self, recv_us: int, frame: str | bytes) -> None:
        """Write one frame as it came. Times never run backwards: a clock set back repeats the last one."""
        self._last_us = max(self._last_us, recv_us)
        self._put(frame_line(self._last_us, frame))
        self.frames += 1

    def flush(self) -> None:
        """Hand the written frames to the system: from here on only the machine can lose them."""
        if self._waits:
            self._zip.flush()
            self._waits = False

    def close(self) -> None:
        """Make the file whole and give it its own name; remove one without a frame."""
        with self._raw:  # whose lock is held until the file has its name
            self._zip.close()
            self._raw.flush()
            if self.frames:
                os.fsync(self._raw.fileno())  # what has the name of a whole one is whole, whatever happens to the power
                self._part.rename(self.path)
            else:
                self._part.unlink()

    def _put(self, line: bytes) -> None:
        self._zip.write(line + b"\n")
        self._waits = True

    def _is_there(self) -> bool:
        """Return whether our file still has its name: another start may have taken it for one that was left behind."""
        try:
            return os.path.samestat(self._part.stat(), os.fstat(self._raw.fileno()))
        except FileNotFoundError:
            return False


def part_of(path: Path) -> Path:
    """The name a recording has while it is written."""
    return path.with_name(path.name + PART)


def lock(file: BinaryIO) -> bool:
    """Take the lock of a file being written; False if another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
