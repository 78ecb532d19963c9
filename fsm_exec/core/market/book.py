"""One market's order book: two ladders of bids, as Kalshi sends them, seen from either outcome.

Only bids exist on the wire. A bid for NO at n is an offer of YES at 1 - n, so from one outcome the asks are the other
outcome's bids, mirrored. Inside, each side is a dict from price to count; ladders are sorted when they are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from fsm_exec.core.errors import LocalError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, complement, opposite

Level: TypeAlias = tuple[PriceE4, CountE2]
Ladder: TypeAlias = tuple[Level, ...]
"""Best price first: highest for bids, lowest for asks."""


class BookError(LocalError):
    """The book cannot be trusted: a level below zero, or sides that cross. Ask for a snapshot."""


class Book:
    """Mutable; owned by one feed or one exchange. `yes` and `no` map bid prices (own outcome) to counts above zero."""

    __slots__ = ("no", "yes")

    def __init__(self, yes: Iterable[Level] = (), no: Iterable[Level] = ()) -> None:
        self.yes: dict[PriceE4, CountE2] = {p: c for p, c in yes if c > 0}
        self.no: dict[PriceE4, CountE2] = {p: c for p, c in no if c > 0}

    def side(self, outcome: Outcome) -> dict[PriceE4, CountE2]:
        return self.yes if outcome == "yes" else self.no

    def change(self, outcome: Outcome, price: PriceE4, delta: CountE2) -> CountE2:
        """Add `delta` to a level and return its new count. Raises BookError if it would fall below zero."""
        side = self.yes if outcome == "yes" else self.no  # written out: this runs for every frame
        count = CountE2(side.get(price, 0) + delta)
        if count > 0:
            side[price] = count
        elif count == 0:
            side.pop(price, None)
        else:
            raise BookError(f"level {outcome} {price} would hold {count}")
        return count

    def best_bid(self, outcome: Outcome) -> PriceE4 | None:
        side = self.side(outcome)
        return max(side) if side else None

    def best_ask(self, outcome: Outcome) -> PriceE4 | None:
        other = self.side(opposite(outcome))
        return complement(max(other)) if other else None

    def is_crossed(self) -> bool:
        bid, ask = self.best_bid("yes"), self.best_ask("yes")
        return bid is not None and ask is not None and bid >= ask

    def bids(self, outcome: Outcome, depth: int = 0, own: Mapping[PriceE4, CountE2] | None = None) -> Ladder:
        """The bids of `outcome`, best first, `depth` levels (0: all), with our own resting counts taken out."""
        side = self.side(outcome)
        ladder: list[Level] = []
        for price in sorted(side, reverse=True):
            count = side[price] - (own.get(price, 0) if own else 0)
            if count > 0:
                ladder.append((price, CountE2(count)))
                if len(ladder) == depth:
                    break
        return tuple(ladder)

    def asks(self, outcome: Outcome, depth: int = 0, own: Mapping[PriceE4, CountE2] | None = None) -> Ladder:
        """The offers of `outcome`, best first. `own` are our bids for the other outcome, in its terms."""
        return tuple((complement(p), c) for p, c in self.bids(opposite(outcome), depth, own))


def sweep(asks: Ladder, count: CountE2) -> tuple[Ladder, CountE2]:
    """What a taker of `count` gets from `asks`: the takes, best level first, and what is left over."""
    takes: list[Level] = []
    left = count
    for price, available in asks:
        if left <= 0:
            break
        take = min(left, available)
        takes.append((price, CountE2(take)))
        left = CountE2(left - take)
    return tuple(takes), left
