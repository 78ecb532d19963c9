"""Reads and adds the methods of a database that this process has not open; an engine may have it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_damaged_text
from fsm_exec.store.files.migrations import SCHEMA, identify
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS, unusable_error
from fsm_exec.store.reads import observations

_T = TypeVar("_T")

_COLUMNS = (*MethodRow.__struct_fields__, "created_at")
_ADD = f"INSERT INTO methods ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"


def read_methods(path: Path, damage: list[str] | None = None) -> list[MethodRow]:
    """One that is damaged is named in `damage`, or left out. Raises UserError for what is no database of ours."""
    return _with(path, "ro", lambda connection: observations.load_methods(connection, damage))


def add_method(
    path: Path, decide: Callable[[list[MethodRow]], tuple[MethodRow, Sequence[MethodRow]]], at_us: int
) -> MethodRow:
    """Store the rows that `decide` makes of those there are, all or none; no other process adds in between. Returns its
    first. Raises UserError for what is no database of ours, and what `decide` raises."""

    def add(connection: sqlite3.Connection) -> MethodRow:
        connection.execute("BEGIN IMMEDIATE")
        try:
            chosen, rows = decide(_undamaged(connection))
            at = to_iso(at_us)
            connection.executemany(_ADD, [(*msgspec.structs.astuple(row), at) for row in rows])
            connection.execute("COMMIT")
            return chosen
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    return _with(path, "rw", add)


def _undamaged(connection: sqlite3.Connection) -> list[MethodRow]:
    """Load all methods. Raises UserError for a damaged one: without it the next version of its method is unknown."""
    damage: list[str] = []
    found = observations.load_methods(connection, damage)
    if damage:
        raise UserError(f"{damage[0]}; restore a backup, nothing was added")
    return found


def _with(path: Path, mode: str, function: Callable[[sqlite3.Connection], _T]) -> _T:
    try:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            version = identify(connection, path)
            if version == 0:
                raise UserError(f"{path} is empty; give the path of an fsm-exec database")
            if version < len(SCHEMA):
                raise UserError(f"{path} is of an older schema; run: fsm-exec db migrate --db {path}")
            return function(connection)
    except DATABASE_ERRORS as error:
        raise unusable_error(path, error) from error
