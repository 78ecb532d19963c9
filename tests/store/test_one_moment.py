"""Queries that are to see the same commits."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from fsm_exec.store.reads.one_moment import at_one_moment


def test_an_error_that_ended_the_transaction_is_the_one_that_is_heard_of() -> None:
    """Where SQLite has rolled back already, there is nothing to roll back, and no second error hides the first."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:

        def read() -> None:
            with at_one_moment(connection):
                connection.execute("ROLLBACK")
                connection.execute("SELECT * FROM nowhere")

        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            read()
        assert not connection.in_transaction
