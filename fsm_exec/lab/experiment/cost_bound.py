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
a bug of the exchange, of the engine or of this file, and the comparison asserts it. All of it is exact: sums are
integers of 10^-20 dollars, because a fee is a rate of ten decimals times two prices of four times a count of two.

The static bound beside it is what one limit order at one price could have cost, the price known afterwards: its own
place in the queue, its own fills, completed at the deadline. It can be reached, by luck.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.completion import COMPLETION_PRICE_MAX_E4, completion_cost, price_beyond_depth
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import (
    ONE_DOLLAR_E4,
    CountE2,
    Outcome,
    PriceE4,
    PriceGrid,
    complement,
    in_outcome,
    opposite,
)
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order, events_between, ladder
from fsm_exec.paper.matching_engine.market_book import BookEvent, MarketBook, Match
from fsm_exec.paper.matching_engine.orders import Order as PaperOrder
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade

E20_OF_E6 = 10**14
E20_OF_E7 = 10**13


class Opportunity(NamedTuple):
    """`cost_e20` is of one hundredth of a contract, fee included."""

    cost_e20: int
    price_e4: PriceE4
    count_e2: CountE2


def bound_e7(tape: Tape, start: EpisodeStart, order: Order, fees: FeeTerms, mid_e5: int, conditions: Conditions) -> int:
    """The least possible shortfall, a total for the whole quantity in 10^-7 dollars, rounded down. `mid_e5` is the mid
    at arrival in the order's outcome."""
    found = [*opportunities(tape, start, order, fees, conditions), _beyond(tape, start, order, fees, conditions)]
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
    tape: Tape, start: EpisodeStart, order: Order, fees: FeeTerms, conditions: Conditions
) -> Iterator[Opportunity]:
    """Everything that could be bought. An order withdrawn at the deadline stands until the exchange hears of it."""
    seller = opposite(order.outcome)
    yield from _asks(ladder(start.book, seller), fees, taker=True)
    for _, change in events_between(tape, start, start.at_us + order.horizon_us + conditions.latency_us):
        match change:
            case BookDelta() if change.outcome == seller and change.delta_e2 > 0:
                yield from _asks(((change.price_e4, change.delta_e2),), fees, taker=False)
            case BookSnapshot():
                yield from _asks(ladder(change, seller), fees, taker=False)
            case Trade() if change.taker == seller:
                price = in_outcome(change.yes_price_e4, order.outcome)
                yield Opportunity(_all_in_e20(price, fees, taker=False), price, change.count_e2)
            case _:
                pass


def static_e7(
    tape: Tape,
    start: EpisodeStart,
    order: Order,
    fees: FeeTerms,
    grid: PriceGrid,
    mid_e5: int,
    worst_e4: PriceE4,
    conditions: Conditions,
) -> int:
    """The shortfall of the one limit price, up to `worst_e4`, that turned out best; as `bound_e7`. `grid` is in the
    order's outcome. Prices below all that ever traded or was offered fill nothing, so one of them stands for all."""
    cheapest = min((o.price_e4 for o in opportunities(tape, start, order, fees, conditions)), default=worst_e4)
    price: PriceE4 | None = worst_e4
    costs: list[int] = []
    while price is not None:
        costs.append(limit_e7(tape, start, order, fees, mid_e5, price, conditions))
        if price < cheapest:
            break
        price = grid.floor(price - 1)
    return min(costs)


def limit_e7(
    tape: Tape,
    start: EpisodeStart,
    order: Order,
    fees: FeeTerms,
    mid_e5: int,
    price: PriceE4,
    conditions: Conditions,
) -> int:
    """What one limit order at `price`, given at the start and withdrawn at the deadline, would have cost: the paper
    exchange's own matching, model fees, no engine."""
    book = MarketBook(conditions.queue_model)
    book.record_snapshot(start.opening.yes, start.opening.no)
    mine = _resting(order.outcome, price, order.quantity_e2)
    enters_us = start.at_us + conditions.latency_us
    seen_us = start.at_us + order.horizon_us - conditions.feed_us
    entered = seen = False
    paid_e6 = 0
    asks: Ladder = ()
    last_us = start.at_us + order.horizon_us + conditions.latency_us
    for index in range(start.first, len(tape.events)):
        at_us, change = tape.events[index]
        if not entered and at_us > enters_us:
            paid_e6 += _paid(book.submit(mine), mine, fees)
            entered = True
        if not seen and at_us > seen_us:
            asks = _displayed_asks(book, order.outcome)
            seen = True
        if at_us > last_us or (seen and not mine.remaining_e2):
            break
        paid_e6 += _paid(_apply(book, change), mine, fees)
    completion_e6, _ = completion_cost(asks, mine.remaining_e2, fees)
    return (paid_e6 + completion_e6) * 10 - order.quantity_e2 * mid_e5


