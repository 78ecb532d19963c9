"""The signals as they stand at one moment, from one outcome: each is a function, and only those asked for are called.

What is smoothed is told from its minimum of observations on, and not of a book that has not changed for five minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from fsm_exec.core.market.bid_ladder import BidLadder
from fsm_exec.core.signals.forecasts import DEPTH_TAU_US, dry_up_ppm
from fsm_exec.core.signals.order_flow import CANCEL_TAU_US, FAST_TAU_US, SLOW_TAU_US
from fsm_exec.core.signals.signals import ON_DEMAND, Signals, SweepCost
from fsm_exec.core.signals.sweep_cost import SweepWatch
from fsm_exec.core.signals.tracked_market import (
    COST_TAU_US,
    FLOW_TAU_US,
    MID_TAU_US,
    TrackedMarket,
    TrackedSide,
)
from fsm_exec.core.values.units import PPM, CountE2, Outcome, complement

TOUCH_MIN_E2: Final = 500
OFI_Z_MAX_PPM: Final = 3 * PPM
EVENTS_MIN: Final = 2  # changes of the book before anything smoothed is given
YES_PLUS_NO_E5: Final = 100_000  # mid(yes) + mid(no) is a dollar
AGE_MAX_US: Final = 300_000_000  # nothing smoothed is given of a book that has not changed for five minutes


class Reading:
    """The market from one outcome at `now_us`: `own` are the bids for it, `other` those for the other one. `heard_us`
    is how long trades have been listened to, 0 where nothing smoothed is given; `watch` the execution's, if any."""

    __slots__ = (
        *("heard_us", "is_yes", "market", "now_us", "observed_us"),
        *("_log_depths", "other", "own", "smoothed", "two_sided", "watch"),
    )

    def __init__(self, market: TrackedMarket, outcome: Outcome, now_us: int, watch: SweepWatch | None) -> None:
        self.market, self.now_us, self.watch = market, now_us, watch
        self._log_depths: dict[str, tuple[int, int]] = {}
        self.is_yes = outcome == "yes"
        self.own, self.other = (market.yes, market.no) if self.is_yes else (market.no, market.yes)
        self.observed_us = now_us - market.began_us
        self.smoothed = market.events >= EVENTS_MIN and now_us - market.event_us <= AGE_MAX_US
        self.two_sided = bool(self.own.side.best and self.other.side.best)
        self.heard_us = now_us - market.trades_since_us if self.smoothed else 0

    def touch_mean_e2(self) -> int:
        """The contracts at one touch on average of both."""
        return self.market.touch.mean(self.now_us) // 2

    def log_depth(self, side: Literal["own", "other"]) -> tuple[int, int] | None:
        """Mean and deviation of the logarithm of what stands near the best, looked up once."""
        if not self.smoothed or self.observed_us < DEPTH_TAU_US:
            return None
        found = self._log_depths.get(side)
        if found is None:
            half = self.own if side == "own" else self.other
            found = self._log_depths[side] = half.log_depth.look(self.now_us, 0)[:2]
        return found

    def mid_is_known(self) -> bool:
        return self.smoothed and self.two_sided and self.market.mid.observed_us(self.now_us) >= MID_TAU_US


def read_signals(
    market: TrackedMarket, outcome: Outcome, now_us: int, watch: SweepWatch | None, read: frozenset[str] | None
) -> Signals:
    """What every reading has, and those of `read` (None: all), at `now_us`, never before the last event."""
    now_us = max(now_us, market.event_us)
    reading = Reading(market, outcome, now_us, watch)
    bids, offers = reading.own.side, reading.other.side
    imbalance = micro_price = deviation = mid_mean = None
    if reading.two_sided:
        imbalance = bids.touch_e2 * PPM // (bids.touch_e2 + offers.touch_e2)
        micro_price = _micro_price(bids, offers)
    if reading.mid_is_known():
        mid_mean, deviation, _ = market.mid.look(now_us, 0)
        mid_mean = mid_mean if reading.is_yes else YES_PLUS_NO_E5 - mid_mean
    asked = ON_DEMAND if read is None else ON_DEMAND & read
    return Signals(
        at_us=now_us,
        book_events=market.events,
        trades=market.trades,
        observed_us=reading.observed_us,
        event_age_us=now_us - market.event_us if market.events else None,
        trade_age_us=None if market.trade_us is None else max(0, now_us - market.trade_us),
        imbalance_ppm=imbalance,
        micro_price_e5=micro_price,
        depth_bid_e2=bids.near_e2,
        depth_ask_e2=offers.near_e2,
        mid_deviation_e5=deviation,
        mid_mean_60s_e5=mid_mean,
        **{name: _ON_DEMAND[name](reading) for name in asked},
    )


