"""What befalls the first of two machines, and the second, which stands by and takes over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.lab.simulation.actions import Failover
from fsm_exec.lab.simulation.disk import Disk
from fsm_exec.lab.simulation.fence_rules import FenceRules
from fsm_exec.lab.simulation.lagging_copy import LaggingCopy
from fsm_exec.lab.simulation.lease_place import ReachedPlace
from fsm_exec.lab.simulation.machine import Machine
from fsm_exec.lab.simulation.pair_rules import PairRules
from fsm_exec.lab.simulation.witness import Witness
from fsm_exec.runtime.clock import WallClock
from fsm_exec.standby.lease import RECORD, Lease
from fsm_exec.standby.lease_record import ExpiryWatch, LeaseHolder, decode_record
from fsm_exec.standby.places.memory_place import MemoryPlace

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.engine_process import EngineProcess
    from fsm_exec.lab.simulation.world import World

LOOK_S = 1.0  # how often who stands by looks at the record
SECOND_LIFE = 501  # number of the first life on the second machine


class Standby:
    """Two machines, the record of who leads, and a copy of the first's database that lags."""

    def __init__(self, world: World, plan: Failover, second_instance: str) -> None:
        self.plan, self.place = plan, MemoryPlace()
        self._world, first = world, world.machine
        self._copy = LaggingCopy(world.now_us)
        disk = Disk(second_instance, lambda: witness.committed())
        witness = Witness(world.history, second_instance, self._clock_offset_us, before=first.witness)
        second = Machine(world, second_instance, disk, witness, first.lock_path.with_name("second.sqlite"), SECOND_LIFE)
        self.first, self.second = first, second
        self.rules, self.told = FenceRules(world, first, second), PairRules()
        first.witness.fence = second.witness.fence = self.rules
        second.takes_over, second.first_doors = True, plan.second_doors
        self._is_ordered = False
        self._died_us: int | None = None

    def _clock_offset_us(self) -> int:
        return self.second.process.wall_us() - self._world.now_us() if self.second.processes else 0

    def follow(self) -> None:
        """The first has committed something. A copy of a machine that is gone stays as it is."""
        if self._died_us is None:
            self._copy.follow(self.first.disk.connection)

    def place_of(self, process: EngineProcess) -> ReachedPlace:
        """The record's place as a process reaches it."""
        return ReachedPlace(self.place, process.life, process.machine.network)

    async def take_lease(self, process: EngineProcess, wall: WallClock, log: FilteringBoundLogger) -> Lease:
        """Have the record name a process that begins; one that takes over gets the copy of the database then. Raises
        LeaseHeld and PlaceUnreachable."""
        machine, number = process.machine, process.life.number
        holder = LeaseHolder(
            name=f"life {number}",
            host=machine.instance,
            pid=number,
            database=machine.lock_path.name,
            instance=machine.instance,
        )
        lease = Lease(self.place_of(process), holder, wall.now_us, log, lease_s=self.plan.lease_s)
        await lease.acquire(take_over=machine.takes_over)
        if machine.takes_over:
            self._restore()
        return lease

    def _restore(self) -> None:
        """The second machine's database becomes what the copy has, and its engine the one that works."""
        world = self._world
        as_of_us = (world.now_us() if self._died_us is None else self._died_us) - self.plan.lag_ms * US_PER_MS
        content = self._copy.content(as_of_us)
        if content is not None:
            self.second.disk.restore(content)
            self.second.witness.begin_with(self.second.disk.connection)
        else:
            self.second.witness.connection = self.second.disk.connection
        world.history.add("restored", as_of_us - world.scenario.start_us, self.second.witness.durable.keys())
        self.second.takes_over = False
        world.machine = self.second

    async def apply_mishap(self) -> None:
        """What the plan has for the first machine."""
        plan, first, world = self.plan, self.first, self._world
        match plan.mishap:
            case "death":
                await self._die()
            case "freeze":
                first.freeze(sockets_die=plan.sockets_die)
                await self._sleep_until_over()
                first.power.thaw()
            case "record":
                first.network.reaches_record = False
                await self._sleep_until_over()
                first.network.reaches_record = True
            case "exchange":
                first.network.reaches_exchange = False
                first.network.cut()
                await self._sleep_until_over()
                first.network.reaches_exchange = True
            case "none":
                pass
        world.history.add("over", plan.mishap)

    async def _die(self) -> None:
        plan, life = self.plan, self.first.process.life
        if plan.doors:
            life.die_in(plan.doors, plan.where)
            with trio.move_on_after(plan.after_ms / 1_000):
                await life.over.wait()
        self._died_us = self._world.now_us()
        self.first.die()

    async def _sleep_until_over(self) -> None:
        """For as long as drawn, or until calm comes."""
        world = self._world
        left_us = world.calm_us - world.now_us()
        await trio.sleep(max(0, min(self.plan.for_ms * US_PER_MS, left_us)) / 1_000_000)

    async def order_takeover(self) -> None:
        """A person tells the second machine to take over."""
        await trio.sleep(self.plan.after_ms / 1_000)
        self._is_ordered = True

    async def stand_by(self, nursery: trio.Nursery) -> None:
        """Look at the record until its leader is gone, or somebody says so; then work."""
        watch = ExpiryWatch()
        while True:
            await trio.sleep(LOOK_S)
            stored = await self.place.load(RECORD)
            if stored is None:
                continue
            left_s = watch.left_s(stored.tag, decode_record(stored.content, RECORD), trio.current_time())
            if self._is_ordered or left_s <= 0:
                break
        self.rules.decided_us = self._world.now_us()
        self._world.history.add("second takes over", self._is_ordered)
        nursery.start_soon(self.second.keep_alive, nursery)
