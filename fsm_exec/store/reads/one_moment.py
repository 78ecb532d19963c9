"""What several queries read is of one moment: the same commits are seen by all of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Have every query in the block see the same commits. In a transaction that has begun already, they do."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:  # an error of SQLite's may have ended it, and is what the caller is to hear of
            connection.execute("ROLLBACK")
