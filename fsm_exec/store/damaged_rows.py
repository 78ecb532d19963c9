"""Reads values that may be damaged: a flipped bit, a byte that is no UTF-8, a value of another kind than its column's.

Text is decoded so that no byte can make a query fail: what is no UTF-8 shows as `\\xff`, which is no JSON, no time and
no number, so the reader of the value notices. A row that cannot be read is named by table, key and column; where many
are read the others go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from fsm_exec.core.errors import DamagedRow, UnitError

S = TypeVar("S", bound=msgspec.Struct)
R = TypeVar("R")
T = TypeVar("T")

DATABASE_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)
"""The errors of a query. The second: Python cannot decode an error of SQLite that quotes a damaged schema."""

_UNDECODED: Final = partial(str, encoding="utf-8", errors="backslashreplace")
_AT: Final = " - at `$."


def decode_damaged_text(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let the connection read text whatever bytes it has. Returns the connection."""
    connection.text_factory = _UNDECODED
    return connection


def struct_of(kind: type[S], table: str, key: object, columns: Sequence[str], row: Sequence[object]) -> S:
    """Return the row as a struct whose fields are its columns. Raises DamagedRow for a value of another kind."""
    try:
        return msgspec.convert(dict(zip(columns, row, strict=True)), kind, strict=False)
    except msgspec.ValidationError as error:
        why, _, column = str(error).partition(_AT)
        raise DamagedRow(table, key, column.rstrip("`"), why) from error


def decode_column(table: str, key: object, column: str, decode: Callable[[Any], R], value: object) -> R:
    """Decode one value of a row. Raises DamagedRow if it cannot be decoded."""
    try:
        return decode(value)
    except (ValueError, TypeError, AttributeError, ArithmeticError, UnitError) as error:
        raise DamagedRow(table, key, column, str(error) or type(error).__name__) from error


def text_of(table: str, key: object, column: str, value: object) -> str:
    """Return a value that must be text. Raises DamagedRow for any other."""
    if not isinstance(value, str):
        kind = "nothing" if value is None else f"a value of another kind ({type(value).__name__})"
        raise DamagedRow(table, key, column, f"holds {kind} instead of text")
    return value


def decode_rows(rows: Iterable[R], decode: Callable[[R], T], damage: list[str] | None) -> Iterator[T]:
    """Yield the rows that can be decoded; the others are named in `damage`. Without it the first of them raises
    DamagedRow."""
    for row in rows:
        try:
            yield decode(row)
        except DamagedRow as damaged:
            if damage is None:
                raise
            damage.append(str(damaged))