def _asks(bids: Ladder, fees: FeeTerms, *, taker: bool) -> Iterator[Opportunity]:
    """Bids for the other outcome as the asks that they are."""
    for price, count in bids:
        ask = complement(price)
        yield Opportunity(_all_in_e20(ask, fees, taker=taker), ask, count)


def _all_in_e20(price: PriceE4, fees: FeeTerms, *, taker: bool) -> int:
    rate = fees.taker_e10 if taker else fees.maker_e10
    return price * E20_OF_E6 + rate * price * (ONE_DOLLAR_E4 - price)


def _beyond(tape: Tape, start: EpisodeStart, order: Order, fees: FeeTerms, conditions: Conditions) -> Opportunity:
    """What completion may price beyond the visible depth: the least that it can cost, the most that it can be. The
    book at the deadline may be seen as it was a feed's delay ago, or at any moment since."""
    seller = opposite(order.outcome)
    standing: dict[PriceE4, int] = dict(ladder(start.book, seller))
    deadline_us = start.at_us + order.horizon_us
    depths: list[int] = []
    prices: list[PriceE4] = []

    def look() -> None:
        depths.append(sum(standing.values()))
        prices.append(price_beyond_depth(complement(max(standing)) if standing else COMPLETION_PRICE_MAX_E4))

    for at_us, change in events_between(tape, start, deadline_us):
        if at_us > deadline_us - conditions.feed_us:
            look()
        match change:
            case BookDelta() if change.outcome == seller:
                count = standing.pop(change.price_e4, 0) + change.delta_e2
                if count:
                    standing[change.price_e4] = count
            case BookSnapshot():
                standing = dict(ladder(change, seller))
            case _:
                pass
    look()
    price = min(prices)
    return Opportunity(_all_in_e20(price, fees, taker=True), price, CountE2(max(0, order.quantity_e2 - min(depths))))


def _resting(outcome: Outcome, price: PriceE4, count: CountE2) -> PaperOrder:
    return PaperOrder(
        number=1,
        order_id="static",
        account_id="static",
        client_order_id="static",
        ticker="",
        outcome=outcome,
        price_e4=price,
        initial_e2=count,
        remaining_e2=count,
        time_in_force="good_till_canceled",
        self_trade_prevention="taker_at_cross",
        post_only=False,
        expiration_us=None,
        cancel_on_pause=False,
        created_us=0,
        updated_us=0,
    )


def _apply(book: MarketBook, change: Change) -> list[BookEvent]:
    match change:
        case BookDelta():
            return book.record_change(change.outcome, change.price_e4, change.delta_e2)
        case Trade():
            return book.record_trade(change.taker, change.yes_price_e4, change.count_e2)
        case BookSnapshot():
            return book.record_snapshot(change.yes, change.no)


def _displayed_asks(book: MarketBook, outcome: Outcome) -> Ladder:
    return tuple((complement(price), count) for price, count in reversed(book.displayed(opposite(outcome))))


def _paid(happened: list[BookEvent], mine: PaperOrder, fees: FeeTerms) -> int:
    """What the fills among it cost, model fees included, in millionths of a dollar."""
    total = 0
    for each in happened:
        if not isinstance(each, Match):
            continue
        if each.maker is mine:
            price, taker = each.price_e4, False
        elif each.taker is mine:
            price, taker = complement(each.price_e4), True
        else:
            continue
        total += price * each.count_e2 + fees.model_fee(price, each.count_e2, taker=taker)
    return total
