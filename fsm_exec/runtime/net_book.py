"""The book of the others: what a feed's market holds without this account, in order, with its signals.

Own size is known from the executions and not from the book, so the two may disagree for a moment; what is ours is
never taken for more than stands there. Which of the two is told first at one moment makes no difference after it.
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
    """`tracker` None: the ladders are kept, no signals are."""

    def __init__(self, ticker: str, own: OwnOrders, tracker: SignalTracker | None) -> None:
        self._ticker, self._own = ticker, own
        self.tracker = tracker
        self._sides: dict[Outcome, BidLadder] = {"yes": BidLadder(), "no": BidLadder()}
        self._ours: dict[Outcome, dict[PriceE4, CountE2]] = {"yes": {}, "no": {}}
        self._warm = False
        self.at_us = 0  # of the newest book

    def side(self, outcome: Outcome) -> BidLadder:
        return self._sides[outcome] if self.tracker is None else self.tracker.side(outcome)

    def warm_up(self, books: Sequence[tuple[int, Sequence[Level], Sequence[Level]]]) -> None:
        """Begin with books of before, (time, YES bids, NO bids), oldest first: the next whole book goes on from
        them."""
        if self.tracker is None or not books:
            return
        (at_us, yes, no), *later = books
        self.tracker.begin(yes, no, at_us)
        for at_us, yes, no in later:
            self.tracker.go_on(yes, no, at_us)
        self._warm = True

    def start(self, book: Book, at_us: int) -> None:
        """A whole book, after a gap: or the first one after a restart, when what was known before may go on."""
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

    def apply_change(self, book: Book, outcome: Outcome, price: PriceE4, at_us: int) -> bool:
        """A level of the book has changed; True if the touch of the others moved."""
        self.at_us = at_us
        moved = self.refresh_own(book)
        return self._put(book, outcome, price, at_us, ours=price in self._ours[outcome]) or moved

    def refresh_own(self, book: Book) -> bool:
        """What is ours may have changed; True if the touch of the others moved with it."""
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
