"""What the desk shows of a database: what ended last and the alerts; without an engine, what has not ended too."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from fsm_exec.control.account_schema import PositionSeen
from fsm_exec.control.account_views import position_seen
from fsm_exec.core.account.statement import position_lines
from fsm_exec.core.alerts.alerts import StoredAlert
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import DamagedRow, UnitError
from fsm_exec.core.values.short_text import trim_count
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_fixed, parse_money
from fsm_exec.store.api_rows import ExecutionSummary
from fsm_exec.store.reads.account_reads import load_account
from fsm_exec.store.reads.alert_reads import load_alerts
from fsm_exec.store.reads.api_queries import Filter, load_listing
from fsm_exec.store.reads.execution_reads import load_metrics
from fsm_exec.web.desk.figures import METHOD_VERSION, NONE, WorkLine, stored_line
from fsm_exec.web.templates import four_decimals, whole_cents

ENDED_SHOWN: Final = 25
ALERTS_SHOWN: Final = 12
UNFINISHED_SHOWN: Final = 1_000
MINUTE: Final = slice(len("2023-"), len("2023-04-10T18:00:00"))


class EndedLine(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that has ended. `cost` is its all-in shortfall in cents per contract, `fees` are dollars."""

    execution_id: str
    at: str
    ticker: str
    outcome: str
    method: str
    state: str
    reason: str
    filled: str
    target: str
    paid: str
    cost: str
    fees: str
    note: str


class AlertLine(msgspec.Struct, frozen=True, kw_only=True):
    """An alert. `execution_id` is what it is about, empty if that is no execution."""

    at: str
    kind: str
    text: str
    times: int
    stands: bool
    is_recovery: bool
    execution_id: str


class StoredDesk(msgspec.Struct, frozen=True, kw_only=True):
    """The desk of a database without an engine. `damage` names rows that cannot be read."""

    working: list[WorkLine]
    unfinished: int
    positions: list[PositionSeen]
    damage: list[str]


def load_endings(connection: sqlite3.Connection) -> list[EndedLine]:
    """Load what ended last, newest first, by an index: it takes the same however many there are."""
    found = load_listing(connection, Filter(ended=True, limit=ENDED_SHOWN))
    return [_ended_line(one, _metrics(connection, one.execution_id)) for one in found]


def load_newest_alerts(connection: sqlite3.Connection) -> list[AlertLine]:
    """Load the newest alerts, those that stand first."""
    damage: list[str] = []
    standing = load_alerts(connection, ALERTS_SHOWN, damage, standing=True)
    known = {one.alert_id for one in standing}
    newest = [one for one in load_alerts(connection, ALERTS_SHOWN, damage) if one.alert_id not in known]
    return [_alert_line(one) for one in [*standing, *newest][:ALERTS_SHOWN]]


def load_stored_desk(connection: sqlite3.Connection) -> StoredDesk:
    """Load what has not ended, and what is held: without an engine no price is known."""
    unfinished = load_listing(connection, Filter(unfinished=True, limit=UNFINISHED_SHOWN))
    account = load_account(connection)
    return StoredDesk(
        working=[stored_line(one) for one in unfinished],
        unfinished=len(unfinished),
        positions=[position_seen(line) for line in position_lines(account.markets, {})],
        damage=list(account.damage),
    )


def _metrics(connection: sqlite3.Connection, execution_id: str) -> MetricsRow | None:
    try:
        return load_metrics(connection, execution_id)
    except DamagedRow:  # `db check` says which
        return None


def _ended_line(execution: ExecutionSummary, metrics: MetricsRow | None) -> EndedLine:
    paid, cost, fees = (NONE, NONE, NONE) if metrics is None else _figures(metrics)
    return EndedLine(
        execution_id=execution.execution_id,
        at=clock_of(execution.updated_at),
        ticker=execution.ticker,
        outcome=execution.outcome,
        method=execution.method.partition(METHOD_VERSION)[0],
        state=execution.state,
        reason="" if execution.reason in (None, "completed") else str(execution.reason),
        filled=trim_count(execution.filled_quantity),
        target=trim_count(execution.target_quantity),
        paid=paid,
        cost=cost,
        fees=fees,
        note=execution.note or execution.refusal or "",
    )


def _figures(metrics: MetricsRow) -> tuple[str, str, str]:
    """Return what was paid, its cost and its fees; dashes for a row whose texts are no numbers: `db check` says which,
    and the desk is needed all the same."""
    try:
        average, shortfall = metrics.average_fill_price, metrics.shortfall
        return (
            NONE if average is None else four_decimals(average),
            NONE if shortfall is None else cents_of(shortfall),
            whole_cents(parse_money(metrics.fees)),
        )
    except (UnitError, ValueError):
        return NONE, NONE, NONE


def _alert_line(alert: StoredAlert) -> AlertLine:
    return AlertLine(
        at=clock_of(to_iso(alert.last_at_us)),
        kind=alert.kind.replace("_", " "),
        text=alert.text,
        times=alert.times,
        stands=alert.over_at_us is None,
        is_recovery=alert.is_recovery,
        execution_id=alert.subject if alert.kind == "quarantine" else "",
    )


def clock_of(time: str) -> str:
    """Return `11-30 18:00:00` of a time in ISO 8601."""
    return time[MINUTE].replace("T", " ")


def cents_of(per_contract: str) -> str:
    """Return dollars with six decimals as cents with two, half away from zero."""
    millionths = int(per_contract.replace(".", ""))
    hundredths = (abs(millionths) + 50) // 100
    return format_fixed(-hundredths if millionths < 0 else hundredths, 2)
