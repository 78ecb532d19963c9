"""The daemon's process runs inside trio: it is opened from the outside in, closed from the inside out.

store > client > engine > control API. The API answers while the engine recovers and while it comes to rest, so that
`status` works then; submissions are refused.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.cli.config import LoadedConfig
from fsm_exec.cli.daemon.key_owner import check_owner
from fsm_exec.cli.daemon.key_watch import KeyWatch, NamedKey
from fsm_exec.cli.daemon.narration import (
    Line,
    count_outcome,
    counted,
    describe_outcome,
    describe_restored,
    describe_stop,
)
from fsm_exec.cli.daemon.narrator import Narrator, standing_of
from fsm_exec.cli.daemon.pair import Pair, PairSetup
from fsm_exec.cli.daemon.service_manager import ServiceManager, say_alive_for_ever, standing_line
from fsm_exec.cli.database.instance import draw_instance
from fsm_exec.cli.database.methods import method_finder, save_shipped_methods, say_broken_packages
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exchange.access import access_of
from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from fsm_exec.cli.output import say, say_json
from fsm_exec.control.app import ControlApp
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.daemon_registry import Daemon, register_daemon
from fsm_exec.control.metrics.span_export import open_span_export
from fsm_exec.control.metrics.spans import Collector
from fsm_exec.control.open_orders import describe_open_orders
from fsm_exec.control.server import run_server, url_of
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.core.alerts.channel_port import Channel
from fsm_exec.core.errors import ExecError
from fsm_exec.core.values.times import to_iso
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.runtime.alerts.delivery import open_delivery
from fsm_exec.runtime.alerts.notifier import AlertSetup
from fsm_exec.runtime.alerts.watch import AlertWatch
from fsm_exec.runtime.archivist import archive_for_ever
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.fence import FenceSettings, SoleEngine
from fsm_exec.runtime.logs import LogFile, open_log
from fsm_exec.runtime.status import reported_state
from fsm_exec.runtime.tape_recorder import TapeSetup
from fsm_exec.session import Session, connect, open_session
from fsm_exec.store import SqliteStore, open_live_store

OnStop: TypeAlias = Literal["cancel", "leave"]


@dataclass(frozen=True)
class DaemonParts:
    """The parts that the command prepared before anything runs. The locks are held; `listening` is bound, and
    `page_listening` unless no page is wanted. `load_key` reads the key that is configured now, `lock_key` holds the
    account's lock for another key's id; both raise UserError."""

    account: LoadedConfig
    key: SigningKey
    database: Path
    token: str
    token_file: Path
    listening: socket.socket
    page_listening: socket.socket | None
    log_file: LogFile
    since_us: int
    on_stop: OnStop
    other_engine_is_gone: str | None
    as_json: bool
    channels: Mapping[str, Channel]
    collector: Collector | None
    load_key: Callable[[], NamedKey]
    lock_key: Callable[[str], None]
    pair: PairSetup | None = None


class DaemonReady(msgspec.Struct, frozen=True, kw_only=True):
    """The line that is printed once, when executions are accepted."""

    control_url: str
    token_file: str
    database: str
    environment: str
    instance: str
    restored: int
    quarantined: int
    state: str
    page_url: str | None


class DaemonProcess:
    def __init__(self, parts: DaemonParts) -> None:
        self._parts = parts
        self._url = url_of(parts.listening)
        self._stop = trio.Event()
        self._is_up = False
        self._is_left_live = False  # what was to be cancelled may be live
        self._narrator = Narrator(system_us, is_silent=parts.as_json)
        self._manager = ServiceManager(os.environ)

    async def run(self) -> int:
        """Run the daemon; return the exit code. Raises UserError, VenueRefused and StoreFailed."""
        with (
            trio.open_signal_receiver(*ending_signals()) as signals,
            trio.CancelScope() as life,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._handle_signals, signals, life)
                nursery.start_soon(self._narrator.write)
                await self._run_engine()
                await self._narrator.finish()
                nursery.cancel_scope.cancel()
        if life.cancelled_caught:
            return EXIT_INTERRUPTED
        return EXIT_FAILED if self._is_left_live else 0

    async def _handle_signals(self, signals: AsyncIterator[int], life: trio.CancelScope) -> None:
        """The first signal lets the engine rest, the second ends the process where it stands: what is durable is all
        that counts. Before the engine is there the first one ends it all."""
        async for _ in signals:
            if self._stop.is_set():
                os._exit(EXIT_INTERRUPTED)
            self._stop.set()
            if not self._is_up:
                life.cancel()

    async def _run_engine(self) -> None:
        parts = self._parts
        wall = WallClock(parts.since_us)
        log = open_log(parts.log_file, wall)
        watchers = Watchers(wall.now_us)
        async with AsyncExitStack() as stack:
            takeover = parts.pair is not None and parts.pair.replaces_another
            opening = open_live_store(
                parts.database,
                draw_instance=draw_instance,
                at_us=parts.since_us,
                tell=lambda line: say(f"fsm-exec: {line}", err=True),
                takeover=takeover,
            )
            store = await stack.enter_async_context(opening)
            await store.bind(parts.account.account_name)
            store.listen(watchers.notify)
            pair = None if parts.pair is None else Pair(parts.pair, store, wall, log)
            if pair is not None:
                await pair.begin()
            await save_shipped_methods(store, wall.now_us())
            say_broken_packages()
            alerts = AlertSetup(
                parts.account.config.alerts, parts.channels, parts.account.exchange.name, str(parts.database)
            )
            delivery = await stack.enter_async_context(open_delivery(store, alerts, wall, log))
            if parts.collector is not None:
                spans = open_span_export(parts.collector, store, parts.database, parts.account.exchange.name, log)
                await stack.enter_async_context(spans)
            find_method = method_finder(parts.database)
            was_halted = await store.load_halted_at() is not None
            session = await stack.enter_async_context(
                open_session(
                    access_of(parts.account, parts.key),
                    store,
                    wall,
                    log,
                    methods=find_method,
                    depth=parts.account.config.depth,
                    true_us=system_us,
                    other_engine_is_gone=parts.other_engine_is_gone,
                    wait=False,
                    risk=parts.account.config.risk_limits(),
                    tapes=self._tape_setup(),
                    fence=FenceSettings(
                        contracts_in_15_s=parts.account.config.limits.contracts_in_15_s,
                        leadership=SoleEngine() if pair is None else pair.lease,
                    ),
                    takeover=takeover,
                    host_lease_s=parts.account.config.execution.host_lease_s,
                )
            )
            engine = session.engine
            if pair is not None:
                pair.attach(engine)
            if was_halted:  # before any execution is recovered: none of them may place anything first
                engine.halt("halted before this start")
            self._is_up = True
            if self._manager.is_there:
                describe = partial(standing_line, engine)
                session.nursery.start_soon(say_alive_for_ever, self._manager, store.wait_for_turn, describe)
            limits, reads = parts.account.config.limits, session.client
            control = Control(engine, store, wall, watchers, limits, self._info(), find_method, reads, delivery)
            session.nursery.start_soon(control.markets.close_idle)
            if pair is not None:
                session.nursery.start_soon(pair.lead, engine.stop_fenced)
                session.nursery.start_soon(self._report_lost, pair, engine, reads)
                session.nursery.start_soon(pair.keep_commands, engine)
            archive = parts.account.config.archive
            session.nursery.start_soon(engine.run_service, archive_for_ever, store, archive, wall, log)
            watch = AlertWatch(engine, store, delivery, alerts.settings, parts.database, wall, log)
            session.nursery.start_soon(watch.run)
            session.nursery.start_soon(self._key_watch(session, log).run)
            app = ControlApp(control, parts.token, log)
            await stack.enter_async_context(run_server(app.app, parts.listening, log))
            if parts.page_listening is not None:
                from fsm_exec.web.server import run_page  # only here: `--help` reads this file too

                page = run_page(control, parts.database, parts.account.exchange.name, parts.page_listening, wall, log)
                control.page_door = await stack.enter_async_context(page)
            stack.callback(watchers.close)  # before the server waits for the streams to end
            stack.enter_context(register_daemon(self._registry_entry()))
            await self._run_until_stopped(engine, store, control, watch)

    def _key_watch(self, session: Session, log: FilteringBoundLogger) -> KeyWatch:
        parts = self._parts

        async def check(found: NamedKey) -> None:
            access = replace(access_of(parts.account, found.key), api_key_id=found.api_key_id)
            await check_owner(connect(access, session.wall, log=log), session.store)

        def change(found: NamedKey) -> None:
            if found.api_key_id != used.api_key_id:
                parts.lock_key(found.api_key_id)
            session.client.change_key(*found)

        used = NamedKey(parts.account.config.api_key_id, parts.key)
        return KeyWatch(
            used,
            parts.load_key,
            lambda: "signature" in session.engine.health.problems(),
            check,
            change,
            lambda line: say(f"fsm-exec: {line}", err=True),
            log,
        )

    @staticmethod
    async def _report_lost(pair: Pair, engine: Engine, exchange: KalshiClient) -> None:
        with suppress(ExecError):  # what made the start fail is said elsewhere
            await engine.wait_running()
            await pair.report_lost(engine, exchange)

    def _tape_setup(self) -> TapeSetup | None:
        """Say how frames are kept; None: the configuration wants none. A database on the same disk halts the engine
        where it finds no room, so tapes leave twice what the alert warns of."""
        config = self._parts.account.config
        if not config.tapes.keep:
            return None
        return TapeSetup(
            directory=tapes_directory(self._parts.database),
            settings=config.tapes,
            spare_mb=2 * config.alerts.free_disk_mb,
            tell=lambda why: say(f"fsm-exec: {why}", err=True),
        )

    async def _run_until_stopped(self, engine: Engine, store: SqliteStore, control: Control, watch: AlertWatch) -> None:
        """Run until a signal, or until the engine cannot go on: then raise what went wrong."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._announce, engine, store, control, watch)
            nursery.start_soon(self._watch_for_failure, engine, watch)
            nursery.start_soon(self._narrator.watch, lambda: standing_of(engine))
            await self._stop.wait()
            self._manager.say_stopping()
            nursery.cancel_scope.cancel()
        await control.close()
        cancels = self._parts.on_stop == "cancel"
        if await self._drain(engine, cancels=cancels):
            return
        left = describe_open_orders(engine.status_left) if cancels else "requests were unanswered"
        say(f"fsm-exec: {left}; the next start looks them up", err=True)
        self._is_left_live = cancels

    async def _drain(self, engine: Engine, *, cancels: bool) -> bool:
        """Bring the engine to rest, and say what came of it. False: not in time."""
        actors = dict(engine.actors)
        before = {name: actor.execution for name, actor in actors.items()}
        status = engine.status()
        self._narrator.say(describe_stop(status.live_orders, len(before) + len(status.quarantined), cancels=cancels))
        at_rest = await engine.drain(cancel_orders=cancels)
        after = {name: engine.actors.get(name, actor).execution for name, actor in actors.items()}
        self._narrator.say(describe_outcome(count_outcome(before, after, len(status.quarantined)), cancels=cancels))
        return at_rest

    async def _announce(self, engine: Engine, store: SqliteStore, control: Control, watch: AlertWatch) -> None:
        await engine.wait_running()
        self._manager.say_ready()
        await watch.report_losses()
        for loss in engine.losses:
            say(f"fsm-exec: {loss}", err=True)
        ready = DaemonReady(
            control_url=self._url,
            token_file=str(self._parts.token_file),
            database=str(self._parts.database),
            environment=self._parts.account.exchange.name,
            instance=store.instance,
            restored=len(engine.actors),
            quarantined=len(engine.executions_quarantined()),
            state=reported_state(engine.state, engine.health.why_degraded()),
            page_url=None if control.page_door is None else control.page_door.url,
        )
        if self._parts.as_json:
            say_json(ready)
            return
        page = "" if ready.page_url is None else "; see it in a browser: fsm-exec open"
        halted = "; HALTED, see: fsm-exec resume" if ready.state == "halted" else ""
        serving = (
            f"serving {ready.environment} at {ready.control_url}, token {ready.token_file}, database {ready.database}, "
            f"{counted(ready.restored, 'execution')} restored, {ready.quarantined} quarantined{halted}{page}"
        )
        self._narrator.say(Line(serving), *describe_restored(engine.executions_at_work()))

    @staticmethod
    async def _watch_for_failure(engine: Engine, watch: AlertWatch) -> None:
        await engine.failed.wait()
        await watch.report_failure()
        await engine.wait_idle()

    def _registry_entry(self) -> Daemon:
        parts = self._parts
        return Daemon(
            url=self._url,
            token_file=str(parts.token_file),
            pid=os.getpid(),
            since=to_iso(parts.since_us),
            database=str(parts.database),
            environment=parts.account.exchange.name,
        )

    def _info(self) -> DaemonInfo:
        return DaemonInfo(
            version=_version(),
            environment=self._parts.account.exchange.name,
            database=str(self._parts.database),
            since_us=self._parts.since_us,
        )


def _version() -> str:
    try:
        return metadata.version("fsm-exec")
    except metadata.PackageNotFoundError:
        return "(not installed)"  # started from a checkout
