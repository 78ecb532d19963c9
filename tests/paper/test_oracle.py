"""The matching core and the slow market of oracle.py agree on every book, order, fill and place in the queue, whatever
the tape does and whatever three members send; and cash and contracts are conserved."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fsm_exec.core.market.book import Book
from fsm_exec.core.market.orders import TimeInForce
from fsm_exec.core.values.units import (
    CountE2,
    MoneyE6,
    Outcome,
    PriceE4,
    complement,
    format_count,
    format_price,
    opposite,
)
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.fill_models import FillModel, shows_heads
from fsm_exec.paper.matching_engine.orders import SelfTradePrevention
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade
from fsm_exec.wire.rest import AmendOrder, CreateOrder
from fsm_exec.wire.writes import DecreaseOrder
from tests.paper.oracle import DOLLAR, Oracle, OracleFill, OracleOrder
from tests.paper.support import START_US, TICKER, Floor
from tests.paper.test_money import worth

PRICES = st.integers(42, 58).map(lambda cents: cents * 100)  # narrow: most commands meet something
COUNTS = st.integers(1, 3_000)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(("yes", "no"))
TIMES = st.sampled_from(("good_till_canceled", "good_till_canceled", "immediate_or_cancel", "fill_or_kill"))
PREVENTIONS = st.sampled_from(("taker_at_cross", "maker"))
WHO = st.integers(0, 2)
FLAGS = st.sampled_from(("", "", "post_only", "reduce_only"))
COMMANDS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), WHO, OUTCOMES, PRICES, COUNTS, TIMES, PREVENTIONS, FLAGS),
        st.tuples(st.just("create"), WHO, OUTCOMES, PRICES, COUNTS, TIMES, PREVENTIONS, FLAGS),
        st.tuples(st.just("amend"), st.integers(0, 99), st.one_of(st.none(), PRICES), COUNTS),
        st.tuples(st.just("decrease"), st.integers(0, 99), COUNTS),
        st.tuples(st.just("cancel"), st.integers(0, 99)),
        st.tuples(st.just("grow"), OUTCOMES, PRICES, COUNTS),
        st.tuples(st.just("shrink"), OUTCOMES, st.integers(0, 99), COUNTS),
        st.tuples(st.just("trade"), OUTCOMES, st.integers(0, 99), COUNTS),
        st.tuples(st.just("snapshot"), PRICES, PRICES, COUNTS, COUNTS),
    ),
    max_size=40,
)


class Pair:
    """The exchange and the oracle, told the same. `recorded` keeps the tape possible."""

    def __init__(self, fill_model: FillModel) -> None:
        self.floor = Floor("quadratic_with_maker_fees", MoneyE6(10**12), fill_model=fill_model)
        more = [self.floor.exchange.add_account(MoneyE6(10**12)) for _ in range(2)]
        self.accounts: list[Account] = [self.floor.account, *more]
        self.oracle = Oracle(fill_model, heads)
        self.recorded = Book()
        self.worth = worth(self.floor)

    def do(self, command: tuple[Any, ...]) -> None:
        getattr(self, f"_{command[0]}")(*command[1:])

    # Members

    def _create(
        self,
        who: int,
        outcome: Outcome,
        price: int,
        count: int,
        kind: TimeInForce,
        prevention: SelfTradePrevention,
        flag: str,
    ) -> None:
        account = self.accounts[who]
        side: Literal["bid", "ask"] = "bid" if outcome == "yes" else "ask"
        request = CreateOrder(
            ticker=TICKER,
            side=side,
            price=format_price(PriceE4(price if outcome == "yes" else DOLLAR - price)),
            count=format_count(CountE2(count)),
            time_in_force=kind,
            self_trade_prevention_type=prevention,
            post_only=flag == "post_only",
            reduce_only=flag == "reduce_only",
        )
        refused = self._expected_refusal(outcome, price, kind, flag)
        if refused is not None:
            with pytest.raises(ApiError, match=refused):
                self.floor.exchange.create_order(account, request)
            return
        wanted = count
        if flag == "reduce_only":
            held = self.oracle.position(account.account_id)
            count = min(count, max(0, -held if outcome == "yes" else held))
        order = OracleOrder("", account.account_id, outcome, price, count, kind, prevention, is_cut=count < wanted)
        try:
            answer = self.floor.exchange.create_order(account, request)
        except ApiError as refusal:
            assert refusal.code == "fill_or_kill_insufficient_resting_volume"  # noqa: PT017 - then the oracle must say so
            assert not self.oracle.create(order)
            return
        order.name = answer.order_id
        assert self.oracle.create(order)

    def _expected_refusal(self, outcome: Outcome, price: int, kind: str, flag: str) -> str | None:
        if flag == "reduce_only" and kind != "immediate_or_cancel":
            return "reduce_only"
        if flag == "post_only" and self.oracle.crosses(outcome, price):
            return "post only cross"
        return None

    def _chosen(self, number: int) -> OracleOrder | None:
        resting = [order for order in self.oracle.orders.values() if order.status == "resting"]
        return resting[number % len(resting)] if resting else None

    def _owner(self, order: OracleOrder) -> Account:
        return self.floor.exchange.accounts[order.account]

    def _amend(self, number: int, price: int | None, count: int) -> None:
        order = self._chosen(number)
        if order is None:
            return
        wanted = order.price if price is None else price
        yes_price = PriceE4(wanted if order.outcome == "yes" else DOLLAR - wanted)
        side: Literal["bid", "ask"] = "bid" if order.outcome == "yes" else "ask"
        total = format_count(CountE2(order.filled + count))
        request = AmendOrder(ticker=TICKER, side=side, price=format_price(yes_price), count=total)
        keeps_place = wanted == order.price and count <= order.left
        post_only = self.floor.exchange.orders[order.name].post_only
        if post_only and not keeps_place and self.oracle.crosses(order.outcome, wanted):
            with pytest.raises(ApiError, match="post only cross"):
                self.floor.exchange.amend_order(self._owner(order), order.name, request)
            return
        self.floor.exchange.amend_order(self._owner(order), order.name, request)
        self.oracle.amend(order, wanted, count)

    def _decrease(self, number: int, count: int) -> None:
        order = self._chosen(number)
        if order is None:
            return
        request = DecreaseOrder(reduce_by=format_count(CountE2(count)))
        self.floor.exchange.decrease_order(self._owner(order), order.name, request)
        if count >= order.left:
            self.oracle.cancel(order)
        else:
            self.oracle.reduce(order, order.left - count)

    def _cancel(self, number: int) -> None:
        order = self._chosen(number)
        if order is not None:
            self.floor.exchange.cancel_order(self._owner(order), order.name)
            self.oracle.cancel(order)

    # The tape, possible by construction

    def _grow(self, outcome: Outcome, price: int, count: int) -> None:
        if any(other + price >= DOLLAR for other in self.recorded.side(opposite(outcome))):
            return
        self.recorded.change(outcome, PriceE4(price), CountE2(count))
        self.floor.play(BookDelta(outcome, PriceE4(price), CountE2(count)))
        self.oracle.grow(outcome, price, count)

    def _level(self, outcome: Outcome, number: int, count: int) -> tuple[PriceE4, CountE2] | None:
        side = self.recorded.side(outcome)
        if not side:
            return None
        price = sorted(side)[number % len(side)]
        return price, CountE2(min(count, side[price]))

    def _shrink(self, outcome: Outcome, number: int, count: int) -> None:
        found = self._level(outcome, number, count)
        if found is not None:
            price, part = found
            self.recorded.change(outcome, price, CountE2(-part))
            self.floor.play(BookDelta(outcome, price, CountE2(-part)))
            self.oracle.shrink(outcome, price, part)

    def _trade(self, outcome: Outcome, number: int, count: int) -> None:
        found = self._level(outcome, number, count)
        if found is not None:
            price, part = found
            yes_price = price if outcome == "yes" else complement(price)
            self.floor.play(Trade(opposite(outcome), yes_price, part))
            self.oracle.trade(outcome, price, part)

    def _snapshot(self, yes: int, no: int, yes_count: int, no_count: int) -> None:
        if yes + no >= DOLLAR:
            no = DOLLAR - 100 - yes
        self.recorded = Book([(PriceE4(yes), CountE2(yes_count))], [(PriceE4(no), CountE2(no_count))])
        self.floor.play(BookSnapshot(tuple(self.recorded.yes.items()), tuple(self.recorded.no.items())))
        yes_now, no_now = ({int(p): int(c) for p, c in side.items()} for side in (self.recorded.yes, self.recorded.no))
        self.oracle.state(yes_now, no_now)

    # Agreement

    def check(self) -> None:
        book = self.floor.market.book
        assert self.floor.shown("yes") == self.oracle.shown("yes")
        assert self.floor.shown("no") == self.oracle.shown("no")
        assert len(self.floor.exchange.orders) == len(self.oracle.orders)
        for name, order in self.floor.exchange.orders.items():
            said = self.oracle.orders[name]
            assert (order.status, order.filled_e2, order.remaining_e2) == (said.status, said.filled, said.left)
            if order.status == "resting":
                assert book.ahead_of(order) == self.oracle.ahead_of(said)
        for account in self.accounts:
            told = [OracleFill(f.order.order_id, f.yes_price_e4, f.count_e2, f.cause) for f in account.fills]
            assert told == [f for f in self.oracle.fills if self.oracle.orders[f.order].account == account.account_id]
            assert all(f.is_taker == (f.cause == "taken") for f in account.fills)
            assert account.position(TICKER).count_e2 == self.oracle.position(account.account_id)
        assert worth(self.floor) == self.worth


REDUCED = [
    ("grow", "yes", 5500, 1),
    ("grow", "no", 4300, 1),
    ("create", 0, "yes", 4200, 1, "good_till_canceled", "taker_at_cross", ""),
    ("create", 1, "no", 4500, 1, "good_till_canceled", "taker_at_cross", ""),
    ("create", 1, "yes", 5700, 2, "immediate_or_cancel", "taker_at_cross", "reduce_only"),
]
"""Two are to be bought back of a position of one: one trades, the other is cancelled."""


def heads(outcome: Outcome, price: int, count: int) -> bool:
    """The coin of what happens now: the clock of a floor stands still."""
    return shows_heads(TICKER, START_US, outcome, PriceE4(price), CountE2(count))


AMENDED = [
    ("create", 0, "yes", 5000, 1, "good_till_canceled", "taker_at_cross", ""),
    ("grow", "no", 5000, 1),
    ("amend", 0, 5100, 1),
]
"""An offer reached our bid; then the bid moves beyond it."""


@pytest.mark.parametrize("fill_model", get_args(FillModel))
@given(commands=COMMANDS)
@example(commands=REDUCED)
@example(commands=AMENDED)
@settings(max_examples=400, deadline=None)
def test_the_core_agrees_with_the_oracle(fill_model: FillModel, commands: list[tuple[Any, ...]]) -> None:
    """After every command: the same book, orders, fills with their causes, positions and places in the queue; worth
    conserved."""
    pair = Pair(fill_model)
    for command in commands:
        pair.do(command)
        pair.check()
