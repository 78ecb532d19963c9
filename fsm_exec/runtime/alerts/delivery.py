"""The delivery of alerts: each channel in a task of its own, at least once, over every restart.

Nothing waits for a delivery and no failure of one leaves this module: a channel that does not answer delays its own
messages alone. What is delivered is saved after the channel took it, so a process that dies in between tells it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.alerts.alerts import Alert, StoredAlert
from fsm_exec.core.alerts.notifying import QuietHours
from fsm_exec.core.alerts.settings import quiet_minutes, zone_of
from fsm_exec.core.errors import SaveRefused, StoreFailed
from fsm_exec.core.store_port import AlertStore
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.alerts.notifier import LOADED_MAX, AlertSetup, Notifier
from fsm_exec.runtime.clock import WallClock

AFTER_BUG_S: Final = 10.0
RETENTION_EVERY_S: Final = 3_600.0
FORGOTTEN_AT_ONCE: Final = 500
LEAVING_S: Final = 10.0  # how long a process that ends waits for alerts that could not be stored
DAY_US: Final = 86_400 * US_PER_S


class AlertDelivery:
    """Tells the alerts of a store through channels."""

    def __init__(self, store: AlertStore, setup: AlertSetup, wall: WallClock, log: FilteringBoundLogger) -> None:
        self._store, self._wall, self._log = store, wall, log
        self._retention_us = setup.settings.retention_days * DAY_US
        minutes = quiet_minutes(setup.settings.quiet_hours)
        quiet = None if minutes is None else QuietHours(*minutes, zone_of(setup.settings.time_zone))
        settle = self._settle_delivered
        self._notifiers = [Notifier(name, setup, store, quiet, settle, wall, log) for name in setup.channels]
        self._news = trio.Event()
        self._unsaved: list[Alert] = []
        self._unsaved_news = trio.Event()
        self._unsaved_told = trio.Event()
        self._unsaved_told.set()
        store.on_alerts(self._announce)

    @property
    def channels(self) -> list[str]:
        """The names of the channels."""
        return [notifier.name for notifier in self._notifiers]

    async def run(self) -> None:
        """Tell alerts for ever."""
        async with trio.open_nursery() as nursery:
            for notifier in self._notifiers:
                nursery.start_soon(self._keep_running, partial(notifier.run, lambda: self._news))
            if not self._notifiers:
                nursery.start_soon(self._keep_running, self._settle_without_channel)
            nursery.start_soon(self._keep_running, self._forget_old)
            nursery.start_soon(self._keep_running, self._notify_unsaved)

    async def test(self) -> dict[str, str | None]:
        """Send a test through each channel at once, whatever the hour; return by channel what went wrong."""
        found: dict[str, str | None] = dict.fromkeys(self.channels)
        text = "this is a test of fsm-exec: its alerts arrive here"
        alert = _as_stored(Alert(kind="test", subject="", text=text, at_us=self._wall.now_us()))

        async def try_one(notifier: Notifier) -> None:
            found[notifier.name] = await notifier.send([alert])

        async with trio.open_nursery() as nursery:
            for notifier in self._notifiers:
                nursery.start_soon(try_one, notifier)
        return found

    def notify_unsaved(self, alert: Alert) -> None:
        """Tell an alert that the database cannot keep, as long as this process lives."""
        if self._notifiers:
            self._unsaved.append(alert)
            self._unsaved_told = trio.Event()
            self._unsaved_news.set()

    async def wait_unsaved_delivered(self) -> None:
        """Wait until every channel has taken each alert that could not be saved."""
        await self._unsaved_told.wait()

    async def _settle_delivered(self, alert_ids: Sequence[int]) -> None:
        """Settle those of the alerts that every channel has taken."""
        taken: dict[int, set[str]] = {alert_id: set() for alert_id in alert_ids}
        for one in await self._store.load_deliveries(alert_ids):
            if one.delivered_at_us is not None:
                taken[one.alert_id].add(one.channel)
        told = [alert_id for alert_id, names in taken.items() if names.issuperset(self.channels)]
        if told:
            await self._store.settle_alerts(told, "delivered", self._wall.now_us())

    def _announce(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def _keep_running(self, task: Callable[[], Awaitable[object]]) -> None:
        """Run a task; after a bug again, but not after the database failed: of that the engine speaks."""
        while True:
            try:
                await task()
            except Exception as failure:
                if isinstance(failure, StoreFailed) and not isinstance(failure, SaveRefused):
                    self._log.warning("alerts_not_stored", why=str(failure))
                    return
                self._log.exception("alerts_failed")
            await trio.sleep(AFTER_BUG_S)

    async def _settle_without_channel(self) -> None:
        """Settle what nobody is to be told."""
        while True:
            news = self._news
            pending = await self._store.load_pending_alerts(0, LOADED_MAX)
            if pending:
                alert_ids = [one.alert_id for one in pending]
                await self._store.settle_alerts(alert_ids, "no_channel", self._wall.now_us())
            else:
                await news.wait()

    async def _forget_old(self) -> None:
        while True:
            before_us = self._wall.now_us() - self._retention_us
            while await self._store.forget_alerts(before_us, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
                pass
            await trio.sleep(RETENTION_EVERY_S)

    async def _notify_unsaved(self) -> None:
        while True:
            await self._unsaved_news.wait()
            self._unsaved_news = trio.Event()
            alerts, self._unsaved = [_as_stored(one) for one in self._unsaved], []
            async with trio.open_nursery() as nursery:
                for notifier in self._notifiers:
                    nursery.start_soon(notifier.send_until_taken, alerts)
            if not self._unsaved:
                self._unsaved_told.set()


@asynccontextmanager
async def open_delivery(
    store: AlertStore, setup: AlertSetup, wall: WallClock, log: FilteringBoundLogger
) -> AsyncIterator[AlertDelivery]:
    """Tell alerts during the block. At its end those that could not be stored are waited for, for a while; those that
    are stored are told at the next start."""
    delivery = AlertDelivery(store, setup, wall, log)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delivery.run)
        try:
            yield delivery
        finally:
            with trio.move_on_after(LEAVING_S, shield=True):
                await delivery.wait_unsaved_delivered()
            nursery.cancel_scope.cancel()


def _as_stored(alert: Alert) -> StoredAlert:
    return StoredAlert(
        alert_id=0,
        at_us=alert.at_us,
        kind=alert.kind,
        subject=alert.subject,
        text=alert.text,
        is_urgent=alert.is_urgent,
        is_recovery=False,
        times=1,
        last_at_us=alert.at_us,
        over_at_us=None,
        state="pending",
        settled_at_us=None,
    )
