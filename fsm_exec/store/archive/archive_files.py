"""The files of archives: `NAME.archive/YYYY-MM.sqlite`, for their owner alone.

They keep SQLite's rollback journal: closed, an archive is one file with nothing beside it, which can be read in place
however large it is.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from fsm_exec.core.errors import UserError
from fsm_exec.owner_only import OWNER_ONLY
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_damaged_text
from fsm_exec.store.files.migrations import SCHEMA, identify, migrate
from fsm_exec.store.files.open_database import ARCHIVE_SUFFIX, BUSY_TIMEOUT_MS, sync_directory, unusable_error
from fsm_exec.store.maintenance.read_only import check_exists, open_read_only

OWNERS_DIRECTORY: Final = 0o700
_MONTH: Final = len("2026-10")


def archive_directory(database: Path) -> Path:
    """Return the directory of a database's archives; it need not be there."""
    real = Path(os.path.realpath(database))
    return real.with_name(real.name + ARCHIVE_SUFFIX)


def archive_name(accepted_at: str) -> str:
    """Return the file name of the archive for executions accepted then: it never changes, so what is copied twice is
    copied over itself."""
    return f"{accepted_at[:_MONTH]}.sqlite"


def create_archive(database: Path, name: str, instance: str, at: str) -> Path:
    """Create an archive of this database if it is not there yet; return its path. It is there whole or not at all, and
    of today's schema. Raises UserError and sqlite3.Error."""
    directory = archive_directory(database)
    path = directory / name
    try:
        if not directory.is_dir():
            directory.mkdir(mode=OWNERS_DIRECTORY)
            sync_directory(directory.parent)
        if path.exists() and path.stat().st_size == 0:
            path.unlink()  # nothing was ever in it: ours is renamed into place, whole
        if path.exists():
            _raise_schema(path)
            return path
        partial = directory / f"{name}.partial"
        partial.unlink(missing_ok=True)  # of a run that was killed; nothing was ever in it
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
        with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            migrate(connection, None)
            connection.execute(
                "INSERT INTO meta (id, instance, created_at, created_schema, opened_at) VALUES (1, ?, ?, ?, ?)",
                (instance, at, len(SCHEMA), at),
            )
        os.rename(partial, path)
        sync_directory(directory)
    except OSError as error:
        raise UserError(
            f"cannot write the archive {path}: {error.strerror}; make room, or check {directory}"
        ) from error
    return path


def _raise_schema(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        migrate(connection, path)


@contextmanager
def open_archive(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an archive to read it; its writer may be at work. Raises UserError of one line for what cannot be read, also
    for an error of SQLite's inside the block."""
    check_exists(path)
    try:
        if path.with_name(path.name + "-journal").exists() or not _is_of_today(path):
            with open_read_only(path) as looked:  # a copy of it: left in the middle by a kill, or of an older schema
                yield looked.connection
        else:
            with closing(_connect(path)) as connection:
                yield connection
    except DATABASE_ERRORS as error:
        raise unusable_error(path, error) from error


def _is_of_today(path: Path) -> bool:
    with closing(_connect(path)) as connection:
        return identify(connection, path) == len(SCHEMA)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return connection
