"""A log file that never grows beyond a size: a full one is renamed to NAME.1, the one before to NAME.2, and so on.

Whoever else rotates it is put up with: renamed or deleted, the log goes on in a new file of its name; copied and cut
(as logrotate can), it goes on at the end there is, since every write appends. Several processes may write to
one log, and one of them rotates it. What cannot be renamed grows: a line is worth more than a limit.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fsm_exec.owner_only import owner_only

PACKED: Final = ("", ".gz")  # as something else may have packed a file that was renamed
_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


class RotatingFile:
    """Text in, UTF-8 out, nothing held back. `max_bytes` of one file, `keep` renamed ones. Opening raises OSError."""

    def __init__(self, path: Path, *, max_bytes: int, keep: int) -> None:
        self._path, self._max_bytes, self._keep = path, max_bytes, keep
        self._rotates_from = max_bytes
        self._descriptor = owner_only(str(path), _FLAGS)
        self._torn = _is_torn(self._descriptor)  # the disk took the last line in part

    @property
    def closed(self) -> bool:
        return self._descriptor < 0

    def write(self, text: str, /) -> int:
        """Append whole lines. Raises OSError for what the disk does not take, and ValueError once it is closed."""
        if self.closed:
            raise ValueError("the log is closed")
        data = text.encode("utf-8", "backslashreplace")
        self._follow_name()
        size = os.fstat(self._descriptor).st_size
        if size and size + len(data) > self._rotates_from:
            self._rotate(size)
        self._append(b"\n" + data if self._torn else data)
        return len(text)

    def flush(self) -> None:
        """Do nothing: every write is whole."""

    def close(self) -> None:
        if not self.closed:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _append(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            if len(left) < len(data):
                self._torn = data[len(data) - len(left) - 1] != ord("\n")
            raise
        self._torn = False

    def _follow_name(self) -> None:
        """Go on in the file that has the log's name, if that is another one by now, or none."""
        with suppress(OSError):  # where no file can be made there is still the old one
            if not self._has_name():
                self._open_again()

    def _has_name(self) -> bool:
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))

    def _open_again(self) -> None:
        descriptor = owner_only(str(self._path), _FLAGS)
        old, self._descriptor = self._descriptor, descriptor
        self._rotates_from, self._torn = self._max_bytes, _is_torn(descriptor)
        os.close(old)

    def _rotate(self, size: int) -> None:
        """Rename the file and begin a new one. Where that cannot be done it is tried again a tenth of a file later."""
        self._rotates_from = size + self._max_bytes // 10
        with suppress(OSError), self._alone():
            if not self._has_name():  # another process was faster
                self._open_again()
                return
            present = set(os.listdir(self._path.parent))
            for packed in PACKED:
                for number in range(self._keep, 0, -1):
                    if f"{self._path.name}.{number}{packed}" in present:
                        self._shift(number, packed)
            os.rename(self._path, f"{self._path}.1")
            self._open_again()

    def _shift(self, number: int, packed: str) -> None:
        """Rename one that was renamed before; the oldest goes."""
        name = f"{self._path}.{number}{packed}"
        if number == self._keep:
            os.unlink(name)
        else:
            os.rename(name, f"{self._path}.{number + 1}{packed}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Raises BlockingIOError while another process rotates this very file."""
        descriptor = os.dup(self._descriptor)  # its lock outlives the rotation's change of file
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)


def _is_torn(descriptor: int) -> bool:
    """Whether the last line has no end: a disk was full, or the machine died."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
