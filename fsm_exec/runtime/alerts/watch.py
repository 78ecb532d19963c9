"""The watch over what no save tells of: an exchange that cannot be reached, orders nothing is heard of, a disk that
fills, an engine that failed, and that nothing happens.

It looks once a second at what the engine knows; it reads nothing of the exchange. What it says it saves, so it is told
over restarts; what an earlier process said and is over, it ends. It is never in the way: a failure of it is logged.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, Protocol

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.alerts.alerts import Alert, AlertChange, AlertKind, AlertOver, StoredAlert
from fsm_exec.core.alerts.idle import IdleFacts, WaitingExecution, why_nothing_happens
from fsm_exec.core.alerts.settings import AlertSettings
from fsm_exec.core.errors import SaveRefused, StoreFailed
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.alerts.delivery import AlertDelivery
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.order_lease import HostLease

LOOK_EVERY_S: Final = 1.0
ORDERS_EVERY_S: Final = 5.0
DISK_EVERY_S: Final = 60.0
WELL_FOR_US: Final = 30 * US_PER_S  # so long it must be well before its end is told: what comes and goes is one alert
AFTER_BUG_S: Final = 10.0
MB: Final = 1_000_000
HOUR_US: Final = 3_600 * US_PER_S
UP_FOR_US: Final = HOUR_US  # a start after days is not asked at once why nothing happened in them
WATCHED: Final[frozenset[str]] = frozenset(
    {"signature", "reads", "stream", "book", "group", "lease", "unknown_order", "host_lease", "disk", "idle"}
)


class WatchedStore(Protocol):
    """The alerts' part of the database as the watch needs it."""

    async def save_alerts(self, changes: Sequence[AlertChange]) -> None: ...
    async def load_alerts(self, at_most: int, *, standing: bool = False) -> list[StoredAlert]: ...
    async def load_last_step_us(self) -> int | None:
        """Return when the last step of any execution was saved; None: none ever was."""
        ...

    def on_saved(self, listener: Callable[[ExecutionSave], None]) -> None: ...


