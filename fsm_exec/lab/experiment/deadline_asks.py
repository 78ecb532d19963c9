"""What is offered at the deadline, also to those whose own order withholds it.

What an execution leaves is priced as if it were taken at the deadline, after its order has gone. Under the fill models
that withhold makers (fill_models.py) the book that the engine sees then lacks those makers as long as the order stands,
though they would be there the moment it goes: priced by that book, a method that only rests would look dearer than it
is. So the lab adds them. Under `recorded` nobody is withheld.
"""

from __future__ import annotations

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.completion import completion_cost
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, complement, opposite
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper.venue.exchange import Exchange


class DeadlineAsks:
    """The offers of one market at one moment, best first: those that are displayed, and those with what is withheld."""

    def __init__(self) -> None:
        self.displayed: Ladder = ()
        self.with_withheld: Ladder = ()

    def watch(self, exchange: Exchange, ticker: str, outcome: Outcome, at_us: int) -> None:
        """Look at them when all that the tape brings up to `at_us` has happened."""

        def look() -> None:
            book, seller = exchange.markets[ticker].book, opposite(outcome)
            shown = dict(book.displayed(seller))
            self.displayed = _as_asks(shown)
            self.with_withheld = _as_asks(shown | dict(book.withheld(seller)))

        exchange.timeline.at(at_us, Rank.ARRIVAL, ticker, look)

    def saving_e7(self, unfilled: CountE2, fees: FeeTerms) -> int:
        """By how much the withheld makers make it cheaper to take `unfilled`: in 10^-7 dollars, not below 0."""
        dearer, _ = completion_cost(self.displayed, unfilled, fees)
        cheaper, _ = completion_cost(self.with_withheld, unfilled, fees)
        return (dearer - cheaper) * 10


def _as_asks(bids: dict[PriceE4, CountE2]) -> Ladder:
    return tuple((complement(price), bids[price]) for price in sorted(bids, reverse=True))
