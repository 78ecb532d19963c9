"""Reading alerts: those that are to be told, and those that are shown."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from fsm_exec.core.alerts.alerts import Delivery, StoredAlert
from fsm_exec.core.values.times import from_iso
from fsm_exec.store.damaged_rows import decode_column, decode_rows, struct_of

_ALERT: Final = (
    "SELECT id, at, kind, subject, text, urgent, recovery, times, last_at, over_at, state, settled_at FROM alerts"
)
_DELIVERY: Final = "SELECT alert_id, channel, attempts, tried_at, next_at, delivered_at, why FROM alert_deliveries"
NEWEST: Final = f"{_ALERT} WHERE id <= (SELECT max(id) FROM alerts) ORDER BY id DESC LIMIT ?"
STANDING: Final = f"{_ALERT} INDEXED BY alerts_standing WHERE over_at IS NULL ORDER BY id DESC LIMIT ?"
PENDING: Final = f"{_ALERT} WHERE state = 'pending' AND id > ? ORDER BY id LIMIT ?"
PENDING_OF: Final = f"{_ALERT} WHERE state = 'pending' AND id > ? AND urgent = ? ORDER BY id LIMIT ?"
SETTLED: Final = "SELECT id FROM alerts WHERE state != 'pending' AND settled_at < ? ORDER BY settled_at LIMIT ?"
COUNT: Final = "SELECT count(*) FROM alerts WHERE state = 'pending'"


def load_alerts(
    connection: sqlite3.Connection, at_most: int, damage: list[str] | None = None, *, standing: bool = False
) -> list[StoredAlert]:
    """Load the newest alerts (-1: all), with `standing` only those that stand, newest first. Damaged rows are named in
    `damage`; without it the first raises DamagedRow."""
    rows = connection.execute(STANDING if standing else NEWEST, (at_most,))
    return list(decode_rows(rows, _alert, damage))


def load_pending_alerts(
    connection: sqlite3.Connection,
    after_id: int,
    at_most: int,
    damage: list[str] | None = None,
    *,
    is_urgent: bool | None = None,
) -> list[StoredAlert]:
    """Load the oldest alerts that are not delivered through every channel, after `after_id`; only those that are urgent
    or only those that are not, if `is_urgent` says so. Damaged rows are as in `load_alerts`."""
    if is_urgent is None:
        rows = connection.execute(PENDING, (after_id, at_most))
    else:
        rows = connection.execute(PENDING_OF, (after_id, is_urgent, at_most))
    return list(decode_rows(rows, _alert, damage))


def load_deliveries(
    connection: sqlite3.Connection, alert_ids: Sequence[int] | None, damage: list[str] | None = None
) -> list[Delivery]:
    """Load how these alerts (None: all) fare with the channels. Damaged rows are as in `load_alerts`."""
    if alert_ids is None:
        return list(decode_rows(connection.execute(_DELIVERY), _delivery, damage))
    found: list[Delivery] = []
    for alert_id in alert_ids:
        rows = connection.execute(f"{_DELIVERY} WHERE alert_id = ? ORDER BY channel", (alert_id,))
        found += decode_rows(rows, _delivery, damage)
    return found


def load_settled_alerts(connection: sqlite3.Connection, before: str, at_most: int) -> tuple[int, ...]:
    """Load the ids of alerts that are pending no more since before a time, the oldest first."""
    return tuple(alert_id for (alert_id,) in connection.execute(SETTLED, (before, at_most)))


def count_pending_alerts(connection: sqlite3.Connection) -> int:
    """Count the alerts that are not delivered through every channel."""
    (found,) = connection.execute(COUNT).fetchone()
    return int(found)


def _alert(row: tuple[Any, ...]) -> StoredAlert:
    alert_id, at, kind, subject, text, urgent, recovery, times, last_at, over_at, state, settled_at = row
    table = "alerts"
    found = {
        "alert_id": alert_id,
        "at_us": decode_column(table, alert_id, "at", from_iso, at),
        "kind": kind,
        "subject": subject,
        "text": text,
        "is_urgent": decode_column(table, alert_id, "urgent", _yes_or_no, urgent),
        "is_recovery": decode_column(table, alert_id, "recovery", _yes_or_no, recovery),
        "times": times,
        "last_at_us": decode_column(table, alert_id, "last_at", from_iso, last_at),
        "over_at_us": None if over_at is None else decode_column(table, alert_id, "over_at", from_iso, over_at),
        "state": state,
        "settled_at_us": None
        if settled_at is None
        else decode_column(table, alert_id, "settled_at", from_iso, settled_at),
    }
    return struct_of(StoredAlert, table, alert_id, tuple(found), tuple(found.values()))


def _yes_or_no(value: object) -> bool:
    if value not in (0, 1):
        raise ValueError(f"is {value}")
    return value == 1


def _delivery(row: tuple[Any, ...]) -> Delivery:
    alert_id, channel, attempts, tried_at, next_at, delivered_at, why = row
    table, key = "alert_deliveries", f"{alert_id} {channel}"
    found = {
        "alert_id": alert_id,
        "channel": channel,
        "attempts": attempts,
        "tried_at_us": decode_column(table, key, "tried_at", from_iso, tried_at),
        "next_at_us": None if next_at is None else decode_column(table, key, "next_at", from_iso, next_at),
        "delivered_at_us": None
        if delivered_at is None
        else decode_column(table, key, "delivered_at", from_iso, delivered_at),
        "why": why,
    }
    return struct_of(Delivery, table, key, tuple(found), tuple(found.values()))
