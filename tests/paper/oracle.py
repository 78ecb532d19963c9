"""A slow market that is meant to be obviously right: what the matching core must agree with.

A level is a plain list of lots, first come first: each is a quantity of an order of ours, or of the crowd. Nothing is
remembered but the lots and, per level, how much of the crowd our orders took (`taken`) and how much of it is `hidden`
while an order of ours on the other side would cross it. The rules, one by one:

  we take        from the front of the best level, lot by lot; what we take of the crowd is gone
  we rest        a lot at the back
  crowd grows    what reaches our orders of the other side trades with them first, as the fill model has it; the rest
                 is a lot at the back, or hidden
  crowd shrinks  what we took was gone already; then what is hidden goes; the rest leaves from the back
  crowd trades   our orders at better prices first, then lot by lot from the front. The crowd's own part is not gone
                 yet (its decrease is told apart): it goes to the back, from where a decrease takes it
  snapshot       the crowd's lots are cut or topped up at the back; what then crosses our orders trades with them, or is
                 hidden; what was hidden before stays so
  revealed       what no order of ours would cross any more is a lot at the back
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from fsm_exec.core.values.units import Outcome, opposite
from fsm_exec.paper.matching_engine.fill_models import FillCause, FillModel

DOLLAR = 10_000


@dataclass
class OracleOrder:
    name: str
    account: str
    outcome: Outcome
    price: int
    left: int
    kind: str = "good_till_canceled"
    prevention: str = "taker_at_cross"
    filled: int = 0
    status: str = "resting"
    is_cut: bool = False  # it may only reduce, and asked for more than there was: what is beyond ends cancelled


@dataclass
class Lot:
    """`order` None: the crowd's."""

    order: OracleOrder | None
    count: int


@dataclass
class OracleLevel:
    lots: list[Lot] = field(default_factory=list)
    taken: int = 0
    hidden: int = 0

    def shown(self) -> int:
        return sum(lot.count for lot in self.lots)

    def crowd(self) -> int:
        return sum(lot.count for lot in self.lots if lot.order is None)

    def cut_crowd(self, count: int) -> None:
        """Take `count` of the crowd away, from the back."""
        for lot in reversed(self.lots):
            if lot.order is None:
                part = min(count, lot.count)
                lot.count -= part
                count -= part
        assert count == 0
        self.clean()

    def clean(self) -> None:
        """No empty lots; neighbours of the crowd are one: the crowd is one body."""
        kept: list[Lot] = []
        for lot in self.lots:
            if lot.order is None and kept and kept[-1].order is None:
                kept[-1].count += lot.count
            elif lot.count:
                kept.append(lot)
        self.lots = kept


@dataclass(frozen=True)
class OracleFill:
    order: str
    yes_price: int
    count: int
    cause: FillCause


