"""The two statements that most rows are written with."""

from __future__ import annotations

from typing import Any, TypeAlias

Row: TypeAlias = tuple[str, tuple[Any, ...]]
"""A statement and its parameters."""


def insert_into(table: str, columns: tuple[str, ...]) -> str:
    """Return the statement that adds a row of these columns."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def put_into(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """Return the statement that adds a row, or overwrites the one with this key in place (REPLACE would delete it, and
    what refers to it)."""
    updates = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
    return f"{insert_into(table, columns)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"
