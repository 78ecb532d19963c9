"""One ladder of bids kept in order as it changes: its best level, and how much stands near it and in all.

The feed keeps two, with this account's own size taken out. Prices are those of the bids' own outcome.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Final

from fsm_exec.core.market.book import Level
from fsm_exec.core.values.units import CountE2, PriceE4

NEAR_E4: Final = 300  # "within 3 cents": the best price and what is less than 3 cents behind it


class BidLadder:
    """`best` and `touch_e2` are 0 for an empty side: no price is 0."""

    __slots__ = ("_counts", "_prices", "best", "near_e2", "total_e2", "touch_e2")

    def __init__(self) -> None:
        self._counts: dict[PriceE4, CountE2] = {}
        self._prices: list[PriceE4] = []  # ascending, as they are added and dropped: the best is the last
        self.best = PriceE4(0)
        self.touch_e2 = self.near_e2 = self.total_e2 = CountE2(0)

    def put(self, price: PriceE4, count: CountE2) -> CountE2:
        """The level now holds `count`, 0 or more; returns what it held."""
        counts = self._counts
        before = counts.get(price, CountE2(0))
        if count == before:
            return before
        prices = self._prices
        if count:
            counts[price] = count
            if not before:
                insort(prices, price)
        else:
            del counts[price]
            del prices[bisect_left(prices, price)]
        self.total_e2 = CountE2(self.total_e2 + count - before)
        if price > self.best - NEAR_E4:  # also the first level of all, and every one above the best
            if price == self.best and count:
                self.touch_e2 = count
                self.near_e2 = CountE2(self.near_e2 + count - before)
            elif price < self.best:
                self.near_e2 = CountE2(self.near_e2 + count - before)
            else:
                self._find_best()
        return before

    def count_at(self, price: PriceE4) -> CountE2:
        return self._counts.get(price, CountE2(0))

    def within(self, distance_e4: int) -> CountE2:
        """What stands at the best price and less than `distance_e4` behind it."""
        total = 0
        for price in reversed(self._prices):
            if price <= self.best - distance_e4:
                break
            total += self._counts[price]
        return CountE2(total)

    @property
    def levels(self) -> int:
        return len(self._prices)

    def best_first(self) -> Iterator[Level]:
        for price in reversed(self._prices):
            yield price, self._counts[price]

    def _find_best(self) -> None:
        if self._prices:
            self.best = self._prices[-1]
            self.touch_e2 = self._counts[self.best]
            self.near_e2 = self.within(NEAR_E4)
        else:
            self.best, self.touch_e2, self.near_e2 = PriceE4(0), CountE2(0), CountE2(0)
