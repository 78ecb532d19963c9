"""Alerts for the control API: what was said, what stands, and how it fares with the channels."""

from __future__ import annotations

from fsm_exec.control.alert_schema import AlertList, AlertSeen, AlertsQuery, AlertsTested, ChannelTested, DeliverySeen
from fsm_exec.core.alerts.alerts import Delivery, StoredAlert
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.alerts.delivery import AlertDelivery
from fsm_exec.store import SqliteStore


class AlertViews:
    """The alerts of the database, and their delivery; None: nothing is told."""

    def __init__(self, store: SqliteStore, delivery: AlertDelivery | None) -> None:
        self._store, self._delivery = store, delivery

    async def alerts(self, query: AlertsQuery) -> AlertList:
        """Return the newest alerts, newest first."""
        found = await self._store.load_alerts(query.limit, standing=query.standing)
        deliveries: dict[int, list[DeliverySeen]] = {}
        for one in await self._store.load_deliveries([alert.alert_id for alert in found]):
            deliveries.setdefault(one.alert_id, []).append(_delivery(one))
        return AlertList(
            alerts=[_alert(one, deliveries.get(one.alert_id, [])) for one in found],
            pending=await self._store.count_pending_alerts(),
            channels=[] if self._delivery is None else self._delivery.channels,
        )

    async def test(self) -> AlertsTested:
        """Send a test alert through each channel; return what became of it."""
        found = {} if self._delivery is None else await self._delivery.test()
        return AlertsTested(
            channels=[ChannelTested(channel=name, delivered=why is None, why=why) for name, why in found.items()]
        )


def _alert(one: StoredAlert, deliveries: list[DeliverySeen]) -> AlertSeen:
    return AlertSeen(
        alert_id=one.alert_id,
        at=to_iso(one.at_us),
        kind=one.kind,
        subject=one.subject,
        text=one.text,
        urgent=one.is_urgent,
        recovery=one.is_recovery,
        times=one.times,
        last_at=to_iso(one.last_at_us),
        over_at=None if one.over_at_us is None else to_iso(one.over_at_us),
        state=one.state,
        deliveries=deliveries,
    )


def _delivery(one: Delivery) -> DeliverySeen:
    return DeliverySeen(
        channel=one.channel,
        attempts=one.attempts,
        tried_at=to_iso(one.tried_at_us),
        next_at=None if one.next_at_us is None else to_iso(one.next_at_us),
        delivered_at=None if one.delivered_at_us is None else to_iso(one.delivered_at_us),
        why=one.why,
    )
