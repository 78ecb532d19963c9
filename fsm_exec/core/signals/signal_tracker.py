"""One market's signals, kept up with every change of its book and every trade, and read from either outcome.

The feed reports what a level holds after each change, own size taken out. An own order may be taken
out a moment before or after the book shows it: each of the two is a change of the others' book, and their flows cancel.
A level at which we stand is left out of the cancels, for there the two cannot be told apart.

    order-flow imbalance, per change of a touch:
        e = [b >= b'] q_b - [b <= b'] q_b' - [a <= a'] q_a + [a >= a'] q_a'         (prime = before)
        a side that is or was empty has a size of 0 at a price worse than any other
    OFI = decayed sum of e, 15 s; z = OFI / max(5 contracts, mean over 60 s of (q_b + q_a) / 2), within +-3
    cancels = decayed sum of the contracts cancelled within 3 cents, a second, / mean of what rests there, both 60 s
    mid deviation = mean over 60 s of |mid - its mean over 60 s|, of a two-sided book
    touch cost = mean over 120 s of (ask - bid) / 2 + the taker fee at the ask, a contract, of a two-sided book

Only a change within 3 cents of the touch costs anything beyond keeping the ladder.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from fsm_exec.core.market.bid_ladder import NEAR_E4, BidLadder
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.signals.forecasts import DEPTH_TAU_US, dry_up_ppm
from fsm_exec.core.signals.order_flow import (
    CANCEL_TAU_US,
    FAST_TAU_US,
    SLOW_TAU_US,
    CancelFlow,
    ReferenceMomentum,
    TakerFlow,
)
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.signals.sweep_cost import SweepWatch
from fsm_exec.core.values.ewma import DecayedMean, DecayedSum
from fsm_exec.core.values.fixed_point import ln_ppm
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, CountE2, Outcome, PriceE4, complement, in_outcome, opposite

FLOW_TAU_US: Final = 15_000_000
TOUCH_TAU_US: Final = 60_000_000
MID_TAU_US: Final = 60_000_000
COST_TAU_US: Final = 120_000_000
TOUCH_MIN_E2: Final = 500
OFI_Z_MAX_PPM: Final = 3 * PPM
EVENTS_MIN: Final = 2  # changes of the book before anything smoothed is given
YES_PLUS_NO_E5: Final = 100_000  # mid(yes) + mid(no) is a dollar
AGE_MAX_US: Final = 300_000_000  # nothing smoothed is given of a book that has not changed for five minutes


class _Half:
    """The bids for one outcome and what is smoothed about them."""

    __slots__ = ("cancels", "depth", "log_depth", "momentum", "side", "takers", "touch_cost")

    def __init__(self) -> None:
        self.side = BidLadder()
        self.cancels = CancelFlow()
        self.takers = TakerFlow()
        self.momentum = ReferenceMomentum()
        self.depth = DecayedMean(CANCEL_TAU_US)
        self.log_depth = DecayedMean(DEPTH_TAU_US)
        self.touch_cost = DecayedMean(COST_TAU_US)  # of taking the offer, when these bids are the own outcome's

    def measure_depth(self, at_us: int) -> None:
        near = self.side.near_e2
        self.depth.put(near, at_us)
        self.log_depth.put(ln_ppm(near + ONE_CONTRACT_E2, ONE_CONTRACT_E2), at_us)


class SignalTracker:
    """Empty until `begin`; a gap in the feed is answered by a new beginning. `fees` are the market's now; without them
    there is no cost of taking at the touch."""

    def __init__(self, fees: FeeTerms | None = None) -> None:
        self.fees = fees
        self.watches: dict[str, SweepWatch] = {}
        self._clear(0)

    def _clear(self, at_us: int) -> None:
        self._halves: dict[Outcome, _Half] = {"yes": _Half(), "no": _Half()}
        self._ofi, self._flow = DecayedSum(FLOW_TAU_US), DecayedSum(FLOW_TAU_US)
        self._touch, self._mid = DecayedMean(TOUCH_TAU_US), DecayedMean(MID_TAU_US)
        self._began_us = self._trades_since_us = self._event_us = at_us
        self._trade_us: int | None = None
        self._events = self._trades = 0

    def side(self, outcome: Outcome) -> BidLadder:
        """The bids of the others for this outcome."""
        return self._halves[outcome].side

    # What the feed reports.

    def begin(self, yes: Iterable[Level], no: Iterable[Level], at_us: int) -> None:
        """A whole book: all that was known about the flow before is forgotten."""
        self._clear(at_us)
        for half, levels in ((self._halves["yes"], yes), (self._halves["no"], no)):
            for price, count in levels:
                half.side.put(price, count)
            half.takers.begin(at_us)
            half.measure_depth(at_us)
            half.momentum.put(half.side.total_e2, at_us)
        self._measure_touch(at_us)
        for watch in self.watches.values():
            watch.restart()
            self._measure(watch, at_us)

    def go_on(self, yes: Iterable[Level], no: Iterable[Level], at_us: int) -> None:
        """A whole book some time after the one before: what differs has changed now. Trades in between are unknown,
        so all that rests on them starts again."""
        sides: tuple[tuple[Outcome, Iterable[Level]], ...] = (("yes", yes), ("no", no))
        for outcome, levels in sides:
            half = self._halves[outcome]
            side = half.side
            top = side.best, side.touch_e2
            now = dict(levels)
            for price in {price for price, _ in side.best_first()} - now.keys():
                side.put(price, CountE2(0))
            for price, count in now.items():
                side.put(price, count)
            self._moved(outcome, half, *top, at_us)
            half.measure_depth(self._event_us)
            half.cancels, half.takers = CancelFlow(), TakerFlow()
            half.takers.begin(at_us)
        self._trades_since_us = at_us
        for watch in self.watches.values():
            self._measure(watch, self._event_us)

    def put(self, outcome: Outcome, price: PriceE4, count: CountE2, at_us: int, *, ours: bool = False) -> bool:
        """The others now hold `count` at this level; True if the touch moved. `ours`: our own size stands, or just
        stood, there too."""
        half = self._halves[outcome]
        side = half.side
        best, touch, near = side.best, side.touch_e2, side.near_e2
        before = side.put(price, count)
        moved = self._moved(outcome, half, best, touch, at_us)
        at_us = self._event_us
        if side.near_e2 != near:
            half.measure_depth(at_us)
        if count < before and not ours and price > best - NEAR_E4:
            half.cancels.record_decrease(price, CountE2(before - count), at_us)
        for watch in self.watches.values():
            if moved or watch.concerns(outcome, price):
                self._measure(watch, at_us)
        return moved

    def _moved(self, outcome: Outcome, half: _Half, best: PriceE4, touch: CountE2, at_us: int) -> bool:
        """Something changed on this side, whose best price and size were these: whether they are others now."""
        side = half.side
        self._events += 1
        self._event_us = at_us = max(at_us, self._event_us)
        half.momentum.put(side.total_e2, at_us)
        if side.best == best and side.touch_e2 == touch:
            return False
        flow = (side.touch_e2 if side.best >= best else 0) - (touch if side.best <= best else 0)
        self._ofi.add(flow if outcome == "yes" else -flow, at_us)
        self._measure_touch(at_us)
        return True

    def trade(self, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        """A public trade: the taker bought `taker` from bids for the other outcome."""
        hit = opposite(taker)
        half = self._halves[hit]
        self._trades += 1
        self._trade_us = at_us
        half.takers.record_sale(count, at_us)
        half.cancels.record_trade(in_outcome(yes_price, hit), count, at_us)
        self._flow.add(count if taker == "yes" else -count, at_us)

    def took(self, taker: Outcome, count: CountE2, at_us: int) -> None:
        """So much of the public trades was our own taking."""
        half = self._halves[opposite(taker)]
        half.takers.record_sale(CountE2(-count), at_us)
        self._flow.add(-count if taker == "yes" else count, at_us)

    def watch(self, name: str, watch: SweepWatch, at_us: int) -> None:
        """Follow what taking would cost the execution `name`; the watch of before with another count goes on."""
        known = self.watches.get(name)
        if known is None:
            self.watches[name] = watch
        elif known.remaining == watch.remaining:
            return
        else:
            known.remaining = watch.remaining
        self._measure(self.watches[name], max(at_us, self._event_us))

    def _measure(self, watch: SweepWatch, at_us: int) -> None:
        watch.measure(self.side(watch.outcome), self.side(opposite(watch.outcome)), at_us)

    def _measure_touch(self, at_us: int) -> None:
        """Of a two-sided book only."""
        yes, no = self.side("yes"), self.side("no")
        two_sided = yes.best and no.best
        self._touch.put(yes.touch_e2 + no.touch_e2 if two_sided else None, at_us)
        self._mid.put((yes.best + complement(no.best)) * 5 if two_sided else None, at_us)
        if self.fees is not None:
            for half, offered in ((self._halves["yes"], no.best), (self._halves["no"], yes.best)):
                half.touch_cost.put(_touch_cost(half.side.best, offered, self.fees) if two_sided else None, at_us)

    # What is read.

    def read(self, outcome: Outcome, now_us: int, name: str | None = None) -> Signals:
        """Everything as it stands at `now_us`, never before the last event; with the costs of the execution `name`."""
        now_us = max(now_us, self._event_us)
        own, other = self._halves[outcome], self._halves[opposite(outcome)]
        bids, offers = own.side, other.side
        observed = now_us - self._began_us
        age = now_us - self._event_us
        smoothed = self._events >= EVENTS_MIN and age <= AGE_MAX_US
        two_sided = bool(bids.best and offers.best)
        imbalance = bids.touch_e2 * PPM // (bids.touch_e2 + offers.touch_e2) if two_sided else None
        flows = smoothed and observed >= FLOW_TAU_US
        depths = smoothed and observed >= DEPTH_TAU_US
        heard = now_us - self._trades_since_us if smoothed else 0  # how long trades have been listened to
        ofi = self._ofi.value(now_us) if flows else None
        flow = self._flow.value(now_us) if heard >= FLOW_TAU_US else None
        sign = 1 if outcome == "yes" else -1
        deviation = mid_mean = touch_mean = None
        if smoothed and two_sided and self._mid.observed_us(now_us) >= MID_TAU_US:
            mid_mean, deviation, _ = self._mid.look(now_us, 0)
            mid_mean = mid_mean if outcome == "yes" else YES_PLUS_NO_E5 - mid_mean
            touch_mean = CountE2(self._touch.mean(now_us) // 2)
        watch = self.watches.get(name) if name is not None else None
        bid_mean = bid_deviation = ask_mean = ask_deviation = dry_up = None
        if depths:
            bid_mean, bid_deviation, _ = own.log_depth.look(now_us, 0)
            ask_mean, ask_deviation, _ = other.log_depth.look(now_us, 0)
            if watch is not None and watch.remaining > 0 and other.log_depth.current is not None:
                left_us = watch.deadline_us - now_us
                dry_up = dry_up_ppm(other.log_depth.current, ask_mean, ask_deviation, watch.remaining, left_us)
        costs = watch.read(now_us, smoothed=smoothed) if watch is not None else (None, None, None)
        return Signals(
            at_us=now_us,
            book_events=self._events,
            trades=self._trades,
            observed_us=observed,
            event_age_us=age if self._events else None,
            trade_age_us=None if self._trade_us is None else max(0, now_us - self._trade_us),
            imbalance_ppm=imbalance,
            micro_price_e5=_micro_price(bids, offers) if two_sided else None,
            depth_bid_e2=bids.near_e2,
            depth_ask_e2=offers.near_e2,
            mid_deviation_e5=deviation,
            mid_mean_60s_e5=mid_mean,
            touch_mean_60s_e2=touch_mean,
            ofi_e2=None if ofi is None else sign * ofi,
            ofi_z_ppm=None if ofi is None or not two_sided else self._ofi_z(sign * ofi, now_us),
            trade_flow_e2=None if flow is None else sign * flow,
            bid_log_mean_ppm=bid_mean,
            bid_log_deviation_ppm=bid_deviation,
            ask_log_mean_ppm=ask_mean,
            ask_log_deviation_ppm=ask_deviation,
            cancel_bid_ppm=_cancel_share(own, now_us) if heard >= CANCEL_TAU_US else None,
            cancel_ask_ppm=_cancel_share(other, now_us) if heard >= CANCEL_TAU_US else None,
            sell_rate_fast_e4=own.takers.fast.rate(now_us, 100) if heard >= FAST_TAU_US else None,
            sell_rate_slow_e4=own.takers.slow.rate(now_us, 100) if heard >= SLOW_TAU_US else None,
            sell_fano_e2=own.takers.fano_e2(now_us) if smoothed else None,
            seed_momentum_ppm=own.momentum.ppm(now_us) if smoothed else None,
            touch_cost_120s_e6=own.touch_cost.mean(now_us)
            if smoothed and own.touch_cost.observed_us(now_us) >= COST_TAU_US
            else None,
            sweep_remaining=costs[0],
            sweep_half=costs[1],
            sweep_touch=costs[2],
            ema_slippage_ppm=watch.slippage_ppm(now_us) if watch is not None and smoothed else None,
            dry_up_ppm=dry_up,
        )

    def _ofi_z(self, ofi: int, now_us: int) -> int:
        usual = max(TOUCH_MIN_E2, self._touch.mean(now_us) // 2)
        return max(-OFI_Z_MAX_PPM, min(OFI_Z_MAX_PPM, ofi * PPM // usual))


def _micro_price(bids: BidLadder, offers: BidLadder) -> int:
    """The mid weighted by the sizes of the opposite sides: near the ask when the bid is large."""
    both = bids.touch_e2 + offers.touch_e2
    return 10 * (bids.best * offers.touch_e2 + complement(offers.best) * bids.touch_e2) // both


def _touch_cost(bid: PriceE4, offered: PriceE4, fees: FeeTerms) -> int:
    """What a contract at the ask costs above the mid, in 10^-6 dollars; `offered` is the best bid of the other
    outcome."""
    ask = complement(offered)
    return (ask - bid) * 50 + fees.model_fee(ask, ONE_CONTRACT_E2, taker=True)


def _cancel_share(half: _Half, now_us: int) -> int | None:
    resting = half.depth.mean(now_us)
    return None if resting <= 0 else max(0, half.cancels.sum.rate(now_us, PPM)) // resting
