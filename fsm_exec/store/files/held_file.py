"""The kernel's lock on the database file itself, and whether that file is still where it was opened.

The lock file beside a database names its holder, but it can be removed, and a second engine would make a new one. This
lock is on the inode: whatever path, link or mount leads to the file, and whatever lies beside it, only one process has
it. It is of another kind than SQLite's own locks and does not touch them. It goes with the process, however that ends.

A file that is deleted, moved, replaced or overwritten stays open in the process that has it open, and takes every
write, but no one will ever read them. So the holder checks every few seconds whether the names still lead to what it
opened: the database, its write-ahead log and the log's index.

Closing ANY descriptor of the file drops all locks that SQLite holds on it in this process. So the descriptor here is
closed after SQLite's, and a file that this process holds already is refused without being opened.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from fsm_exec.core.errors import UserError
from fsm_exec.store.files.locks import TRIES_MAX, LockHeld

SQLITE_MAGIC: Final = b"SQLite format 3\0"
LOG: Final = "-wal"
BESIDE: Final = (LOG, "-shm")
_LOCKS: Final = Path("/proc/locks")
_FLOCK: Final = re.compile(r"\d+: FLOCK +ADVISORY +WRITE +(\d+) +[0-9a-f]+:[0-9a-f]+:(\d+) ")

Identity = tuple[int, int]
_held_here: set[Identity] = set()


class Closable(Protocol):
    def close(self) -> None: ...


class HeldFile:
    """A database file of which this process has the lock, until `close`. Raises LockHeld and UserError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = _lock(path)
        self._identity = _identity(os.fstat(self._descriptor))
        _held_here.add(self._identity)
        self._beside: dict[Path, Identity] = {}

    def note_opened(self) -> None:
        """SQLite has it open now: from here on its log and the log's index must stay where they are."""
        beside = (self.path.with_name(self.path.name + suffix) for suffix in BESIDE)
        self._beside = {path: found for path in beside if (found := _identity_at(path)) is not None}

    def trouble(self) -> str | None:
        """Return what became of the file, in one line; None: it is there. Opens nothing."""
        now = _identity_at(self.path)
        if now is None:
            return f"the database {self.path} was deleted or moved while it was in use"
        if now != self._identity:
            return f"the database {self.path} was replaced by another file while it was in use"
        for path, identity in self._beside.items():
            if _identity_at(path) != identity:
                what = "write-ahead log" if path.name.endswith(LOG) else "log's index"
                return f"the {what} of the database was deleted, moved or replaced while it was in use: {path}"
        if os.pread(self._descriptor, len(SQLITE_MAGIC), 0) != SQLITE_MAGIC:
            return f"the database {self.path} was overwritten while it was in use"
        return None

    def close(self) -> None:
        """Let go of the lock. SQLite must have closed the file before."""
        _held_here.discard(self._identity)
        os.close(self._descriptor)


class HoldingConnection(sqlite3.Connection):
    """A connection that has its file's lock, and what else belongs to the file, until it is closed."""

    holding: tuple[Closable, ...] = ()

    def close(self) -> None:
        super().close()
        holding, self.holding = self.holding, ()
        for held in holding:
            held.close()


def _lock(path: Path) -> int:
    """Return a descriptor with the lock of the file `path` names now."""
    for _ in range(TRIES_MAX):
        before = _identity_at(path)
        if before in _held_here:
            raise LockHeld(f"the database {path} is open in this process already; use another")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"cannot lock the database {path}: {error.strerror}; give another path") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _identity_at(path) == _identity(os.fstat(descriptor)):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise LockHeld(
                    f"the database {path} is held by {_holder(path)}, though its lock file does not say so; "
                    "stop it first, or use another"
                ) from None
            raise UserError(f"cannot lock the database {path}: {error.strerror}; use a local disk") from error
        os.close(descriptor)  # removed or replaced between our opening and our locking
    raise LockHeld(f"the database {path} is replaced all the time; stop the other processes first")


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _identity_at(path: Path) -> Identity | None:
    try:
        return _identity(os.stat(path))
    except OSError:
        return None


def find_holder(path: Path) -> int | None:
    """Find the process that has the lock of a file, as far as the kernel shows it. It is not asked by locking: that
    would refuse an engine that starts at this moment."""
    with suppress(OSError, ValueError):
        inode = os.stat(path).st_ino
        for line in _LOCKS.read_text(encoding="ascii").splitlines():
            found = _FLOCK.match(line)
            if found is not None and int(found[2]) == inode and int(found[1]) > 0:
                return int(found[1])
    return None


def _holder(path: Path) -> str:
    number = find_holder(path)
    return "another process" if number is None else f"process {number}"
