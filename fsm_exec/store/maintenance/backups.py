"""Backups: whole copies of a database, made while an engine may be writing, and never over anything.

A copy is one file without a log. It says in its `meta` that it is a copy (no inode), so wherever it is opened it draws
a new instance, even where the file system gives it the path and the inode of the file it replaces: what was ordered
after the copy was made is not in it, and an order id must never be used twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.owner_only import OWNER_ONLY
from fsm_exec.store.damaged_rows import DATABASE_ERRORS
from fsm_exec.store.files.held_file import HeldFile
from fsm_exec.store.files.migrations import SCHEMA, migrate
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS, sync_directory, unusable_error
from fsm_exec.store.maintenance.integrity import IntegrityReport, check_database
from fsm_exec.store.maintenance.read_only import LOGS, check_exists, check_version, open_read_only

BESIDE = (*LOGS, "-shm")


class CopyFailed(ExecError):
    """The disk did not take the copy; nothing is left of it."""


class DatabaseCopy(msgspec.Struct, frozen=True, kw_only=True):
    """`instance` is that of the source; the copy has none of its own until it is opened. `report` is of the copy."""

    target: Path
    bytes: int
    instance: str | None
    report: IntegrityReport


def copy_database(source: Path, target: Path) -> DatabaseCopy:
    """Copy `source` to the new file `target`, then check the copy. It is there whole or not at all.

    Raises UserError for a source that is no database of ours or a target that cannot be, CopyFailed for a full disk.
    """
    target = _checked_target(target)
    with open_read_only(source, migrated=False) as looked, _unfinished(target) as partial:
        with closing(sqlite3.connect(partial, isolation_level=None)) as copy:
            looked.connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file: nothing beside it to forget
            copy.execute("UPDATE meta SET inode = NULL")
        report = check_database(partial, every=False, with_archives=False)
        _sync(partial)
        try:
            os.link(partial, target)  # fails if such a file has appeared; a rename would overwrite it
        except FileExistsError as error:
            raise _exists(target) from error
        sync_directory(target.parent)
    return DatabaseCopy(target=target, bytes=target.stat().st_size, instance=report.instance, report=report)


def _checked_target(target: Path) -> Path:
    """Raises UserError if something is there, or beside it: SQLite would take an old log for the copy's own."""
    target = target.absolute()
    if os.path.lexists(target):
        raise _exists(target)
    if not target.parent.is_dir():
        raise UserError(f"cannot write {target}: its directory does not exist; give a path in one that does")
    for suffix in BESIDE:
        beside = target.with_name(target.name + suffix)
        if os.path.lexists(beside):
            raise UserError(f"{beside} is there, a log of another database of this name; give another path")
    return target


def _exists(target: Path) -> UserError:
    return UserError(f"{target} exists; nothing is ever overwritten, give the path of a new file")


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A name beside the target while the copy is written; gone at the end, whatever happens."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; give a path in a directory you can write to"
        ) from error
    except ValueError as error:  # a NUL in it
        raise UserError(f"cannot write {str(target)!r}: {error}; give the path of a new file") from error
    try:
        yield partial
    except (*DATABASE_ERRORS, OSError) as error:
        raise CopyFailed(f"cannot write {target}: {error}; make room, or give a path on another disk") from error
    finally:
        for suffix in ("", *BESIDE):
            partial.with_name(partial.name + suffix).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class MigrationResult(msgspec.Struct, frozen=True, kw_only=True):
    """Schema versions; `copy` is the database as it was, None if there was nothing to do."""

    before: int
    after: int
    copy: Path | None


def migrate_database(path: Path, tell: Callable[[str], object] = lambda _: None) -> MigrationResult:
    """Bring an existing database to today's schema; the caller holds its lock. Of a big one `tell` is told how far it
    is. Raises UserError."""
    path = path.absolute()
    check_exists(path)
    try:
        with (
            closing(HeldFile(path)),  # let go of after SQLite has closed it
            closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection,
        ):
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            before = check_version(connection, path)
            copy = migrate(connection, path, tell=tell)
            return MigrationResult(before=before, after=len(SCHEMA), copy=copy)
    except (*DATABASE_ERRORS, OSError) as error:
        raise unusable_error(path, error) from error
