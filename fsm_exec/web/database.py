"""The page reads the database file by connections of its own, in threads: never through the engine's writer, so that no
save waits for a page, and in the same way without an engine."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

from fsm_exec.store.damaged_rows import decode_damaged_text
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS
from fsm_exec.store.maintenance.read_only import LOGS, open_read_only

T = TypeVar("T")
READS_AT_ONCE: Final = 4


class DatabaseReader(Protocol):
    """Reads one database."""

    @property
    def path(self) -> Path:
        """Where it is: its archives are beside it."""
        ...

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function` with a connection in a thread, and return what it returns: as of one moment. Raises what it
        raises, and sqlite3's errors."""
        ...


class LiveReader:
    """Reads the database that this process's own engine writes. Close it before the engine's, which cleans up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._uri = f"{path.absolute().as_uri()}?mode=ro"
        self._all: list[sqlite3.Connection] = []
        self._free: list[sqlite3.Connection] = []
        self._limit = trio.CapacityLimiter(READS_AT_ONCE)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        async with self._limit:
            connection = self._free.pop() if self._free else self._connect()
            try:
                return await trio.to_thread.run_sync(_read_at_one_moment, connection, function)
            finally:
                self._free.append(connection)

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._uri, uri=True, isolation_level=None, check_same_thread=False)
        self._all.append(connection)
        decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        return connection


class CopyReader:
    """Reads a database that no engine of this process has open, without changing a byte of it. It is opened again when
    it has changed. Raises UserError for what is no database of ours."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()
        self._lock = trio.Lock()
        self._stamps: tuple[object, ...] = ()
        self._connection = self._open()

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        async with self._lock:
            if _stamps(self.path) != self._stamps:
                self._connection = await trio.to_thread.run_sync(self._open)
            return await trio.to_thread.run_sync(_read_at_one_moment, self._connection, function)

    def close(self) -> None:
        self._stack.close()

    def _open(self) -> sqlite3.Connection:
        self._stack.close()
        self._stamps = _stamps(self.path)
        return self._stack.enter_context(open_read_only(self.path)).connection


@contextmanager
def open_reader(path: Path, *, is_own_engines: bool) -> Iterator[DatabaseReader]:
    """Open a reader of the database, that of an engine in this process or any other."""
    reader = LiveReader(path) if is_own_engines else CopyReader(path)
    try:
        yield reader
    finally:
        reader.close()


def _read_at_one_moment(connection: sqlite3.Connection, function: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return function(connection)
    finally:
        if connection.in_transaction:  # an error of SQLite's may have ended it
            connection.execute("ROLLBACK")


def _stamps(path: Path) -> tuple[object, ...]:
    """Return what changes with the file and its logs."""
    found: list[object] = []
    for name in (path.name, *(path.name + suffix for suffix in LOGS)):
        try:
            seen = os.stat(path.with_name(name))
            found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns))
        except OSError:
            found.append(None)
    return tuple(found)
