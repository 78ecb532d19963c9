"""The database: SQLite, one schema, one implementation of the writing, two lanes.

    async with open_live_store(path, draw_instance=draw, at_us=now_us) as store: ...

`draw_instance` is called when a database is created, or found to be a copy, and returns ten characters of a-z2-7.
`at_us` is the time of opening, for the record. Both contexts raise UserError at the start for a path that cannot be
used, and close the database at the end.

    sqlite_store      the port: queues what is saved, reads what is asked for
    writer            the queue and its one owner: group commit
    batch, jobs       one transaction; which rows each job becomes (edge_rows, journal_steps: two of them)
    aiosqlite_lane, blocking_lane   where the connection lives: a worker thread, or trio's own thread
    read_threads      in the live lane, the connections and threads of all reads
    api_rows          rows as the control API answers them
    damaged_rows      values that cannot be read, and what is said of them
    files, reads, maintenance   opening and locking; reading; work on a database without an engine

The names below are loaded when they are first used: a client of the daemon needs rows of the API and no database.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fsm_exec.store.reads.execution_reads import read_executions as read_executions
    from fsm_exec.store.reads.execution_reads import read_journal as read_journal
    from fsm_exec.store.sqlite_store import EMBEDDED as EMBEDDED
    from fsm_exec.store.sqlite_store import SqliteStore as SqliteStore
    from fsm_exec.store.writer import WriterStatistics as WriterStatistics

_HOME_OF = {
    "EMBEDDED": "fsm_exec.store.sqlite_store",
    "SqliteStore": "fsm_exec.store.sqlite_store",
    "WriterStatistics": "fsm_exec.store.writer",
    "read_executions": "fsm_exec.store.reads.execution_reads",
    "read_journal": "fsm_exec.store.reads.execution_reads",
}

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
    path: Path,
    *,
    draw_instance: Callable[[], str],
    at_us: int,
    tell: Callable[[str], object] = lambda _: None,
    takeover: bool = False,
) -> AbstractAsyncContextManager[SqliteStore]:
    """SQLite in a worker thread (aiosqlite), from which `tell` is told how far the migration of a big database is. Not
    for a virtual clock: that would run on while the thread works. `takeover`: it is a copy, and the engine of the
    original may live."""
    from fsm_exec.store.aiosqlite_lane import AiosqliteLane
    from fsm_exec.store.files.open_database import OpenRequest
    from fsm_exec.store.sqlite_store import run_store

    opening = OpenRequest(
        path=path, draw_instance=draw_instance, at_us=at_us, tell=tell, takeover=takeover, host=platform.node()
    )
    return run_store(AiosqliteLane(opening), reads_apart=True)


def open_virtual_store(
    path: Path | None,
    *,
    draw_instance: Callable[[], str],
    at_us: int,
    tell: Callable[[str], object] = lambda _: None,
    takeover: bool = False,
) -> AbstractAsyncContextManager[SqliteStore]:
    """SQLite in trio's thread; `path` None is a database in memory."""
    from fsm_exec.store.blocking_lane import BlockingLane
    from fsm_exec.store.files.open_database import OpenRequest
    from fsm_exec.store.sqlite_store import run_store

    opening = OpenRequest(path=path, draw_instance=draw_instance, at_us=at_us, tell=tell, takeover=takeover)
    return run_store(BlockingLane(opening))


if not TYPE_CHECKING:  # to a type checker a name that is not above must be an error

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module(home), name)
        return found
