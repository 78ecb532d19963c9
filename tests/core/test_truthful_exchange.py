"""Under an exchange that tells the truth, however late, twice, reordered or never: nothing raises, nothing is bought
beyond the target or the cap, and every execution can be brought to its end with every fill counted once.

The exchange here is a model in plain integers, since a history of forty steps is drawn five hundred times and each loss
of a message must be a number that Hypothesis can shrink. It is held to the paper exchange, as the client hears it, by
tests/contract/test_models_of_the_exchange.py. What it does to orders is drawn, and so is which of its news arrive:
answers get lost, requests wander about and arrive late, fills come early, twice or not at all, frames lag, the process
is killed and restored. Look-ups are as the engine makes them: only for what `needs_lookup` names.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import (
    Action,
    Algorithm,
    AmendAction,
    CancelAction,
    Goal,
    PlaceAction,
    Progress,
    Slice,
)
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    AnyEvent,
    CancelAnswered,
    DecisionDue,
    FillReported,
    OrderAccepted,
    OrderNotFound,
    OrderNotSent,
    OrderRefused,
    OrderReported,
    PlaceUnconfirmed,
    Restored,
    StopRequested,
    TimerFired,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import PendingAmend
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.market.orders import AmendOrder, OrderStatus, PlaceOrder, Write
from fsm_exec.core.recovery.order_lookup import needs_lookup
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

pytestmark = pytest.mark.usefixtures("small_parts")

STEPS = 40
CLOSING_ROUNDS_MAX = 60


class Ladder:
    """Three slices; at every decision each of them, by the view's numbers, places, moves, withdraws or does nothing."""

    look_every_us: int | None = None
    signals_read: frozenset[str] | None = None

    def __init__(self, closing_lead_us: int | None = None) -> None:
        self.closing_lead_us = closing_lead_us
        self.resting_at_most = 3
        self.takes_only = False

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        parts = goal.target_e2 // 2, goal.target_e2 // 4, goal.target_e2 - goal.target_e2 // 2 - goal.target_e2 // 4
        return tuple(Slice(level=n, count_e2=CountE2(count)) for n, count in enumerate(parts, start=1))

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        dice = Random(view.book_seq)
        wishes: list[Action] = []
        for part in progress.slices:
            price = PriceE4(progress.goal.limits.worst_e4 - 100 * dice.randrange(4))
            if part.working is None and part.free_e2:
                count = CountE2(dice.randint(1, part.free_e2))
                wishes.append(PlaceAction(level=part.level, price_e4=price, count_e2=count))
            elif part.working is not None:
                choice = dice.randrange(3)
                if choice == 0:
                    wishes.append(AmendAction(level=part.level, price_e4=price))
                elif choice == 1:
                    wishes.append(CancelAction(level=part.level))
        return tuple(wishes)


@dataclass
class Order:
    request: PlaceOrder
    order_id: str
    price_e4: PriceE4
    filled_e2: int = 0
    status: OrderStatus = "resting"
    cause: str | None = None

    @property
    def left_e2(self) -> int:
        return self.request.count_e2 - self.filled_e2


