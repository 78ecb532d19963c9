"""A batch of jobs in one transaction: the whole of the writing, synchronous, the same for both lanes.

Group commit: all jobs of a batch share one COMMIT, and each statement runs once with the rows of all of them. A bad row
rolls the group back; then every job has its own transaction, so the bad one fails alone. An error that is not about a
row (disk, lock, corruption), or a failed COMMIT, belongs to no row: it is raised, and the store must not go on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, TypeAlias

from fsm_exec.core.errors import StoreFailed
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.store.alert_rows import write_alerts
from fsm_exec.store.damaged_rows import DATABASE_ERRORS
from fsm_exec.store.jobs import ANY_NUMBER, ORDER, Job, rows_of

JobResult: TypeAlias = str | None
"""None: durable. Text: refused, nothing of it is stored, and why."""


class _FenceError(Exception):
    """A row was not where its writer believed it: another writer moved it, or it was never there."""


# What is wrong with the rows themselves. Every other error of SQLite is about the database.
_ROW_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,  # a value SQLite has no type for
    sqlite3.ProgrammingError,
    OverflowError,
    ValueError,
    TypeError,
    _FenceError,
)


def write_batch(connection: sqlite3.Connection, batch: Sequence[Job]) -> list[JobResult]:
    """Store `batch`. When it returns, every job with the result None is durable.

    Raises StoreFailed when the outcome is not known to be good: nothing of the batch may be taken as stored.
    """
    try:
        refused = _transaction(connection, batch)
        if refused is None:
            return [None] * len(batch)
        if len(batch) == 1:
            return [refused]
        return [_transaction(connection, (job,)) for job in batch]
    except DATABASE_ERRORS as error:
        _roll_back(connection)
        raise StoreFailed(f"the database failed: {error}") from error


def _transaction(connection: sqlite3.Connection, jobs: Sequence[Job]) -> JobResult:
    """All of `jobs` or none. A failed COMMIT is raised, never taken for a refusal."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _write_rows(connection, jobs)
    except _ROW_ERRORS as error:
        connection.execute("ROLLBACK")
        return str(error)
    crashpoint("commit.before")
    try:
        connection.execute("COMMIT")
    except _ROW_ERRORS as error:
        raise sqlite3.OperationalError(f"COMMIT failed: {error}") from error
    crashpoint("commit.after")
    return None


def _write_rows(connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
    grouped: dict[str, list[tuple[Any, ...]]] = {}
    for job in jobs:
        for statement, row in rows_of(job):
            grouped.setdefault(statement, []).append(row)
    for statement in ORDER:
        rows = grouped.get(statement)
        if rows is None:
            continue
        # Each row changes one row or none, so the sum tells whether any found nothing to change.
        changed = connection.executemany(statement, rows).rowcount
        if changed != len(rows) and statement not in ANY_NUMBER:
            raise _FenceError("the execution is not in the database, or not at the sequence number before this one")
    for job in jobs:
        write_alerts(connection, job)


def _roll_back(connection: sqlite3.Connection) -> None:
    """Leave no transaction open, as far as a failing database lets us; the caller reports the first error."""
    if connection.in_transaction:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            connection.close()  # SQLite rolls back what an open transaction left when the file is next opened
