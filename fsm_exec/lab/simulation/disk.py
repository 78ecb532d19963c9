"""The disk of a simulated machine: one database in memory that outlives the engines that use it.

What was committed when a life ended is there for the next, what was not is gone: exactly what a file would keep. The
SQL is the store's own, run as in the virtual lane.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing, nullcontext
from typing import TypeVar

from fsm_exec.core.errors import StoreFailed
from fsm_exec.lab.simulation.life import LIFE, Life, LifeOver
from fsm_exec.store.files.open_database import OpenDatabase, OpenRequest, prepare
from fsm_exec.store.sqlite_store import SqliteStore, run_store

T = TypeVar("T")
_MOVED = "UPDATE meta SET path = 'the other machine', inode = 1"  # by which a copy is known for one
_LETTERS = str.maketrans("0123456789", "abcdefghij")


class Disk:
    """`instance` is the name the database is created with; `committed` is called after every transaction."""

    def __init__(self, instance: str, committed: Callable[[], None]) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self._instance = instance
        self._committed = committed
        self._drawn = 0

    def restore(self, content: bytes) -> None:
        """Begin with a copy of another machine's database."""
        with closing(sqlite3.connect(":memory:")) as original:
            original.deserialize(content)
            original.backup(self.connection)
        self.connection.execute(_MOVED)

    def open_store(self, life: Life, at_us: int, *, takeover: bool) -> AbstractAsyncContextManager[SqliteStore]:
        """Open it within a life; `takeover` as of a copy whose original's engine may live."""
        opening = OpenRequest(path=None, draw_instance=self._draw, at_us=at_us, takeover=takeover)
        return run_store(_Lane(self, life, opening))

    def _draw(self) -> str:
        """The instance, then another epoch for each life."""
        self._drawn += 1
        return self._instance if self._drawn == 1 else f"{self._drawn:010d}".translate(_LETTERS)

    def run(self, life: Life, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run one piece of the store's work within `life`. Raises StoreFailed once it is over: no caller that could see
        it is alive."""
        token = LIFE.set(life)
        try:
            life.door("disk")
            result = function(self.connection)
        except LifeOver:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._committed()
            raise StoreFailed("the process is gone") from None
        finally:
            LIFE.reset(token)
        self._committed()
        return result


class _Lane:
    """The virtual lane of the store, on a disk that stays."""

    def __init__(self, disk: Disk, life: Life, opening: OpenRequest) -> None:
        self._disk, self._life, self._opening = disk, life, opening

    def surroundings(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def open(self) -> OpenDatabase:
        await self._wait_on()
        return self._disk.run(self._life, lambda connection: prepare(connection, None, self._opening))

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await self._wait_on()
        return self._disk.run(self._life, function)

    async def close(self) -> None:
        """The disk stays."""

    async def _wait_on(self) -> None:
        """Raises StoreFailed if the process died while its machine was frozen."""
        try:
            await self._life.wait_on()
        except LifeOver:
            raise StoreFailed("the process is gone") from None
