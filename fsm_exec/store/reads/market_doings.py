"""Reads what all executions of a database did in one market: their orders by name, and their fills."""

from __future__ import annotations

import sqlite3

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.rows import FillRow
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import Outcome
from fsm_exec.store.reads.execution_reads import fill_rows

_ORDERS = (
    "SELECT o.client_order_id, e.outcome FROM split_orders o JOIN execution_state e USING (execution_id) "
    "WHERE e.ticker = ?"
)
_FILLS = "WHERE execution_id IN (SELECT execution_id FROM execution_state WHERE ticker = ?) ORDER BY traded_at, rowid"


_WORKED = "SELECT execution_id, accepted_at, updated_at FROM execution_state WHERE ticker = ?"


class MarketDoings(msgspec.Struct, frozen=True):
    """`outcomes`: what each order bought, by client order id. `fills` are in the order of the exchange's time.
    `worked`: from its acceptance to its last step, by execution."""

    outcomes: dict[str, Outcome]
    fills: list[FillRow]
    worked: dict[str, tuple[int, int]]

    def worked_between(self, from_us: int, until_us: int) -> list[str]:
        """Return the executions that worked in that time."""
        return [name for name, (first, last) in self.worked.items() if first <= until_us and last >= from_us]


def load_market_doings(connection: sqlite3.Connection, ticker: str) -> MarketDoings:
    """Load them. Raises DamagedRow, and UserError for times that no fsm-exec wrote."""
    orders: list[tuple[str, Outcome]] = connection.execute(_ORDERS, (ticker,)).fetchall()
    try:
        rows = connection.execute(_WORKED, (ticker,))
        worked = {name: (from_iso(first), from_iso(last)) for name, first, last in rows}
    except (ValueError, TypeError) as error:
        raise UserError(f"the database holds a row that cannot be read ({error}); see: fsm-exec db check") from error
    return MarketDoings(dict(orders), fill_rows(connection, _FILLS, (ticker,)), worked)
