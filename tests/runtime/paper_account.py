"""The account at the paper exchange, as a test sees it and acts on it behind the engine's back.

What the exchange does not do by itself is named: a trade with one order out of its turn, or told after the order's end.
"""

from __future__ import annotations

from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, format_count, format_price, in_outcome
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market_book import BookEvent, Match
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.paper.tapes.tape import BookDelta, Trade
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire import rest

TICKER = "KXTEST-A-1"


class PaperAccount:
    """Orders that were there before it was made are not seen."""

    def __init__(self, paper: Exchange, account: Account) -> None:
        self.paper, self.account = paper, account
        self._ended = {order.order_id for order in account.orders}

    # What a test sees.

    @property
    def held(self) -> dict[str, OrderReport]:
        """The account's orders as they stand at the exchange, by client order id."""
        return {order.client_order_id: _report(order) for order in self._orders()}

    def all(self) -> list[OrderReport]:
        return list(self.held.values())

    @property
    def resting(self) -> list[str]:
        return [order.client_order_id for order in self._orders() if order.status == "resting"]

    # What a test does.

    def fill(self, contracts: int, client_order_id: str) -> FillReport:
        """Somebody trades with this order, whoever else stands at its price; with one that has ended: the trade was
        before that, and the exchange only says so now."""
        order, count = self.order(client_order_id), CountE2(contracts * 100)
        market = self.paper.markets[order.ticker]
        happened: list[BookEvent] = [Match(order, None, order.outcome, order.price_e4, count)]
        if order.status == "resting":
            level = market.book._ladders[order.outcome][order.price_e4]
            happened.clear()
            market.book._fill(happened, level, order, None, count, "queue")  # the book itself would keep to the queue
        self.paper._publish(market, happened)
        return _fill_report(self.account.fills[-1])

    def strange_order(
        self, client_order_id: str, *, ticker: str = TICKER, cents: int = 40, contracts: int = 10
    ) -> OrderReport:
        """Somebody else with a key of this account places an order for YES that rests."""
        self.paper.create_order(self.account, bid(client_order_id, ticker, cents, contracts))
        return self.held[client_order_id]

    def end(self, client_order_id: str, reason: str | None = None) -> None:
        """The exchange ends an order that rests, or (without a reason) its owner does, by hand."""
        self.paper.cancel(self.order(client_order_id), reason)

    def take_by_hand(self, outcome: Outcome, contracts: int, cents: int) -> None:
        """The owner takes what is offered up to a price, without the engine."""
        request = rest.CreateOrder(
            ticker=TICKER,
            side="bid" if outcome == "yes" else "ask",
            count=format_count(CountE2(contracts * 100)),
            price=format_price(in_outcome(PriceE4(cents * 100), outcome)),
            time_in_force="immediate_or_cancel",
            self_trade_prevention_type="taker_at_cross",
        )
        self.paper.create_order(self.account, request)

    def amend_by_hand(self, client_order_id: str, *, cents: int) -> None:
        """Its owner moves an order to another price."""
        order = self.order(client_order_id)
        request = rest.AmendOrder(
            ticker=order.ticker,
            side=order.book_side,
            price=format_price(in_outcome(PriceE4(cents * 100), order.outcome)),
            count=format_count(order.initial_e2),
        )
        self.paper.amend_order(self.account, order.order_id, request)

    def move(self, outcome: Outcome, cents: int, contracts: int) -> None:
        """Others bid for so much more, at this price of their outcome."""
        self.paper.apply(TICKER, BookDelta(outcome, PriceE4(cents * 100), CountE2(contracts * 100)))

    def trade(self, taker: Outcome, yes_cents: int, contracts: int) -> None:
        """Others trade, with whoever's turn it is."""
        self.paper.apply(TICKER, Trade(taker, PriceE4(yes_cents * 100), CountE2(contracts * 100)))

    def order(self, client_order_id: str) -> Order:
        (found,) = [order for order in self._orders() if order.client_order_id == client_order_id]
        return found

    def _orders(self) -> list[Order]:
        return [order for order in self.account.orders if order.order_id not in self._ended]


def bid(client_order_id: str, ticker: str, cents: int, contracts: int) -> rest.CreateOrder:
    """A request for an order for YES that rests."""
    return rest.CreateOrder(
        ticker=ticker,
        side="bid",
        count=format_count(CountE2(contracts * 100)),
        price=format_price(PriceE4(cents * 100)),
        time_in_force="good_till_canceled",
        self_trade_prevention_type="taker_at_cross",
        client_order_id=client_order_id,
    )


def _report(order: Order) -> OrderReport:
    return OrderReport(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        ticker=order.ticker,
        outcome=order.outcome,
        status=order.status,
        price_e4=order.price_e4,
        count_e2=order.initial_e2,
        filled_e2=order.filled_e2,
        remaining_e2=order.remaining_e2,
        at_us=order.updated_us,
        reason=order.reason,
    )


def _fill_report(fill: FillRecord) -> FillReport:
    return FillReport(
        fill_id=fill.trade_id,
        trade_id=fill.trade_id,
        order_id=fill.order.order_id,
        client_order_id=fill.order.client_order_id,
        ticker=fill.order.ticker,
        outcome=fill.order.outcome,
        price_e4=fill.price_e4,
        count_e2=fill.count_e2,
        fee_e6=fill.fee_e6,
        is_taker=fill.is_taker,
        at_us=fill.at_us,
    )
