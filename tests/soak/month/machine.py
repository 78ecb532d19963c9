"""A machine with a disk, and on it one engine after another: composed as the daemon composes it, on virtual time.

A life can be killed at any door (`lab.simulation.life`); what was committed is on the disk for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import trio

from fsm_exec.algorithms import method
from fsm_exec.cli.daemon.key_owner import check_owner
from fsm_exec.cli.daemon.key_watch import KeyWatch, NamedKey
from fsm_exec.cli.daemon.pair import Pair, PairSetup
from fsm_exec.cli.log_file import open_log_file
from fsm_exec.cli.logs.settings import LogSettings
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.alerts.channel_port import Message
from fsm_exec.core.alerts.settings import AlertSettings
from fsm_exec.core.errors import ExecError, first_of
from fsm_exec.core.values.times import to_iso
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.lab.simulation.lease_place import ReachedPlace
from fsm_exec.lab.simulation.life import LIFE, Life, LifeOver
from fsm_exec.lab.simulation.machine import Network
from fsm_exec.paper.server.auth import Credentials
from fsm_exec.paper.server.direct_host import DirectHost
from fsm_exec.paper_session import access_to
from fsm_exec.runtime.alerts.delivery import open_delivery
from fsm_exec.runtime.alerts.notifier import AlertSetup
from fsm_exec.runtime.alerts.watch import AlertWatch
from fsm_exec.runtime.archivist import ArchiveSettings, archive_for_ever
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.fence import FenceSettings
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import Session, connect, open_session
from fsm_exec.standby.lease_record import LeaseHolder
from fsm_exec.store.files.locks import database_lock
from fsm_exec.store.files.open_database import OpenRequest
from fsm_exec.store.sqlite_store import run_store
from tests.soak.month.doors import AlwaysOn, DoorLane, DoorTransport, dial_within

T = TypeVar("T")


@contextmanager
def threads_inline() -> Iterator[None]:
    """Run what goes to a thread in trio's own while the block lasts: a virtual clock would run on meanwhile."""

    async def run_sync(function: Callable[..., T], *arguments: object, **_: object) -> T:
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    kept = trio.to_thread.run_sync
    trio.to_thread.run_sync = run_sync  # type: ignore[assignment]
    try:
        yield
    finally:
        trio.to_thread.run_sync = kept


