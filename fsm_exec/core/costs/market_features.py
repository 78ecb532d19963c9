"""What a market shows at the moment an order is considered, as the few numbers that estimates are weighed from.

    taking     what taking the whole quantity now would cost above the mid, fee included, beyond the visible depth at
               the price of completion
    half       half the spread
    unrest     how far the mid is, on the mean of the last minute, from where it has been: at most 8 cents, for beyond
               that it says no more
    size       ln(quantity / contracts at the best ask), within +-3
    pace       ln(1 + changes of the book a second) since it has been observed, at most 5
    room       ln(worst price allowed - mid, in cents), within +-3

The first three are in 10^-5 dollars per contract, the others in millionths; all in the outcome that is bought.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.completion import completion_cost
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.fixed_point import ln_ppm
from fsm_exec.core.values.units import PPM, US_PER_S, CountE2, PriceE4

FEATURES: Final = ("taking", "half", "unrest", "size", "pace", "room")
"""The order of the weights in a fitted table."""

UNREST_MAX_E5: Final = 8_000
LOG_MAX_PPM: Final = 3 * PPM
PACE_MAX_PPM: Final = 5 * PPM
ROOM_UNIT_E4: Final = 100

Missing: TypeAlias = Literal["book", "observation", "limit"]


class MarketFeatures(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one market, at one moment, for one order."""

    taking_e5: int
    half_e5: int
    unrest_e5: int
    size_ppm: int
    pace_ppm: int
    room_ppm: int

    @property
    def values(self) -> tuple[int, ...]:
        """They stand in the order of `FEATURES`."""
        return (self.taking_e5, self.half_e5, self.unrest_e5, self.size_ppm, self.pace_ppm, self.room_ppm)


def market_features(
    view: MarketView, fees: FeeTerms, quantity_e2: CountE2, worst_e4: PriceE4
) -> MarketFeatures | Missing:
    """Read them off a view with signals, for a quantity above 0; or what is missing: a live book on both sides, a
    minute of observation, a worst price above the mid."""
    mid = view.trusted_mid_e5
    if mid is None:
        return "book"
    signals = view.signals
    if signals is None or signals.mid_deviation_e5 is None or not signals.observed_us:
        return "observation"
    room_e4 = worst_e4 - mid // 10
    if room_e4 <= 0:
        return "limit"
    cost_e6, _ = completion_cost(view.asks, quantity_e2, fees)
    (bid, _), (ask, touch) = view.bids[0], view.asks[0]
    return MarketFeatures(
        taking_e5=cost_e6 * 10 // quantity_e2 - mid,
        half_e5=(ask - bid) * 5,
        unrest_e5=min(signals.mid_deviation_e5, UNREST_MAX_E5),
        size_ppm=_within(ln_ppm(quantity_e2, touch), LOG_MAX_PPM),
        pace_ppm=_within(
            ln_ppm(signals.observed_us + signals.book_events * US_PER_S, signals.observed_us), PACE_MAX_PPM
        ),
        room_ppm=_within(ln_ppm(room_e4, ROOM_UNIT_E4), LOG_MAX_PPM),
    )


def _within(value: int, largest: int) -> int:
    return max(-largest, min(largest, value))
