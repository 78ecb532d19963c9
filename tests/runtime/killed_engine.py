"""An engine that is killed, and begins again on the same database and the same exchange, in virtual time.

A killed process does nothing more: here it finds every way out closed. Whatever it asks of store and exchange from that
moment on never returns, and what it had asked is done without anybody to hear of it.
"""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import outcome as outcome_of
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.core.journal.snapshot import decode_entry, decode_snapshot
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.stored_executions import Methods
from fsm_exec.store import SqliteStore, open_virtual_store
from tests.runtime.bent_exchange import BentExchange, open_bent_exchange
from tests.runtime.support import INSTANCE, T0_US, TICKER, Stage

DOWN_S = 5  # between two lives
PATIENCE_S = 200_000  # of virtual time: what takes longer never ends


class Door:
    """Every way out of one life."""

    def __init__(self) -> None:
        self.open = True

    async def enter(self) -> None:
        if not self.open:
            await trio.sleep_forever()


class Behind:
    """What a life sees of the store or the exchange: all of it, through the door. What is asked is done in `nursery`,
    which outlives the life."""

    def __init__(self, inner: object, door: Door, nursery: trio.Nursery) -> None:
        self._inner, self._door, self._nursery = inner, door, nursery

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever is behind the door
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def through(*args: object, **kwargs: object) -> object:
            await self._door.enter()
            if name == "stream":  # a connection ends with its process
                return await found(*args, **kwargs)
            outcome: list[outcome_of.Outcome[object]] = []
            done = trio.Event()

            async def do() -> None:
                outcome.append(await outcome_of.acapture(found, *args, **kwargs))
                done.set()

            self._nursery.start_soon(do)
            await done.wait()
            await self._door.enter()
            return outcome[0].unwrap()

        return through


@dataclass
class World:
    """What outlives an engine. `tickers` are those it is asked to watch."""

    exchange: BentExchange
    database: SqliteStore
    wall: WallClock
    nursery: trio.Nursery
    log: io.StringIO = field(default_factory=io.StringIO)
    methods: Methods = method
    tickers: tuple[str, ...] = (TICKER,)

    @asynccontextmanager
    async def life(
        self,
        *,
        settle_s: float = 1.0,
        **options: Any,  # noqa: ANN401 - those of open_engine
    ) -> AsyncIterator[Stage]:
        """One engine from its start to the end of the block, which ends every execution unless it was drained."""
        log = open_log(self.log, self.wall)
        async with open_engine(
            self.database, self.exchange, self.wall, log, self.tickers, self.methods, **options
        ) as engine:
            await trio.sleep(settle_s)  # the stream has delivered its snapshot
            yield Stage(engine, self.exchange, self.database, self.database, self.wall, self.log)

    async def killed_after(self, work: Callable[[Stage], Any]) -> None:
        """One engine, killed when `work` has returned."""
        door = Door()
        exchange, store = Behind(self.exchange, door, self.nursery), Behind(self.database, door, self.nursery)
        log = open_log(self.log, self.wall)
        with trio.CancelScope() as scope:
            async with open_engine(store, exchange, self.wall, log, self.tickers, self.methods) as engine:
                await trio.sleep(1)
                await work(Stage(engine, self.exchange, self.database, self.database, self.wall, self.log))
                door.open = False
                scope.cancel()
                await trio.lowlevel.checkpoint()
        await trio.sleep(DOWN_S)

    async def stored(self, execution_id: str) -> StoredExecution:
        found = await self.database.execution(execution_id)
        assert found is not None
        return found

    async def execution(self, execution_id: str) -> Execution:
        """As its snapshot says, which is the fold of its journal."""
        execution = decode_snapshot((await self.stored(execution_id)).snapshot)
        journal = await self.database.journal(execution_id)
        assert fold(decode_entry(row.event, row.intents) for row in journal) == execution
        return execution

    async def events(self, execution_id: str) -> list[str]:
        return [row.event_type for row in await self.database.journal(execution_id)]

    def lines(self, event: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [entry for entry in entries if entry["event"] == event]


@asynccontextmanager
async def a_world() -> AsyncIterator[World]:
    """An exchange and an empty database; needs a virtual clock."""
    wall = WallClock(T0_US)
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=T0_US) as database,
        open_bent_exchange(wall) as exchange,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(PATIENCE_S):
            yield World(exchange, database, wall, nursery)
        nursery.cancel_scope.cancel()


async def ended(engine: Engine) -> None:
    """Until nobody is at work."""
    with trio.fail_after(600):
        await engine.wait_idle()
