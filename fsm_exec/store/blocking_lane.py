"""The virtual lane: SQLite in trio's own thread, so that simulated time stands still while it works."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TypeVar

from fsm_exec.store.files.open_database import OpenDatabase, OpenRequest, open_database

T = TypeVar("T")


class BlockingLane:
    def __init__(self, opening: OpenRequest) -> None:
        self._opening = opening
        self._connection: sqlite3.Connection | None = None

    def surroundings(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def open(self) -> OpenDatabase:
        opened = open_database(self._opening)
        self._connection = opened.connection
        return opened

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        assert self._connection is not None, "run before open"
        return function(self._connection)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
