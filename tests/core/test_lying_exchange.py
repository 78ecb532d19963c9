"""Under an exchange whose answers and frames lie, and whose listings tell the truth in the end: nothing is frozen, and
the books end as the listings are. What contradicts for good is given up with a reason, and ends as they are, too.

The orders, their fills and what is under way are those of the truthful exchange; the lies are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import event as happened
from hypothesis import given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AnyEvent,
    CancelAnswered,
    FillReported,
    OrderAccepted,
    OrderDisputed,
    OrderNotFound,
    OrderProven,
    OrderReported,
    StopRequested,
)
from fsm_exec.core.execution.execution import ChildOrder
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.core.recovery.order_lookup import event_from_listing, fill_event, needs_lookup, order_event
from fsm_exec.core.recovery.proof import order_ids, prove, row_of, zombie_row
from fsm_exec.core.recovery.reconcile import fill_is_news, order_is_news, why_disputed
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4
from tests.core.test_truthful_exchange import Exchange, Ladder, Order, one_step

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.core.conftest import Driver, World

pytestmark = pytest.mark.usefixtures("small_parts")

STEPS = 30
ROUNDS_MAX = 20  # of 40 seconds each
ROUND_US = 40_000_000


class Liar(Exchange):
    """`why` has the contradiction the execution was given up for; from then on its owner wants its end."""

    def __init__(self, driver: Driver, draw: Callable[[int], int]) -> None:
        super().__init__(driver, draw)
        self.lies = True
        self.why: str | None = None
        self.since: dict[str, int] = {}
        self.invented = 0

    def check(self) -> None:
        """Whoever is told that an order has ended may place another one: what may be bought is not bounded by lies."""

    def trade(self, order: Order, count: int) -> None:
        known = len(self.fills)
        super().trade(order, count)
        for number in range(known, len(self.fills)):
            fill = self.fills[number]
            named = replace(fill, trade_id=fill.fill_id, outcome=order.request.outcome)
            self.fills[number] = named
            self.news[self.news.index(fill)] = named

    def tell(self, event: AnyEvent) -> None:
        if self.lies and self.draw(4) == 0:
            event = self.bent(event)
        note(repr(event))
        sent = len(self.driver.in_flight)
        try:
            self.driver.tell(event)
        except LocalError as error:
            note(f"given up: {error}")
            self.why = self.why or str(error)
            assert self.why
        self.requests += self.driver.in_flight[sent:]

    def bent(self, event: AnyEvent) -> AnyEvent:
        """One field of an answer or of a frame is another."""
        some = CountE2(self.draw(1_200))
        match event:
            case OrderAccepted():
                return (
                    replace(event, filled_e2=CountE2(event.filled_e2 + event.remaining_e2), remaining_e2=CountE2(0)),
                    replace(event, order_id="another"),
                    replace(event, filled_e2=some),
                )[self.draw(3)]
            case OrderReported():
                return (
                    replace(event, filled_e2=some),
                    replace(event, order_id="another"),
                    replace(event, status="canceled", looked_up=False),
                    replace(event, price_e4=PriceE4(9_900), looked_up=False),
                )[self.draw(4)]
            case FillReported():
                return (
                    replace(event, count_e2=some),
                    replace(event, price_e4=PriceE4(100 * self.draw(101))),
                    replace(event, fee_e6=MoneyE6(self.draw(100_000))),
                    replace(event, is_taker=not event.is_taker),
                    replace(event, fill_id="x", trade_id=f"x{self.draw(4)}"),
                    replace(event, order_id="another"),
                    replace(event, outcome="no"),
                    replace(event, traded_at_us=event.traded_at_us - 10_000_000),
                )[self.draw(8)]
            case CancelAnswered():
                return replace(event, reduced_by_e2=some)
            case AmendAnswered():
                return replace(event, filled_e2=some)
            case _:
                return event

    def invent(self) -> None:
        """A frame of a fill that never was."""
        child = self.driver.children[self.draw(len(self.driver.children))] if self.driver.children else None
        if child is None or child.order_id is None:
            return
        self.invented += 1
        name = f"never{self.invented}"
        lie = FillReported(
            at_us=self.now(),
            client_order_id=child.client_order_id,
            order_id=child.order_id,
            fill_id=name,
            trade_id=name,
            outcome="yes",
            price_e4=child.price_e4,
            count_e2=CountE2(1 + self.draw(child.count_e2)),
            fee_e6=MoneyE6(0),
            is_taker=False,
            traded_at_us=self.driver.now_us,
            mid_e5=None,
        )
        self.tell(lie)

    # What listings show.

    def look_up(self, name: str) -> None:
        """Nothing but what the rounds at the end ask: listings are late."""

    def orders_now(self) -> OrderListing:
        rows = []
        for name, order in self.orders.items():
            said = self.statement(order, cause=None, looked_up=True)
            rows.append(
                OrderReport(
                    order_id=said.order_id,
                    client_order_id=name,
                    ticker=self.driver.execution.terms.ticker,
                    outcome=said.outcome,
                    status=said.status,
                    price_e4=said.price_e4,
                    count_e2=said.count_e2,
                    filled_e2=said.filled_e2,
                    remaining_e2=said.remaining_e2,
                    at_us=self.driver.now_us,
                )
            )
        return OrderListing(as_of_us=self.driver.now_us, orders=tuple(rows))

    def fills_now(self, order_id: str | None = None) -> FillListing:
        rows = [
            FillReport(
                fill_id=fill.fill_id,
                trade_id=fill.fill_id,
                listed_id=f"listed-{fill.fill_id}",
                order_id=fill.order_id,
                client_order_id=None,
                ticker=self.driver.execution.terms.ticker,
                outcome="yes",
                price_e4=fill.price_e4,
                count_e2=fill.count_e2,
                fee_e6=fill.fee_e6,
                is_taker=fill.is_taker,
                at_us=fill.traded_at_us,
            )
            for fill in self.fills
            if order_id in (None, fill.order_id)
        ]
        return FillListing(as_of_us=self.driver.now_us, fills=tuple(rows))

    def reconcile(self) -> None:
        """As the reconciler does with both listings."""
        listing = self.orders_now()
        for report in listing.orders:
            execution = self.driver.execution
            child = execution.child(report.client_order_id)
            if child is None:
                continue
            if not execution.is_ended and order_is_news(execution, report, listing.as_of_us):
                self.tell(order_event(report, self.now(), looked_up=child.write is None))
            elif not execution.is_ended and (why := why_disputed(execution, report, listing.as_of_us)) is not None:
                self.tell(OrderDisputed(at_us=self.now(), client_order_id=child.client_order_id, why=why))
        for fill in self.fills_now().fills:
            name = fill.order_id.removeprefix("id-")
            if fill_is_news(self.driver.execution, name, fill):
                self.tell(fill_event(fill, name, None, self.now(), self.driver.execution))

    def inquire(self, child: ChildOrder) -> None:
        """As the order look-up does, and the confirmer for what has ended."""
        name, ticker = child.client_order_id, self.driver.execution.terms.ticker
        order = self.orders.get(name)
        asked = zombie_row(child, ticker, self.orders_now()) if self.why is None else None
        if order is not None and order.status == "resting" and (asked is not None or self.why is not None):
            order.status = "canceled"  # taken off by its name
        listing = self.orders_now()
        heard = [fill.heard_at_us for fill in (*child.fills, *child.late) if fill.heard_at_us is not None]
        since_us = self.since.setdefault(name, child.sent_at_us) if needs_lookup(child) else max(heard, default=0)
        if child.is_open and child.state != "settling":
            answer = event_from_listing(child, listing, since_us, self.now())
            if answer is not None and child.suspicion is None:
                if not isinstance(answer, OrderNotFound) or child.state == "unknown":
                    self.tell(answer)
                return
        fills = [self.fills_now(order_id) for order_id in order_ids(child, row_of(child, ticker, listing))]
        now = self.driver.execution.child(name)
        assert now is not None
        found = prove(
            self.driver.execution, now, listing, fills, since_us, self.now(), lambda _: None,
            give_up=self.why is not None,
        )  # fmt: skip
        assert not isinstance(found, str), "truthful listings contradict nothing"
        if isinstance(found, OrderProven):
            self.tell(found)

    def close(self) -> None:
        """From here on the truth is told, by listings above all; somebody wants the end."""
        self.lies = False
        self.tell(StopRequested(at_us=self.now(), reason="user"))
        for _ in range(ROUNDS_MAX):
            self.now(ROUND_US)
            self.wandering.clear()
            for write in self.requests:
                self.answers.append(self.arrive(write))
            self.requests = []
            while self.answers:
                self.tell(replace(self.answers.pop(0), at_us=self.now()))
            self.now(ROUND_US)
            self.reconcile()
            self.now(ROUND_US)
            for name in [child.client_order_id for child in self.driver.children]:
                child = self.driver.execution.child(name)
                assert child is not None
                unlisted = any(fill.heard_at_us is not None for fill in (*child.fills, *child.late))
                if (
                    needs_lookup(child)
                    or (self.driver.execution.is_ended and unlisted)
                    or zombie_row(child, self.driver.execution.terms.ticker, self.orders_now())
                ):
                    self.inquire(child)
            if self.driver.execution.is_ended and self.books() == self.truth():
                return
        raise AssertionError(f"it hangs, or {self.books()} is not {self.truth()}: {self.driver.execution}")

    def books(self) -> dict[str, tuple[object, ...]]:
        return {
            fill.trade_id or fill.fill_id: (fill.order_id, fill.price_e4, fill.count_e2, fill.fee_e6, fill.is_taker)
            for fill in self.driver.execution.fills
        }

    def truth(self) -> dict[str, tuple[object, ...]]:
        return {
            fill.fill_id: (fill.order_id, fill.price_e4, fill.count_e2, fill.fee_e6, fill.is_taker)
            for fill in self.fills
        }


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_books_end_as_the_listings_are_whatever_was_said(world: World, data: st.DataObject) -> None:
    """Every execution ends, with the fills of the listings and no others; its journal folds to its snapshot."""
    driver = world.drive(Ladder())
    exchange = Liar(driver, lambda n: data.draw(st.integers(0, n - 1)))
    for _ in range(data.draw(st.integers(STEPS // 2, STEPS))):
        if exchange.why is not None:
            break
        if exchange.draw(8) == 0:
            exchange.invent()
        else:
            one_step(exchange, exchange.draw(14), world)
    exchange.close()
    happened("given up" if exchange.why else "healed by itself")
    folded = fold(decode_entry(*entry) for entry in driver.journal)
    assert encode_snapshot(folded) == encode_snapshot(driver.execution), "invariant 6"
