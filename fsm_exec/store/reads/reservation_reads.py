"""Reading what the row of an execution reserves, for one whose snapshot cannot be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, TypeVar, cast, get_args

from fsm_exec.core.account.stored_reservation import StoredReservation
from fsm_exec.core.errors import UnitError
from fsm_exec.core.values.units import Outcome, parse_count, parse_money

T = TypeVar("T")

_ROW: Final = (
    "SELECT s.ticker, m.event, m.series, s.outcome, s.target_quantity, s.reserved FROM execution_state s "
    "LEFT JOIN markets m ON m.ticker = s.ticker WHERE s.execution_id = ?"
)


def load_reservation(connection: sqlite3.Connection, execution_id: str) -> StoredReservation:
    """Load what can be read of it; of an unknown execution nothing can."""
    row = connection.execute(_ROW, (execution_id,)).fetchone()
    if row is None:
        return StoredReservation(execution_id=execution_id)
    ticker, event, series, outcome, target, reserved = row
    return StoredReservation(
        execution_id=execution_id,
        ticker=ticker if isinstance(ticker, str) else "",
        event=event if isinstance(event, str) else "",
        series=series if isinstance(series, str) else "",
        outcome=cast("Outcome", outcome) if outcome in get_args(Outcome) else None,
        target_e2=_or_none(parse_count, target),
        reserved_e6=_or_none(parse_money, reserved),
    )


def _or_none(parse: Callable[[str], T], text: object) -> T | None:
    """Parse a decimal string; None for whatever is none."""
    try:
        return parse(text) if isinstance(text, str) else None
    except UnitError:
        return None
