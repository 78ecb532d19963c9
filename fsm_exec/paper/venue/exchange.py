"""The exchange as members meet it: every write they may ask. Synchronous; runs on the timeline.

A refused request raises ApiError and has changed nothing, but for a fill-or-kill that finds too little: its client
order id is used up, as on the real exchange.
"""

from __future__ import annotations

from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, format_count, in_outcome
from fsm_exec.paper import errors
from fsm_exec.paper.ids import is_uuid
from fsm_exec.paper.matching_engine.accounts import Account, cached_reserve, compute_reserve
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.paper.venue import request_checks
from fsm_exec.paper.venue.lifecycle import Lifecycle
from fsm_exec.paper.venue.serializers import average_fee, average_price
from fsm_exec.wire import rest
from fsm_exec.wire.writes import DecreaseOrder, DecreaseOrderAnswer


class Exchange(Lifecycle):
    """The layers below it are the operator's (lifecycle.py) and the floor's (trading.py)."""

    def create_order(self, account: Account, request: rest.CreateOrder) -> rest.CreateOrderAnswer:
        account = self.subaccount(account, request.subaccount)
        self.require_trading()
        order = self._new_order(account, request)
        market = self.markets[order.ticker]
        self._check_funds(account, market, order.outcome, order.price_e4, order.remaining_e2)
        if order.post_only and market.book.crosses(order.outcome, order.price_e4):
            raise errors.post_only_cross()
        if order.client_order_id:
            account.client_ids[order.client_order_id] = order.order_id
        if order.time_in_force == "fill_or_kill" and not market.book.fillable(order):
            raise errors.fill_or_kill_unfilled()
        self._register_order(account, order)
        fills = self._match(account, market, order)
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
        self.require_exchange()
        order = self._resting(account, order_id, market_ticker)
        removed = order.remaining_e2
        self.cancel(order, None)
        return rest.CancelOrderAnswer(
            order_id=order.order_id,
            client_order_id=order.client_order_id or None,
            reduced_by=format_count(removed),
            ts_ms=order.updated_us // 1_000,
        )

    def cancel_all(self, account: Account) -> None:
        """Every resting order of the account. Orders that come later are not touched: the real exchange may cancel
        those of the following minute too, or may not."""
        self.require_exchange()
        for resting in account.resting.values():
            for order in list(resting.values()):
                self.cancel(order, None)

    def decrease_order(self, account: Account, order_id: str, request: DecreaseOrder) -> DecreaseOrderAnswer:
        """Keeps the queue place. What is decreased to nothing is cancelled. Refused in a trading pause like an amend:
        the sources say that cancels work then, and no more."""
        self.require_trading()
        order = self._resting(account, order_id, request.market_ticker)
        remaining = request_checks.remaining_after_decrease(order.remaining_e2, request)
        if remaining <= 0:
            self.cancel(order, "Decrease")
        elif remaining < order.remaining_e2:
            order.reason = "Decrease"
            order.updated_us = self.timeline.now_us()
            order.initial_e2 = CountE2(order.filled_e2 + remaining)
            market = self.markets[order.ticker]
            self._publish(market, market.book.reduce(order, CountE2(remaining)))
            account.drop_cached_reserve(order.ticker)
            self.publisher.publish_order(account, order)
        return DecreaseOrderAnswer(
            order_id=order.order_id,
            client_order_id=order.client_order_id or None,
            remaining_count=format_count(order.remaining_e2),
            ts_ms=order.updated_us // 1_000,
        )

    def check_route(self, order_id: str, market_ticker: str | None, exchange_index: int | None) -> None:
        """Raise ApiError 404 for an order that is not where a call looks for it: on the shard it names, else on that of
        the market it names, else on the first one; -1 demands to go by the market."""
        if exchange_index == -1 and not market_ticker:
            raise errors.invalid_parameters("market_ticker is required to route by ticker")
        order = self.orders.get(order_id)
        shard = 0 if order is None else order.exchange_index
        if exchange_index in (None, -1):
            exchange_index = shard if market_ticker else 0
        if exchange_index != shard:
            raise errors.not_found("order")

    def amend_order(self, account: Account, order_id: str, request: rest.AmendOrder) -> rest.AmendOrderAnswer:
        """Keeps the queue place for a smaller size at the same price and for a new expiration alone."""
        self.require_trading()
        order = self._resting(account, order_id)
        market = self.markets[order.ticker]
        if market.status != "active":
            raise errors.market_inactive(market.ticker)
        yes_price, total = (
            request_checks.price_on(market.header.grid, request.price),
            request_checks.positive_count(request.count),
        )
        outcome = request_checks.outcome_of(request.side)
        if request.ticker != order.ticker or outcome != order.outcome:
            raise errors.invalid_parameters("ticker and side must match the order")
        if request.client_order_id and request.client_order_id != order.client_order_id:
            raise errors.invalid_parameters("client_order_id must match the order")
        price = in_outcome(yes_price, outcome)
        remaining = CountE2(total - order.filled_e2)
        if remaining <= 0:
            raise errors.ApiError(400, "invalid_amend_qty_for_order", "invalid amend qty for order")
        now_us = self.timeline.now_us()
        expiration_us = request_checks.amended_expiration_us(order.expiration_us, request.expiration_time, now_us)
        new_client_id = request.updated_client_order_id or None
        request_checks.check_client_order_id(account, new_client_id)
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
        order.updated_us = now_us
        order.initial_e2 = total
        fills: list[FillRecord] = []
        if keeps_place:
            self._publish(market, market.book.reduce(order, remaining))
            account.drop_cached_reserve(order.ticker)
            self.publisher.publish_order(account, order)
        else:
            self._publish(market, [market.book.take_off(order)])
            order.price_e4, order.remaining_e2 = price, remaining
            account.drop_cached_reserve(order.ticker)
            fills = self._match(account, market, order)
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

    # Checks

    def _new_order(self, account: Account, request: rest.CreateOrder) -> Order:
        request_checks.check_shard(request.exchange_index, self.shards)
        market = self.markets.get(request.ticker)
        if market is None or request.exchange_index not in (None, -1, market.exchange_index):
            raise errors.market_not_found(request.ticker)
        if market.status != "active":
            raise errors.market_inactive(request.ticker)
        yes_price, count = (
            request_checks.price_on(market.header.grid, request.price),
            request_checks.positive_count(request.count),
        )
        request_checks.check_client_order_id(account, request.client_order_id)
        request_checks.check_combination(request)
        if request.order_group_id:
            self._check_group(account, request.order_group_id, market.exchange_index)
        now_us = self.timeline.now_us()
        expiration_us = request_checks.new_expiration_us(request, now_us)
        outcome = request_checks.outcome_of(request.side)
        may_trade = count
        if request.reduce_only:
            may_trade = CountE2(min(count, account.position(market.ticker).closable_e2(outcome)))
        return Order(
            number=len(self.orders) + 1,
            order_id=self.ids.new("order"),
            account_id=account.account_id,
            client_order_id=request.client_order_id or "",
            ticker=request.ticker,
            outcome=outcome,
            price_e4=in_outcome(yes_price, outcome),
            initial_e2=count,
            remaining_e2=may_trade,
            time_in_force=request.time_in_force,
            self_trade_prevention=request.self_trade_prevention_type,
            post_only=request.post_only,
            expiration_us=expiration_us,
            cancel_on_pause=request.cancel_order_on_pause,
            created_us=now_us,
            updated_us=now_us,
            group_id=request.order_group_id or None,
            capped=may_trade < count,
            exchange_index=market.exchange_index,
        )

    def _check_group(self, account: Account, group_id: str, exchange_index: int) -> None:
        """A group takes orders of its own shard alone: of another one it is not known."""
        group = self.groups.get(group_id)
        if group is None or group.account_id != account.account_id or group.exchange_index != exchange_index:
            raise errors.group_not_found(group_id)
        if group.triggered:
            raise errors.group_limit_exceeded()

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
            fees = self.markets[ticker].fees
            if replacing is not None and ticker == market.ticker:
                reserve = compute_reserve(account, ticker, fees, without=replacing)
            else:
                reserve = cached_reserve(account, ticker, fees)
            available -= reserve.reserved_e6
            if ticker == market.ticker:
                closable = reserve.closable_e2[outcome]
        if market.ticker not in account.resting:
            closable = account.position(market.ticker).closable_e2(outcome)
        opening = CountE2(max(0, count - closable))
        needed = opening * price + market.fees.model_fee(price, opening, taker=True)
        if needed > available:
            raise errors.insufficient_balance()

    def _resting(self, account: Account, order_id: str, market_ticker: str | None = None) -> Order:
        if not is_uuid(order_id):
            raise errors.invalid_uuid()
        order = self.orders.get(order_id)
        if order is None or order.account_id != account.account_id or order.status != "resting":
            raise errors.not_found("order")
        if market_ticker and market_ticker != order.ticker:
            raise errors.not_found("order")
        return order
