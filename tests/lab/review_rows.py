"""Rows as the database would give them, with planted answers."""

from __future__ import annotations

from decimal import Decimal

from fsm_exec.core.values.units import CountE2
from fsm_exec.lab.blocks import BLOCK_US
from fsm_exec.store.reads.review_queries import EndedRow, OpportunityRow


def trade(
    block: int = 0,
    *,
    slippage: str | None = "0.000000",
    filled: int | None = 10,
    arrival: tuple[str | None, str | None] = (None, None),
    method: str = "simple_limit",
    reason: str = "completed",
    shortfall_e7: int | None = None,
    type: str | None = "Sports",
    series: str | None = "KXS",
    target_price: str | None = "0.5000",
    ticker: str = "KXS-1",
) -> EndedRow:
    """Ten contracts, in the so-manieth block of their market. `arrival`: the mid, and what was paid above it."""
    return EndedRow(
        ticker=ticker,
        series=series,
        type=type,
        method=f"{method}@1",
        algorithm=method,
        at_us=block * BLOCK_US + 7,
        reason=reason,
        target_e2=CountE2(1_000),
        target_price=None if target_price is None else Decimal(target_price),
        filled_e2=None if filled is None else CountE2(100 * filled),
        average_fill_price=Decimal("0.5000") if filled else None,
        slippage=None if slippage is None or not filled else Decimal(slippage),
        arrival_mid=None if arrival[0] is None else Decimal(arrival[0]),
        arrival_slippage=None if arrival[1] is None else Decimal(arrival[1]),
        shortfall_e7=shortfall_e7,
    )


def opportunity(
    block: int = 0,
    *,
    volume: int | None = 500,
    refusal: str | None = None,
    type: str | None = "Sports",
    series: str | None = "KXS",
    method: str = "simple_limit",
) -> OpportunityRow:
    """In a market that traded `volume` contracts in 24 hours."""
    return OpportunityRow(
        ticker="KXS-1",
        series=series,
        type=type,
        method=f"{method}@1",
        at_us=block * BLOCK_US,
        volume_24h_e2=None if volume is None else CountE2(100 * volume),
        refusal=refusal,
    )
