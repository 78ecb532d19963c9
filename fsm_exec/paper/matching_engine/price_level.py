"""One price level: the background quantity and our orders, in the order in which they trade.

displayed = recorded - consumed + what remains of our orders.
`recorded` is the tape's level, untouched by us. `consumed` is what our orders took of it: a later recorded decrease
lowers it first (it was gone already), a snapshot forgets it. An order joins behind all background that is displayed.
Our orders keep time order. What a decrease does to our place depends on the queue model, because a tape does not say
whose orders were cancelled:
- conservative: nothing, but that no more can be ahead of us than is there. Only trades bring us forward.
- proportional: what the trades before it explain has moved us already; the rest falls on the parts ahead of us and
  behind us in proportion to their sizes, the fraction of a contract on the part behind.
Either model gives whole hundredths of a contract, and the same ones every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from fsm_exec.core.market.book import BookError
from fsm_exec.core.values.units import CountE2
from fsm_exec.paper.matching_engine.orders import Order

QueueModel: TypeAlias = Literal["conservative", "proportional"]


class PriceLevel:
    """`traded_e2` is what trades took that no decrease has shown yet."""

    __slots__ = ("_queue_model", "consumed_e2", "orders", "recorded_e2", "traded_e2")

    def __init__(self, queue_model: QueueModel = "conservative") -> None:
        self._queue_model = queue_model
        self.recorded_e2 = 0
        self.consumed_e2 = 0
        self.traded_e2 = 0
        self.orders: list[Order] = []

    @property
    def background_e2(self) -> int:
        return self.recorded_e2 - self.consumed_e2

    @property
    def displayed_e2(self) -> int:
        background = self.recorded_e2 - self.consumed_e2
        return background + sum(order.remaining_e2 for order in self.orders) if self.orders else background

    def add(self, count: int) -> None:
        """Add `count` from the tape, at the end of the queue."""
        self.recorded_e2 += count

    def remove(self, count: int) -> None:
        """Remove `count` as the tape does. Raises BookError if the level has less."""
        if count > self.recorded_e2:
            raise BookError(f"a level of {self.recorded_e2} cannot lose {count}")
        before = self.background_e2
        self.recorded_e2 -= count
        self.consumed_e2 = max(0, self.consumed_e2 - count)
        explained = min(count, self.traded_e2)
        self.traded_e2 -= explained
        if self._queue_model == "proportional":
            gone = before - self.background_e2
            self._share(before - min(explained, gone), gone - min(explained, gone))
        self._clamp()

    def record_trade(self, count: int) -> None:
        """Record that `count` of the tape traded here: it explains as much of the decreases to come."""
        self.traded_e2 += count

    def reset(self, recorded: int) -> None:
        """Set the level to what a snapshot states."""
        self.recorded_e2 = recorded
        self.consumed_e2 = 0
        self.traded_e2 = 0
        self._clamp()

    def _share(self, background: int, cancelled: int) -> None:
        """`cancelled` of `background` contracts left, from anywhere in the queue."""
        for order in self.orders if cancelled else ():
            order.ahead_e2 = CountE2(order.ahead_e2 - min(order.ahead_e2, background) * cancelled // background)

    def _clamp(self) -> None:
        background = self.background_e2
        for order in self.orders:
            if order.ahead_e2 > background:
                order.ahead_e2 = CountE2(background)

    def join(self, order: Order) -> None:
        order.ahead_e2 = CountE2(self.background_e2)
        self.orders.append(order)

    def leave(self, order: Order) -> None:
        self.orders.remove(order)

    def queue(self) -> Iterator[tuple[Order | None, int]]:
        """Yield the queue in time order as (order, count), None for background. The level must not change while it
        runs."""
        passed = 0
        for order in self.orders:
            if order.ahead_e2 > passed:
                yield None, order.ahead_e2 - passed
                passed = order.ahead_e2
            yield order, order.remaining_e2
        if self.background_e2 > passed:
            yield None, self.background_e2 - passed

    def advance(self, background: int) -> None:
        """Take `background` contracts off the front of the queue: all orders behind them move up."""
        for order in self.orders:
            order.ahead_e2 = CountE2(max(0, order.ahead_e2 - background))

    def consume(self, background: int) -> None:
        """Record that one of our orders took `background` contracts of what the tape shows here."""
        self.consumed_e2 += background

    def is_empty(self) -> bool:
        return self.recorded_e2 == 0 and not self.orders
