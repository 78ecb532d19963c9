"""The exchange itself: accounts, markets, orders, and every write. Synchronous; runs on the timeline.

A refused request raises ApiError and has changed nothing, but for a fill-or-kill that finds too little: its client
order id is used up, as on the real exchange. The crowd of the tape is an account too, without limits and fees, so
that cash, contracts and fees add up over all accounts.
"""

from __future__ import annotations

import re

from fsm_exec.core.errors import UnitError
from fsm_exec.core.fees import fill_fee
from fsm_exec.core.units import (
    CountE2,
    MoneyE6,
    Outcome,
    PriceE4,
    format_count,
    in_outcome,
    opposite,
    parse_count,
    parse_price,
)
from fsm_exec.paper import errors
from fsm_exec.paper.accounts import Account, reserve_e6
from fsm_exec.paper.bodies import average_fee, average_price
from fsm_exec.paper.ids import Ids, is_uuid
from fsm_exec.paper.market import PaperMarket
from fsm_exec.paper.matching import Happening, LevelChange, Match, SelfTradeCancelled
from fsm_exec.paper.orders import FillRecord, Order
from fsm_exec.paper.publishing import Publisher
from fsm_exec.paper.tape import BookDelta, BookSnapshot, Change, TapeHeader, Trade
from fsm_exec.paper.timeline import Rank, Timeline
from fsm_exec.wire import rest

_CLIENT_ORDER_ID = re.compile(rest.CLIENT_ORDER_ID_PATTERN, re.ASCII)
CROWD = "crowd"


