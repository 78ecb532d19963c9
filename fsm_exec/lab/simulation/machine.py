"""One computer: its disk, what it reaches, and the engines that run on it one after the other.

A frozen one (a suspended guest, a paused process) does nothing until it wakes: whatever leaves an engine waits. It does
not know that time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from fsm_exec.core.values.units import US_PER_S
from fsm_exec.lab.simulation import audit, final_checks
from fsm_exec.lab.simulation.actions import Crash
from fsm_exec.lab.simulation.disk import Disk
from fsm_exec.lab.simulation.engine_process import EngineProcess
from fsm_exec.lab.simulation.witness import Witness
from fsm_exec.standby.lease import LeaseHeld

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World

START_AGAIN_S = 2  # after a start that failed
LED_BY_ANOTHER_S = 15  # after one that found another engine at work


class Network:
    """Whether the exchange and the record of who leads are reached. `cuts` counts the times all connections broke."""

    def __init__(self) -> None:
        self.reaches_exchange = self.reaches_record = True
        self.cuts = 0
        self.on_cut: Callable[[], None] = lambda: None

    def cut(self) -> None:
        """Break every connection to the exchange: what is under way gets no answer."""
        self.cuts += 1
        self.on_cut()


class Power:
    """Whether the machine runs."""

    def __init__(self) -> None:
        self._thawed: trio.Event | None = None

    @property
    def is_frozen(self) -> bool:
        return self._thawed is not None

    def freeze(self) -> None:
        """Nothing goes on until `thaw`."""
        if self._thawed is None:
            self._thawed = trio.Event()

    def thaw(self) -> None:
        """All goes on."""
        if self._thawed is not None:
            self._thawed.set()
            self._thawed = None

    async def wait_on(self) -> None:
        """Wait while it is frozen; costs no turn of the loop otherwise."""
        while self._thawed is not None:
            await self._thawed.wait()


class Machine:
    """`instance` is the database's, `lock_path` what its engines lock; `first_number` numbers the first life."""

    def __init__(
        self, world: World, instance: str, disk: Disk, witness: Witness, lock_path: Path, first_number: int = 1
    ) -> None:
        self.instance, self.disk, self.witness, self.lock_path = instance, disk, witness, lock_path
        self.network, self.power = Network(), Power()
        self.network.on_cut = self._hang_up
        self.processes: list[EngineProcess] = []
        self.down_ms = 0  # from the next death to the next start
        self.is_gone = False  # for good
        self.takes_over = False  # its next start does
        self.first_doors = 0  # the door at which its first life ends; 0: none
        self._world, self._first_number = world, first_number
        witness.lives_until_us = self.lives_until_us

    @property
    def process(self) -> EngineProcess:
        """The newest one, dead or alive."""
        return self.processes[-1]

    def is_up(self) -> bool:
        """Whether the newest one runs."""
        return bool(self.processes) and self.process.ready.is_set() and not self.process.life.is_over

    def freeze(self, *, sockets_die: bool) -> None:
        """Stop in the middle of everything. `sockets_die`: whoever was connected has given up."""
        self.power.freeze()
        if sockets_die:
            self.network.cut()

    def die(self) -> None:
        """It is gone for good, and so is its disk."""
        self.is_gone = True
        if self.processes:
            self.process.life.end("host")
        self.power.thaw()  # what waited learns that it is dead

    def lives_until_us(self, at_us: int) -> int | None:
        """Until when an order may live that the engine at work sends at this time of its clock, if nobody does anything
        any more: that is invariant 17. None: until its execution is over."""
        world = self._world
        if not world.scenario.host_lease_s:
            return None
        engine = self.process.engine if self.processes else None
        lease_s = world.scenario.host_lease_s if engine is None else engine.host_lease.longest_s
        return at_us + world.fast_us + (lease_s + 1) * US_PER_S

    async def keep_alive(self, nursery: trio.Nursery) -> None:
        """Start an engine, and again whenever it has ended, for as long as the machine is there."""
        while not self.is_gone:
            await self.power.wait_on()
            process = EngineProcess(self._world, self, self._first_number + len(self.processes), self._world.open_log())
            if self.processes:
                process.life.inherit(self.process.life)
            else:
                self._arm_first(process)
            self.processes.append(process)
            nursery.start_soon(process.run)
            await process.life.over.wait()
            self._world.history.add("life over", process.life.number, process.life.died_at, process.failure)
            nursery.start_soon(final_checks.look_for_what_outlived, self._world, self, process)
            if process.engine is not None:  # it got as far as a database
                for line in audit.stored_differences(self.disk.connection):
                    self.witness.found(line)
            if process.failure == LeaseHeld.__name__:
                await trio.sleep(LED_BY_ANOTHER_S)
            else:
                await trio.sleep(self.down_ms / 1_000 if process.failed is None else START_AGAIN_S)

    def _arm_first(self, process: EngineProcess) -> None:
        """The death that a scenario has for the very first start."""
        if self.first_doors:
            process.life.die_in(self.first_doors)
        for _, action in self._world.scenario.steps:
            if isinstance(action, Crash) and action.at_ms == 0 and self._first_number == 1:
                self.down_ms = action.down_ms
                process.life.die_in(action.doors, action.where)

    def _hang_up(self) -> None:
        if self.processes:
            self.process.life.hang_up()
