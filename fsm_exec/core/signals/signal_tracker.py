"""One market's signals, kept up with every change of its book and every trade.

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

What is the market's is kept up from the beginning, whoever reads it: who comes later finds the same value. What is one
execution's (`sweep_cost`) is kept up only if somebody reads it, from the moment it was first watched. Only a change
within 3 cents of the touch costs anything beyond keeping the ladder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fsm_exec.core.market.bid_ladder import NEAR_E4, BidLadder
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.signals.order_flow import CancelFlow, TakerFlow
from fsm_exec.core.signals.signal_reading import read_signals
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.signals.sweep_cost import OfferTotals, SweepWatch
from fsm_exec.core.signals.tracked_market import TrackedMarket, TrackedSide
from fsm_exec.core.values.units import (
    ONE_CONTRACT_E2,
    ONE_DOLLAR_E4,
    CountE2,
    Outcome,
    PriceE4,
    complement,
    in_outcome,
    opposite,
)


class SignalTracker(TrackedMarket):
    """Empty until `begin`; a gap in the feed is answered by a new beginning. `fees` are the market's now; without them
    there is no cost of taking at the touch."""

    __slots__ = ("_is_followed", "_kept_up", "_measured", "fees", "watches")

    def __init__(self, fees: FeeTerms | None = None) -> None:
        super().__init__()
        self.fees = fees
        self.watches: dict[str, SweepWatch] = {}
        self._kept_up: dict[Outcome, tuple[SweepWatch, ...]] = {"yes": (), "no": ()}  # by the execution's outcome
        self._is_followed = False
        self._measured: tuple[PriceE4, PriceE4, FeeTerms | None] | None = None  # the best prices, and the fees, last

    # What the feed reports.

    def begin(self, yes: Iterable[Level], no: Iterable[Level], at_us: int) -> None:
        """A whole book: all that was known about the flow before is forgotten."""
        self.clear(at_us)
        self._measured = None
        for half, levels in ((self.yes, yes), (self.no, no)):
            for price, count in levels:
                half.side.put(price, count)
            half.takers.begin(at_us)
            half.measure_depth(at_us)
            half.momentum.put(half.side.total_e2, at_us)
        self._measure_touch(at_us)
        for watch in self.watches.values():
            watch.restart()
        self._measure_all(at_us)

    def go_on(self, yes: Iterable[Level], no: Iterable[Level], at_us: int) -> None:
        """A whole book some time after the one before: what differs has changed now. Trades in between are unknown,
        so all that rests on them starts again."""
        sides: tuple[tuple[Outcome, Iterable[Level]], ...] = (("yes", yes), ("no", no))
        for outcome, levels in sides:
            half = self.of(outcome)
            side = half.side
            best, touch = side.best, side.touch_e2
            now = dict(levels)
            for price in {price for price, _ in side.best_first()} - now.keys():
                side.put(price, CountE2(0))
            for price, count in now.items():
                side.put(price, count)
            changed_us = self._count_event(half, at_us)
            if side.best != best or side.touch_e2 != touch:
                self._move_touch(outcome, side, best, touch, changed_us)
            half.measure_depth(changed_us)
            half.cancels, half.takers = CancelFlow(), TakerFlow()
            half.takers.begin(at_us)
        self.trades_since_us = at_us
        self._measure_all(self.event_us)

    def put(self, outcome: Outcome, price: PriceE4, count: CountE2, at_us: int, *, ours: bool = False) -> bool:
        """The others now hold `count` at this level; True if the touch moved. `ours`: our own size stands, or just
        stood, there too."""
        half = self.yes if outcome == "yes" else self.no
        side = half.side
        best, touch, near = side.best, side.touch_e2, side.near_e2
        before = side.put(price, count)
        at_us = self._count_event(half, at_us)
        if side.near_e2 != near:
            half.measure_depth(at_us)
        if count < before and not ours and price > best - NEAR_E4:
            half.cancels.record_decrease(price, before - count, at_us)
        moved = side.best != best or side.touch_e2 != touch
        if moved:
            self._move_touch(outcome, side, best, touch, at_us)
        if self._is_followed:
            if side.best != best:
                self._measure_all(at_us)
            elif watches := self._kept_up["no" if outcome == "yes" else "yes"]:
                self._measure_swept(watches, price, count, at_us)
        return moved

    def _count_event(self, half: TrackedSide, at_us: int) -> int:
        """Something changed on this side; the time that counts, which never steps back."""
        self.events += 1
        if at_us < self.event_us:
            at_us = self.event_us
        else:
            self.event_us = at_us
        momentum = half.momentum
        if at_us >= momentum.next_us:  # as its `put`, written out
            momentum.sample(at_us)
        momentum.size = half.side.total_e2
        return at_us

    def _move_touch(self, outcome: Outcome, side: BidLadder, best: PriceE4, touch: CountE2, at_us: int) -> None:
        """This side's best price and size were these."""
        flow = (side.touch_e2 if side.best >= best else 0) - (touch if side.best <= best else 0)
        self.ofi.add(flow if outcome == "yes" else -flow, at_us)
        self._measure_touch(at_us)

    def trade(self, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        """A public trade: the taker bought `taker` from bids for the other outcome."""
        hit = opposite(taker)
        half = self.of(hit)
        self.trades += 1
        self.trade_us = at_us
        half.takers.record_sale(count, at_us)
        half.cancels.record_trade(in_outcome(yes_price, hit), count, at_us)
        self.flow.add(count if taker == "yes" else -count, at_us)

    def took(self, taker: Outcome, count: CountE2, at_us: int) -> None:
        """So much of the public trades was our own taking."""
        self.of(opposite(taker)).takers.record_sale(CountE2(-count), at_us)
        self.flow.add(-count if taker == "yes" else count, at_us)

    # The executions' costs of taking.

    def watch(self, name: str, watch: SweepWatch, at_us: int) -> None:
        """Follow what taking would cost the execution `name`; the watch of before with another count goes on."""
        if name in self.watches:
            self.want(name, watch.remaining, at_us)
            return
        self.watches[name] = watch
        if watch.is_kept_up:
            self._kept_up[watch.outcome] = (*self._kept_up[watch.outcome], watch)
            self._is_followed = True
            self._measure((watch,), max(at_us, self.event_us))

    def want(self, name: str, remaining: CountE2, at_us: int) -> None:
        """The watched execution `name` now wants so much."""
        watch = self.watches[name]
        if watch.remaining != remaining:
            watch.remaining = remaining
            if watch.is_kept_up:
                self._measure((watch,), max(at_us, self.event_us))

    def unwatch(self, name: str) -> None:
        """Follow the execution `name` no more, if it was."""
        watch = self.watches.pop(name, None)
        if watch is not None:
            kept = self._kept_up[watch.outcome]
            self._kept_up[watch.outcome] = tuple(one for one in kept if one is not watch)
            self._is_followed = any(self._kept_up.values())

    def _measure_swept(self, watches: Sequence[SweepWatch], price: PriceE4, count: CountE2, at_us: int) -> None:
        """An offer has changed and the mid has not: measure the costs of those whose sweep it is part of."""
        swept = [
            watch
            for watch in watches
            if price > watch.reach_e4 or (price == watch.reach_e4 and count < watch.enough_e2)
        ]
        if swept:
            self._measure(swept, at_us)

    def _measure_all(self, at_us: int) -> None:
        for watches in self._kept_up.values():
            if watches:
                self._measure(watches, at_us)

    def _measure(self, watches: Sequence[SweepWatch], at_us: int) -> None:
        """Measure the costs of executions of one outcome on the book as it is."""
        own, other = (self.yes, self.no) if watches[0].outcome == "yes" else (self.no, self.yes)
        totals = OfferTotals(other.side)
        for watch in watches:
            watch.measure(own.side, other.side, totals, at_us)

    def _measure_touch(self, at_us: int) -> None:
        """Of a two-sided book only."""
        bid, offered = self.yes.side.best, self.no.side.best
        two_sided = bid and offered
        self.touch.put(self.yes.side.touch_e2 + self.no.side.touch_e2 if two_sided else None, at_us)
        if (bid, offered, self.fees) == self._measured:
            return  # at the same prices the rest is what it was
        self._measured = bid, offered, self.fees
        self.mid.put((bid + ONE_DOLLAR_E4 - offered) * 5 if two_sided else None, at_us)
        if self.fees is not None:
            self.yes.touch_cost.put(_touch_cost(bid, offered, self.fees) if two_sided else None, at_us)
            self.no.touch_cost.put(_touch_cost(offered, bid, self.fees) if two_sided else None, at_us)

    # What is read.

    def read(
        self, outcome: Outcome, now_us: int, name: str | None = None, read: frozenset[str] | None = None
    ) -> Signals:
        """The signals of `read` (None: all) as they stand at `now_us`, never before the last event, beside those that
        are always given; with the costs of the execution `name`."""
        watch = self.watches.get(name) if name is not None else None
        return read_signals(self, outcome, now_us, watch, read)


def _touch_cost(bid: PriceE4, offered: PriceE4, fees: FeeTerms) -> int:
    """What a contract at the ask costs above the mid, in 10^-6 dollars; `offered` is the best bid of the other
    outcome."""
    ask = complement(offered)
    return (ask - bid) * 50 + fees.model_fee(ask, ONE_CONTRACT_E2, taker=True)