class Exchange:
    """The truth, and the news of it that is under way to the driver."""

    def __init__(self, driver: Driver, draw: Callable[[int], int]) -> None:
        self.driver = driver
        self.draw = draw  # a number from 0 to n - 1
        self.orders: dict[str, Order] = {}
        self.fills: list[FillReported] = []
        self.requests: list[Write] = []  # sent, and to be answered
        self.wandering: list[Write] = []  # given up by the client; may still arrive
        self.answers: list[AnyEvent] = []
        self.frames: deque[OrderReported] = deque()
        self.news: list[FillReported] = []

    def tell(self, event: AnyEvent) -> None:
        note(repr(event))
        sent = len(self.driver.in_flight)
        self.driver.tell(event)
        self.requests += self.driver.in_flight[sent:]
        self.check()

    def now(self, passed_us: int = 1_000) -> int:
        self.driver.now_us += passed_us
        return self.driver.now_us

    # What happens at the exchange.

    def arrive(self, write: Write) -> AnyEvent:
        """A request arrives and is carried out; its true answer."""
        name = write.client_order_id
        order = self.orders.get(name)
        if isinstance(write, PlaceOrder):
            if order is not None:
                return PlaceUnconfirmed(at_us=0, client_order_id=name, why="409 exists")
            order = Order(write, f"id-{name}", write.price_e4)
            self.orders[name] = order
            self.trade(order, self.draw(3) * self.draw(1 + order.left_e2))
            if order.status == "resting" and write.time_in_force != "good_till_canceled":
                order.status = "canceled"
            elif order.status == "resting" and self.draw(8) == 0:
                order.status, order.cause = "canceled", "SelfTradeCancel"
            self.frame(order)
            remaining = order.left_e2 if order.status == "resting" else 0
            return OrderAccepted(
                at_us=0,
                client_order_id=name,
                order_id=order.order_id,
                filled_e2=CountE2(order.filled_e2),
                remaining_e2=CountE2(remaining),
            )
        assert order is not None
        if isinstance(write, AmendOrder):
            if order.status != "resting":
                return WriteUnconfirmed(at_us=0, client_order_id=name, effect_id=write.effect_id, why="404")
            order.price_e4 = write.price_e4
            if write.expiration_s is not None:
                order.request = replace(order.request, expiration_s=write.expiration_s)
            self.trade(order, self.draw(2) * self.draw(1 + order.left_e2))
            self.frame(order)
            says = self.draw(3)
            return AmendAnswered(
                at_us=0,
                client_order_id=name,
                order_id=order.order_id,
                filled_e2=CountE2(order.filled_e2) if says != 1 else None,
                remaining_e2=CountE2(order.left_e2) if says != 2 else None,
            )
        if order.status != "resting":
            return WriteUnconfirmed(at_us=0, client_order_id=name, effect_id=write.effect_id, why="404")
        order.status = "canceled"
        self.frame(order)
        return CancelAnswered(
            at_us=0, client_order_id=name, order_id=order.order_id, reduced_by_e2=CountE2(order.left_e2)
        )

    def trade(self, order: Order, count: int) -> None:
        """A fill of at most `count`."""
        count = min(count, order.left_e2)
        if count == 0 or order.status != "resting":
            return
        order.filled_e2 += count
        if order.left_e2 == 0:
            order.status = "executed"
        report = FillReported(
            at_us=0,
            client_order_id=order.request.client_order_id,
            order_id=order.order_id,
            fill_id=f"f{len(self.fills)}",
            price_e4=order.price_e4,
            count_e2=CountE2(count),
            fee_e6=MoneyE6(7),
            is_taker=False,
            traded_at_us=self.driver.now_us,
            mid_e5=50_000,
        )
        self.fills.append(report)
        self.news.append(report)
        self.frame(order)

    def frame(self, order: Order) -> None:
        self.frames.append(self.statement(order, cause=order.cause, looked_up=False))

    def statement(self, order: Order, *, cause: str | None, looked_up: bool) -> OrderReported:
        return OrderReported(
            at_us=0,
            client_order_id=order.request.client_order_id,
            order_id=order.order_id,
            outcome=order.request.outcome,
            status=order.status,
            price_e4=order.price_e4,
            count_e2=order.request.count_e2,
            filled_e2=CountE2(order.filled_e2),
            remaining_e2=CountE2(order.left_e2 if order.status == "resting" else 0),
            cause=cause,
            looked_up=looked_up,
            expiration_s=order.request.expiration_s,
        )

    # What the execution learns.

    def answer(self, write: Write) -> AnyEvent:
        """What becomes of a request: done and answered, done and not answered, refused, given up, never sent."""
        fate = self.draw(8)
        if fate < 4:
            return self.arrive(write)
        if fate == 4:
            self.arrive(write)
        elif fate == 5:
            self.wandering.append(write)
        elif fate == 6:
            return refusal(write)
        elif isinstance(write, PlaceOrder):
            return OrderNotSent(at_us=0, client_order_id=write.client_order_id, why="no connection")
        return doubt(write)

    def look_up(self, name: str) -> None:
        """As the engine's order look-up: the order's statement or the proof of its absence, then its fills."""
        child = self.driver.execution.child(name)
        if child is None or not needs_lookup(child):
            return
        order = self.orders.get(name)
        on_its_way = any(write.client_order_id == name for write in self.wandering)
        if child.state == "settling":
            pass
        elif order is None:
            if child.state == "unknown" and not on_its_way:
                self.tell(OrderNotFound(at_us=self.now(), client_order_id=name, as_of_us=self.driver.now_us))
            return
        else:
            final = not (isinstance(child.write, PendingAmend) and on_its_way)
            self.tell(at(self.statement(order, cause=None, looked_up=final), self.now()))
        for fill in [fill for fill in self.fills if fill.client_order_id == name]:
            self.tell(at(fill, self.now()))

    def restart(self) -> None:
        """The process dies: answers are lost, requests under way may still arrive."""
        self.wandering += self.requests
        self.requests, self.answers = [], []
        self.frames.clear()
        self.news.clear()
        self.tell(Restored(at_us=self.now()))

    # What must hold, as the exchange sees it.

    def check(self) -> None:
        execution = self.driver.execution
        assert execution.limits is not None
        exposure = 0
        for order in self.orders.values():
            exposure += order.request.count_e2 if order.status == "resting" else order.filled_e2
            fees = execution.terms.fees
            assert fees.all_in(order.price_e4, taker=True) <= execution.limits.cap_e6, "invariant 2"
        named = {write.client_order_id: write for write in (*self.requests, *self.wandering)}
        for name, write in named.items():
            if isinstance(write, PlaceOrder) and name not in self.orders:
                exposure += write.count_e2
        assert exposure <= execution.target_e2, "invariant 1: the exchange may fill more than the target"
        in_flight = [write.client_order_id for write in self.requests if not isinstance(write, PlaceOrder)]
        assert len(in_flight) == len(set(in_flight)), "two writes to one order in flight"
        if execution.is_ended:
            assert all(order.status != "resting" for order in self.orders.values()), "invariant 4: an orphan"


