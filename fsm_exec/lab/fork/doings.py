"""What an execution asked of the exchange, in order: for two histories to be held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Final, Literal, NamedTuple

from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, PlaceOrder
from fsm_exec.core.values.units import CountE2, PriceE4, format_count, format_fixed

SAME_TIME_US: Final = 500_000  # two decisions: a save or an answer that took longer moves what follows by one


class Doing(NamedTuple):
    """One write. `count_e2` is the order's whole count. A cancel has the price and count of what it takes off."""

    at_us: int
    what: Literal["place", "amend", "cancel"]
    price_e4: PriceE4
    count_e2: CountE2

    def described(self, from_us: int) -> str:
        """In words, with its time since `from_us`."""
        seconds = format_fixed(self.at_us - from_us, 6)[:-3]
        return f"{self.what} {format_count(self.count_e2)} at {format_fixed(self.price_e4, 2)} c after {seconds} s"


class Likeness(NamedTuple):
    """How alike two histories are: the first `same` writes are, `apart_us` at most. `difference` None: all are."""

    same: int
    of: int
    apart_us: int
    difference: str | None

    @property
    def holds(self) -> bool:
        return self.difference is None


def doings_of(history: Iterable[ReplayedRow]) -> list[Doing]:
    """The writes that were decided, oldest first."""
    found: list[Doing] = []
    for one in history:
        for effect in one.advance.effects:
            match effect:
                case PlaceOrder():
                    found.append(Doing(one.row.at_us, "place", effect.price_e4, effect.count_e2))
                case AmendOrder():
                    found.append(Doing(one.row.at_us, "amend", effect.price_e4, effect.total_e2))
                case CancelOrder():
                    child = one.advance.execution.child(effect.client_order_id)
                    assert child is not None
                    found.append(Doing(one.row.at_us, "cancel", child.price_e4, child.count_e2))
    return found


def compare_doings(really: Sequence[Doing], here: Sequence[Doing], from_us: int) -> Likeness:
    """Compare what was really asked with what was asked in the lab, write by write: kind, price, count, and time."""
    apart_us = 0
    for number, (one, other) in enumerate(zip_longest(really, here)):
        if one is None or other is None or one[1:] != other[1:] or abs(one.at_us - other.at_us) > SAME_TIME_US:
            told = [("nothing" if each is None else each.described(from_us)) for each in (one, other)]
            return Likeness(number, len(really), apart_us, f"really {told[0]}, here {told[1]}")
        apart_us = max(apart_us, abs(one.at_us - other.at_us))
    return Likeness(len(really), len(really), apart_us, None)
