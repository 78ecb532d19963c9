"""A daemon's part in a pair of engines: it leads by the lease record, notes what it accepts, and says what was lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fsm_exec.cli.config import LoadedConfig
from fsm_exec.cli.database.instance import draw_instance
from fsm_exec.cli.output import say
from fsm_exec.core.alerts.alerts import Alert
from fsm_exec.core.errors import ExecError, StoreFailed
from fsm_exec.core.journal.rows import LostSubmission
from fsm_exec.core.leadership_port import Leader
from fsm_exec.core.text import one_line
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.standby.accepted_notes import KeyNotes
from fsm_exec.standby.command_notes import CommandKeeper
from fsm_exec.standby.lease import Lease, LeaseHeld
from fsm_exec.standby.lease_record import LeaseHolder
from fsm_exec.standby.lost_commands import LostCommands
from fsm_exec.standby.lost_keys import LostKeys, OrderLister, describe_lost
from fsm_exec.standby.places.place import Place, PlaceUnreachable
from fsm_exec.store import SqliteStore


class LeaseUnknown(ExecError):
    """The lease record cannot be reached at a start."""


@dataclass(frozen=True, kw_only=True)
class PairSetup:
    """Where the record is, and who we are. `term`: the lease is held already, in this term, by the standby that this
    process was. `take_over`: whoever leads is replaced."""

    place: Place
    lease_s: int
    holder: LeaseHolder
    take_over: bool = False
    term: int = 0

    @property
    def replaces_another(self) -> bool:
        """Whether the engine of another database is to be fenced."""
        return self.take_over or self.term > 0


class Pair:
    """The part of the engine on `store`."""

    def __init__(self, setup: PairSetup, store: SqliteStore, wall: WallClock, log: FilteringBoundLogger) -> None:
        self._setup, self._store, self._wall = setup, store, wall
        holder = replace(setup.holder, instance=store.instance)
        self.lease = Lease(setup.place, holder, wall.now_us, log, lease_s=setup.lease_s, save_beat=self._save_beat)
        self.lease.term = setup.term
        self._keys = LostKeys(setup.place, store, wall.now_us, log)
        self._lost: list[LostSubmission] = []
        self._keeper = CommandKeeper(setup.place, store.instance, log)
        self._commands = LostCommands(setup.place, store, self._keeper, wall, log)
        self._lost_commands: list[str] = []  # a line each

    async def begin(self) -> None:
        """Lead, and learn what was lost, before the engine is there; the database is halted then if that was ordered.
        Raises LeaseHeld, LeaseUnknown, UserError and StoreFailed."""
        try:
            if not self._setup.term:
                await self.lease.acquire(take_over=self._setup.take_over)
            self._lost_commands = await self._commands.load()
            if (leader := await self.lease.renew()) is not None:
                raise LeaseHeld(f"{leader.holder} took over in term {leader.term}, while this engine was starting")
            self._lost = await self._keys.find(is_start=True)
        except PlaceUnreachable as error:
            raise LeaseUnknown(
                f"{error}: whether another engine leads is not known; try again, or start with --without-lease if you "
                "know that none does"
            ) from error

    def attach(self, engine: Engine) -> None:
        """Have the engine note what it accepts and what is ordered of it, and say when the lease is not renewed; tell
        executions to end that were ordered to. Nothing may be awaited between the engine's opening and this."""
        engine.commands = self._keeper
        for line in [*self._lost_commands, *self._commands.apply(engine)]:
            engine.report_loss(line)
        engine.notes = KeyNotes(self._setup.place, self._store.instance, self._wall.now_us)
        engine.health.why_no_lease = self.lease.trouble

    async def keep_commands(self, engine: Engine) -> None:
        """Note what was ordered of the engine, and do what was ordered elsewhere, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keeper.run)
            with suppress(ExecError):  # what made the start fail is said elsewhere
                await engine.wait_running()
                await self._say_done(engine, await self._commands.apply_to_quarantined(engine))
            while True:
                with suppress(PlaceUnreachable, StoreFailed):
                    await self._say_done(engine, await self._commands.look(engine))
                await trio.sleep(self.lease.lease_s / 3)

    async def _say_done(self, engine: Engine, lines: Sequence[str]) -> None:
        for line in lines:
            await self._say_lost(engine, line, "command")

    async def _say_lost(self, engine: Engine, line: str, subject: str) -> None:
        engine.report_loss(line)
        say(f"fsm-exec: {line}", err=True)
        alert = Alert(kind="lost", subject=subject, text=one_line(line), at_us=self._wall.now_us(), stands=False)
        with suppress(StoreFailed):
            await self._store.save_alerts([alert])

    async def report_lost(self, engine: Engine, exchange: OrderLister) -> None:
        """Say what was lost, with what it bought, once the engine runs; again whenever more is found: an engine that
        did not know that it was replaced may have accepted something."""
        lost, unread = self._lost, set[str]()
        while True:
            for line in self._keys.unread_lines():
                if line not in unread:
                    unread.add(line)
                    engine.report_loss(line)
            lost = await self._keys.learn_bought(lost, exchange) if lost else []
            for one in lost:
                await self._say_lost(engine, describe_lost(one), one.key)
            await self._keys.save_said(lost)
            await trio.sleep(self.lease.lease_s / 3)
            lost = []
            with suppress(PlaceUnreachable):
                lost = await self._keys.find(is_start=False)

    async def lead(self, stop: Callable[[Leader], None]) -> None:
        """Renew the lease until another engine leads; then call `stop`."""
        await self.lease.run(stop)

    async def _save_beat(self) -> str:
        at = to_iso(self._wall.now_us())
        await self._store.save_beat(at)
        return at


def holder_of(database: Path, account: LoadedConfig) -> LeaseHolder:
    """Return this process as the holder of a lease."""
    return LeaseHolder(
        name=draw_instance(),
        host=socket.gethostname(),
        pid=os.getpid(),
        database=str(database),
        account=account.account_digest,
    )