def _micro_price(bids: BidLadder, offers: BidLadder) -> int:
    """The mid weighted by the sizes of the opposite sides: near the ask when the bid is large."""
    both = bids.touch_e2 + offers.touch_e2
    return 10 * (bids.best * offers.touch_e2 + complement(offers.best) * bids.touch_e2) // both


def _touch_mean(reading: Reading) -> CountE2 | None:
    return CountE2(reading.touch_mean_e2()) if reading.mid_is_known() else None


def _ofi(reading: Reading) -> int | None:
    if not reading.smoothed or reading.observed_us < FLOW_TAU_US:
        return None
    value = reading.market.ofi.value(reading.now_us)
    return value if reading.is_yes else -value


def _ofi_z(reading: Reading) -> int | None:
    ofi = _ofi(reading)
    if ofi is None or not reading.two_sided:
        return None
    usual = max(TOUCH_MIN_E2, reading.touch_mean_e2())
    return max(-OFI_Z_MAX_PPM, min(OFI_Z_MAX_PPM, ofi * PPM // usual))


def _trade_flow(reading: Reading) -> int | None:
    if reading.heard_us < FLOW_TAU_US:
        return None
    value = reading.market.flow.value(reading.now_us)
    return value if reading.is_yes else -value


def _part_of_log_depth(side: Literal["own", "other"], part: int) -> Callable[[Reading], int | None]:
    def read(reading: Reading) -> int | None:
        both = reading.log_depth(side)
        return None if both is None else both[part]

    return read


def _cancelled(reading: Reading, half: TrackedSide) -> int | None:
    if reading.heard_us < CANCEL_TAU_US:
        return None
    resting = half.depth.mean(reading.now_us)
    return None if resting <= 0 else max(0, half.cancels.sum.rate(reading.now_us, PPM)) // resting


def _sell_rate_fast(reading: Reading) -> int | None:
    return reading.own.takers.fast.rate(reading.now_us, 100) if reading.heard_us >= FAST_TAU_US else None


def _sell_rate_slow(reading: Reading) -> int | None:
    return reading.own.takers.slow.rate(reading.now_us, 100) if reading.heard_us >= SLOW_TAU_US else None


def _sell_fano(reading: Reading) -> int | None:
    return reading.own.takers.fano_e2(reading.now_us) if reading.smoothed else None


def _momentum(reading: Reading) -> int | None:
    return reading.own.momentum.ppm(reading.now_us) if reading.smoothed else None


def _usual_touch_cost(reading: Reading) -> int | None:
    cost = reading.own.touch_cost
    known = reading.smoothed and cost.observed_us(reading.now_us) >= COST_TAU_US
    return cost.mean(reading.now_us) if known else None


def _sweep_cost(name: str) -> Callable[[Reading], SweepCost | None]:
    def read(reading: Reading) -> SweepCost | None:
        watch = reading.watch
        return None if watch is None else watch.read_cost(reading.now_us, name, smoothed=reading.smoothed)

    return read


def _slippage(reading: Reading) -> int | None:
    watch = reading.watch
    return watch.slippage_ppm(reading.now_us) if watch is not None and reading.smoothed else None


def _dry_up(reading: Reading) -> int | None:
    watch, now = reading.watch, reading.other.log_depth.current
    both = reading.log_depth("other")
    if both is None or watch is None or watch.remaining <= 0 or now is None:
        return None
    return dry_up_ppm(now, *both, watch.remaining, watch.deadline_us - reading.now_us)


_ON_DEMAND: Final[Mapping[str, Callable[[Reading], Any]]] = {
    "touch_mean_60s_e2": _touch_mean,
    "ofi_e2": _ofi,
    "ofi_z_ppm": _ofi_z,
    "trade_flow_e2": _trade_flow,
    "bid_log_mean_ppm": _part_of_log_depth("own", 0),
    "bid_log_deviation_ppm": _part_of_log_depth("own", 1),
    "ask_log_mean_ppm": _part_of_log_depth("other", 0),
    "ask_log_deviation_ppm": _part_of_log_depth("other", 1),
    "cancel_bid_ppm": lambda reading: _cancelled(reading, reading.own),
    "cancel_ask_ppm": lambda reading: _cancelled(reading, reading.other),
    "sell_rate_fast_e4": _sell_rate_fast,
    "sell_rate_slow_e4": _sell_rate_slow,
    "sell_fano_e2": _sell_fano,
    "seed_momentum_ppm": _momentum,
    "touch_cost_120s_e6": _usual_touch_cost,
    "sweep_remaining": _sweep_cost("sweep_remaining"),
    "sweep_half": _sweep_cost("sweep_half"),
    "sweep_touch": _sweep_cost("sweep_touch"),
    "ema_slippage_ppm": _slippage,
    "dry_up_ppm": _dry_up,
}
