"""The database: SQLite, one schema, one implementation of the writing, two lanes.

    async with open_live_store(path, draw_instance=draw, at_us=now_us) as store: ...

`draw_instance` is called when a database is created, or found to be a copy, and returns ten characters of a-z2-7.
`at_us` is the time of opening, for the record. Both contexts raise UserError at the start for a path that cannot be
used, and close the database at the end.

    sqlite_store      the port: queues what is saved, reads what is asked for
    writer            the queue and its one owner: group commit
    batch, jobs       one transaction; which rows each job becomes (edge_rows, journal_steps: two of them)
    aiosqlite_lane, blocking_lane   where the connection lives: a worker thread, or trio's own thread
    damaged_rows      values that cannot be read, and what is said of them
    files, reads, maintenance   opening and locking; reading; work on a database without an engine
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fsm_exec.store.aiosqlite_lane import AiosqliteLane
from fsm_exec.store.blocking_lane import BlockingLane
from fsm_exec.store.files.open_database import OpenRequest
from fsm_exec.store.reads.execution_reads import read_executions, read_journal
from fsm_exec.store.sqlite_store import EMBEDDED, SqliteStore, run_store
from fsm_exec.store.writer import WriterStatistics

__all__ = [
    "EMBEDDED",
    "SqliteStore",
    "WriterStatistics",
    "open_live_store",
    "open_virtual_store",
    "read_executions",
    "read_journal",
]


def open_live_store(
    path: Path, *, draw_instance: Callable[[], str], at_us: int
) -> AbstractAsyncContextManager[SqliteStore]:
    """SQLite in a worker thread (aiosqlite). Not for a virtual clock: that would run on while the thread works."""
    return run_store(AiosqliteLane(OpenRequest(path=path, draw_instance=draw_instance, at_us=at_us)))


def open_virtual_store(
    path: Path | None, *, draw_instance: Callable[[], str], at_us: int
) -> AbstractAsyncContextManager[SqliteStore]:
    """SQLite in trio's thread; `path` None is a database in memory."""
    return run_store(BlockingLane(OpenRequest(path=path, draw_instance=draw_instance, at_us=at_us)))