class Exchange:
    """`seed` makes the identifiers of a run. `fees_e6` is what all accounts have paid."""

    def __init__(self, timeline: Timeline, *, seed: int = 0) -> None:
        self.timeline = timeline
        self.publisher = Publisher()
        self.markets: dict[str, PaperMarket] = {}
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, Order] = {}
        self.fees_e6 = 0
        self.ids = Ids(seed)
        self.crowd = Account(CROWD, CROWD, 0)
        self._fills = 0

    # Setting up

    def add_market(self, header: TapeHeader) -> PaperMarket:
        assert header.ticker not in self.markets, f"{header.ticker} is already here"
        market = PaperMarket(header, self.timeline.now_us())
        self.markets[header.ticker] = market
        return market

    def add_account(self, cash: MoneyE6) -> Account:
        account = Account(self.ids.new("account"), self.ids.new("user"), cash)
        self.accounts[account.account_id] = account
        return account

    # What members ask

    def create_order(self, account: Account, request: rest.CreateOrder) -> rest.CreateOrderAnswer:
        order = self._new_order(account, request)
        market = self.markets[order.ticker]
        self._check_funds(account, market, order.outcome, order.price_e4, order.remaining_e2)
        if order.post_only and market.book.crosses(order.outcome, order.price_e4):
            raise errors.post_only_cross()
        if order.client_order_id:
            account.client_ids[order.client_order_id] = order.order_id
        if order.time_in_force == "fill_or_kill" and not market.book.fillable(order):
            raise errors.fill_or_kill_unfilled()
        self.orders[order.order_id] = order
        account.orders.append(order)
        account.resting_in(order.ticker)[order.order_id] = order
        fills = self._enter(account, market, order)
        self._watch_expiry(order)
        return rest.CreateOrderAnswer(
            order_id=order.order_id,
            client_order_id=order.client_order_id or None,
            fill_count=format_count(order.filled_e2),
            remaining_count=format_count(order.remaining_e2),
            average_fill_price=average_price(fills),
            average_fee_paid=average_fee(fills),
            ts_ms=order.updated_us // 1_000,
        )

    def cancel_order(self, account: Account, order_id: str, market_ticker: str | None = None) -> rest.CancelOrderAnswer:
        order = self._resting(account, order_id)
        if market_ticker is not None and market_ticker != order.ticker:
            raise errors.not_found("order")
        removed = order.remaining_e2
        self._cancel(order, None)
        return rest.CancelOrderAnswer(
            order_id=order.order_id,
            client_order_id=order.client_order_id or None,
            reduced_by=format_count(removed),
            ts_ms=order.updated_us // 1_000,
        )

    def amend_order(self, account: Account, order_id: str, request: rest.AmendOrder) -> rest.AmendOrderAnswer:
        """Keeps the queue place for a smaller size at the same price and for a new expiration alone."""
        order = self._resting(account, order_id)
        market = self.markets[order.ticker]
        yes_price, total = _price(request.price, market), _amount(request.count)
        outcome: Outcome = "yes" if request.side == "bid" else "no"
        if request.ticker != order.ticker or outcome != order.outcome:
            raise errors.invalid_parameters("ticker and side must match the order")
        price = in_outcome(yes_price, outcome)
        remaining = CountE2(total - order.filled_e2)
        if remaining <= 0:
            raise errors.ApiError(400, "invalid_amend_qty_for_order", "invalid amend qty for order")
        expiration_us = self._amended_expiration(order, request.expiration_time)
        new_client_id = request.updated_client_order_id
        if new_client_id is not None:
            self._check_client_id(account, new_client_id)
        keeps_place = price == order.price_e4 and remaining <= order.remaining_e2
        if not keeps_place:
            self._check_funds(account, market, outcome, price, remaining, replacing=order)
            if order.post_only and market.book.crosses(outcome, price):
                raise errors.post_only_cross()

        if new_client_id is not None:
            order.client_order_id = new_client_id
            account.client_ids[new_client_id] = order.order_id
        expiration_changed = expiration_us != order.expiration_us
        order.expiration_us = expiration_us
        order.reason = "Amend"
        order.updated_us = self.timeline.now_us()
        order.initial_e2 = total
        fills: list[FillRecord] = []
        if keeps_place:
            self._publish(market, market.book.reduce(order, remaining))
            self.publisher.order_changed(account, order)
        else:
            self._publish(market, market.book.withdraw(order))
            order.price_e4, order.remaining_e2 = price, remaining
            fills = self._enter(account, market, order)
        if expiration_changed:
            self._watch_expiry(order)
        return rest.AmendOrderAnswer(
            order_id=order.order_id,
            client_order_id=order.client_order_id or None,
            fill_count=format_count(order.filled_e2),
            remaining_count=format_count(order.remaining_e2),
            average_fill_price=average_price(fills),
            average_fee_paid=average_fee(fills),
            ts_ms=order.updated_us // 1_000,
        )

    def available_e6(self, account: Account) -> int:
        """Cash net of what resting orders reserve."""
        return account.cash_e6 - sum(
            reserve_e6(account, ticker, self.markets[ticker].fees)[0] for ticker in account.resting
        )

    # What the tape and the clock do

    def apply(self, ticker: str, change: Change) -> None:
        """One event of the market's tape. Raises BookError if it cannot be."""
        market = self.markets[ticker]
        market.updated_us = self.timeline.now_us()
        match change:
            case BookDelta():
                happened = market.book.record_change(change.outcome, change.price_e4, change.delta_e2)
            case Trade():
                happened = market.book.record_trade(change.taker, change.yes_price_e4, change.count_e2)
            case BookSnapshot():
                happened = market.book.record_snapshot(change.yes, change.no)
        self._publish(market, happened)

    def close_market(self, ticker: str) -> None:
        """No more orders; what rests is cancelled."""
        market = self.markets[ticker]
        market.status = "closed"
        market.close_us = market.updated_us = self.timeline.now_us()
        for account in self.accounts.values():
            for order in list(account.resting_in(ticker).values()):
                self._cancel(order, "CloseCancel")

    def _expire(self, order: Order, expiration_us: int) -> None:
        if order.status == "resting" and order.expiration_us == expiration_us:
            self._cancel(order, "ExpiryCancel")

    def _watch_expiry(self, order: Order) -> None:
        at_us = order.expiration_us
        if at_us is not None and order.status == "resting":
            self.timeline.at(at_us, Rank.EXPIRY, order.client_order_id, lambda: self._expire(order, at_us))

    # Checks

    def _new_order(self, account: Account, request: rest.CreateOrder) -> Order:
        market = self.markets.get(request.ticker)
        if market is None:
            raise errors.market_not_found(request.ticker)
        if market.status != "active":
            raise errors.market_inactive(request.ticker)
        yes_price, count = _price(request.price, market), _amount(request.count)
        if request.client_order_id is not None:
            self._check_client_id(account, request.client_order_id)
        _check_offered(request)
        now_us = self.timeline.now_us()
        expiration_us = None
        if request.expiration_time is not None:
            if request.time_in_force != "good_till_canceled":
                raise errors.invalid_parameters("expiration_time goes with good_till_canceled only")
            expiration_us = request.expiration_time * 1_000_000
            if expiration_us <= now_us:
                raise errors.invalid_parameters("expiration_time is in the past")
        outcome: Outcome = "yes" if request.side == "bid" else "no"
        return Order(
            number=len(self.orders) + 1,
            order_id=self.ids.new("order"),
            account_id=account.account_id,
            client_order_id=request.client_order_id or "",
            ticker=request.ticker,
            outcome=outcome,
            price_e4=in_outcome(yes_price, outcome),
            initial_e2=count,
            remaining_e2=count,
            time_in_force=request.time_in_force,
            self_trade_prevention=request.self_trade_prevention_type,
            post_only=request.post_only,
            expiration_us=expiration_us,
            cancel_on_pause=request.cancel_order_on_pause,
            created_us=now_us,
            updated_us=now_us,
        )

    def _check_client_id(self, account: Account, client_order_id: str) -> None:
        if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
            raise errors.invalid_parameters("client_order_id")
        if client_order_id in account.client_ids:
            raise errors.order_already_exists()

    def _check_funds(
        self,
        account: Account,
        market: PaperMarket,
        outcome: Outcome,
        price: PriceE4,
        count: CountE2,
        *,
        replacing: Order | None = None,
    ) -> None:
        """What opens needs its price, and the taker fee in case it trades at once; what closes pays for itself."""
        available = account.cash_e6
        closable = 0
        for ticker in account.resting:
            reserved, left = reserve_e6(account, ticker, self.markets[ticker].fees, without=replacing)
            available -= reserved
            if ticker == market.ticker:
                closable = left[outcome]
        if market.ticker not in account.resting:
            closable = account.position(market.ticker).closable_e2(outcome)
        opening = CountE2(max(0, count - closable))
        needed = opening * price + market.fees.model_fee(price, opening, taker=True)
        if needed > available:
            raise errors.insufficient_balance()

    def _amended_expiration(self, order: Order, expiration_s: int | None) -> int | None:
        """None keeps it, 0 removes it, else future seconds."""
        if expiration_s is None:
            return order.expiration_us
        if expiration_s == 0:
            return None
        if expiration_s * 1_000_000 <= self.timeline.now_us():
            raise errors.invalid_parameters("expiration_time is in the past")
        return expiration_s * 1_000_000

    def _resting(self, account: Account, order_id: str) -> Order:
        if not is_uuid(order_id):
            raise errors.ApiError(400, "invalid_UUID", "invalid UUID")
        order = self.orders.get(order_id)
        if order is None or order.account_id != account.account_id or order.status != "resting":
            raise errors.not_found("order")
        return order

    # Doing

    def _enter(self, account: Account, market: PaperMarket, order: Order) -> list[FillRecord]:
        """Match an incoming order and end what does not rest. Returns the fills it made as a taker."""
        known = len(account.fills)
        self._publish(market, market.book.submit(order))
        if order.status == "resting":  # else it filled whole, or self-trade prevention ended it: both were told
            if order.time_in_force != "good_till_canceled":
                self._end(order, "canceled", None)
            self.publisher.order_changed(account, order)
        return [fill for fill in account.fills[known:] if fill.order is order]

    def _cancel(self, order: Order, reason: str | None) -> None:
        """Take a resting order off the book and end it."""
        market = self.markets[order.ticker]
        happened = market.book.withdraw(order)
        self._end(order, "canceled", reason)
        self._publish(market, happened)
        self.publisher.order_changed(self.accounts[order.account_id], order)

    def _end(self, order: Order, status: rest.OrderStatus, reason: str | None) -> None:
        order.status, order.reason = status, reason
        order.remaining_e2 = CountE2(0)
        order.updated_us = self.timeline.now_us()
        self.accounts[order.account_id].resting_in(order.ticker).pop(order.order_id, None)

    def _publish(self, market: PaperMarket, happened: list[Happening]) -> None:
        """Book what happened and tell those who listen."""
        now_us = self.timeline.now_us()
        for each in happened:
            match each:
                case LevelChange():
                    self.publisher.book_changed(market, each, now_us)
                case Match():
                    self._settle(market, each, now_us)
                case SelfTradeCancelled():
                    self._end(each.order, "canceled", "SelfTradeCancel")
                    self.publisher.order_changed(self.accounts[each.order.account_id], each.order)

    def _settle(self, market: PaperMarket, match: Match, now_us: int) -> None:
        """Move contracts and cash between the two sides of a match, and print it."""
        trade_id = self.ids.new("trade")
        market.traded(in_outcome(match.price_e4, match.outcome), match.count_e2, now_us)
        self.publisher.traded(market, match, trade_id, now_us)
        if match.maker is None and match.taker is None:
            return  # the crowd with itself: nothing changes hands between accounts
        self._settle_side(market, match, trade_id, now_us, is_taker=False)
        self._settle_side(market, match, trade_id, now_us, is_taker=True)

    def _settle_side(self, market: PaperMarket, match: Match, trade_id: str, now_us: int, *, is_taker: bool) -> None:
        order = match.taker if is_taker else match.maker
        outcome = opposite(match.outcome) if is_taker else match.outcome
        price = in_outcome(in_outcome(match.price_e4, match.outcome), outcome)
        account = self.crowd if order is None else self.accounts[order.account_id]
        position = account.position(market.ticker)
        revenue = position.revenue_e6(outcome, price, match.count_e2)
        if order is None:
            position.buy(outcome, price, match.count_e2, MoneyE6(0), now_us)
            account.cash_e6 += revenue
            return
        bill = fill_fee(market.fees.model_fee(price, match.count_e2, taker=is_taker), revenue, order.accumulator_e6)
        order.accumulator_e6 = bill.accumulator
        position.buy(outcome, price, match.count_e2, bill.net, now_us)
        account.cash_e6 += bill.balance_change
        self.fees_e6 += bill.net
        cost = MoneyE6(match.count_e2 * price)
        if is_taker:
            order.taker_cost_e6 = MoneyE6(order.taker_cost_e6 + cost)
            order.taker_fees_e6 = MoneyE6(order.taker_fees_e6 + bill.net)
        else:
            order.maker_cost_e6 = MoneyE6(order.maker_cost_e6 + cost)
            order.maker_fees_e6 = MoneyE6(order.maker_fees_e6 + bill.net)
        order.filled_e2 = CountE2(order.filled_e2 + match.count_e2)
        order.updated_us, order.reason = now_us, "Trade"
        self._fills += 1
        fill = FillRecord(
            number=self._fills,
            trade_id=trade_id,
            order=order,
            price_e4=price,
            count_e2=match.count_e2,
            fee_e6=bill.net,
            is_taker=is_taker,
            position_e2=position.count_e2,
            at_us=now_us,
        )
        account.fills.append(fill)
        self.publisher.filled(account, fill)
        if order.filled_e2 == order.initial_e2:
            self._end(order, "executed", "Trade")
            self.publisher.order_changed(account, order)
        elif not is_taker:
            self.publisher.order_changed(account, order)


def _check_offered(request: rest.CreateOrder) -> None:
    """What this exchange does not do is refused, never ignored."""
    for name, given in (
        ("reduce_only", request.reduce_only),
        ("subaccount", request.subaccount),
        ("order_group_id", request.order_group_id),
    ):
        if given:
            raise errors.invalid_parameters(f"{name} is not offered by this exchange")


def _price(text: str, market: PaperMarket) -> PriceE4:
    try:
        price = parse_price(text)
    except UnitError as error:
        raise errors.invalid_price(str(error)) from error
    if not market.header.grid.contains(price):
        raise errors.invalid_price("price is not on the market's grid")
    return price


def _amount(text: str) -> CountE2:
    try:
        count = parse_count(text)
    except UnitError as error:
        raise errors.invalid_parameters(str(error)) from error
    if count <= 0:
        raise errors.invalid_parameters("count must be positive")
    return count
