"""A database with a bit of it flipped, and what its tables say then."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

Cells: TypeAlias = dict[tuple[str, int, str], object]
"""Every value by table, row number and column."""


def cells(path: Path) -> Cells | None:
    """None if SQLite cannot read all of it."""
    found: Cells = {}
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            connection.text_factory = bytes
            for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
                rows = connection.execute(f'SELECT rowid, * FROM "{name.decode()}"')
                columns = [one[0] for one in rows.description][1:]
                for number, *values in rows:
                    for column, value in zip(columns, values, strict=True):
                        found[name.decode(), number, column.lower()] = value
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return found


def changed(one: Cells, other: Cells) -> set[tuple[str, str]]:
    """Tables and columns."""
    return {
        (table, column)
        for table, number, column in one.keys() | other.keys()
        if one.get((table, number, column), ...) != other.get((table, number, column), ...)
    }
