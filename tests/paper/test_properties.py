"""Whatever the tape does and whatever members send: the book stays possible, nothing is made or lost, and the
published changes rebuild the book that REST shows."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import (
    CountE2,
    MoneyE6,
    Outcome,
    PriceE4,
    complement,
    opposite,
    parse_change,
    parse_price,
)
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import compute_reserve
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade
from fsm_exec.paper.venue.subscriptions import Subscription
from fsm_exec.wire.rest import AmendOrder, CreateOrder
from fsm_exec.wire.writes import DecreaseOrder
from tests.paper.support import TICKER, Floor
from tests.paper.test_money import worth

CENTS = st.integers(1, 99)
CONTRACTS = st.integers(1, 60)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(("yes", "no"))
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("shrink"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("trade"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("snapshot"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("gtc"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("ioc"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("fok"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("maker"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("cancel"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("amend"), OUTCOMES, CENTS, CONTRACTS),
        st.tuples(st.just("decrease"), OUTCOMES, CENTS, CONTRACTS),
    ),
    max_size=60,
)
KINDS = {
    "gtc": ("good_till_canceled", "taker_at_cross"),
    "ioc": ("immediate_or_cancel", "taker_at_cross"),
    "fok": ("fill_or_kill", "taker_at_cross"),
    "maker": ("good_till_canceled", "maker"),
}


class Listener:
    """Rebuilds the book from published changes, checking every state between."""

    def __init__(self) -> None:
        self.book = Book()

    def public(self, frame: bytes, at_us: int) -> None:
        message = msgspec.json.decode(frame)["msg"]
        self.book.change(message["side"], parse_price(message["price_dollars"]), parse_change(message["delta_fp"]))
        assert not self.book.is_crossed()

    def private(self, frame: bytes, at_us: int) -> None:
        raise AssertionError("no private channel was subscribed")

    def is_full(self) -> bool:
        return False


class Run:
    """One exchange, two members, a tape that is possible by construction."""

    def __init__(self, fill_model: FillModel) -> None:
        self.floor = Floor("quadratic_with_maker_fees", MoneyE6(60_000_000), fill_model=fill_model)
        self.second = self.floor.exchange.add_account(MoneyE6(20_000_000))
        self.listener = Listener()
        self.floor.exchange.publisher.add(
            Subscription(1, "orderbook_delta", "nobody", self.listener, {TICKER: None}, yes_prices=False)
        )
        self.recorded = Book()
        self.worth = worth(self.floor)
        self.turn = 0

    def do(self, kind: str, outcome: Outcome, cents: int, contracts: int) -> None:
        self.turn += 1
        price, size = PriceE4(cents * 100), CountE2(contracts * 100)
        match kind:
            case "grow":
                self._grow(outcome, price, size)
            case "shrink":
                self._shrink(outcome, size)
            case "trade":
                self._trade(outcome, size)
            case "snapshot":
                self.recorded = Book([(price, size)], [(PriceE4(9_900 - price), size)])
                self.floor.play(BookSnapshot(tuple(self.recorded.yes.items()), tuple(self.recorded.no.items())))
            case "cancel" | "amend" | "decrease":
                self._change(kind, outcome, cents, contracts)
            case _:
                self._create(kind, outcome, cents, contracts)

    def _grow(self, outcome: Outcome, price: PriceE4, size: CountE2) -> None:
        best = max(self.recorded.side(opposite(outcome)), default=PriceE4(0))
        if price < complement(best):
            self.recorded.change(outcome, price, size)
            self.floor.play(BookDelta(outcome, price, size))

    def _shrink(self, outcome: Outcome, size: CountE2) -> None:
        best = self.recorded.best_bid(outcome)
        if best is not None:
            less = CountE2(-min(size, self.recorded.side(outcome)[best]))
            self.recorded.change(outcome, best, less)
            self.floor.play(BookDelta(outcome, best, less))

    def _trade(self, outcome: Outcome, size: CountE2) -> None:
        """A taker hits the best level of `outcome`, then its decrease."""
        best = self.recorded.best_bid(outcome)
        if best is not None:
            part = CountE2(min(size, self.recorded.side(outcome)[best]))
            yes_price = best if outcome == "yes" else complement(best)
            self.recorded.change(outcome, best, CountE2(-part))
            self.floor.play(Trade(opposite(outcome), yes_price, part), BookDelta(outcome, best, CountE2(-part)))

    def _create(self, kind: str, outcome: Outcome, cents: int, contracts: int) -> None:
        time_in_force, prevention = KINDS[kind]
        fields: dict[str, Any] = {"time_in_force": time_in_force, "self_trade_prevention_type": prevention}
        side: Any = "bid" if outcome == "yes" else "ask"
        request = CreateOrder(ticker=TICKER, side=side, price=f"0.{cents:02}", count=str(contracts), **fields)
        account = self.floor.account if self.turn % 3 else self.second
        try:
            self.floor.exchange.create_order(account, request)
        except ApiError as refusal:
            assert refusal.code in ("insufficient_balance", "fill_or_kill_insufficient_resting_volume")  # noqa: PT017 - both answers are right

    def _change(self, kind: str, outcome: Outcome, cents: int, contracts: int) -> None:
        resting = list(self.floor.account.resting_in(TICKER).values())
        if not resting:
            return
        order = resting[self.turn % len(resting)]
        if kind == "cancel":
            self.floor.exchange.cancel_order(self.floor.account, order.order_id)
            return
        if kind == "decrease":
            wish = DecreaseOrder(reduce_by=str(contracts))
            self.floor.exchange.decrease_order(self.floor.account, order.order_id, wish)
            return
        same = outcome == "yes"  # half of the amends keep their price
        price = f"0.{order.yes_price_e4 // 100:02}" if same else f"0.{cents:02}"
        request = AmendOrder(ticker=TICKER, side=order.book_side, price=price, count=str(contracts))
        try:
            self.floor.exchange.amend_order(self.floor.account, order.order_id, request)
        except ApiError as refusal:
            assert refusal.code in ("insufficient_balance", "invalid_amend_qty_for_order")  # noqa: PT017 - as above

    def check(self) -> None:
        shown = {outcome: dict(self.floor.market.book.displayed(outcome)) for outcome in ("yes", "no")}
        assert self.listener.book.yes == shown["yes"]
        assert self.listener.book.no == shown["no"]
        assert not Book(shown["yes"].items(), shown["no"].items()).is_crossed()
        assert worth(self.floor) == self.worth
        for order in self.floor.exchange.orders.values():
            assert 0 <= order.filled_e2 <= order.initial_e2
            assert order.ahead_e2 >= 0
            if order.status == "resting":
                assert order.remaining_e2 == order.initial_e2 - order.filled_e2 > 0
            else:
                assert order.remaining_e2 == 0
        for account in self.floor.exchange.accounts.values():
            assert sum(fill.count_e2 for fill in account.fills) == sum(order.filled_e2 for order in account.orders)
            fees = self.floor.market.fees
            if TICKER in account.reserves:  # what is remembered is what the orders say
                assert account.reserves[TICKER] == compute_reserve(account, TICKER, fees)
            assert account.cash_e6 >= -100 * len(account.fills)  # a fill may round up one step of the balance


@pytest.mark.parametrize("fill_model", get_args(FillModel))
@given(commands=COMMANDS)
@settings(max_examples=300, deadline=None)
def test_the_book_stays_possible_and_nothing_is_lost(
    fill_model: FillModel, commands: list[tuple[str, Outcome, int, int]]
) -> None:
    """Never negative, never crossed, filled <= count, cash and contracts conserved, changes rebuild the book."""
    run = Run(fill_model)
    for command in commands:
        run.do(*command)
        run.check()