class AlertWatch:
    """Looks at `engine`; `database` is the path whose disk must have room, None: it is in memory."""

    def __init__(
        self,
        engine: Engine,
        store: WatchedStore,
        delivery: AlertDelivery,
        settings: AlertSettings,
        database: Path | None,
        wall: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine, self._store, self._delivery, self._settings = engine, store, delivery, settings
        self._database, self._wall, self._log = database, wall, log
        self._standing: dict[tuple[AlertKind, str], int] = {}  # with when it was last so
        self._since_us = self._last_us = wall.now_us()  # the start, and when something happened last
        self._free_mb: int | None = None
        self._unknown: dict[str, str] = {}
        store.on_saved(self._take_save)

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            try:
                await self._watch()
            except Exception:
                self._log.exception("alert_watch_failed")
            await trio.sleep(AFTER_BUG_S)

    async def _watch(self) -> NoReturn:
        now_us = self._wall.now_us()
        self._standing = {
            (one.kind, one.subject): now_us
            for one in await self._store.load_alerts(-1, standing=True)
            if one.kind in WATCHED
        }
        if (last_us := await self._store.load_last_step_us()) is not None:
            self._last_us = last_us
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_at_orders)
            nursery.start_soon(self._look_at_disk)
            while True:
                await self._say(self._present())
                await trio.sleep(LOOK_EVERY_S)

    # What is so now.

    def _present(self) -> Mapping[tuple[AlertKind, str], str]:
        """Return the text of everything that is so now, by kind and subject."""
        found: dict[tuple[AlertKind, str], str] = {}
        for kind, words in self._engine.health.problems().items():
            found[kind, ""] = words
        if (lease := self._engine.host_lease).is_stretched:
            found["host_lease", ""] = _stretched(lease)
        for name, words in self._unknown.items():
            found["unknown_order", name] = words
        if self._free_mb is not None and self._free_mb < self._settings.free_disk_mb:
            least = f"free_disk_mb of [alerts] is {self._settings.free_disk_mb}"
            found["disk", ""] = f"the disk of the database has {self._free_mb} MB left, {least}: a full one halts us"
        now_us, least_us = self._wall.now_us(), self._settings.nothing_happened_h * HOUR_US
        idle_us = now_us - self._last_us
        is_up = now_us - self._since_us >= min(least_us, UP_FOR_US)
        if least_us and idle_us >= least_us and is_up:
            why = why_nothing_happens(self._idle_facts())
            found["idle", ""] = f"nothing happened for {idle_us // HOUR_US} h: {why}"
        return found

    def _idle_facts(self) -> IdleFacts:
        status = self._engine.status()
        account = self._engine.account
        risk = None if account is None or account.risk.state == "active" else account.risk
        return IdleFacts(
            state=status.state,
            why_halted=status.why_halted,
            why_degraded=status.why_degraded,
            risk=None if risk is None else f"it is {risk.state}: {risk.why}",
            quarantined=len(status.quarantined),
            waiting=[self._waiting(execution) for execution in self._engine.executions_at_work()],
        )

    def _waiting(self, execution: Execution) -> WaitingExecution:
        ticker = execution.terms.ticker
        feed = self._engine.feeds.get(ticker)
        return WaitingExecution(
            execution_id=execution.execution_id,
            ticker=ticker,
            market="not watched" if feed is None else feed.status,
            feed="disconnected" if feed is None else feed.state,
            limit_e4=None if execution.limits is None else execution.limits.worst_e4,
            ask_e4=None if feed is None else feed.view(execution.outcome, depth=1).best_ask,
        )

    def _unknown_orders(self) -> Iterator[tuple[str, str]]:
        now_us, least_us = self._wall.now_us(), self._settings.unknown_order_s * US_PER_S
        for execution in self._engine.executions_at_work():
            for child in execution.children:
                age_us = now_us - child.sent_at_us
                if child.state == "unknown" and age_us >= least_us:
                    name = child.client_order_id
                    what = f"the order {name} of {execution.execution_id} in {execution.terms.ticker}"
                    yield name, f"{what} was sent {age_us // US_PER_S} s ago; what became of it is not known"

    async def _look_at_orders(self) -> NoReturn:
        while True:
            self._unknown = dict(self._unknown_orders())
            await trio.sleep(ORDERS_EVERY_S)

    async def _look_at_disk(self) -> None:
        if self._database is None or not self._settings.free_disk_mb:
            return
        while True:
            try:
                usage = await trio.to_thread.run_sync(shutil.disk_usage, self._database.parent)
                self._free_mb = usage.free // MB
            except OSError as error:
                self._log.warning("disk_not_read", why=str(error))
            await trio.sleep(DISK_EVERY_S)

    def _take_save(self, save: ExecutionSave) -> None:
        if save.fills or save.journal.steps:
            self._last_us = save.journal.at_us

    # What is said of it.

    async def _say(self, present: Mapping[tuple[AlertKind, str], str]) -> None:
        """Save what has begun since the last look, and what is over."""
        now_us = self._wall.now_us()
        changes: list[AlertChange] = []
        for (kind, subject), words in present.items():
            if (kind, subject) not in self._standing:
                changes.append(Alert(kind=kind, subject=subject, text=one_line(words), at_us=now_us))
            self._standing[kind, subject] = now_us
        for (kind, subject), last_us in list(self._standing.items()):
            if (kind, subject) not in present and now_us - last_us >= WELL_FOR_US:
                changes.append(AlertOver(kind=kind, subject=subject, text=_over(kind, subject), at_us=now_us))
                del self._standing[kind, subject]
        if changes:
            try:
                await self._store.save_alerts(changes)
            except SaveRefused as refused:
                self._log.warning("alerts_refused", why=str(refused))
            except StoreFailed as failure:  # the engine hears of it at its next save
                self._log.warning("alerts_not_stored", why=str(failure))

    async def report_losses(self) -> None:
        """Say what the database had acknowledged and did not have at this start, once the engine runs."""
        losses = self._engine.losses
        if losses:
            text = one_line(f"the database is not what it was: {'; '.join(losses)}")
            alert = Alert(kind="database", subject="losses", text=text, at_us=self._wall.now_us(), stands=False)
            with suppress(StoreFailed):
                await self._store.save_alerts([alert])

    async def report_failure(self) -> None:
        """Say that the engine cannot go on; if the database is what failed, without it."""
        failure = self._engine.failure
        kind: AlertKind = "database" if isinstance(failure, StoreFailed) else "failure"
        text = one_line(f"the engine has halted and cannot go on: {failure}")
        alert = Alert(kind=kind, subject="", text=text, at_us=self._wall.now_us(), stands=False)
        try:
            await self._store.save_alerts([alert])
        except StoreFailed:
            self._delivery.notify_unsaved(alert)


def _stretched(lease: HostLease) -> str:
    return (
        f"what rests may outlive this host by {lease.in_force_s()} s instead of {lease.wanted_s} s (host_lease_s of "
        f"[execution]): {lease.orders} orders are live, and the account's write tokens carry no shorter lease"
    )


def _over(kind: AlertKind, subject: str) -> str:
    words = {
        "signature": "the exchange accepts our signature again",
        "reads": "the exchange can be read again",
        "stream": "the exchange's stream is live again",
        "book": "the books that are needed are live again",
        "host_lease": "what rests outlives this host by no more than host_lease_s again",
        "lease": "the lease record is renewed again",
        "disk": "the disk of the database has room again",
        "idle": "something happens again",
        "unknown_order": f"it is known what became of the order {subject}",
    }
    return words.get(kind, "it is over")
