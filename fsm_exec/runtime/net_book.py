"""The market's book net of our own orders, sorted, with its signals.

Our own size is known from the executions and not from the book, so the two may disagree for a moment; never more than a
level holds is taken out of it. Which of the two changes first makes no difference once both have.
"""

from __future__ import annotations

from collections.abc import Sequence

from fsm_exec.core.market.bid_ladder import BidLadder
from fsm_exec.core.market.book import Book, Level
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.runtime.own_orders import OwnOrders

OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


class NetBook:
    """The ladders of both outcomes, net of our own orders. `tracker` None: no signals are kept."""

    def __init__(self, ticker: str, own: OwnOrders, tracker: SignalTracker | None) -> None:
        self._ticker, self._own = ticker, own
        self.tracker = tracker
        self._sides: dict[Outcome, BidLadder] = {"yes": BidLadder(), "no": BidLadder()}
        self._ours: dict[Outcome, dict[PriceE4, CountE2]] = {"yes": {}, "no": {}}
        self._warm = False
        self.at_us = 0  # of the newest book

    def side(self, outcome: Outcome) -> BidLadder:
        """Return the net bid ladder for `outcome`."""
        return self._sides[outcome] if self.tracker is None else self.tracker.side(outcome)

    def warm_up(self, books: Sequence[tuple[int, Sequence[Level], Sequence[Level]]]) -> None:
        """Load books of an earlier process, (time, YES bids, NO bids), oldest first: the next snapshot continues from
        them."""
        if self.tracker is None or not books:
            return
        (at_us, yes, no), *later = books
        self.tracker.begin(yes, no, at_us)
        for at_us, yes, no in later:
            self.tracker.go_on(yes, no, at_us)
        self._warm = True

    def start(self, book: Book, at_us: int) -> None:
        """Take a whole book, after a gap or as the first one after a restart; after `warm_up` the signals continue."""
        self.at_us = at_us
        for outcome in OUTCOMES:
            self._ours[outcome] = self._own.levels(self._ticker, outcome)
        yes, no = (book.bids(outcome, 0, self._ours[outcome]) for outcome in OUTCOMES)
        if self.tracker is None:
            self._sides = {"yes": _ladder_of(yes), "no": _ladder_of(no)}
        elif self._warm:
            self.tracker.go_on(yes, no, at_us)
        else:
            self.tracker.begin(yes, no, at_us)
        self._warm = False

    def go_on_from(self, tracker: SignalTracker) -> None:
        """Replace the signals by those of a longer watch of the same book. Raises ValueError if it is another."""
        for outcome in OUTCOMES:
            here, there = (list(side.best_first()) for side in (self.side(outcome), tracker.side(outcome)))
            if here != there:
                raise ValueError(f"the signals are of another book of {self._ticker}: {there[:3]}, here {here[:3]}")
        self.tracker = tracker

    def apply_change(self, book: Book, outcome: Outcome, price: PriceE4, at_us: int) -> bool:
        """Apply a change of one level; return whether the net touch moved."""
        self.at_us = at_us
        moved = self.refresh_own(book)
        return self._put(book, outcome, price, at_us, ours=price in self._ours[outcome]) or moved

    def refresh_own(self, book: Book) -> bool:
        """Take in that our own orders may have changed; return whether the net touch moved."""
        moved = False
        for each in OUTCOMES:
            ours = self._own.levels(self._ticker, each)
            if ours is not self._ours[each]:
                before, self._ours[each] = self._ours[each], ours
                for level in before.keys() | ours.keys():
                    moved |= self._put(book, each, level, self.at_us, ours=True)
        return moved

    def _put(self, book: Book, outcome: Outcome, price: PriceE4, at_us: int, *, ours: bool) -> bool:
        held = book.side(outcome).get(price, 0)
        count = CountE2(max(0, held - self._ours[outcome].get(price, 0)) if ours else held)
        if self.tracker is not None:
            return self.tracker.put(outcome, price, count, at_us, ours=ours)
        side = self._sides[outcome]
        top = side.best, side.touch_e2
        side.put(price, count)
        return (side.best, side.touch_e2) != top


def _ladder_of(levels: Sequence[Level]) -> BidLadder:
    side = BidLadder()
    for price, count in levels:
        side.put(price, count)
    return side
