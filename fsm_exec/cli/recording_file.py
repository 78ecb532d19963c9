"""A recording as a file being written: under another name until it is whole, and never over an existing one."""

from __future__ import annotations

import errno
import gzip
import os
from pathlib import Path

from fsm_exec.store.owner_only import owner_only
from fsm_exec.wire.recording import Header, frame_line, header_line


class RecordingWriter:
    """Writes under `PATH.part`; `close` makes the file whole and gives it its name. The caller writes the frames of
    the header's market, from a snapshot on. OSErrors come as they are."""

    def __init__(self, path: Path, header: Header) -> None:
        """Raises FileExistsError rather than overwrite either name."""
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        self.path = path
        self.frames = 0
        self._part = path.with_name(path.name + ".part")
        self._raw = open(self._part, "xb", opener=owner_only)  # noqa: SIM115  # closed by `close`
        # Neither name nor time in the file: the same frames make the same bytes.
        self._zip = gzip.GzipFile(filename="", mode="wb", fileobj=self._raw, mtime=0)
        self._last_us = 0
        self._put(header_line(header))

    def write(self, recv_us: int, frame: str | bytes) -> None:
        """One frame as it came. Times never run backwards: a clock set back repeats the last one."""
        self._last_us = max(self._last_us, recv_us)
        self._put(frame_line(self._last_us, frame))
        self.frames += 1

    def close(self) -> None:
        """A whole file under its own name; one without a frame is none, and goes."""
        self._zip.close()
        self._raw.close()
        if self.frames:
            self._part.rename(self.path)
        else:
            self._part.unlink()

    def _put(self, line: bytes) -> None:
        self._zip.write(line + b"\n")