def at(event: AnyEvent, at_us: int) -> AnyEvent:
    return replace(event, at_us=at_us)


def doubt(write: Write) -> AnyEvent:
    if isinstance(write, PlaceOrder):
        return PlaceUnconfirmed(at_us=0, client_order_id=write.client_order_id, why="timeout")
    return WriteUnconfirmed(at_us=0, client_order_id=write.client_order_id, effect_id=write.effect_id, why="timeout")


def refusal(write: Write) -> AnyEvent:
    if isinstance(write, PlaceOrder):
        return OrderRefused(at_us=0, client_order_id=write.client_order_id, code="trading_is_paused", message="")
    if isinstance(write, AmendOrder):
        code = "trading_is_paused"
        return AmendRefused(at_us=0, client_order_id=write.client_order_id, effect_id=write.effect_id, code=code)
    return doubt(write)


def one_step(exchange: Exchange, choice: int, world: World) -> None:
    """One thing happens: at the exchange, on the way, or in the engine."""
    draw, driver = exchange.draw, exchange.driver
    live = [order for order in exchange.orders.values() if order.status == "resting"]
    match choice:
        case 0 | 1 if exchange.requests:
            exchange.answers.append(exchange.answer(exchange.requests.pop(draw(len(exchange.requests)))))
        case 2 | 3 if exchange.answers:
            exchange.tell(at(exchange.answers.pop(draw(len(exchange.answers))), exchange.now()))
        case 4 if live:
            order = live[draw(len(live))]
            exchange.trade(order, 1 + draw(order.left_e2))
        case 5 if exchange.news:
            news = exchange.news[draw(len(exchange.news))]
            if draw(3):
                exchange.news.remove(news)  # otherwise it will come again
            exchange.tell(at(news, exchange.now()))
        case 6 if exchange.frames:
            exchange.tell(at(exchange.frames.popleft(), exchange.now()))
        case 7 if exchange.wandering:
            write = exchange.wandering.pop(draw(len(exchange.wandering)))
            if draw(2):
                exchange.arrive(write)
        case 8 if driver.children:
            exchange.look_up(driver.children[draw(len(driver.children))].client_order_id)
        case 9 if draw(4) == 0:
            exchange.restart()
        case 10 if live and draw(4) == 0:
            order = live[draw(len(live))]
            order.status, order.cause = "canceled", ("HaltCancel", "CloseCancel", "SelfTradeCancel")[draw(3)]
            exchange.frame(order)
        case 11 if draw(12) == 0:
            exchange.tell(StopRequested(at_us=exchange.now(), reason="user"))
        case 12 if draw(6) == 0:
            exchange.tell(TimerFired(at_us=exchange.now(15_000_000)))
        case _:
            feed = ("live", "live", "live", "stale")[draw(4)]
            view = replace(world.view(exchange.now(), feed=feed), book_seq=draw(10_000))
            exchange.tell(DecisionDue(at_us=driver.now_us, view=view))


def close(exchange: Exchange) -> None:
    """From here on everything is answered. Nothing that is not told can be known: only look-ups bring lost news."""
    exchange.tell(StopRequested(at_us=exchange.now(), reason="user"))
    for _ in range(CLOSING_ROUNDS_MAX):
        if exchange.driver.execution.is_ended:
            return
        exchange.wandering.clear()
        for write in exchange.requests:
            exchange.answers.append(exchange.arrive(write))
        exchange.requests = []
        while exchange.answers:
            exchange.tell(at(exchange.answers.pop(0), exchange.now()))
        for child in exchange.driver.children:
            exchange.look_up(child.client_order_id)
    raise AssertionError(f"it hangs: {exchange.driver.execution}")


@settings(max_examples=500, deadline=None)
@given(data=st.data(), method=st.sampled_from(["ladder", "ladder", "closing", "simple_limit", "market"]))
def test_truth_told_badly_never_raises_and_always_ends(world: World, data: st.DataObject, method: str) -> None:
    """Any history of a truthful exchange keeps invariants 1 to 4, 6 and 7, and can be brought to its end."""
    scripts: dict[str, Algorithm] = {"ladder": Ladder(), "closing": Ladder(closing_lead_us=30_000_000)}
    driver = world.drive(scripts.get(method, method))
    exchange = Exchange(driver, lambda n: data.draw(st.integers(0, n - 1)))
    for choice in data.draw(st.lists(st.integers(0, 15), min_size=STEPS, max_size=STEPS)):
        one_step(exchange, choice, world)
    close(exchange)
    for fill in exchange.fills:
        exchange.tell(at(fill, exchange.now()))
    execution = driver.execution
    assert execution.filled_e2 == sum(order.filled_e2 for order in exchange.orders.values()), "invariant 3"
    assert {(f.order_id, f.fill_id) for f in execution.fills} == {(f.order_id, f.fill_id) for f in exchange.fills}
    assert not any(child.late for child in driver.children), "the truth is never late"
    folded = fold(decode_entry(*entry) for entry in driver.journal)
    assert encode_snapshot(folded) == encode_snapshot(execution), "invariant 6"
