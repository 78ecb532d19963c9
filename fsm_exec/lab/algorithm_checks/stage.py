"""A stage for algorithms: core itself, a tape of books, and a truthful exchange that answers late, badly or not at all.

It stands where the paper exchange would take seconds, since an algorithm is shown thousands of books, and is held to
it by tests/contract/test_models_of_the_exchange.py.

Time goes in steps of a quarter of a second. The exchange matches against the tape's offers (what we take of a level is
gone until the next book) and lets our bids be hit now and then. Every step the execution is also folded from its
journal and asked again with a method made anew, so whatever is not in the journal cannot matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from fsm_exec.algorithms import Method
from fsm_exec.core.algorithm.market_view import MarketView, mid_of
from fsm_exec.core.execution.advance import advance, apply, decide_at
from fsm_exec.core.execution.closing_leg import closing_at_us
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
    Submitted,
    TimerFired,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.journal.snapshot import decode_entry, encode_event, encode_intents, encode_snapshot
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, OrderStatus, PlaceOrder, Write
from fsm_exec.core.market.terms import MarketStatus, MarketTerms
from fsm_exec.core.recovery.order_lookup import needs_lookup
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, Outcome, PriceE4, PriceGrid

T0_US = 1_681_149_600_000_000
STEP_US = 250_000
GRACE_US = 5_000_000
OVERTIME_US = 10_000_000  # after the deadline, for answers that are late
FEES = FeeTerms(taker_e10=700_000_000, maker_e10=0)
FINE_GRID_STEP = 10


@dataclass(frozen=True)
class Frame:
    """The market for one step."""

    bids: Ladder
    asks: Ladder
    feed: str = "live"
    status: MarketStatus = "open"
    signals: Signals | None = None


@dataclass
class Resting:
    request: PlaceOrder
    price_e4: int
    filled_e2: int = 0
    status: OrderStatus = "resting"
    cause: str | None = None

    @property
    def order_id(self) -> str:
        return f"id-{self.request.client_order_id}"

    @property
    def left_e2(self) -> int:
        return self.request.count_e2 - self.filled_e2


def submitted(
    target_e2: int,
    frame: Frame,
    *,
    horizon_us: int,
    target_e4: int = 5_000,
    worst_e4: int | None = None,
    grid: PriceGrid = LINEAR_CENT,
    outcome: Outcome = "yes",
    edge: Edge | None = None,
) -> Submitted:
    """An accepted execution; prices in its own outcome, the grid in YES prices."""
    own = grid.seen_from(outcome)
    worst = None if worst_e4 is None else PriceE4(worst_e4)
    limits: Limits = resolve_limits(PriceE4(target_e4), own, FEES, worst=worst)
    terms = MarketTerms(
        ticker="KXTEST-1",
        series="KXTEST",
        event="KXTEST-E",
        category="Economics",
        status="open",
        grid=grid,
        fees=FEES,
    )
    return Submitted(
        at_us=T0_US,
        execution_id="e1",
        instance="aaaaaaaaaa",
        outcome=outcome,
        method="test@1",
        target_e2=CountE2(target_e2),
        limits=limits,
        deadline_us=T0_US + horizon_us,
        grace_us=GRACE_US,
        terms=terms,
        arrival=view_of(frame, T0_US, own, None),
        edge=edge,
    )


def view_of(frame: Frame, at_us: int, grid: PriceGrid, last: MarketView | None) -> MarketView:
    two_sided = bool(frame.bids and frame.asks)
    bid, ask = (frame.bids[0][0], frame.asks[0][0]) if two_sided else (PriceE4(0), PriceE4(0))
    return MarketView(
        at_us=at_us,
        book_seq=1,
        feed=frame.feed,
        feed_age_us=0,
        status=frame.status,
        grid=grid,
        bids=frame.bids,
        asks=frame.asks,
        mid_e5=mid_of(bid, ask) if two_sided else (last.mid_e5 if last else None),
        spread_e4=ask - bid if two_sided else (last.spread_e4 if last else None),
        signals=frame.signals,
    )


@dataclass
class Stage:
    """One execution from its acceptance to its end. `frame_at(step)` is the tape; `fresh()` makes the method anew."""

    first: Submitted
    frame_at: Callable[[int], Frame]
    fresh: Callable[[], Method]
    dice: Random
    faults_in_100: int = 0
    latency_steps: int = 1
    restarts_in_100: int = 0
    hits_in_100: int = 0
    now_us: int = 0
    orders: dict[str, Resting] = field(default_factory=dict)
    fills: list[FillReported] = field(default_factory=list)
    sent: list[Write] = field(default_factory=list)
    _due: list[tuple[int, int, Write | AnyEvent]] = field(default_factory=list)
    _taken: dict[int, int] = field(default_factory=dict)
    _nudged: bool = True
    _looked_us: int = 0
    _held_us: int = 0
    _frame: Frame | None = None
    _view: MarketView | None = None

    def __post_init__(self) -> None:
        self.now_us = self.first.at_us
        self.method = self.fresh()
        begun = advance(None, self.first, self.method)
        assert begun is not None
        self.execution: Execution = begun.execution
        self._folded: Execution = begun.execution

    # The engine's side.

    def run(self) -> Execution:
        """To its end. Raises AssertionError for a broken invariant, and whatever core raises."""
        step = 0
        while not self.execution.is_ended:
            assert self.now_us < self.first.deadline_us + OVERTIME_US, f"it hangs: {self.execution}"
            self._new_frame(self.frame_at(step))
            self._deliver()
            self._look_up()
            if self.dice.randrange(100) < self.restarts_in_100:
                self._restart()
            self._think()
            self.now_us += STEP_US
            step += 1
        self._deliver_everything()
        self._check_end()
        return self.execution

    def take_event(self, event: AnyEvent) -> None:
        """As the engine does; and as an engine would that has just loaded this execution from its journal."""
        step = advance(self.execution, event, self.method)
        again = decide_at(self._folded, event, self.fresh())
        if step is None:
            assert again == ()
            return
        assert again == step.intents, "resumed here it would have done something else"
        entry = decode_entry(encode_event(event), encode_intents(step.intents))
        folded = apply(self._folded, *entry)
        assert folded is not None
        assert encode_snapshot(folded.execution) == encode_snapshot(step.execution), "invariant 6"
        self._folded, self.execution = folded.execution, step.execution
        for write in step.effects:
            assert event.at_us < self.first.deadline_us or isinstance(write, CancelOrder), "invariant 9"
            if isinstance(write, PlaceOrder) and self.method.takes_only:
                assert write.time_in_force == "immediate_or_cancel", "it says that it takes only"
            self.sent.append(write)
            self._soon(write)
        self._nudged = True
        self._check()

    def _think(self) -> None:
        execution, now_us = self.execution, self.now_us
        if execution.is_ended:
            return
        closing_us = None if execution.state == "pending" else closing_at_us(execution, self.method)
        struck_us = min(t for t in (closing_us, execution.deadline_us) if t is not None)
        if execution.ending is None and now_us >= struck_us:
            self.take_event(TimerFired(at_us=now_us))
            return
        every_us = self.method.look_every_us
        if self._held_us < execution.held_until_us <= now_us:
            self._held_us = execution.held_until_us
            self._nudged = True
        if execution.ending is None and (self._nudged or (every_us and now_us >= self._looked_us + every_us)):
            self._nudged, self._looked_us = False, now_us
            assert self._view is not None
            self.take_event(DecisionDue(at_us=now_us, view=replace(self._view, at_us=now_us)))

    def _restart(self) -> None:
        """The process dies: answers under way are lost, requests under way may have arrived or not."""
        for _, _, thing in list(self._due):
            if isinstance(thing, Write) and self.dice.randrange(2):
                self._arrive(thing)
        self._due = []
        self.method = self.fresh()
        self.take_event(Restored(at_us=self.now_us))
        for fill in self.fills:
            self.take_event(replace(fill, at_us=self.now_us))

    def _look_up(self) -> None:
        """Whatever is in doubt is asked about, once nothing of it is under way any more."""
        under_way = {thing.client_order_id for _, _, thing in self._due if isinstance(thing, Write)}
        for child in self.execution.children:
            if needs_lookup(child) and child.client_order_id not in under_way and not self._answer_due(child):
                self._answer_inquiry(child)

    def _answer_due(self, child: ChildOrder) -> bool:
        return any(getattr(thing, "client_order_id", None) == child.client_order_id for _, _, thing in self._due)

    def _answer_inquiry(self, child: ChildOrder) -> None:
        order = self.orders.get(child.client_order_id)
        if order is None:
            if child.state == "unknown" and self.now_us > child.sent_at_us:
                self.take_event(
                    OrderNotFound(at_us=self.now_us, client_order_id=child.client_order_id, as_of_us=self.now_us)
                )
            return
        if child.state != "settling":
            self.take_event(self._statement(order, looked_up=True))
        for fill in [fill for fill in self.fills if fill.client_order_id == child.client_order_id]:
            self.take_event(replace(fill, at_us=self.now_us))

    # The exchange's side.

    def _new_frame(self, frame: Frame) -> None:
        if frame != self._frame:
            self._frame, self._taken = frame, {}
            self._view = view_of(frame, self.now_us, self.first.terms.grid.seen_from(self.first.outcome), self._view)
            self._nudged = True
        for order in [order for order in self.orders.values() if order.status == "resting"]:
            self._match(order, maker=True)
            if order.status == "resting" and self.dice.randrange(100) < self.hits_in_100:
                self._trade(order, order.price_e4, 1 + self.dice.randrange(order.left_e2), maker=True)
            if order.status == "resting" and frame.status == "paused":
                order.status, order.cause = "canceled", "HaltCancel"
                self._soon(self._statement(order, looked_up=False))

    def _arrive(self, write: Write) -> AnyEvent:
        name = write.client_order_id
        order = self.orders.get(name)
        if isinstance(write, PlaceOrder):
            if order is not None:
                return PlaceUnconfirmed(at_us=0, client_order_id=name, why="409 exists")
            if self._frame is not None and self._frame.status != "open":
                return OrderRefused(at_us=0, client_order_id=name, code="trading_is_paused", message="")
            if write.post_only and self._best_ask() <= write.price_e4:
                return OrderRefused(at_us=0, client_order_id=name, code="invalid_order", message="post only cross")
            order = self.orders[name] = Resting(write, write.price_e4)
            self._match(order, maker=False)
            if order.status == "resting" and write.time_in_force != "good_till_canceled":
                order.status = "canceled"
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
            self._match(order, maker=False)
            return AmendAnswered(
                at_us=0,
                client_order_id=name,
                order_id=order.order_id,
                filled_e2=CountE2(order.filled_e2),
                remaining_e2=CountE2(order.left_e2),
            )
        if order.status != "resting":
            return WriteUnconfirmed(at_us=0, client_order_id=name, effect_id=write.effect_id, why="404")
        order.status = "canceled"
        return CancelAnswered(
            at_us=0, client_order_id=name, order_id=order.order_id, reduced_by_e2=CountE2(order.left_e2)
        )

    def _best_ask(self) -> int:
        return min((price for price, _ in self._frame.asks), default=10_000) if self._frame else 10_000

    def _match(self, order: Resting, *, maker: bool) -> None:
        assert self._frame is not None
        for price, count in self._frame.asks:
            left = count - self._taken.get(price, 0)
            if price <= order.price_e4 and left > 0 and order.status == "resting":
                took = min(left, order.left_e2)
                self._taken[price] = self._taken.get(price, 0) + took
                self._trade(order, order.price_e4 if maker else price, took, maker=maker)

    def _trade(self, order: Resting, price: int, count: int, *, maker: bool) -> None:
        order.filled_e2 += count
        if order.left_e2 == 0:
            order.status = "executed"
        fill = FillReported(
            at_us=0,
            client_order_id=order.request.client_order_id,
            order_id=order.order_id,
            fill_id=f"f{len(self.fills)}",
            price_e4=PriceE4(price),
            count_e2=CountE2(count),
            fee_e6=MoneyE6(0),
            is_taker=not maker,
            traded_at_us=self.now_us,
            mid_e5=None,
        )
        self.fills.append(fill)
        self._soon(fill)

    def _statement(self, order: Resting, *, looked_up: bool) -> OrderReported:
        return OrderReported(
            at_us=self.now_us,
            client_order_id=order.request.client_order_id,
            order_id=order.order_id,
            outcome=order.request.outcome,
            status=order.status,
            price_e4=PriceE4(order.price_e4),
            count_e2=order.request.count_e2,
            filled_e2=CountE2(order.filled_e2),
            remaining_e2=CountE2(order.left_e2 if order.status == "resting" else 0),
            cause=order.cause,
            looked_up=looked_up,
            expiration_s=order.request.expiration_s,
        )

    # The way between.

    def _soon(self, thing: Write | AnyEvent) -> None:
        steps = self.dice.randint(0, self.latency_steps) if self.faults_in_100 else self.latency_steps
        self._due.append((self.now_us + steps * STEP_US, len(self._due), thing))

    def _deliver(self) -> None:
        while due := [entry for entry in self._due if entry[0] <= self.now_us]:
            entry = min(due, key=lambda entry: entry[:2])
            self._due.remove(entry)
            thing = entry[2]
            if isinstance(thing, Write):
                answer = self._fate(thing)
                if answer is not None:
                    self._due.append((self.now_us + self.latency_steps * STEP_US // 2, len(self._due), answer))
            elif not self.execution.is_ended or isinstance(thing, FillReported):
                self.take_event(replace(thing, at_us=self.now_us))

    def _fate(self, write: Write) -> AnyEvent | None:
        if not isinstance(write, CancelOrder) and self.now_us >= self.first.deadline_us:  # `not_after_us`
            return self._not_sent(write)
        if self.dice.randrange(100) >= self.faults_in_100:
            return self._arrive(write)
        match self.dice.randrange(4):
            case 0:
                self._arrive(write)
                return _doubt(write)
            case 1:
                return _doubt(write)
            case 2 if not isinstance(write, CancelOrder):
                return self._not_sent(write)
            case _ if isinstance(write, PlaceOrder):
                return OrderRefused(
                    at_us=0, client_order_id=write.client_order_id, code="too_many_requests", message=""
                )
            case _:
                return _doubt(write)

    def _not_sent(self, write: PlaceOrder | AmendOrder) -> AnyEvent:
        if isinstance(write, PlaceOrder):
            return OrderNotSent(at_us=0, client_order_id=write.client_order_id, why="no connection")
        return AmendRefused(at_us=0, client_order_id=write.client_order_id, effect_id=write.effect_id, code="not_sent")

    def _deliver_everything(self) -> None:
        for _, _, thing in sorted(self._due, key=lambda entry: entry[:2]):
            if isinstance(thing, FillReported):
                self.take_event(replace(thing, at_us=self.now_us))

    # What must hold.

    def _check(self) -> None:
        execution = self.execution
        exposure = sum(o.request.count_e2 if o.status == "resting" else o.filled_e2 for o in self.orders.values())
        under_way = {
            thing.client_order_id: thing.count_e2
            for _, _, thing in self._due
            if isinstance(thing, PlaceOrder) and thing.client_order_id not in self.orders
        }
        assert exposure + sum(under_way.values()) <= execution.target_e2, "invariant 1"
        if execution.slices:
            assert sum(part.count_e2 for part in execution.slices) == execution.target_e2, "invariant 8"
            assert all(part.count_e2 >= 0 for part in execution.slices)
        to_cancel = sum(child.is_open and child.state != "settling" for child in execution.children)
        assert to_cancel <= self.method.resting_at_most, "admission reckons with fewer"
        if execution.is_ended:
            assert all(order.status != "resting" for order in self.orders.values()), "invariant 4"

    def _check_end(self) -> None:
        execution = self.execution
        assert execution.ended_at_us is not None
        assert execution.reason is not None
        assert execution.filled_e2 == sum(order.filled_e2 for order in self.orders.values()), "invariant 3"
        assert (execution.reason == "completed") == (execution.filled_e2 >= execution.target_e2)


def _doubt(write: Write) -> AnyEvent:
    if isinstance(write, PlaceOrder):
        return PlaceUnconfirmed(at_us=0, client_order_id=write.client_order_id, why="timeout")
    return WriteUnconfirmed(at_us=0, client_order_id=write.client_order_id, effect_id=write.effect_id, why="timeout")
