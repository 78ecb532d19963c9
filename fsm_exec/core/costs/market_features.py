"""What a market shows at the moment an order is considered, as the few numbers that estimates are weighed from.

    taking     what taking the whole quantity now would cost above the mid, fee included, beyond the visible depth at
               the price of completion
    half       half the spread
    unrest     how far the mid is, on the mean of the last minute, from where it has been: at most 8 cents, for beyond
               that it says no more
    size       ln(quantity / contracts at the best ask), within +-3

The first three are in 10^-5 dollars per contract, the last in millionths; all in the outcome that is bought.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.completion import completion_cost
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.fixed_point import ln_ppm
from fsm_exec.core.values.units import PPM, CountE2

FEATURES: Final = ("taking", "half", "unrest", "size")
"""The order of the weights in a fitted table."""

UNREST_MAX_E5: Final = 8_000
SIZE_MAX_PPM: Final = 3 * PPM

Missing: TypeAlias = Literal["book", "observation"]


class MarketFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one market, at one moment, for one quantity."""

    taking_e5: int
    half_e5: int
    unrest_e5: int
    size_ppm: int

    @property
    def values(self) -> tuple[int, ...]:
        """They stand in the order of `FEATURES`."""
        return (self.taking_e5, self.half_e5, self.unrest_e5, self.size_ppm)


def market_features(view: MarketView, fees: FeeTerms, quantity_e2: CountE2) -> MarketFeatures | Missing:
    """Read them off a view with signals; or what is missing: a live book on both sides, or a minute of observation."""
    mid = view.trusted_mid_e5
    if mid is None:
        return "book"
    deviation = None if view.signals is None else view.signals.mid_deviation_e5
    if deviation is None:
        return "observation"
    cost_e6, _ = completion_cost(view.asks, quantity_e2, fees)
    (bid, _), (ask, touch) = view.bids[0], view.asks[0]
    size = ln_ppm(quantity_e2, touch)
    return MarketFeatures(
        taking_e5=cost_e6 * 10 // quantity_e2 - mid,
        half_e5=(ask - bid) * 5,
        unrest_e5=min(deviation, UNREST_MAX_E5),
        size_ppm=max(-SIZE_MAX_PPM, min(SIZE_MAX_PPM, size)),
    )
