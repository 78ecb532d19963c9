"""One market's book: the tape's levels with our orders laid over them, price first, then time. Pure and synchronous.

Two ladders of bids, `yes` and `no`, which are one book: a bid for YES at p meets a bid for NO at 1 - p or better, at
the price of the one that rested. Every operation returns what happened, in order; applying the `LevelChange`s to the
book displayed before gives the book displayed after, and no state in between is crossed or negative.

The tape knows nothing of our orders, so its events are read like this:
  a taker's trade at p     fills our bids above p, best first, then at p what is beyond those ahead of us
  a new or larger bid      fills our bids of the other ladder that it reaches, at our price, as far as the fill model
                           says that it crosses to us (fill_models.py); what is left is displayed
  a decrease               never fills us (see price_level.py)
Public prints of a recorded trade always add to its recorded quantity.

What would cross an order of ours and does not is withheld: all levels of a ladder from the complement of our best order
in the other one upwards. Nothing of ours can stand there, so a level is withheld whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from fsm_exec.core.market.book import Level as BookLevel
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, Outcome, PriceE4, complement, in_outcome, opposite
from fsm_exec.paper.matching_engine.fill_models import FillCause, FillModel, shows_heads
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.paper.matching_engine.price_level import PriceLevel, QueueModel

OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")
NOT_WITHHELD = PriceE4(ONE_DOLLAR_E4 + 1)  # no price is as high


class Match(NamedTuple):
    """A trade, at the resting side's price. `outcome` and `price_e4` are the resting side's ladder and price there.
    None stands for the crowd of the tape. `cause` is why the maker was filled."""

    maker: Order | None
    taker: Order | None
    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    cause: FillCause = "queue"


class LevelChange(NamedTuple):
    """The displayed level changed by `delta_e2`. `cause` is the order of ours that did it, if one did."""

    outcome: Outcome
    price_e4: PriceE4
    delta_e2: CountE2
    cause: Order | None


class SelfTradeCancelled(NamedTuple):
    """An order ended by self-trade prevention: `order.remaining_e2` contracts of it did not trade."""

    order: Order


BookEvent: TypeAlias = Match | LevelChange | SelfTradeCancelled


class MarketBook:
    """`queue_model`: what the decreases of the tape do to the places of our orders (price_level.py). `fill_model`:
    which of its limit orders cross to ours; `ticker` tells one market's coins from another's (fill_models.py)."""

    def __init__(
        self, queue_model: QueueModel = "conservative", fill_model: FillModel = "recorded", ticker: str = ""
    ) -> None:
        self._queue_model: QueueModel = queue_model
        self._fill_model: FillModel = fill_model
        self._ticker = ticker
        self._ladders: dict[Outcome, dict[PriceE4, PriceLevel]] = {"yes": {}, "no": {}}
        self._ours: dict[Outcome, dict[PriceE4, PriceLevel]] = {"yes": {}, "no": {}}
        self._withheld_from: dict[Outcome, PriceE4] = {"yes": NOT_WITHHELD, "no": NOT_WITHHELD}

    # What is displayed

    def displayed(self, outcome: Outcome) -> list[BookLevel]:
        """The bids of one ladder, ascending, as the wire shows them."""
        ladder, withheld_from = self._ladders[outcome], self._withheld_from[outcome]
        return [
            (p, CountE2(count)) for p in sorted(ladder) if p < withheld_from and (count := ladder[p].displayed_e2) > 0
        ]

    def recorded(self, outcome: Outcome) -> list[BookLevel]:
        """The tape's own levels, without our orders and whatever those took or withhold."""
        return [(p, CountE2(level.recorded_e2)) for p, level in self._ladders[outcome].items() if level.recorded_e2]

    def withheld(self, outcome: Outcome) -> list[BookLevel]:
        """The bids of one ladder that are not displayed because they would cross an order of ours."""
        ladder, withheld_from = self._ladders[outcome], self._withheld_from[outcome]
        return [(p, CountE2(level.background_e2)) for p, level in ladder.items() if p >= withheld_from]

    def ahead_of(self, order: Order) -> CountE2:
        """Return how much trades before a resting order, at better prices and at its own: by price, then time."""
        ladder, withheld_from = self._ladders[order.outcome], self._withheld_from[order.outcome]
        better = sum(level.displayed_e2 for price, level in ladder.items() if order.price_e4 < price < withheld_from)
        ahead = int(order.ahead_e2)
        for other in ladder[order.price_e4].orders:
            if other is order:
                break
            ahead += other.remaining_e2
        return CountE2(better + ahead)

    def best(self, outcome: Outcome) -> BookLevel | None:
        ladder, withheld_from = self._ladders[outcome], self._withheld_from[outcome]
        if not ladder:
            return None
        top = max(ladder)
        if top < withheld_from and (count := ladder[top].displayed_e2) > 0:
            return top, CountE2(count)
        # Rare: our orders took or withhold all that the tape still states at the top.
        price = max((p for p, level in ladder.items() if p < withheld_from and level.displayed_e2 > 0), default=None)
        return None if price is None else (price, CountE2(ladder[price].displayed_e2))

    def crosses(self, outcome: Outcome, price: PriceE4) -> bool:
        """Whether a bid at `price` would trade at once."""
        best = self.best(opposite(outcome))
        return best is not None and best[0] >= complement(price)

    # The tape

    def record_snapshot(self, yes: Iterable[BookLevel], no: Iterable[BookLevel], at_us: int = 0) -> list[BookEvent]:
        """Take a snapshot of the whole book from the tape, at `at_us` of its time. What it states beyond what was
        withheld already has just arrived, and may fill orders of ours."""
        before = {outcome: dict(self.displayed(outcome)) for outcome in OUTCOMES}
        withheld = {outcome: dict(self.withheld(outcome)) for outcome in OUTCOMES}
        for outcome, levels in zip(OUTCOMES, (yes, no), strict=True):
            stated = {price: count for price, count in levels if count > 0}
            for price in sorted(self._ladders[outcome].keys() | stated.keys()):
                self._level(outcome, price).reset(stated.get(price, CountE2(0)))
        matches: list[Match] = []
        for outcome in OUTCOMES:
            for price in sorted(self._ladders[outcome], reverse=True):
                level = self._ladders[outcome][price]
                arrived = level.recorded_e2 - withheld[outcome].get(price, 0)
                reached = _matches(self._fill_ours_crossed_by(outcome, price, arrived, level.recorded_e2, at_us))
                level.consume(sum(match.count_e2 for match in reached))
                matches += reached
        for outcome in OUTCOMES:
            for price in sorted(self._ladders[outcome]):
                self._prune(outcome, price)
        self._release()
        changes = self._differences(before)
        decreases_first = sorted(changes, key=lambda change: change.delta_e2 > 0)  # never crossed in between
        return [*matches, *decreases_first]

    def record_change(self, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int = 0) -> list[BookEvent]:
        """Take a change of one level from the tape, at `at_us` of its time. Raises BookError when it takes away more
        than it ever showed."""
        level = self._level(outcome, price)
        withheld = price >= self._withheld_from[outcome]
        if delta < 0:
            before = level.displayed_e2
            level.remove(-delta)
            net = level.displayed_e2 - before
            self._prune(outcome, price)
            return [LevelChange(outcome, price, CountE2(net), None)] if net and not withheld else []
        level.add(delta)
        if not withheld:  # it reaches no order of ours
            return [LevelChange(outcome, price, delta, None)]
        happened = self._fill_ours_crossed_by(outcome, price, delta, delta, at_us)
        level.consume(sum(match.count_e2 for match in _matches(happened)))
        happened += self._release()
        self._prune(outcome, price)
        return happened

    def record_trade(self, taker: Outcome, yes_price: PriceE4, count: CountE2) -> list[BookEvent]:
        """Take a trade from the tape: a taker bought `taker` and hit the other ladder. Its decrease is a change of its
        own."""
        outcome = opposite(taker)
        price = in_outcome(yes_price, outcome)
        happened: list[BookEvent] = []
        left = int(count)
        for above in sorted((p for p in self._ours[outcome] if p > price), reverse=True):
            level = self._ours[outcome][above]
            for ours in list(level.orders):
                left -= self._fill(happened, level, ours, None, min(left, ours.remaining_e2), "trade")
        level_at = self._ladders[outcome].get(price)
        if level_at is not None:
            level_at.record_trade(count)
        if level_at is not None and left:
            plan = _allocation(level_at, left)
            crowd = sum(part for order, part in plan if order is None)
            level_at.advance(crowd)
            for order, part in plan:
                if order is not None:
                    left -= self._fill(happened, level_at, order, None, part, "queue")
            self._prune(outcome, price)
        happened += self._release()
        if left:
            happened.append(Match(None, None, outcome, price, CountE2(left)))
        return happened

    # Our orders

    def submit(self, order: Order) -> list[BookEvent]:
        """Match an incoming order, then rest what remains if it may rest. What remains of it afterwards, and does
        not rest, is for the caller to cancel."""
        happened: list[BookEvent] = []
        ladder = opposite(order.outcome)
        prevented = False
        while order.remaining_e2 and not prevented:
            best = self.best(ladder)
            if best is None or best[0] < complement(order.price_e4):
                break
            prevented = self._take(happened, order, self._ladders[ladder][best[0]], ladder, best[0])
        if prevented:
            happened.append(SelfTradeCancelled(order))
        elif order.remaining_e2 and order.time_in_force == "good_till_canceled":
            level = self._level(order.outcome, order.price_e4)
            level.join(order)
            self._ours[order.outcome][order.price_e4] = level
            happened.append(LevelChange(order.outcome, order.price_e4, order.remaining_e2, order))
        happened += self._release()
        return happened

    def fillable(self, order: Order) -> bool:
        """Whether an incoming order would fill whole at once, self-trade prevention included."""
        left = int(order.remaining_e2)
        ladder = self._ladders[opposite(order.outcome)]
        for price in sorted(ladder, reverse=True):
            if left <= 0 or price < complement(order.price_e4):
                break
            if price >= self._withheld_from[opposite(order.outcome)]:
                continue
            for other, count in ladder[price].queue():
                if other is not None and other.account_id == order.account_id:
                    if order.self_trade_prevention == "taker_at_cross" and left > 0:
                        return False
                    continue
                left -= count
        return left <= 0

    def cancel(self, order: Order) -> list[BookEvent]:
        """Take a resting order off the book."""
        return [self.take_off(order), *self._release()]

    def take_off(self, order: Order) -> LevelChange:
        """Take a resting order off the book that is submitted again at once: what it withholds stays so until then."""
        level = self._ladders[order.outcome][order.price_e4]
        level.leave(order)
        self._drop_if_empty(order.outcome, order.price_e4, level)
        self._prune(order.outcome, order.price_e4)
        return LevelChange(order.outcome, order.price_e4, CountE2(-order.remaining_e2), order)

    def reduce(self, order: Order, remaining: CountE2) -> list[BookEvent]:
        """Lower a resting order to `remaining` > 0; it keeps its place."""
        delta = CountE2(remaining - order.remaining_e2)
        order.remaining_e2 = remaining
        return [LevelChange(order.outcome, order.price_e4, delta, order)] if delta else []

    # Inside

    def _take(
        self, happened: list[BookEvent], taker: Order, level: PriceLevel, outcome: Outcome, price: PriceE4
    ) -> bool:
        """Trade `taker` against one level's queue. True if it met an order of its own account and must stop."""
        met_own = False
        plan: list[tuple[Order | None, int]] = []
        own: list[Order] = []
        left = int(taker.remaining_e2)
        for other, available in level.queue():
            if not left:
                break
            if other is not None and other.account_id == taker.account_id:
                if taker.self_trade_prevention == "taker_at_cross":
                    met_own = True
                    break
                own.append(other)
                continue
            part = min(left, available)
            plan.append((other, part))
            left -= part
        for mine in own:
            happened.append(self.take_off(mine))
            happened.append(SelfTradeCancelled(mine))
        for other, part in plan:
            if other is None:
                level.consume(part)
                level.advance(part)
                taker.remaining_e2 = CountE2(taker.remaining_e2 - part)
                happened.append(Match(None, taker, outcome, price, CountE2(part)))
                happened.append(LevelChange(outcome, price, CountE2(-part), taker))
            else:
                self._fill(happened, level, other, taker, part, "queue")
        self._prune(outcome, price)
        return met_own

    def _fill(
        self,
        happened: list[BookEvent],
        level: PriceLevel,
        maker: Order,
        taker: Order | None,
        count: int,
        cause: FillCause,
    ) -> int:
        """Fill a resting order by `count` and drop it when nothing remains. Returns `count`."""
        if not count:
            return 0
        maker.remaining_e2 = CountE2(maker.remaining_e2 - count)
        if taker is not None:
            taker.remaining_e2 = CountE2(taker.remaining_e2 - count)
        happened.append(Match(maker, taker, maker.outcome, maker.price_e4, CountE2(count), cause))
        happened.append(LevelChange(maker.outcome, maker.price_e4, CountE2(-count), taker))
        if not maker.remaining_e2:
            level.leave(maker)
            self._drop_if_empty(maker.outcome, maker.price_e4, level)
            self._prune(maker.outcome, maker.price_e4)
        return count

    def _fill_ours_crossed_by(
        self, outcome: Outcome, price: PriceE4, count: int, recorded: int, at_us: int
    ) -> list[BookEvent]:
        """Fill our orders of the other ladder to which a bid of the tape at `price` crosses, best first, by `count` at
        most. The coin is that of the event as it was recorded: of `recorded` contracts at `at_us`."""
        other, at_our_price = opposite(outcome), complement(price)
        happened: list[BookEvent] = []
        reached = sorted((p for p in self._ours[other] if p >= at_our_price), reverse=True)
        if not reached or count <= 0 or self._fill_model == "trades":
            return happened
        if self._fill_model == "coin" and not shows_heads(self._ticker, at_us, outcome, price, CountE2(recorded)):
            return happened
        left = count
        for ours in reached:
            if self._fill_model == "through" and ours == at_our_price:
                break
            level = self._ours[other][ours]
            for order in list(level.orders):
                part = min(left, order.remaining_e2)
                left -= self._fill(happened, level, order, None, part, "through" if ours > at_our_price else "crossing")
        return happened

    def _release(self) -> list[LevelChange]:
        """Withhold what our best orders would cross now, and no more. Returns how the rest comes to be displayed."""
        released: list[LevelChange] = []
        for outcome in OUTCOMES:
            ours = max(self._ours[opposite(outcome)], default=None)
            before = self._withheld_from[outcome]
            self._withheld_from[outcome] = after = NOT_WITHHELD if ours is None else complement(ours)
            if before < after:
                freed = {p: level.background_e2 for p, level in self._ladders[outcome].items() if before <= p < after}
                released += [LevelChange(outcome, p, CountE2(freed[p]), None) for p in sorted(freed) if freed[p]]
        return released

    def _differences(self, before: dict[Outcome, dict[PriceE4, CountE2]]) -> list[LevelChange]:
        changes: list[LevelChange] = []
        for outcome in OUTCOMES:
            after = dict(self.displayed(outcome))
            for price in sorted(before[outcome].keys() | after.keys()):
                delta = after.get(price, 0) - before[outcome].get(price, 0)
                if delta:
                    changes.append(LevelChange(outcome, price, CountE2(delta), None))
        return changes

    def _level(self, outcome: Outcome, price: PriceE4) -> PriceLevel:
        return self._ladders[outcome].setdefault(price, PriceLevel(self._queue_model))

    def _drop_if_empty(self, outcome: Outcome, price: PriceE4, level: PriceLevel) -> None:
        if not level.orders:
            self._ours[outcome].pop(price, None)

    def _prune(self, outcome: Outcome, price: PriceE4) -> None:
        level = self._ladders[outcome].get(price)
        if level is not None and level.is_empty():
            del self._ladders[outcome][price]


def _matches(happened: list[BookEvent]) -> list[Match]:
    return [each for each in happened if isinstance(each, Match)]


def _allocation(level: PriceLevel, count: int) -> list[tuple[Order | None, int]]:
    """Who trades how much when `count` contracts hit `level`."""
    plan: list[tuple[Order | None, int]] = []
    left = count
    for order, available in level.queue():
        if not left:
            break
        part = min(left, available)
        plan.append((order, part))
        left -= part
    return plan
