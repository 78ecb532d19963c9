"""Reading across a database and its archives: first the database, then the archives for what is not there.

What an archive has counts only where the database has not: a copy that was made, and whose move never came, stands in
both. An archive that is missing or damaged is named in one line, and the others are read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.store.archive.archive_files import archive_directory, open_archive
from fsm_exec.store.archive.tables import MOVED, OF_EXECUTION
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.one_moment import at_one_moment

T = TypeVar("T")

_FIND: Final = "SELECT archive FROM archived_executions WHERE execution_id = ?"
_ALL: Final = "SELECT name, executions, newest_row, newest_position, newest_ended FROM archives"


class ArchiveRow(msgspec.Struct, frozen=True):
    """An archive as the database knows it: nothing in it is newer than its newest row, position and end."""

    name: str
    executions: int
    newest_row: int
    newest_position: int
    newest_ended: str


def find_archive(connection: sqlite3.Connection, execution_id: str) -> str | None:
    """Return the name of the archive that an execution moved into; None: it did not."""
    row = connection.execute(_FIND, (execution_id,)).fetchone()
    return None if row is None else str(row[0])


def load_archives(connection: sqlite3.Connection) -> list[ArchiveRow]:
    """Load all archives, that of the newest execution first."""
    return [ArchiveRow(*row) for row in connection.execute(f"{_ALL} ORDER BY newest_row DESC")]


def load_newer_archives(
    connection: sqlite3.Connection,
    column: Literal["newest_row", "newest_position", "newest_ended"],
    than: int | str,
) -> list[ArchiveRow]:
    """Load the archives that may have something so new, the newest first."""
    rows = connection.execute(f"{_ALL} WHERE {column} >= ? ORDER BY {column} DESC", (than,))
    return [ArchiveRow(*row) for row in rows]


@contextmanager
def open_named_archive(database: Path, name: str) -> Iterator[sqlite3.Connection]:
    """Open the archive `name` of a database to read it. Raises UserError of one line that says which it is."""
    path = archive_directory(database) / name
    try:
        is_there = path.exists()
    except OSError as error:
        raise UserError(f"cannot read the archive {path}: {error.strerror}; make it readable for this user") from error
    if not is_there:
        raise UserError(f"the archive {path} is not there; put it back: what moved into it is nowhere else")
    with open_archive(path) as connection:
        yield connection


def read_one(
    connection: sqlite3.Connection, database: Path | None, execution_id: str, read: Callable[[sqlite3.Connection], T]
) -> T:
    """Return what `read` returns of the connection that has this execution: the given one, also if it does not know it,
    or its archive's. `database` None: it is in memory, and has no archives. Raises UserError for an archive that cannot
    be read."""
    with at_one_moment(connection):
        name = None if database is None else find_archive(connection, execution_id)
        if name is None or database is None:
            return read(connection)
    with open_named_archive(database, name) as archive:
        return read(archive)


@contextmanager
def open_where(database: Path, execution_id: str) -> Iterator[sqlite3.Connection]:
    """Open whatever has this execution to read it: the database itself, also if it does not know it, or its archive.
    Raises UserError."""
    with open_read_only(database) as looked:
        name = find_archive(looked.connection, execution_id)
        if name is None:
            yield looked.connection
            return
    with open_named_archive(database, name) as connection:
        yield connection


def read_everywhere(
    database: Path, read: Callable[[sqlite3.Connection], T], damage: list[str], *, since: str = ""
) -> list[T]:
    """Return what `read` returns of the database and then of each archive, all as of one moment; an archive of which
    nothing ended at `since` or later is left out, and one that cannot be read is named in `damage`. Raises UserError
    for the database itself."""
    with open_read_only(database) as looked:
        looked.connection.execute("BEGIN")  # what moves from here on is still read here, and left out there
        found = [read(looked.connection)]
        for one in load_archives(looked.connection):
            if one.newest_ended < since:
                continue
            try:
                with open_named_archive(database, one.name) as connection:
                    hide_unmoved(connection, looked.connection, one)
                    found.append(read(connection))
            except UserError as error:
                damage.append(str(error))
        return found


def hide_unmoved(archive: sqlite3.Connection, database: sqlite3.Connection, row: ArchiveRow) -> None:
    """Hide in an archive's connection the executions that did not move into it from this database, as copies whose move
    never came, and those of another database: views without them lie over its tables. Most often there are none."""
    (count,) = archive.execute("SELECT count(*) FROM execution_state").fetchone()
    if count == row.executions:
        return
    moved = "SELECT 1 FROM archived_executions WHERE execution_id = ? AND archive = ?"
    every = archive.execute("SELECT execution_id FROM execution_state").fetchall()
    hidden = [one for one in every if database.execute(moved, (*one, row.name)).fetchone() is None]
    archive.execute("CREATE TEMP TABLE not_moved (execution_id TEXT PRIMARY KEY)")
    archive.executemany("INSERT INTO not_moved VALUES (?)", hidden)
    for table in MOVED:
        if table.where == OF_EXECUTION:
            archive.execute(
                f"CREATE TEMP VIEW {table.name} AS SELECT rowid AS rowid, * FROM main.{table.name} "
                "WHERE execution_id IS NULL OR execution_id NOT IN (SELECT execution_id FROM not_moved)"
            )
