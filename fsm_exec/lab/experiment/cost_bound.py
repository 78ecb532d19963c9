"""The physical limit: the cheapest way in which an order could have been filled by what came, known afterwards.

To buy Q of an outcome there are only these opportunities between the arrival and the deadline:
  (i)   the asks that stand at the arrival, at their prices plus the taker fee;
  (ii)  each ask that arrives later, at its price plus the maker fee: a bid that rested there first would have got it;
  (iii) each contract a taker sells into the bids, at the bid it reaches, plus the maker fee: the same.
  (iv)  what completion takes to be there beyond the depth visible at the deadline, at the last level and two cents:
        no level is cheaper than the best recorded then, and whatever of the recorded depth an order took earlier it has
        got, so there is as much of it as the quantity exceeds that depth, and no more.
The bound is the cost of the cheapest Q of them, less the mid at arrival. A snapshot in the middle of a tape states
every ask again, so every ask of it is an opportunity.

Each contract an execution gets comes from one of these, at its price or a worse one; so a shortfall below the bound is
a bug of the exchange, of the engine or of this file, and the comparison asserts it. That holds under every fill model:
all makers who cross to us under the freest of them are opportunities, and who is withheld is met later, if ever, as an
ask at his own price. All of it is exact: sums are integers of 10^-20 dollars, because a fee is a rate of ten decimals
times two prices of four times a count of two.

The static price beside it (static_price.py) is what one limit order could have cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fsm_exec.core.market.completion import price_beyond_depth
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, PriceE4, complement, opposite
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order, ladder
from fsm_exec.lab.experiment.tape_index import TapeIndex

E20_OF_E6 = 10**14
E20_OF_E7 = 10**13


class Opportunity(NamedTuple):
    """`cost_e20` is of one hundredth of a contract, fee included."""

    cost_e20: int
    price_e4: PriceE4
    count_e2: CountE2


def bound_e7(
    index: TapeIndex, start: EpisodeStart, order: Order, fees: FeeTerms, mid_e5: int, conditions: Conditions
) -> int:
    """The least possible shortfall, a total for the whole quantity in 10^-7 dollars, rounded down. `mid_e5` is the mid
    at arrival in the order's outcome."""
    found = [*opportunities(index, start, order, fees, conditions), _beyond(index, start, order, fees, conditions)]
    found.sort()
    left = int(order.quantity_e2)
    total = 0
    for opportunity in found:
        taken = min(left, opportunity.count_e2)
        total += taken * opportunity.cost_e20
        left -= taken
        if not left:
            break
    assert not left, "the visible depth is among the opportunities, and the rest is beyond it"
    return total // E20_OF_E7 - order.quantity_e2 * mid_e5


def opportunities(
    index: TapeIndex, start: EpisodeStart, order: Order, fees: FeeTerms, conditions: Conditions
) -> Iterator[Opportunity]:
    """Everything that could be bought, that of one price which came later as one. An order withdrawn at the deadline
    stands until the exchange hears of it."""
    for bid, count in ladder(start.book, opposite(order.outcome)):
        ask = complement(bid)
        yield Opportunity(_all_in_e20(ask, fees, taker=True), ask, count)
    mine = index.ladders[order.outcome]
    first = index.before(start.at_us)
    end = index.before(start.at_us + order.horizon_us + conditions.latency_us)
    later: dict[PriceE4, int] = {}
    mine.offered.add_by_price(first, end, later)
    mine.sold.add_by_price(first, end, later)
    for price, number in later.items():
        yield Opportunity(_all_in_e20(price, fees, taker=False), price, CountE2(number))


def _all_in_e20(price: PriceE4, fees: FeeTerms, *, taker: bool) -> int:
    rate = fees.taker_e10 if taker else fees.maker_e10
    return price * E20_OF_E6 + rate * price * (ONE_DOLLAR_E4 - price)


def _beyond(index: TapeIndex, start: EpisodeStart, order: Order, fees: FeeTerms, conditions: Conditions) -> Opportunity:
    """What completion may price beyond the visible depth: the least that it can cost, the most that it can be. The
    book at the deadline may be seen as it was a feed's delay ago, or at any moment since."""
    seller = index.ladders[opposite(order.outcome)]
    deadline_us = start.at_us + order.horizon_us
    seen = max(index.before(start.at_us), index.before(deadline_us - conditions.feed_us))
    moments = slice(seen - 1, index.before(deadline_us))  # each stands for the book after its event
    price = price_beyond_depth(complement(PriceE4(max(seller.bests_e4[moments]))))
    beyond = max(0, order.quantity_e2 - min(seller.depths_e2[moments]))
    return Opportunity(_all_in_e20(price, fees, taker=True), price, CountE2(beyond))
