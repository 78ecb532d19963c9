"""Where in a tape each level changes and what is offered there, found once: an experiment asks for the same tape
thousands of times.

Positions count the tape's events. `before(at_us)` turns a time into one: all events up to and including that time have
happened before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from fsm_exec.core.market.book import Level
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, complement, in_outcome, opposite
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade

OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


class LevelHistory(NamedTuple):
    """One level of one ladder: the positions of the events that changed it, and what it held after each."""

    positions: list[int]
    counts_e2: list[int]

    def before(self, position: int) -> int:
        """What it holds just before the event there."""
        found = bisect_left(self.positions, position)
        return self.counts_e2[found - 1] if found else 0

    def between(self, first: int, end: int) -> list[int]:
        """The positions of its changes from `first` on and before `end`."""
        return self.positions[bisect_left(self.positions, first) : bisect_left(self.positions, end)]


class PricedEvents(NamedTuple):
    """Events at a price each, in the order of the tape."""

    positions: list[int]
    prices_e4: list[PriceE4]
    counts_e2: list[int]

    def add(self, position: int, price_e4: PriceE4, count_e2: int) -> None:
        """Add an event that comes after all others."""
        self.positions.append(position)
        self.prices_e4.append(price_e4)
        self.counts_e2.append(count_e2)

    def between(self, first: int, end: int) -> list[tuple[int, PriceE4]]:
        """Position and price of the events from position `first` on and before `end`."""
        part = self._part(first, end)
        return list(zip(self.positions[part], self.prices_e4[part], strict=True))

    def add_by_price(self, first: int, end: int, totals_e2: dict[PriceE4, int]) -> None:
        """Add what came at each price from position `first` on and before `end`."""
        part = self._part(first, end)
        for price, count in zip(self.prices_e4[part], self.counts_e2[part], strict=True):
            totals_e2[price] = totals_e2.get(price, 0) + count

    def _part(self, first: int, end: int) -> slice:
        return slice(bisect_left(self.positions, first), bisect_left(self.positions, end))


class LadderIndex:
    """The bids of one outcome. After each event of the tape: `depths_e2` is the sum of all levels, `bests_e4` the best
    price, 0 when there is none. `sold` are the takers' sales into these bids, `offered` the asks that are new in this
    outcome's terms: additions of the other ladder, and all of a snapshot's."""

    def __init__(self) -> None:
        self.levels: dict[PriceE4, LevelHistory] = {}
        self.depths_e2: list[int] = []
        self.bests_e4: list[int] = []
        self.sold = PricedEvents([], [], [])
        self.offered = PricedEvents([], [], [])
        self._standing: dict[PriceE4, int] = {}
        self._depth_e2 = 0
        self._best_e4 = 0

    def standing(self, position: int) -> list[Level]:
        """The levels just before the event there, best first."""
        found = [(price, CountE2(count)) for price, level in self.levels.items() if (count := level.before(position))]
        found.sort(reverse=True)
        return found

    def set_level(self, position: int, price: PriceE4, count_e2: int) -> None:
        """Take down what a level holds after an event."""
        standing = self._standing
        self._depth_e2 += count_e2 - standing.get(price, 0)
        if count_e2:
            standing[price] = count_e2
            self._best_e4 = max(self._best_e4, price)
        else:
            standing.pop(price, None)
            if price == self._best_e4:
                self._best_e4 = max(standing, default=0)
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = LevelHistory([], [])
        level.positions.append(position)
        level.counts_e2.append(count_e2)

    def change_level(self, position: int, change: BookDelta) -> None:
        """Take down a change of a level."""
        price = change.price_e4
        self.set_level(position, price, self._standing.get(price, 0) + change.delta_e2)

    def restate(self, position: int, stated: Iterable[Level]) -> None:
        """Take down all levels anew."""
        levels = {price: count for price, count in stated if count > 0}
        for price in self._standing.keys() - levels.keys():
            self.set_level(position, price, 0)
        for price, count in levels.items():
            self.set_level(position, price, count)

    def end_event(self) -> None:
        """Take down depth and best price after an event."""
        self.depths_e2.append(self._depth_e2)
        self.bests_e4.append(self._best_e4)


class TapeIndex:
    """Both ladders of a tape. A snapshot changes each level that it states or that stood before."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.ladders: dict[Outcome, LadderIndex] = {"yes": LadderIndex(), "no": LadderIndex()}
        self._times_us = [at_us for at_us, _ in tape.events]
        for position, (_, change) in enumerate(tape.events):
            self._take_down(position, change)
            for ladder in self.ladders.values():
                ladder.end_event()

    def before(self, at_us: int) -> int:
        """The position before which all events up to and including `at_us` are."""
        return bisect_right(self._times_us, at_us)

    def _take_down(self, position: int, change: BookDelta | BookSnapshot | Trade) -> None:
        match change:
            case BookDelta():
                self.ladders[change.outcome].change_level(position, change)
                if change.delta_e2 > 0:
                    offered = self.ladders[opposite(change.outcome)].offered
                    offered.add(position, complement(change.price_e4), change.delta_e2)
            case Trade():
                hit = opposite(change.taker)
                self.ladders[hit].sold.add(position, in_outcome(change.yes_price_e4, hit), change.count_e2)
            case BookSnapshot():
                for outcome, stated in zip(OUTCOMES, (change.yes, change.no), strict=True):
                    self.ladders[outcome].restate(position, stated)
                    offered = self.ladders[opposite(outcome)].offered
                    for price, count in stated:
                        offered.add(position, complement(price), count)
