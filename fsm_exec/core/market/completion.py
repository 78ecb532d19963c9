"""The price of what is left: taking the rest from the visible offers, and beyond them at a stated price."""

from __future__ import annotations

from typing import Final

from fsm_exec.core.market.book import Ladder, sweep
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

BEYOND_DEPTH_E4: Final = 200  # more than is visible costs the last level + 2 cents
COMPLETION_PRICE_MAX_E4: Final = 9_900


def price_beyond_depth(last_e4: int) -> PriceE4:
    """The price of what the visible offers do not hold; `last_e4` is their last price, the maximum if there is none."""
    return PriceE4(min(last_e4 + BEYOND_DEPTH_E4, COMPLETION_PRICE_MAX_E4))


def completion_cost(asks: Ladder, count: CountE2, fees: FeeTerms) -> tuple[MoneyE6, bool]:
    """What taking `count` costs, taker fee included, and whether it went beyond the visible depth."""
    takes, left = sweep(asks, count)
    cost = sum(price * size + fees.model_fee(price, size, taker=True) for price, size in takes)
    if left:
        price = price_beyond_depth(asks[-1][0] if asks else COMPLETION_PRICE_MAX_E4)
        cost += price * left + fees.model_fee(price, left, taker=True)
    return MoneyE6(cost), bool(left)


def unwind_value(bids: Ladder, count: CountE2, fees: FeeTerms) -> MoneyE6:
    """What selling `count` back brings after the taker fee; beyond the visible depth nothing."""
    takes, _ = sweep(bids, count)
    return MoneyE6(sum(price * size - fees.model_fee(price, size, taker=True) for price, size in takes))
