"""What taking at once would cost, now and usually: of one execution, kept up with every change that matters to it.

c_q = average ask price of sweeping q + taker fee - mid, for q = what the execution still wants, half of it (rounded up
to a hundredth of a contract), and the size at the touch. Beyond the visible offers the rest is priced as at completion
(core.completion) and flagged. The level now is observed; the means (30 s and 120 s) only answer "cheaper than usual?".
`ema_slippage` = mean (30 s) of (average ask of the remainder - mid) / mid, without the fee.

When what is wanted changes, the series goes on with the new count. While the book is one-sided there is no cost.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fsm_exec.core.market.bid_ladder import BidLadder
from fsm_exec.core.market.completion import COMPLETION_PRICE_MAX_E4, price_beyond_depth
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.signals.signals import SweepCost
from fsm_exec.core.values.ewma import DecayedMean
from fsm_exec.core.values.units import (
    ONE_CONTRACT_E2,
    ONE_DOLLAR_E4,
    PPM,
    CountE2,
    Outcome,
    PriceE4,
    ceil_div,
    complement,
)

SHORT_TAU_US: Final = 30_000_000
LONG_TAU_US: Final = 120_000_000
Z_MAX_PPM: Final = 10 * PPM


class SweepTotals(msgspec.Struct, frozen=True, gc=False):
    """Totals of taking `count_e2`; `last_e4` is the worst price paid among the visible offers."""

    value_e6: int
    fee_e6: int
    last_e4: int
    beyond_depth: bool


def sweep_side(offers: BidLadder, count: CountE2, fees: FeeTerms) -> SweepTotals:
    """Take `count` from the offers, which are bids for the other outcome. The fee is rounded up once for all."""
    value = rate = 0
    left = int(count)
    price = PriceE4(COMPLETION_PRICE_MAX_E4)
    for bid, available in offers.best_first():
        price = complement(bid)
        take = min(left, available)
        value += take * price
        rate += take * price * (ONE_DOLLAR_E4 - price)
        left -= take
        if left == 0:
            break
    if left:
        dear = price_beyond_depth(price)
        value += left * dear
        rate += left * dear * (ONE_DOLLAR_E4 - dear)
    return SweepTotals(value, ceil_div(fees.taker_e10 * rate, 10**14), price, left > 0)


class _CostSeries:
    """c_q of one q."""

    __slots__ = ("beyond_depth", "count", "long", "short")

    def __init__(self) -> None:
        self.short, self.long = DecayedMean(SHORT_TAU_US), DecayedMean(LONG_TAU_US)
        self.count = CountE2(0)
        self.beyond_depth = False

    def put(self, cost_e6: int | None, at_us: int) -> None:
        self.short.put(cost_e6, at_us)
        self.long.put(cost_e6, at_us)

    def read(self, at_us: int, *, smoothed: bool) -> SweepCost | None:
        if self.short.current is None:
            return None
        short_mean = short_z = long_mean = long_z = None
        if smoothed and self.short.observed_us(at_us) >= SHORT_TAU_US:
            short_mean, _, short_z = self.short.look(at_us, Z_MAX_PPM)
        if smoothed and self.long.observed_us(at_us) >= LONG_TAU_US:
            long_mean, _, long_z = self.long.look(at_us, Z_MAX_PPM)
        return SweepCost(
            count_e2=self.count,
            now_e6=self.short.current,
            beyond_depth=self.beyond_depth,
            mean_30s_e6=short_mean,
            mean_120s_e6=long_mean,
            z_30s_ppm=short_z,
            z_120s_ppm=long_z,
        )


class SweepWatch:
    """One execution's costs of taking. `bids` and `offers` are the bids for its outcome and for the other one."""

    __slots__ = ("_fees", "_half", "_reach", "_remaining", "_slippage", "_touch", "deadline_us", "outcome", "remaining")

    def __init__(self, outcome: Outcome, fees: FeeTerms, remaining: CountE2, deadline_us: int) -> None:
        self.outcome: Outcome = outcome
        self.remaining = remaining
        self.deadline_us = deadline_us
        self._fees = fees
        self._reach = PriceE4(0)  # the lowest bid of the other outcome that the sweep of the remainder took from
        self.restart()

    def restart(self) -> None:
        """After a gap: what was usual before says nothing."""
        self._remaining, self._half, self._touch = _CostSeries(), _CostSeries(), _CostSeries()
        self._slippage = DecayedMean(SHORT_TAU_US)

    def concerns(self, side: Outcome, price: PriceE4) -> bool:
        """Whether a change behind the touch, at this bid, can change the cost."""
        return side != self.outcome and price >= self._reach

    def measure(self, bids: BidLadder, offers: BidLadder, at_us: int) -> None:
        """The book has changed."""
        remaining, half, touch = self._remaining, self._half, self._touch
        if not bids.best or not offers.best or not self.remaining:
            for series in (remaining, half, touch):
                series.put(None, at_us)
            self._slippage.put(None, at_us)
            return
        mid_e6 = (bids.best + complement(offers.best)) * 50
        whole = sweep_side(offers, self.remaining, self._fees)
        self._reach = PriceE4(0) if whole.beyond_depth else complement(PriceE4(whole.last_e4))
        average_e6 = whole.value_e6 * ONE_CONTRACT_E2 // self.remaining
        self._slippage.put((average_e6 - mid_e6) * PPM // mid_e6, at_us)
        for series, count in (
            (remaining, self.remaining),
            (half, CountE2(ceil_div(self.remaining, 2))),
            (touch, offers.touch_e2),
        ):
            swept = whole if count == self.remaining else sweep_side(offers, count, self._fees)
            series.count, series.beyond_depth = count, swept.beyond_depth
            series.put((swept.value_e6 + swept.fee_e6) * ONE_CONTRACT_E2 // count - mid_e6, at_us)

    def read(self, at_us: int, *, smoothed: bool) -> tuple[SweepCost | None, SweepCost | None, SweepCost | None]:
        """Of the remainder, of half of it, and of the touch."""
        series = (self._remaining, self._half, self._touch)
        remaining, half, touch = (each.read(at_us, smoothed=smoothed) for each in series)
        return remaining, half, touch

    def slippage_ppm(self, at_us: int) -> int | None:
        if self._slippage.current is None or self._slippage.observed_us(at_us) < SHORT_TAU_US:
            return None
        return self._slippage.mean(at_us)
