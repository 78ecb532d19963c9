"""The best single limit price, known afterwards: its own place in the queue, its own fills, completed at the deadline.

It can be reached, by luck. The matching is the paper exchange's own. Of the tape it is shown only what can concern an
order at its price: its own level, the takers who sell down to it, and the asks at or below it. Nothing else fills it or
moves its place, and it takes from nothing else.
"""

from __future__ import annotations

from fsm_exec.core.market.completion import completion_cost
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, Outcome, PriceE4, PriceGrid, complement, opposite
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order
from fsm_exec.lab.experiment.tape_index import TapeIndex
from fsm_exec.paper.matching_engine.market_book import BookEvent, MarketBook, Match
from fsm_exec.paper.matching_engine.orders import Order as PaperOrder
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Trade


def static_e7(
    index: TapeIndex,
    start: EpisodeStart,
    order: Order,
    fees: FeeTerms,
    grid: PriceGrid,
    mid_e5: int,
    worst_e4: PriceE4,
    conditions: Conditions,
) -> int:
    """The shortfall of the one limit price, up to `worst_e4`, that turned out best; as `bound_e7`. `grid` is in the
    order's outcome. Whatever reaches a price reaches every higher one: below one that got nothing, all cost the same.
    """
    flow = _Flow(index, start, order, conditions)
    price: PriceE4 | None = worst_e4
    costs: list[int] = []
    while price is not None:
        cost_e7, filled_e2 = flow.work(price, fees, mid_e5)
        costs.append(cost_e7)
        if not filled_e2:
            break
        price = grid.floor(price - 1)
    return min(costs)


def limit_e7(
    index: TapeIndex,
    start: EpisodeStart,
    order: Order,
    fees: FeeTerms,
    mid_e5: int,
    price: PriceE4,
    conditions: Conditions,
) -> int:
    """What one limit order at `price`, given at the start and withdrawn at the deadline, would have cost: the paper
    exchange's own matching, model fees, no engine."""
    cost_e7, _ = _Flow(index, start, order, conditions).work(price, fees, mid_e5)
    return cost_e7


class _Flow:
    """What comes in one episode, for a limit order at any price. Positions of the tape: the order enters before
    `_entry`, what it has left is priced by the book before `_seen`, and nothing reaches it from `_end` on."""

    def __init__(self, index: TapeIndex, start: EpisodeStart, order: Order, conditions: Conditions) -> None:
        self._events = index.tape.events
        self._start, self._order, self._queue_model = start, order, conditions.queue_model
        deadline_us = start.at_us + order.horizon_us
        self._entry = index.before(start.at_us + conditions.latency_us)
        self._seen = index.before(deadline_us - conditions.feed_us)
        self._end = index.before(deadline_us + conditions.latency_us)
        self._own, self._others = index.ladders[order.outcome], index.ladders[opposite(order.outcome)]
        self._bids_met = self._others.standing(self._entry)
        self._bids_seen = self._others.standing(self._seen)

    def work(self, price: PriceE4, fees: FeeTerms, mid_e5: int) -> tuple[int, int]:
        """The shortfall of an order at `price`, and how much of it was filled."""
        reach = complement(price)  # bids of the others from there on are asks that the order takes
        mine = _resting(self._order.outcome, price, self._order.quantity_e2)
        book = self._book_met(price, reach)
        paid_e6 = _paid(book.submit(mine), mine, fees)
        for position in self._reaching(price) if mine.remaining_e2 else ():
            paid_e6 += _paid(_apply(book, self._part(position, price, reach)), mine, fees)
            if not mine.remaining_e2:
                break
        has_entered = self._entry <= self._seen  # what stands there has had all within its reach, or is filled
        asks = tuple((complement(p), n) for p, n in self._bids_seen if p < reach or not has_entered)
        completion_e6, _ = completion_cost(asks, mine.remaining_e2, fees)
        cost_e7 = (paid_e6 + completion_e6) * 10 - self._order.quantity_e2 * mid_e5
        return cost_e7, self._order.quantity_e2 - mine.remaining_e2

    def _book_met(self, price: PriceE4, reach: int) -> MarketBook:
        """The order's own level, with what traded there, and the bids it reaches, as they stand when it enters."""
        book = MarketBook(self._queue_model)
        _apply(book, _only(self._start.opening, self._order.outcome, price))
        first = self._start.first
        sold = self._own.sold.between(first, self._entry)
        for position in self._merge(price, first, self._entry, [n for n, p in sold if p == price]):
            _apply(book, self._part(position, price, ONE_DOLLAR_E4))
        for bid, count in self._bids_met:
            if bid < reach:
                break
            book.record_change(opposite(self._order.outcome), bid, count)
        return book

    def _reaching(self, price: PriceE4) -> list[int]:
        """The positions of what fills the order once it stands, or moves its place."""
        came = (self._own.sold.between(self._entry, self._end), self._own.offered.between(self._entry, self._end))
        return self._merge(price, self._entry, self._end, [n for part in came for n, p in part if p <= price])

    def _merge(self, price: PriceE4, first: int, end: int, positions: list[int]) -> list[int]:
        """They and the changes of the order's own level, in the order of the tape; a snapshot may be in both."""
        level = self._own.levels.get(price)
        return sorted({*positions, *(() if level is None else level.between(first, end))})

    def _part(self, position: int, price: PriceE4, reach: int) -> Change:
        change = self._events[position][1]
        return _only(change, self._order.outcome, price, reach) if isinstance(change, BookSnapshot) else change


def _only(book: BookSnapshot, outcome: Outcome, price: PriceE4, reach: int = ONE_DOLLAR_E4) -> BookSnapshot:
    """The level at `price` for `outcome`, and the bids of the others from `reach` on."""
    sides = {"yes": book.yes, "no": book.no}
    own = tuple(level for level in sides[outcome] if level[0] == price)
    others = tuple(level for level in sides[opposite(outcome)] if level[0] >= reach)
    return BookSnapshot(own, others) if outcome == "yes" else BookSnapshot(others, own)


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
