"""An engine that is killed and started again on the same database and the same exchange, in virtual time.

A killed process does nothing more. Here its calls of store and exchange never return from that moment on; those in
flight are carried out, and their results are lost.
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
from fsm_exec.core.journal.snapshot import decode_entry, decode_stored
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


class ProcessLife:
    """Whether one process lives: its calls block once it is killed."""

    def __init__(self) -> None:
        self.is_alive = True

    async def block_if_dead(self) -> None:
        if not self.is_alive:
            await trio.sleep_forever()


class LifeBoundProxy:
    """The store or the exchange as a process calls it while it lives. Calls are carried out in `nursery`, which
    outlives the process."""

    def __init__(self, inner: object, process: ProcessLife, nursery: trio.Nursery) -> None:
        self._inner, self._life, self._nursery = inner, process, nursery

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the inner object has
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def through(*args: object, **kwargs: object) -> object:
            await self._life.block_if_dead()
            if name == "stream":  # a connection ends with its process
                return await found(*args, **kwargs)
            outcome: list[outcome_of.Outcome[object]] = []
            done = trio.Event()

            async def do() -> None:
                outcome.append(await outcome_of.acapture(found, *args, **kwargs))
                done.set()

            self._nursery.start_soon(do)
            await done.wait()
            await self._life.block_if_dead()
            return outcome[0].unwrap()

        return through


@dataclass
class RestartBench:
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

    async def killed_after(
        self,
        work: Callable[[Stage], Any],
        *,
        down_s: float = DOWN_S,
        **options: Any,  # noqa: ANN401 - those of open_engine
    ) -> None:
        """One engine, killed when `work` has returned; the next one comes `down_s` later."""
        process = ProcessLife()
        exchange, store = (
            LifeBoundProxy(self.exchange, process, self.nursery),
            LifeBoundProxy(self.database, process, self.nursery),
        )
        log = open_log(self.log, self.wall)
        with trio.CancelScope() as scope:
            async with open_engine(store, exchange, self.wall, log, self.tickers, self.methods, **options) as engine:
                await trio.sleep(1)
                await work(Stage(engine, self.exchange, self.database, self.database, self.wall, self.log))
                process.is_alive = False
                scope.cancel()
                await trio.lowlevel.checkpoint()
        await trio.sleep(down_s)

    async def stored(self, execution_id: str) -> StoredExecution:
        found = await self.database.load_execution(execution_id)
        assert found is not None
        return found

    async def execution(self, execution_id: str) -> Execution:
        """As its snapshot says, which is the fold of its journal."""
        execution = decode_stored(await self.stored(execution_id))
        journal = await self.database.load_journal(execution_id)
        assert fold(decode_entry(row.event, row.intents) for row in journal) == execution
        return execution

    async def events(self, execution_id: str) -> list[str]:
        return [row.event_type for row in await self.database.load_journal(execution_id)]

    def lines(self, event: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [entry for entry in entries if entry["event"] == event]


@asynccontextmanager
async def open_restart_bench() -> AsyncIterator[RestartBench]:
    """An exchange and an empty database; needs a virtual clock."""
    wall = WallClock(T0_US)
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=T0_US) as database,
        open_bent_exchange(wall) as exchange,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(PATIENCE_S):
            yield RestartBench(exchange, database, wall, nursery)
        nursery.cancel_scope.cancel()


async def ended(engine: Engine) -> None:
    """Until nobody is at work."""
    with trio.fail_after(600):
        await engine.wait_idle()
