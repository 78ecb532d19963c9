"""A daemon's part in a pair of engines: it leads by the lease record, notes what it accepts, and says what was lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
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
from fsm_exec.standby.lease import Lease, LeaseHeld
from fsm_exec.standby.lease_record import LeaseHolder
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

    async def begin(self) -> None:
        """Lead, and learn what was lost, before the engine accepts anything. Raises LeaseHeld, LeaseUnknown, UserError
        and StoreFailed."""
        try:
            if not self._setup.term:
                await self.lease.acquire(take_over=self._setup.take_over)
            if (leader := await self.lease.renew()) is not None:
                raise LeaseHeld(f"{leader.holder} took over in term {leader.term}, while this engine was starting")
            self._lost = await self._keys.find(is_start=True)
        except PlaceUnreachable as error:
            raise LeaseUnknown(
                f"{error}: whether another engine leads is not known; try again, or start with --without-lease if you "
                "know that none does"
            ) from error

    def attach(self, engine: Engine) -> None:
        """Have the engine note what it accepts, and say when the lease is not renewed."""
        engine.notes = KeyNotes(self._setup.place, self._store.instance, self._wall.now_us)
        engine.health.why_no_lease = self.lease.trouble

    async def report_lost(self, engine: Engine, exchange: OrderLister) -> None:
        """Say what was lost, with what it bought, once the engine runs; again whenever more is found: an engine that
        did not know that it was replaced may have accepted something."""
        lost, unread = self._lost, set[str]()
        while True:
            for line in self._keys.unread_lines():
                if line not in unread:
                    unread.add(line)
                    engine.report_loss(line)
            for one in await self._keys.learn_bought(lost, exchange) if lost else ():
                line = describe_lost(one)
                engine.report_loss(line)
                say(f"fsm-exec: {line}", err=True)
                alert = Alert(
                    kind="lost", subject=one.key, text=one_line(line), at_us=self._wall.now_us(), stands=False
                )
                with suppress(StoreFailed):
                    await self._store.save_alerts([alert])
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
