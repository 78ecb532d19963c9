"""Whether archives can be trusted, and whether what moved is in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from fsm_exec.core.errors import UserError
from fsm_exec.store.archive.archive_files import archive_directory
from fsm_exec.store.archive.archive_reads import ArchiveRow, open_named_archive
from fsm_exec.store.archive.tables import MOVED, OF_EXECUTION

NAMED_MAX: Final = 20
_LEFT: Final = {table.name for table in MOVED if table.where == OF_EXECUTION}


class Found(Protocol):
    """What a check found."""

    @property
    def execution_id(self) -> str | None: ...

    @property
    def what(self) -> str: ...


def check_archives(
    database: Path,
    connection: sqlite3.Connection,
    archives: Sequence[ArchiveRow],
    check: Callable[[sqlite3.Connection], Sequence[Found]],
) -> Iterator[tuple[str | None, str]]:
    """Yield (execution, what is wrong) of the archives of a database: `check` finds it in each by itself. The archives
    of a copy stayed where it was made, and are not missed."""
    if not archive_directory(database).exists() and _is_copy(connection):
        return
    for one in archives:
        try:
            with open_named_archive(database, one.name) as archive:
                for found in check(archive):
                    yield found.execution_id, f"archive {one.name}: {found.what}"
                yield from _missing(connection, archive, one)
        except UserError as error:
            yield None, str(error)


def _is_copy(connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT inode FROM meta").fetchone()
    return row is not None and row[0] is None


def _missing(
    connection: sqlite3.Connection, archive: sqlite3.Connection, row: ArchiveRow
) -> Iterator[tuple[str | None, str]]:
    """Yield the executions that moved into an archive and are not in it."""
    here = "SELECT 1 FROM execution_state WHERE execution_id = ?"
    count = 0
    for found in connection.execute("SELECT execution_id FROM archived_executions WHERE archive = ?", (row.name,)):
        if archive.execute(here, found).fetchone() is None:
            count += 1
            if count <= NAMED_MAX:
                yield str(found[0]), f"it moved into the archive {row.name}, and is not in it; put back a later one"
    if count > NAMED_MAX:
        yield None, f"archive {row.name}: {count - NAMED_MAX} more that moved into it are not in it"


def is_left_by_move(connection: sqlite3.Connection, table: str, row: int | None) -> bool:
    """Return whether a row is left of an execution that has moved, and waits to be deleted."""
    if table not in _LEFT or row is None:
        return False
    statement = (
        f"SELECT 1 FROM {table} JOIN archived_executions a USING (execution_id) "
        f"WHERE {table}.rowid = ? AND a.is_cleared = 0"
    )
    return connection.execute(statement, (row,)).fetchone() is not None