@dataclass
class Telling:
    """A channel of alerts that takes everything."""

    texts: list[str] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.texts.append(message.text)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How an engine is configured."""

    after_days: int
    retention_days: int
    free_disk_mb: int
    host_lease_s: int
    risk: RiskLimits
    log: LogSettings


@dataclass
class Machine:
    """`credentials` are those in its configuration; a new process reads them. `pair` has a term until a start has taken
    over the copy that is its database."""

    directory: Path
    host: DirectHost
    credentials: Credentials
    setting: Setting
    now_us: Callable[[], int]
    instance: str
    pair: PairSetup
    channel: Telling = field(default_factory=Telling)
    drawn: int = 0
    said: list[str] = field(default_factory=list)  # on the terminal

    @property
    def database(self) -> Path:
        return self.directory / "engine.sqlite"

    def named_key(self) -> NamedKey:
        """Load the key that is configured now."""
        return NamedKey(self.credentials.api_key_id, SigningKey.from_pem(self.credentials.private_key_pem))

    def pair_of(self, life: Life) -> PairSetup:
        """Return the part in the pair of a process, which reaches the lease record as long as it lives."""
        pair = replace(self.pair, place=ReachedPlace(self.pair.place, life, Network()))
        return pair if pair.term else replace(pair, holder=holder_of(f"process {life.number}", self.directory))

    def draw(self) -> str:
        """Draw an instance, or an epoch: another each time."""
        self.drawn += 1
        if self.drawn == 1:
            return self.instance
        return f"{self.drawn:010d}".translate(str.maketrans("0123456789", "abcdefghij"))


def holder_of(name: str, directory: Path) -> LeaseHolder:
    """Return who may hold the lease, on the host that `directory` stands for."""
    return LeaseHolder(name=name, host=directory.name, pid=1, database=str(directory))


class EngineLife:
    """One process. `up` is set once it runs; `failed` is why it ended by itself."""

    def __init__(self, machine: Machine, number: int) -> None:
        self.life = Life(number, AlwaysOn())
        self.up = trio.Event()
        self.ended = trio.Event()
        self.failed: str | None = None
        self.session: Session | None = None
        self.control: Control | None = None
        self._machine = machine
        self._rest = trio.Event()

    @property
    def is_up(self) -> bool:
        return self.up.is_set() and not self.life.is_over

    def kill(self) -> None:
        """SIGKILL."""
        self.life.end("killed")

    def terminate(self) -> None:
        """SIGTERM."""
        self._rest.set()

    async def run(self) -> None:
        LIFE.set(self.life)
        try:
            with self.life.scope:
                await self._run()
        except* LifeOver:
            pass
        except* ExecError as group:
            self.failed = str(first_of(group))
        except* Exception as group:
            if not self.life.is_over:
                raise
            del group  # of a dead process nothing is told
        finally:
            self.life.end("end")
            self.ended.set()

    async def _run(self) -> None:
        machine, life = self._machine, self.life
        wall = WallClock(machine.now_us())
        setting, setup = machine.setting, machine.pair_of(life)
        async with AsyncExitStack() as stack:
            lock = ExitStack()
            lock.enter_context(database_lock(machine.database, what="month", since=to_iso(wall.now_us())))
            life.at_the_end(lock.close)
            log = open_log(stack.enter_context(open_log_file(machine.database, setting.log)), wall)
            opening = OpenRequest(
                path=machine.database, draw_instance=machine.draw, at_us=wall.now_us(), takeover=setup.replaces_another
            )
            store = await stack.enter_async_context(run_store(DoorLane(opening, life)))
            await store.bind("paper")
            pair = Pair(setup, store, wall, log)
            await pair.begin()
            watchers = Watchers(wall.now_us)
            store.listen(watchers.notify)
            alerts = AlertSettings(
                time_zone=setting.risk.time_zone,
                quiet_hours="22:00-07:00",
                free_disk_mb=setting.free_disk_mb,
                retention_days=setting.retention_days,
            )
            telling = AlertSetup(alerts, {"telling": machine.channel}, "paper", str(machine.database))
            delivery = await stack.enter_async_context(open_delivery(store, telling, wall, log))
            was_halted = await store.load_halted_at() is not None
            host, used = machine.host, machine.named_key()
            access = replace(
                access_to(host, machine.credentials),
                transport=DoorTransport(host.transport, life),
                dial=dial_within(host, life),
            )
            session = await stack.enter_async_context(
                open_session(
                    access,
                    store,
                    wall,
                    log,
                    methods=method,
                    depth=DepthSettings(interval_s=60, retention_days=setting.retention_days),
                    true_us=machine.now_us,
                    wait=False,
                    seed=f"month:{life.number}",
                    risk=setting.risk,
                    host_lease_s=setting.host_lease_s,
                    fence=FenceSettings(leadership=pair.lease),
                    takeover=setup.replaces_another,
                )
            )
            engine = session.engine
            pair.attach(engine)
            if was_halted:
                engine.halt("halted before this start")
            info = DaemonInfo(
                version="month", environment="paper", database=str(machine.database), since_us=wall.now_us()
            )
            limits = ControlLimits()
            control = Control(engine, store, wall, watchers, limits, info, method, session.client, delivery)
            session.nursery.start_soon(control.markets.close_idle)
            session.nursery.start_soon(pair.lead, engine.stop_fenced)
            session.nursery.start_soon(pair.keep_commands, engine)
            session.nursery.start_soon(self._report_lost, pair, session)
            archive = ArchiveSettings(after_days=setting.after_days)
            session.nursery.start_soon(engine.run_service, archive_for_ever, store, archive, wall, log)
            watch = AlertWatch(engine, store, delivery, alerts, machine.database, wall, log)
            session.nursery.start_soon(watch.run)
            keys = KeyWatch(
                used,
                machine.named_key,
                lambda: "signature" in engine.health.problems(),
                lambda found: check_owner(
                    connect(replace(access, api_key_id=found.api_key_id, key=found.key), wall, seed="key"), store
                ),
                lambda found: session.client.change_key(*found),
                machine.said.append,
                log,
            )
            session.nursery.start_soon(keys.run)
            self.session, self.control = session, control
            await engine.wait_running()
            await watch.report_losses()
            machine.pair = replace(machine.pair, term=0)
            self.up.set()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_for_failure, session, watch)
                await self._rest.wait()
                nursery.cancel_scope.cancel()
            await control.close()
            await engine.drain(cancel_orders=True)

    @staticmethod
    async def _report_lost(pair: Pair, session: Session) -> None:
        with suppress(ExecError):
            await session.engine.wait_running()
            await pair.report_lost(session.engine, session.client)

    @staticmethod
    async def _watch_for_failure(session: Session, watch: AlertWatch) -> None:
        await session.engine.failed.wait()
        await watch.report_failure()
        await session.engine.wait_idle()
