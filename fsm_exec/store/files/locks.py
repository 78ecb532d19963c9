"""Locks that survive dead processes: a lock of the kernel on a small file that says who holds it.

The kernel lets go when a process ends, however it ends, so a file left by a dead one blocks no other; its content is
read only while a process holds it. A file is removed only by its holder, still holding it, and whoever then waits with
the old file in its hands notices that the name means another one: two processes never hold two files of one name.

A database is locked by `NAME.lock` beside its real path, so symbolic links lead to one lock; should somebody remove
that file, the database's own is still locked (store.held_file). A database with a second hard link is refused: SQLite
would keep a log per name and mix the two. A copy is another database: it has a lock of its own, and its instance is
drawn anew.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.owner_only import OWNER_ONLY

LOCK_SUFFIX: Final = ".lock"
TEXT_BYTES_MAX: Final = 4_096
TRIES_MAX: Final = 100  # each lost race for a name means that another process released it


class LockHeld(ExecError):
    """Another process holds the lock: exit code 1, since it may release it. The message names the process."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """The holder of a lock, as its file says. `since` is ISO 8601 UTC; `database` its whole path."""

    pid: int
    since: str
    database: str
    what: str

    def description(self, thing: str) -> str:
        """Describe the holder in an error about `thing`, without naming its database twice."""
        database = "" if self.database in thing else f", database {self.database}"
        return f"{self.what} (process {self.pid}, since {self.since}{database})"


@contextmanager
def database_lock(database: Path, *, what: str, since: str) -> Iterator[None]:
    """This database is ours while the block runs. Raises LockHeld, and UserError for a path that cannot be used."""
    path = _real_path(database)
    refuse_second_name(path)
    holder = Holder(pid=os.getpid(), since=since, database=str(path), what=what)
    crashpoint("lock.before")
    with hold(path.with_name(path.name + LOCK_SUFFIX), holder, f"the database {path}"):
        crashpoint("lock.after")
        yield


def refuse_second_name(path: Path) -> None:
    """Raises UserError for a database file with more than one hard link."""
    with suppress(OSError):  # not there yet, or not to be looked at: opening it says why
        if path.is_file() and path.stat().st_nlink > 1:
            raise UserError(
                f"cannot use the database {path}: the file has a second name (a hard link), and SQLite keeps one log "
                "per name; remove the other name, or work on a copy"
            )


@contextmanager
def hold(path: Path, content: msgspec.Struct, thing: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs, with `content` in it as JSON. `thing` is what it stands for, in
    the words of an error. Raises LockHeld if another process holds it, UserError if the file cannot be written."""
    descriptor = _take(path, thing)
    try:
        _write(descriptor, msgspec.json.encode(content))
        yield
    finally:
        with suppress(OSError):  # a directory that became read-only: a file without a holder does no harm
            if _still_names(path, descriptor):  # else ours was removed, and this is another's
                path.unlink()
        os.close(descriptor)


def read_holder(path: Path) -> bytes | None:
    """Read what the holder of the lock file `path` wrote into it; None if there is no holder, or nothing is written
    yet."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, TEXT_BYTES_MAX, 0) or None
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _take(path: Path, thing: str) -> int:
    """A descriptor that holds the lock of the file that `path` means now."""
    for _ in range(TRIES_MAX):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, OWNER_ONLY)
        except OSError as error:
            raise UserError(
                f"cannot lock {thing}: {path} cannot be written ({error.strerror}); "
                "give a path in a directory that exists and can be written to"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _still_names(path, descriptor):
                return descriptor
        except BlockingIOError:
            content = os.pread(descriptor, TEXT_BYTES_MAX, 0)
            os.close(descriptor)
            raise LockHeld(
                f"{thing} is held by {_describe_holder(content, thing)}; stop it first, or use another"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise UserError(f"cannot lock {thing}: {path}: {error.strerror}; use a local disk") from error
        os.close(descriptor)  # its holder removed it between our opening and our locking
    raise LockHeld(f"{thing} changes hands all the time; stop the other processes first")


def _still_names(path: Path, descriptor: int) -> bool:
    ours = os.fstat(descriptor)
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _write(descriptor: int, text: bytes) -> None:
    """For people and for clients; the lock does not depend on it, so a full disk is no reason to refuse."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text + b"\n", 0)


def _describe_holder(text: bytes, thing: str) -> str:
    try:
        return msgspec.json.decode(text, type=Holder).description(thing)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "another process"


def _real_path(database: Path) -> Path:
    try:
        return Path(os.path.realpath(database))
    except ValueError as error:
        raise UserError(f"cannot use the database {str(database)!r}: {error}; give the path of a file") from error
