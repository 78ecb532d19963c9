"""What a kill found at work, read from the database that it left (or that is being written)."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

from fsm_exec.cli.demo.crash_audit import KINDS as KINDS
from fsm_exec.cli.demo.crash_audit import kind_of
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.store.reads.execution_reads import load_unfinished as unfinished_of

T = TypeVar("T")

WATCHED: Final = {"live": "resting', 'partial", "unknown": "intended', 'unknown", "cancelling": "cancelling"}


def at_work(database: Path) -> Counter[str]:
    """How many orders of each kind had not ended. Empty if there is no database yet."""
    children = [child for stored in _unfinished(database) for child in decode_stored(stored).children]
    return Counter(kind_of(child) for child in children if child.is_open)


def unfinished(database: Path) -> list[str]:
    """Executions that have not ended, the quarantined among them."""
    return [stored.execution_id for stored in _unfinished(database)]


def shows(database: Path, kind: str) -> bool:
    """Whether an order of this kind (one of WATCHED) is there now: a cheap look, for many looks."""
    query = f"SELECT 1 FROM split_orders WHERE state IN ('{WATCHED[kind]}') LIMIT 1"
    return bool(_read(database, lambda connection: connection.execute(query).fetchall()))


def _unfinished(database: Path) -> list[StoredExecution]:
    return _read(database, unfinished_of)


def _read(database: Path, look: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return look(connection)
    except sqlite3.OperationalError:  # not there yet, or being set up
        return []