class Oracle:
    """`heads` says whether the coin of a bid of the crowd lets it cross to us: by side, price and count."""

    def __init__(
        self, model: FillModel = "recorded", heads: Callable[[Outcome, int, int], bool] = lambda *_: True
    ) -> None:
        self.model = model
        self.heads = heads
        self.sides: dict[Outcome, dict[int, OracleLevel]] = {"yes": {}, "no": {}}
        self.orders: dict[str, OracleOrder] = {}
        self.fills: list[OracleFill] = []

    # What can be seen

    def shown(self, outcome: Outcome) -> dict[int, int]:
        return {price: level.shown() for price, level in self.sides[outcome].items() if level.shown()}

    def ahead_of(self, order: OracleOrder) -> int:
        """Everything at better prices, and every lot before the order's own."""
        better = sum(count for price, count in self.shown(order.outcome).items() if price > order.price)
        before = 0
        for lot in self.level(order.outcome, order.price).lots:
            if lot.order is order:
                return better + before
            before += lot.count
        raise AssertionError(f"{order.name} does not rest")

    def position(self, account: str) -> int:
        """Signed: + YES, - NO."""
        mine = [(self.orders[fill.order], fill.count) for fill in self.fills]
        return sum(count if o.outcome == "yes" else -count for o, count in mine if o.account == account)

    def crosses(self, outcome: Outcome, price: int) -> bool:
        return any(other + price >= DOLLAR for other in self.shown(opposite(outcome)))

    def level(self, outcome: Outcome, price: int) -> OracleLevel:
        return self.sides[outcome].setdefault(price, OracleLevel())

    # Ours

    def create(self, order: OracleOrder) -> bool:
        """False: a fill-or-kill that finds too little; it was never here."""
        if order.kind == "fill_or_kill":
            trial = copy.deepcopy(self)
            probe = copy.deepcopy(order)
            trial.orders[probe.name] = probe
            trial.take(probe)
            if probe.status != "executed":
                return False
        self.orders[order.name] = order
        self.enter(order)
        return True

    def enter(self, order: OracleOrder) -> None:
        self.take(order)
        rests = order.status == "resting" and order.kind == "good_till_canceled"
        self.reveal(order if rests else None)
        if rests:
            self.level(order.outcome, order.price).lots.append(Lot(order, order.left))
        elif order.status == "resting":
            order.status, order.left = "canceled", 0

    def take(self, order: OracleOrder) -> None:
        other = opposite(order.outcome)
        while order.left:
            reachable = [price for price in self.shown(other) if price + order.price >= DOLLAR]
            if not reachable:
                return
            price = max(reachable)
            level = self.sides[other][price]
            lot = level.lots[0]
            if lot.order is not None and lot.order.account == order.account:
                if order.prevention == "taker_at_cross":
                    order.status, order.left = "canceled", 0
                    return
                self.cancel(lot.order)
                continue
            part = min(order.left, lot.count)
            lot.count -= part
            if lot.order is None:
                level.taken += part
            else:
                self.fill(lot.order, price, part, "queue")
            self.fill(order, DOLLAR - price, part, "taken")
            level.clean()

    def fill(self, order: OracleOrder, price: int, count: int, cause: FillCause) -> None:
        """`price` in the order's own side."""
        order.left -= count
        order.filled += count
        if not order.left:
            order.status = "canceled" if order.is_cut else "executed"
        yes_price = price if order.outcome == "yes" else DOLLAR - price
        self.fills.append(OracleFill(order.name, yes_price, count, cause))

    def cancel(self, order: OracleOrder) -> None:
        self.lift(order)
        order.status, order.left = "canceled", 0
        self.reveal()

    def lift(self, order: OracleOrder) -> None:
        level = self.level(order.outcome, order.price)
        level.lots = [lot for lot in level.lots if lot.order is not order]
        level.clean()

    def amend(self, order: OracleOrder, price: int, left: int) -> None:
        if price == order.price and left <= order.left:
            self.reduce(order, left)
            return
        self.lift(order)
        order.price, order.left = price, left
        self.enter(order)

    def reduce(self, order: OracleOrder, left: int) -> None:
        for lot in self.level(order.outcome, order.price).lots:
            if lot.order is order:
                lot.count = order.left = left

    def is_blocked(self, outcome: Outcome, price: int, also: OracleOrder | None = None) -> bool:
        """Whether a bid at `price` would cross an order of ours, `also` among them."""
        other = opposite(outcome)
        resting = [p for p, level in self.sides[other].items() if any(lot.order is not None for lot in level.lots)]
        if also is not None and also.outcome == other:
            resting.append(also.price)
        return any(ours + price >= DOLLAR for ours in resting)

    def reveal(self, also: OracleOrder | None = None) -> None:
        for outcome, levels in self.sides.items():
            for price, level in levels.items():
                if level.hidden and not self.is_blocked(outcome, price, also):
                    level.lots.append(Lot(None, level.hidden))
                    level.hidden = 0
                    level.clean()

    # The crowd

    def grow(self, outcome: Outcome, price: int, count: int) -> None:
        level = self.level(outcome, price)
        if self.is_blocked(outcome, price):
            traded = self.meet(outcome, price, count, count)
            level.taken += traded
            level.hidden += count - traded
            self.reveal()
        else:
            level.lots.append(Lot(None, count))
            level.clean()

    def meet(self, outcome: Outcome, price: int, count: int, recorded: int) -> int:
        """A bid of the crowd meets our orders of the other side, best first. Returns what traded."""
        if self.model == "trades" or (self.model == "coin" and not self.heads(outcome, price, recorded)):
            return 0
        other = opposite(outcome)
        left = count
        for ours in sorted((p for p in self.sides[other] if p + price >= DOLLAR), reverse=True):
            beyond = ours + price > DOLLAR
            if beyond or self.model != "through":
                left -= self.fill_ours(self.sides[other][ours], ours, left, "through" if beyond else "crossing")
        return count - left

    def fill_ours(self, level: OracleLevel, price: int, most: int, cause: FillCause) -> int:
        left = most
        for lot in level.lots:
            if lot.order is not None and left:
                part = min(left, lot.count)
                lot.count -= part
                left -= part
                self.fill(lot.order, price, part, cause)
        level.clean()
        return most - left

    def shrink(self, outcome: Outcome, price: int, count: int) -> None:
        level = self.level(outcome, price)
        gone_already = min(count, level.taken)
        level.taken -= gone_already
        hidden = min(count - gone_already, level.hidden)
        level.hidden -= hidden
        level.cut_crowd(count - gone_already - hidden)

    def trade(self, outcome: Outcome, price: int, count: int) -> None:
        """A taker of the crowd hits side `outcome` down to `price`."""
        left = count
        for better in sorted((p for p in self.sides[outcome] if p > price), reverse=True):
            left -= self.fill_ours(self.sides[outcome][better], better, left, "trade")
        level = self.level(outcome, price)
        moved = 0
        for lot in level.lots:
            part = min(left, lot.count)
            left -= part
            if lot.order is None:
                lot.count -= part
                moved += part
            elif part:
                lot.count -= part
                self.fill(lot.order, price, part, "queue")
        level.lots.append(Lot(None, moved))
        level.clean()
        self.reveal()

    def state(self, yes: dict[int, int], no: dict[int, int]) -> None:
        """A snapshot of the crowd."""
        stated: dict[Outcome, dict[int, int]] = {"yes": yes, "no": no}
        arrived: dict[tuple[Outcome, int], int] = {}
        for outcome, levels in stated.items():
            for price in {*self.sides[outcome], *levels}:
                level, wanted = self.level(outcome, price), levels.get(price, 0)
                level.taken = 0
                if self.is_blocked(outcome, price):
                    level.hidden = min(level.hidden, wanted)
                    arrived[outcome, price] = wanted - level.hidden
                    continue
                now = level.crowd()
                level.cut_crowd(max(0, now - wanted))
                level.lots.append(Lot(None, max(0, wanted - now)))
                level.clean()
        for outcome, levels in stated.items():
            for price in sorted(self.sides[outcome], reverse=True):
                new = arrived.get((outcome, price), 0)
                if new:
                    level = self.level(outcome, price)
                    traded = self.meet(outcome, price, new, levels[price])
                    level.taken += traded
                    level.hidden += new - traded
        self.reveal()
