"""What taking at once would cost, now and usually: of one execution, kept up with every change that matters to it.

c_q = average ask price of sweeping q + taker fee - mid, for q = what the execution still wants, half of it (rounded up
to a hundredth of a contract), and the size at the touch. Beyond the visible offers the rest is priced as at completion
(core.completion) and flagged. The level now is observed; the means (30 s and 120 s) only answer "cheaper than usual?".
`ema_slippage` = mean (30 s) of (average ask of the remainder - mid) / mid, without the fee.

When what is wanted changes, the series goes on with the new count. While the book is one-sided there is no cost. Only
the series that somebody reads are kept up, each from the moment its execution was first watched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Final

import msgspec

from fsm_exec.core.market.bid_ladder import BidLadder
from fsm_exec.core.market.completion import COMPLETION_PRICE_MAX_E4, price_beyond_depth
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.signals.signals import SweepCost
from fsm_exec.core.values.ewma import DecayedMean
from fsm_exec.core.values.fixed_point import decay_q30
from fsm_exec.core.values.units import (
    ONE_CONTRACT_E2,
    ONE_DOLLAR_E4,
    PPM,
    CountE2,
    Outcome,
    ceil_div,
)

SHORT_TAU_US: Final = 30_000_000
LONG_TAU_US: Final = 120_000_000
Z_MAX_PPM: Final = 10 * PPM
ALL_E2: Final = 10**15  # more than stands anywhere: every change counts
KEPT_UP: Final = frozenset({"sweep_remaining", "sweep_half", "sweep_touch", "ema_slippage_ppm"})
"""The signals of one execution that have to be kept up between its readings."""


class _Mean(DecayedMean):
    """A mean of costs: those of all executions change at the same events, so their weights are reckoned once."""

    __slots__ = ()
    decay_q30 = staticmethod(lru_cache(maxsize=64)(decay_q30))


class SweepTotals(msgspec.Struct, frozen=True, gc=False):
    """Totals of taking `count_e2`; `last_e4` is the worst price paid among the visible offers."""

    value_e6: int
    fee_e6: int
    last_e4: int
    beyond_depth: bool


class OfferTotals:
    """Running totals over the offers as they stand, cheapest first and as deep as somebody has asked: however many
    counts are swept, the book is walked once. Good until the book changes."""

    __slots__ = ("_counts", "_levels", "_prices", "_rates", "_values")

    def __init__(self, offers: BidLadder) -> None:
        self._levels = offers.best_first()
        self._counts: list[int] = []  # up to and including each price, in hundredths of a contract
        self._values: list[int] = []  # the same times the price
        self._rates: list[int] = []  # the same times price and 1 - price, for the fee
        self._prices: list[int] = []

    def sweep(self, count: CountE2, fees: FeeTerms) -> SweepTotals:
        """Take `count`. The fee is rounded up once for all."""
        value, fee, last, _, beyond_depth = self.take(count, fees)
        return SweepTotals(value, fee, last, beyond_depth)

    def take(self, count: CountE2, fees: FeeTerms) -> tuple[int, int, int, int, bool]:
        """As `sweep`: value, fee, last price, how much was taken there (or beyond), whether it went beyond."""
        counts = self._counts
        if not counts or counts[-1] < count:
            self._extend(count)
        found = bisect_left(counts, count)
        beyond_depth = found == len(counts)
        if beyond_depth:
            last = self._prices[-1] if counts else COMPLETION_PRICE_MAX_E4
            price: int = price_beyond_depth(last)
        else:
            price = last = self._prices[found]
        value, rate, left = 0, 0, int(count)
        if found:
            value, rate, left = self._values[found - 1], self._rates[found - 1], left - counts[found - 1]
        worth = left * price
        rate += worth * (ONE_DOLLAR_E4 - price)
        return value + worth, -(-fees.taker_e10 * rate // 10**14), last, left, beyond_depth

    def _extend(self, count: CountE2) -> None:
        """Walk on until the offers hold `count`, or end."""
        total, value, rate = (self._counts[-1], self._values[-1], self._rates[-1]) if self._counts else (0, 0, 0)
        for bid, available in self._levels:
            price = ONE_DOLLAR_E4 - bid
            total += available
            worth = available * price
            value += worth
            rate += worth * bid
            self._counts.append(total)
            self._values.append(value)
            self._rates.append(rate)
            self._prices.append(price)
            if total >= count:
                return


def sweep_side(offers: BidLadder, count: CountE2, fees: FeeTerms) -> SweepTotals:
    """Take `count`, above 0, from the offers, which are bids for the other outcome."""
    return OfferTotals(offers).sweep(count, fees)


class _CostSeries:
    """c_q of one q. `long` False: without the mean of 120 s."""

    __slots__ = ("beyond_depth", "count", "long", "short")

    def __init__(self, *, long: bool) -> None:
        self.short = _Mean(SHORT_TAU_US)
        self.long = _Mean(LONG_TAU_US) if long else None
        self.count = CountE2(0)
        self.beyond_depth = False

    def put(self, cost_e6: int | None, at_us: int, count: CountE2, beyond_depth: bool) -> None:
        self.count, self.beyond_depth = count, beyond_depth
        self.put_value(cost_e6, at_us)

    def put_value(self, cost_e6: int | None, at_us: int) -> None:
        self.short.put(cost_e6, at_us)
        if self.long is not None:
            self.long.put(cost_e6, at_us)

    def read(self, at_us: int, *, smoothed: bool) -> SweepCost | None:
        if self.short.current is None:
            return None
        short_mean = short_z = long_mean = long_z = None
        if smoothed and self.short.observed_us(at_us) >= SHORT_TAU_US:
            short_mean, _, short_z = self.short.look(at_us, Z_MAX_PPM)
        if smoothed and self.long is not None and self.long.observed_us(at_us) >= LONG_TAU_US:
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
    """One execution's costs of taking. `read` names the signals of it that its method reads (None: all); `forecast`:
    that somebody also asks for the remainder's mean of 30 s.

    While the mid stays, the costs change only with an offer at a bid (for the other outcome) above `reach_e4`, where
    the sweep of the remainder ended, or at it, when less than `enough_e2` is left there."""

    __slots__ = (
        *("_fees", "_forecast", "_half", "_read", "_remaining", "_slippage", "_touch"),
        *("deadline_us", "enough_e2", "outcome", "reach_e4", "remaining"),
    )

    def __init__(
        self,
        outcome: Outcome,
        fees: FeeTerms,
        remaining: CountE2,
        deadline_us: int,
        read: AbstractSet[str] | None = None,
        *,
        forecast: bool = False,
    ) -> None:
        self.outcome: Outcome = outcome
        self.remaining = remaining
        self.deadline_us = deadline_us
        self._fees = fees
        self._read = KEPT_UP if read is None else KEPT_UP & read
        self._forecast = forecast
        self.reach_e4 = self.enough_e2 = 0
        self.restart()

    @property
    def is_kept_up(self) -> bool:
        """Whether a change of the book means anything to it."""
        return self._forecast or bool(self._read)

    def restart(self) -> None:
        """After a gap: what was usual before says nothing."""
        read, whole = self._read, "sweep_remaining" in self._read
        self._remaining = _CostSeries(long=whole) if whole or self._forecast else None
        self._half = _CostSeries(long=True) if "sweep_half" in read else None
        self._touch = _CostSeries(long=True) if "sweep_touch" in read else None
        self._slippage = _Mean(SHORT_TAU_US) if "ema_slippage_ppm" in read else None

    def measure(self, bids: BidLadder, offers: BidLadder, totals: OfferTotals, at_us: int) -> None:
        """The book has changed. `bids` and `offers` are the bids for its outcome and for the other one, `totals` those
        of the offers."""
        wanted = self.remaining
        if not bids.best or not offers.best or not wanted:
            self._put_none(at_us)
            return
        mid_e6 = (bids.best + ONE_DOLLAR_E4 - offers.best) * 50
        value, fee, last, taken, beyond_depth = totals.take(wanted, self._fees)
        self.reach_e4 = 0 if beyond_depth else ONE_DOLLAR_E4 - last
        self.enough_e2 = taken if self._touch is None else ALL_E2
        if self._slippage is not None:
            self._slippage.put((value * ONE_CONTRACT_E2 // wanted - mid_e6) * PPM // mid_e6, at_us)
        if self._remaining is not None:
            self._remaining.put((value + fee) * ONE_CONTRACT_E2 // wanted - mid_e6, at_us, wanted, beyond_depth)
        if self._half is not None:
            self._put_cost(self._half, CountE2(ceil_div(wanted, 2)), totals, mid_e6, at_us)
        if self._touch is not None:
            self._put_cost(self._touch, offers.touch_e2, totals, mid_e6, at_us)

    def _put_cost(self, series: _CostSeries, count: CountE2, totals: OfferTotals, mid_e6: int, at_us: int) -> None:
        value, fee, _, _, beyond_depth = totals.take(count, self._fees)
        series.put((value + fee) * ONE_CONTRACT_E2 // count - mid_e6, at_us, count, beyond_depth)

    def _put_none(self, at_us: int) -> None:
        for series in (self._remaining, self._half, self._touch):
            if series is not None:
                series.put_value(None, at_us)
        if self._slippage is not None:
            self._slippage.put(None, at_us)

    def read_cost(self, at_us: int, name: str, *, smoothed: bool) -> SweepCost | None:
        """The signal of this name, one of the three `sweep_*`."""
        series = {"sweep_remaining": self._remaining, "sweep_half": self._half, "sweep_touch": self._touch}[name]
        return None if series is None else series.read(at_us, smoothed=smoothed)

    def slippage_ppm(self, at_us: int) -> int | None:
        slippage = self._slippage
        if slippage is None or slippage.current is None or slippage.observed_us(at_us) < SHORT_TAU_US:
            return None
        return slippage.mean(at_us)
