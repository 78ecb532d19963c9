"""What a copy of the database holds, read while it is being written.

The tool that follows writes the file in place, under no lock of SQLite's: a read may meet half of a change. So the file
is read as one that nobody changes, and whatever goes wrong means: not now, look again.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from fsm_exec.store.reads.standby_reads import has_ended, knows_key


class CopySeen(msgspec.Struct, frozen=True, kw_only=True):
    """A copy as it was seen. `beat` is the newest sign of life of the engine in it, `newest_step` when its newest step
    was saved; ISO 8601 UTC, None: there is none."""

    instance: str
    beat: str | None
    newest_step: str | None
    executions: int
    schema: int


def load_copy(path: Path) -> CopySeen | None:
    """Load what the copy at `path` holds; None: it cannot be read now."""
    try:
        with closing(_open(path)) as connection:
            (schema,) = connection.execute("PRAGMA user_version").fetchone()
            (instance,) = connection.execute("SELECT instance FROM meta").fetchone()
            beat = connection.execute("SELECT at FROM beats").fetchone()
            step = connection.execute(
                "SELECT at FROM execution_events WHERE rowid = (SELECT max(rowid) FROM execution_events)"
            ).fetchone()
            (executions,) = connection.execute("SELECT count(*) FROM execution_state").fetchone()
    except (sqlite3.Error, TypeError, ValueError):
        return None
    return CopySeen(
        instance=str(instance),
        beat=None if beat is None else str(beat[0]),
        newest_step=None if step is None else str(step[0]),
        executions=int(executions),
        schema=int(schema),
    )


def load_own_instance(database: Path) -> str | None:
    """Load the instance of a database that an engine worked on where it stands; None: there is none, or it is a copy
    that none has opened. No engine may have it open."""
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            instance, *where = connection.execute("SELECT instance, path, inode FROM meta").fetchone()
            return str(instance) if where == [str(database), database.stat().st_ino] else None
    except (sqlite3.Error, OSError, TypeError, ValueError):
        return None


def find_known_keys(path: Path, keys: list[str]) -> set[str]:
    """Find which of these keys the copy at `path` knows: accepted under, or reported as lost. None of them while it
    cannot be read."""
    try:
        with closing(_open(path)) as connection:
            return {key for key in keys if knows_key(connection, key)}
    except (sqlite3.Error, ValueError):
        return set()


def find_ended(path: Path, executions: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Find which of these executions, each an id and a time of acceptance, have ended by the copy at `path`. None of
    them while it cannot be read."""
    try:
        with closing(_open(path)) as connection:
            return {one for one in executions if has_ended(connection, *one)}
    except (sqlite3.Error, ValueError):
        return set()


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
