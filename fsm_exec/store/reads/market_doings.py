"""Reads what all executions of a database did in one market: their orders by name, and their fills."""

from __future__ import annotations

import sqlite3

import msgspec

from fsm_exec.core.journal.rows import FillRow
from fsm_exec.core.values.units import Outcome
from fsm_exec.store.reads.execution_reads import fill_rows

_ORDERS = (
    "SELECT o.client_order_id, e.outcome FROM split_orders o JOIN execution_state e USING (execution_id) "
    "WHERE e.ticker = ?"
)
_FILLS = "WHERE execution_id IN (SELECT execution_id FROM execution_state WHERE ticker = ?) ORDER BY traded_at, rowid"


class MarketDoings(msgspec.Struct, frozen=True):
    """`outcomes`: what each order bought, by client order id. `fills` are in the order of the exchange's time."""

    outcomes: dict[str, Outcome]
    fills: list[FillRow]


def load_market_doings(connection: sqlite3.Connection, ticker: str) -> MarketDoings:
    """Load them. Raises DamagedRow."""
    orders: list[tuple[str, Outcome]] = connection.execute(_ORDERS, (ticker,)).fetchall()
    return MarketDoings(dict(orders), fill_rows(connection, _FILLS, (ticker,)))
