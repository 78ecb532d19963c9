"""The live lane: SQLite in aiosqlite's worker thread, reached over trio-asyncio. The only file that knows either.

One crossing per batch: a crossing costs some 100 us, as much as storing several executions, so a whole synchronous
function is handed over, never a statement. aiosqlite offers that only as `Connection._execute`, which is private: the
dependency is pinned to its minor version and a test asserts that it is there and runs a function in the thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import aiosqlite
import trio_asyncio  # type: ignore[import-untyped]

from fsm_exec.store.files.open_database import OpenDatabase, OpenRequest, open_database

T = TypeVar("T")

_ITER_CHUNK_ROWS = 64  # aiosqlite asks for it; nothing here iterates in chunks


class AiosqliteLane:
    def __init__(self, opening: OpenRequest) -> None:
        self._opening = opening
        self._opened: OpenDatabase | Exception | None = None
        self._database: aiosqlite.Connection | None = None

    def surroundings(self) -> AbstractAsyncContextManager[object]:
        loop: AbstractAsyncContextManager[object] = trio_asyncio.open_loop()
        return loop

    async def open(self) -> OpenDatabase:
        database = aiosqlite.Connection(self._connect, _ITER_CHUNK_ROWS)
        await trio_asyncio.aio_as_trio(database.__aenter__)()
        self._database = database
        if isinstance(self._opened, Exception):
            raise self._opened
        assert self._opened is not None
        return self._opened

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        assert self._database is not None, "run before open"
        assert isinstance(self._opened, OpenDatabase)
        result: T = await trio_asyncio.aio_as_trio(self._database._execute)(function, self._opened.connection)
        return result

    async def close(self) -> None:
        if self._database is not None:
            await trio_asyncio.aio_as_trio(self._database.close)()

    def _connect(self) -> sqlite3.Connection:
        """Called in the worker thread, where the connection stays.

        A failure is carried out as a value: when connecting raises, aiosqlite does not wait for its thread, which then
        dies of a loop that is closed already. With some connection in its hands it ends as always.
        """
        try:
            self._opened = open_database(self._opening)
        except Exception as error:
            self._opened = error
            return sqlite3.connect(":memory:")
        return self._opened.connection
