"""One life of the engine from start to end: composed as the daemon composes it, out of simulated parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import ExecError, Fenced, first_of
from fsm_exec.core.journal.rows import LostSubmission
from fsm_exec.core.values.times import to_iso
from fsm_exec.lab.simulation import audit
from fsm_exec.lab.simulation.life import LIFE, Life, LifeOver
from fsm_exec.lab.simulation.transports import DoorTransport, dial_in_memory
from fsm_exec.paper_session import access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.fence import FenceSettings
from fsm_exec.session import open_session
from fsm_exec.standby.accepted_notes import KeyNotes
from fsm_exec.standby.lost_keys import LostKeys, OrderLister, describe_lost
from fsm_exec.standby.places.place import PlaceUnreachable
from fsm_exec.store.files.locks import database_lock

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.machine import Machine
    from fsm_exec.lab.simulation.world import World

Order: TypeAlias = Callable[[Engine], Awaitable[None]]
"""Something the user asks of a running engine."""


class EngineProcess:
    """`ready` is set when the engine runs; `failed` is why it could not, or could not go on."""

    def __init__(self, world: World, machine: Machine, number: int, log: FilteringBoundLogger) -> None:
        self.life = Life(number, machine.power)
        self.ready = trio.Event()
        self.ended = trio.Event()
        self.failed: str | None = None
        self.failure = ""  # its kind: the text may name paths and processes, which no history may depend on
        self.began_us = 0  # to open what it needs
        self.started_us = 0
        self.refused_429 = 0
        self.engine: Engine | None = None
        self.wall_us: Callable[[], int] = world.system_us  # its own clock
        self.machine = machine
        self._world, self._log = world, log
        self._terminated = trio.Event()
        self._cancels_orders = True
        self._orders, self._asked = trio.open_memory_channel[Order](1_000)

    def ask(self, order: Order) -> None:
        """Hand `order` to the engine once it runs."""
        self._orders.send_nowait(order)

    def terminate(self, *, cancels_orders: bool) -> None:
        """SIGTERM."""
        self._cancels_orders = cancels_orders
        self._terminated.set()

    async def run(self) -> None:
        """Until the life is over or the engine has ended by itself. Never raises what the engine raises."""
        LIFE.set(self.life)
        try:
            with self.life.scope:
                await self._run()
        except* LifeOver:
            pass
        except* ExecError as group:
            told = first_of(group)
            self.failed, self.failure = str(told), type(told).__name__
        except* Exception as group:  # a traceback for a user: always a finding
            error = first_of(group)
            self.failed, self.failure = f"{type(error).__name__}: {error}", type(error).__name__
            if not self.life.is_over:
                self.machine.witness.found(f"the engine ended in {self.failed}")
                self._log.exception("engine_ended")
        finally:
            self.life.end("end")
            self.ended.set()

    async def _run(self) -> None:
        world, machine, life = self._world, self.machine, self.life
        wall = WallClock(world.system_us())
        self.wall_us = wall.now_us
        self.began_us = world.now_us()
        lock = ExitStack()
        lock.enter_context(database_lock(machine.lock_path, what="simulated", since=to_iso(wall.now_us())))
        life.at_the_end(lock.close)
        world.let_in(self)
        takes_over = machine.takes_over
        lease = None if world.standby is None else await world.standby.take_lease(self, wall, self._log)
        place = None if world.standby is None else world.standby.place_of(self)
        access = access_to(world.host, world.credentials)
        transport = DoorTransport(
            world.host.transport,
            life,
            world.history,
            lambda request: machine.witness.sending(request, wall.now_us()),
            machine.network,
        )
        async with machine.disk.open_store(life, wall.now_us(), takeover=takes_over) as store:
            keys, lost = None, list[LostSubmission]()
            if place is not None:
                keys = LostKeys(place, store, wall.now_us, self._log)
                lost = await keys.find(is_start=True)
            async with open_session(
                replace(access, dial=dial_in_memory(world.host, life, machine.network), transport=transport),
                store,
                wall,
                self._log,
                tickers=world.tickers,
                other_engine_is_gone=world.standby.first.instance if takes_over and world.standby is not None else None,
                true_us=world.system_us,
                wait=False,
                seed=f"client:{world.scenario.seed}:{life.number}",
                risk=world.limits,
                fence=FenceSettings() if lease is None else FenceSettings(leadership=lease),
                takeover=takes_over,
                host_lease_s=world.scenario.host_lease_s,
            ) as session:
                self.engine = engine = session.engine
                if keys is not None and place is not None:
                    engine.notes = KeyNotes(place, store.instance, wall.now_us)
                    session.nursery.start_soon(self._report_lost, keys, lost, engine, session.client)
                session.nursery.start_soon(self._obey, engine, session.nursery)
                session.nursery.start_soon(self._end_with, engine)
                if lease is not None:
                    session.nursery.start_soon(lease.run, engine.stop_fenced)
                await self._terminated.wait()
                if engine.state != "stopped":
                    await engine.drain(cancel_orders=self._cancels_orders)
                statistics = session.client.statistics()
                self.refused_429 = statistics.read.refused + statistics.write.refused

    async def _report_lost(
        self, keys: LostKeys, lost: list[LostSubmission], engine: Engine, exchange: OrderLister
    ) -> None:
        """Say what was lost with the other machine, as the daemon does."""
        standby = self._world.standby
        assert standby is not None
        while True:
            lost = await keys.learn_bought(lost, exchange) if lost else []
            for one in lost:
                line = describe_lost(one)
                engine.report_loss(line)
                standby.told.said.append(line)
                self._world.history.add("lost", one.key)
            await keys.save_said(lost)
            await trio.sleep(standby.plan.lease_s / 3)
            lost = []
            with suppress(PlaceUnreachable):
                lost = await keys.find(is_start=False)

    async def _end_with(self, engine: Engine) -> None:
        """Leave as a daemon does whose engine another one has taken over from. Raises Fenced."""
        await engine.failed.wait()
        if isinstance(engine.failure, Fenced):
            await engine.wait_idle()

    async def _obey(self, engine: Engine, nursery: trio.Nursery) -> None:
        world, connection, witness = self._world, self.machine.disk.connection, self.machine.witness
        began_us, unfinished = world.now_us(), [name for name, _ in audit.unfinished(connection)]
        await engine.wait_running()
        shown_us = began_us - world.lag_us
        for line in audit.not_taken_in(connection, world.account, unfinished, shown_us, witness.owner):
            if (
                engine.state in ("running", "halted") and not world.plan.profile.lies.any
            ):  # who leaves has taken in nothing
                witness.found(line)
        self.started_us = world.now_us()
        self.ready.set()
        async for order in self._asked:
            nursery.start_soon(self._obeyed, order, engine)

    async def _obeyed(self, order: Order, engine: Engine) -> None:
        try:
            await order(engine)
        except ExecError as error:  # the user is told no
            if self.life.is_over:
                return
            self._world.history.add("refused", type(error).__name__)
