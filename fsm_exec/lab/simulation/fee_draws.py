"""What an exchange has announced of its fees before a history begins: waivers that end in it, changes of the series
and of the event."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Literal

import msgspec

from fsm_exec.core.market.fees import MAKER_SHARE
from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.paper.venue.exchange import Exchange

EVERY, NTH = 4, 1  # of the odd ones that have one machine
SPAN_MS = 60_000  # after calm has come executions still work


class FeePlan(msgspec.Struct, frozen=True, kw_only=True):
    """`at_ms` after the start a waiver of the `market` (its number) ends, or its event or series begins to charge by
    `fee_type` and `multiplier`."""

    at_ms: int
    of: Literal["waiver", "event", "series"]
    market: int
    fee_type: str = "quadratic"
    multiplier: str = "1"


def draw_fees(seed: int, markets: int, calm_ms: int) -> tuple[FeePlan, ...]:
    """The changes of a seed, from a stream of its own; most have none."""
    rng = random.Random(f"fees:{seed}")
    if seed % EVERY != NTH or rng.randrange(2):
        return ()
    plans = [
        FeePlan(
            at_ms=rng.randint(5_000, calm_ms + SPAN_MS),
            of=rng.choice(("waiver", "event", "series")),
            market=rng.randrange(markets),
            fee_type=rng.choice(tuple(MAKER_SHARE)),
            multiplier=rng.choice(("0", "0.5", "2", "3")),
        )
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    return tuple(sorted(plans, key=lambda plan: plan.at_ms))


def announce_fees(exchange: Exchange, plans: tuple[FeePlan, ...], tickers: list[str], start_us: int) -> None:
    """Have the exchange announce all of it now."""
    for plan in plans:
        ticker, at_us = tickers[plan.market], start_us + plan.at_ms * US_PER_MS
        header, multiplier = exchange.markets[ticker].header, Decimal(plan.multiplier)
        match plan.of:
            case "waiver":
                exchange.fees.waive(ticker, at_us)
            case "event":
                exchange.fees.change_event(header.event, plan.fee_type, multiplier, at_us)
            case "series":
                exchange.fees.change_series(header.series, plan.fee_type, multiplier, at_us)
