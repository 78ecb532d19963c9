"""The alerts that a job of the writer causes, and their rows: written in the job's own transaction.

They are written job by job, not statement by statement as all other rows: whether an alert stands depends on what was
said before it. Unlike other rows, one that says that an alert is over may find none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from fsm_exec.core.alerts.alerts import (
    Alert,
    AlertChange,
    AlertOver,
    AlertState,
    Delivery,
    difference_changes,
    halt_change,
    quarantine_change,
    risk_changes,
)
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.account_jobs import LookSave, RiskSave
from fsm_exec.store.statements import Row, insert_into, put_into


class Quarantine(msgspec.Struct, frozen=True):
    """Sets (`why` None: ends) the quarantine of an execution."""

    execution_id: str
    why: str | None
    at_us: int


class Halt(msgspec.Struct, frozen=True):
    """`why` None: it is over."""

    at_us: int
    why: str | None


class AlertsSave(msgspec.Struct, frozen=True):
    """Alerts of facts that are stored nowhere else."""

    changes: tuple[AlertChange, ...]


class DeliveriesSave(msgspec.Struct, frozen=True):
    deliveries: tuple[Delivery, ...]


class AlertsSettled(msgspec.Struct, frozen=True):
    """These alerts, each of which is there, are pending no more."""

    alert_ids: tuple[int, ...]
    state: AlertState
    at_us: int


class DeleteAlerts(msgspec.Struct, frozen=True):
    """Alerts, each of which is there."""

    alert_ids: tuple[int, ...]


AlertJob: TypeAlias = AlertsSave | DeliveriesSave | AlertsSettled | DeleteAlerts
CAUSES: Final = (Quarantine, Halt, AlertsSave, RiskSave, LookSave)
"""The jobs that alerts follow from."""

_COLUMNS = ("at", "kind", "subject", "text", "urgent", "recovery", "times", "last_at", "over_at", "state")
_DELIVERY = ("alert_id", "channel", "attempts", "tried_at", "next_at", "delivered_at", "why")
SAY: Final = (
    f"{insert_into('alerts', _COLUMNS)} ON CONFLICT (kind, subject) WHERE over_at IS NULL "
    "DO UPDATE SET times = times + 1, last_at = excluded.last_at"
)
SAY_OVER: Final = (
    f"INSERT INTO alerts ({', '.join(_COLUMNS)}) SELECT ?, kind, subject, ?, 0, 1, 1, ?, ?, 'pending' FROM alerts "
    "WHERE kind = ? AND subject = ? AND over_at IS NULL"
)
END: Final = "UPDATE alerts SET over_at = ? WHERE kind = ? AND subject = ? AND over_at IS NULL"
PUT_DELIVERY: Final = put_into("alert_deliveries", ("alert_id", "channel"), _DELIVERY)
SETTLE: Final = "UPDATE alerts SET state = ?, settled_at = ? WHERE id = ?"
DELETE: Final = "DELETE FROM alerts WHERE id = ?"
ALERT_ORDER: Final = (PUT_DELIVERY, SETTLE, DELETE)


def alert_rows(job: AlertJob) -> Iterator[Row]:
    """Yield the rows of one job about alerts that are there."""
    match job:
        case DeliveriesSave(deliveries):
            for one in deliveries:
                times = _time(one.next_at_us), _time(one.delivered_at_us)
                yield (
                    PUT_DELIVERY,
                    (one.alert_id, one.channel, one.attempts, to_iso(one.tried_at_us), *times, one.why),
                )
        case AlertsSettled(alert_ids, state, at_us):
            for alert_id in alert_ids:
                yield SETTLE, (state, to_iso(at_us), alert_id)
        case DeleteAlerts(alert_ids):
            for alert_id in alert_ids:
                yield DELETE, (alert_id,)
        case AlertsSave():
            pass  # `write_alerts` writes them, in their order


def write_alerts(connection: sqlite3.Connection, job: object) -> None:
    """Write the alerts that follow from a job, after its own rows and in the same transaction."""
    if not isinstance(job, CAUSES):
        return
    for change in _changes(job):
        at = to_iso(change.at_us)
        match change:
            case Alert():
                over_at = None if change.stands else at
                row = (at, change.kind, change.subject, change.text, change.is_urgent, False, 1, at, over_at, "pending")
                connection.execute(SAY, row)
            case AlertOver(kind=kind, subject=subject, text=text):
                connection.execute(SAY_OVER, (at, text, at, at, kind, subject))
                connection.execute(END, (at, kind, subject))


def _changes(job: Quarantine | Halt | AlertsSave | RiskSave | LookSave) -> Iterator[AlertChange]:
    match job:
        case Quarantine(execution_id, why, at_us):
            yield quarantine_change(execution_id, why, at_us)
        case Halt(at_us, why):
            yield halt_change(why, at_us)
        case AlertsSave(changes):
            yield from changes
        case RiskSave(_, log):
            if log is not None:
                yield from risk_changes(log)
        case LookSave():
            yield from difference_changes(job.differences)


def _time(at_us: int | None) -> str | None:
    return None if at_us is None else to_iso(at_us)
