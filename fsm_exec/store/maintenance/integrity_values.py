"""Whether every value of a database can be read: text that is UTF-8, JSON that is JSON, times that are times.

SQLite's own check knows pages, indexes and kinds of values, not what stands in them. Each value that cannot be read is
named by table, key and column.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from fsm_exec.core.values.times import from_iso
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_damaged_text

_JSON: Final[dict[str, frozenset[str]]] = {
    "execution_state": frozenset({"snapshot"}),
    "snapshot_parts": frozenset({"body"}),
    "execution_events": frozenset({"event", "intents"}),
    "submissions": frozenset({"request"}),
    "methods": frozenset({"config"}),
    "markets": frozenset({"price_ranges"}),
    "order_book_snapshots": frozenset({"yes_depth", "no_depth"}),
    "risk_log": frozenset({"figures"}),
    "event_shapes": frozenset({"tickers"}),
}
_TIMES: Final = frozenset({"at", "deadline"})  # and whatever ends in _at


class Unreadable(msgspec.Struct, frozen=True):
    """`execution_id` None: the row is of none, or does not say of which."""

    execution_id: str | None
    what: str


def unreadable_values(connection: sqlite3.Connection) -> Iterator[Unreadable]:
    """Every table, every row, every column. Leaves the connection as it was."""
    try:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").fetchall()
    except DATABASE_ERRORS as error:
        yield Unreadable(None, f"the schema cannot be read: {error}")
        return
    connection.text_factory = bytes
    try:
        for (name,) in tables:
            table = name.decode(errors="replace") if isinstance(name, bytes) else name
            if not table.startswith("sqlite_"):
                yield from _of_table(connection, table)
    finally:
        decode_damaged_text(connection)


def _of_table(connection: sqlite3.Connection, table: str) -> Iterator[Unreadable]:
    try:
        described = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
        columns = [_shown(name) for _, name, *_ in described]
        keys = [number for number, (*_, is_key) in enumerate(described) if is_key]
        where = columns.index("execution_id") if "execution_id" in columns else None
        readers = [_reader(table, column) for column in columns]
        for rowid, *row in connection.execute(f'SELECT rowid, * FROM "{table}"'):
            for column, reader, value in zip(columns, readers, row, strict=True):
                if not isinstance(value, bytes):
                    continue
                try:
                    reader(value)
                except (ValueError, msgspec.DecodeError) as error:
                    key = " ".join(_shown(row[number]) for number in keys) if keys else f"number {rowid}"
                    owner = None if where is None or row[where] is None else _shown(row[where])
                    yield Unreadable(owner, f"row {key} of {table} is damaged, column {column}: {error}")
    except DATABASE_ERRORS as error:
        yield Unreadable(None, f"table {table} cannot be read: {error}")


def _reader(table: str, column: str) -> Callable[[bytes], object]:
    if column in _JSON.get(table, ()):
        return _json
    return _time if column in _TIMES or column.endswith("_at") else bytes.decode


def _json(value: bytes) -> None:
    value.decode()
    msgspec.json.decode(value)


def _time(value: bytes) -> None:
    from_iso(value.decode())


def _shown(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
