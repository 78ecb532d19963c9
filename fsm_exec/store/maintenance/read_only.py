"""Looking at a database without changing a byte of it: a crashed one's copy, a read-only file, one an engine has open.

SQLite itself writes beside a database that it only reads: with a write-ahead log it makes and rebuilds an index file.
So a database that was closed cleanly is read where it lies, as immutable; one with a log beside it is copied, log and
all, to a private directory and opened there. One that an engine holds, or that changes while it is copied, has a writer
and is read through SQLite's own locks, which are made for that and change nothing else.

Never in a process that has the same database open: closing a file drops the process's own locks on it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_damaged_text
from fsm_exec.store.files.held_file import find_holder
from fsm_exec.store.files.migrations import SCHEMA, identify, migrate
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS, unusable_error

COPY_TRIES = 5
MIGRATION_LOOKS, MIGRATION_PAUSE_S = 100, 0.1  # a database of 2 GB is migrated in seconds, a new one in milliseconds
LOGS = ("-wal", "-journal")
WAL_HEADER_BYTES = 32

How: TypeAlias = Literal["in place", "from a copy", "beside its writer"]


class ReadOnlyDatabase(msgspec.Struct, frozen=True):
    """`schema_version` is the file's own."""

    connection: sqlite3.Connection
    schema_version: int
    how: How


@contextmanager
def open_read_only(path: Path, *, migrated: bool = True) -> Iterator[ReadOnlyDatabase]:
    """Open the database at `path` for reading, with its own schema unless `migrated`. Raises UserError for what is none
    of ours or cannot be read, also for an error of SQLite's inside the block."""
    path = path.absolute()
    check_exists(path)
    try:
        with ExitStack() as stack:
            newest = len(SCHEMA) if migrated else 0
            at_rest = None
            if find_holder(path) is None:
                at_rest = _in_place(path, stack, newest) or _from_a_copy(path, stack, newest)
            yield at_rest or _beside_its_writer(path, stack, newest)
    except DATABASE_ERRORS as error:
        raise unusable_error(path, error) from error


def check_exists(path: Path) -> None:
    """Raises UserError for a path that is no file with something in it."""
    try:
        if not path.is_file():
            what = "is a directory" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise UserError(f"cannot use the database {path}: it {what}; give the path of an fsm-exec database")
        if not os.access(path, os.R_OK):
            raise UserError(f"cannot use the database {path}: it may not be read; make it readable")
        if _is_empty(path) and find_holder(path) is None:
            time.sleep(MIGRATION_PAUSE_S)  # its maker takes the lock a moment after it made the file
            if _is_empty(path) and find_holder(path) is None:
                raise UserError(f"{path} is empty; give the path of an fsm-exec database")
    except ValueError as error:  # a path with a NUL in it
        raise UserError(f"cannot use the database {str(path)!r}: {error}; give the path of a file") from error


def _is_empty(path: Path) -> bool:
    return path.stat().st_size == 0 and not _logs(path)


def _logs(path: Path) -> list[Path]:
    """Return the logs beside it that are not empty."""
    found = [path.with_name(path.name + suffix) for suffix in LOGS]
    return [log for log in found if log.exists() and log.stat().st_size > 0]


def _in_place(path: Path, stack: ExitStack, newest: int) -> ReadOnlyDatabase | None:
    """None if it has a log, is of an older schema, or was written to while it was opened."""
    if _logs(path):
        return None
    before = _stamp(path)
    connection = stack.enter_context(_connected(f"{path.as_uri()}?mode=ro&immutable=1"))
    version = check_version(connection, path)
    if version < newest or _logs(path) or _stamp(path) != before:
        return None
    return ReadOnlyDatabase(connection, version, "in place")


def _from_a_copy(path: Path, stack: ExitStack, newest: int) -> ReadOnlyDatabase | None:
    """None if it does not hold still."""
    for _ in range(COPY_TRIES):
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="fsm-exec-"))
        copy = Path(directory) / path.name
        before = _stamps(path)
        try:
            for one in (path, *_logs(path)):
                shutil.copyfile(one, copy.with_name(one.name))
        except FileNotFoundError:
            continue  # a log that was there a moment ago: its writer has just closed
        except OSError as error:
            raise UserError(
                f"cannot copy the database {path} to look at it: {error.strerror or error}; "
                "make room, or name another directory in TMPDIR"
            ) from error
        if _stamps(path) == before:
            connection = stack.enter_context(_connected(copy.as_uri()))
            version = check_version(connection, path)
            if version < newest:
                migrate(connection, None)
            return ReadOnlyDatabase(connection, version, "from a copy")
    return None


def _beside_its_writer(path: Path, stack: ExitStack, newest: int) -> ReadOnlyDatabase:
    """Its writer may be making or migrating it at this very moment: that takes a moment, an older engine does not go
    away by itself, and from here the two look alike."""
    connection = stack.enter_context(_connected(f"{path.as_uri()}?mode=ro"))
    for _ in range(MIGRATION_LOOKS):
        version = identify(connection, path)
        if 0 < version >= newest:
            break
        time.sleep(MIGRATION_PAUSE_S)
    version = check_version(connection, path)
    if version < newest:
        number = find_holder(path)
        holder = "another process" if number is None else f"process {number}"
        raise UserError(
            f"{path} is in use by {holder}, which is either still making it ready or an older fsm-exec; "
            "wait for the one, stop the other"
        )
    return ReadOnlyDatabase(connection, version, "beside its writer")


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version, never 0. Raises what `identify` raises, and UserError for an empty database."""
    version = identify(connection, path)
    if version == 0:
        raise UserError(f"{path} is empty; give the path of an fsm-exec database")
    return version


@contextmanager
def _connected(uri: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as connection:
        decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        yield connection


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _stamps(path: Path) -> tuple[object, ...]:
    """What must be the same before and after copying. A log that only grew is fine: a commit that is cut off at its
    end does not count."""
    headers = []
    for log in _logs(path):
        with log.open("rb") as file:
            headers.append((log.name, file.read(WAL_HEADER_BYTES)))
    return _stamp(path), tuple(headers)
