"""Loads the data of `fsm-exec review`: the executions that have ended, and the opportunities.

An execution without metrics (it was given up, or its cost is not reckoned yet) is there with nothing measured. The
market's type is its category at the exchange. A method's algorithm is that of the methods table; what ships is named
after its algorithm.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import CountE2, parse_count
from fsm_exec.store.damaged_rows import decode_column, decode_rows, struct_of

S = TypeVar("S", bound=msgspec.Struct)

_ENDED = (
    "SELECT e.execution_id, e.ticker, m.series, m.category, e.method, COALESCE(w.algorithm, substr(e.method, 1, "
    "instr(e.method || '@', '@') - 1)), e.accepted_at, e.reason, e.target_quantity, e.target_price, x.filled_quantity, "
    "x.average_fill_price, x.slippage, x.arrival_mid, x.arrival_slippage, x.shortfall_e7, "
    "COALESCE(x.liquidity_reward_e7, 0) + COALESCE(x.volume_reward_e7, 0) "
    "FROM execution_state e LEFT JOIN markets m USING (ticker) LEFT JOIN execution_metrics x USING (execution_id) "
    "LEFT JOIN methods w ON w.name || '@' || w.version = e.method "
    "WHERE (e.state = 'filled' OR e.state = 'cancelled') AND e.accepted_at >= ? ORDER BY e.rowid"
)
_OPPORTUNITIES = (
    "SELECT o.edge_id, o.ticker, m.series, m.category, o.method, o.created_at, o.volume_24h, o.refusal "
    "FROM edges o LEFT JOIN markets m USING (ticker) WHERE o.created_at >= ? ORDER BY o.edge_id"
)


class EndedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One execution that has ended. None is unknown; `type` is the category. `slippage` is a share of the target price,
    `arrival_slippage` dollars a contract above `arrival_mid`; `shortfall_e7` is all-in, of the whole target;
    `rewards_e7` what programmes are estimated to pay, at most 0."""

    ticker: str
    series: str | None
    type: str | None
    method: str
    algorithm: str
    at_us: int
    reason: str
    target_e2: CountE2
    target_price: Decimal | None
    filled_e2: CountE2 | None
    average_fill_price: Decimal | None
    slippage: Decimal | None
    arrival_mid: Decimal | None
    arrival_slippage: Decimal | None
    shortfall_e7: int | None
    rewards_e7: int = 0

    @property
    def cost_e7(self) -> int | None:
        """The shortfall with the rewards; None: it is not known."""
        return None if self.shortfall_e7 is None else self.shortfall_e7 + self.rewards_e7


class OpportunityRow(msgspec.Struct, frozen=True, kw_only=True):
    """One edge or order. `volume_24h_e2` None is unknown; `refusal` None: it was accepted."""

    ticker: str
    series: str | None
    type: str | None
    method: str
    at_us: int
    volume_24h_e2: CountE2 | None
    refusal: str | None


def load_saved(connection: sqlite3.Connection, since_us: int, damage: list[str] | None = None) -> list[EndedRow]:
    """Those accepted at or after `since_us`, in the order of their acceptance. One that is damaged is named in
    `damage`; without it the first raises DamagedRow."""
    return list(decode_rows(connection.execute(_ENDED, (to_iso(since_us),)), _named_ended, damage))


def load_opportunities(
    connection: sqlite3.Connection, since_us: int, damage: list[str] | None = None
) -> list[OpportunityRow]:
    """Those of `since_us` and later, oldest first. As `ended`."""
    return list(decode_rows(connection.execute(_OPPORTUNITIES, (to_iso(since_us),)), _named_opportunity, damage))


def _named_ended(row: tuple[Any, ...]) -> EndedRow:
    execution_id, *columns = row
    found = decode_column(
        "execution_state", execution_id, "or its metrics or market", lambda values: _ended(*values), columns
    )
    return _checked(found, "execution_state", execution_id)


def _named_opportunity(row: tuple[Any, ...]) -> OpportunityRow:
    edge_id, *columns = row
    found = decode_column("edges", edge_id, "or its market", lambda values: _opportunity(*values), columns)
    return _checked(found, "edges", edge_id)


def _checked(found: S, table: str, key: object) -> S:
    """A constructor takes everything."""
    return struct_of(type(found), table, key, found.__struct_fields__, msgspec.structs.astuple(found))


def _ended(
    ticker: str,
    series: str | None,
    category: str | None,
    method: str,
    algorithm: str,
    accepted_at: str,
    reason: str,
    target_quantity: str,
    target_price: str | None,
    filled_quantity: str | None,
    *measured: str | int | None,
) -> EndedRow:
    *decimals, shortfall_e7, rewards_e7 = measured
    average, slippage, mid, over_mid = (None if text is None else Decimal(text) for text in decimals)
    if shortfall_e7 is not None and not isinstance(shortfall_e7, int):
        raise TypeError("shortfall_e7 is no whole number")
    if not isinstance(rewards_e7, int):
        raise TypeError("liquidity_reward_e7 or volume_reward_e7 is no whole number")
    return EndedRow(
        ticker=ticker,
        series=series,
        type=category,
        method=method,
        algorithm=algorithm,
        at_us=from_iso(accepted_at),
        reason=reason,
        target_e2=parse_count(target_quantity),
        target_price=None if target_price is None else Decimal(target_price),
        filled_e2=None if filled_quantity is None else parse_count(filled_quantity),
        average_fill_price=average,
        slippage=slippage,
        arrival_mid=mid,
        arrival_slippage=over_mid,
        shortfall_e7=shortfall_e7,
        rewards_e7=rewards_e7,
    )


def _opportunity(
    ticker: str,
    series: str | None,
    category: str | None,
    method: str,
    created_at: str,
    volume: str | None,
    refusal: str | None,
) -> OpportunityRow:
    return OpportunityRow(
        ticker=ticker,
        series=series,
        type=category,
        method=method,
        at_us=from_iso(created_at),
        volume_24h_e2=None if volume is None else parse_count(volume),
        refusal=refusal,
    )
