"""The exchange itself: accounts, markets, orders, and every write. Synchronous; runs on the timeline.

A refused request raises ApiError and has changed nothing, but for a fill-or-kill that finds too little: its client
order id is used up, as on the real exchange.
"""

from __future__ import annotations

from fsm_exec.core.units import CountE2, MoneyE6, Outcome, PriceE4, format_count, in_outcome
from fsm_exec.paper import errors, requests
from fsm_exec.paper.accounts import Account, reserve_e6
from fsm_exec.paper.bodies import average_fee, average_price
from fsm_exec.paper.ids import Ids, is_uuid
from fsm_exec.paper.market import PaperMarket
from fsm_exec.paper.matching import Happening, LevelChange, Match, SelfTradeCancelled
from fsm_exec.paper.orders import FillRecord, Order
from fsm_exec.paper.publishing import Publisher
from fsm_exec.paper.settlement import Settlement
from fsm_exec.paper.tape import BookDelta, BookSnapshot, Change, TapeHeader, Trade
from fsm_exec.paper.timeline import Rank, Timeline
from fsm_exec.wire import rest


class Exchange:
    """`seed` makes the identifiers of a run."""

    def __init__(self, timeline: Timeline, *, seed: int = 0) -> None:
        self.timeline = timeline
        self.publisher = Publisher()
        self.markets: dict[str, PaperMarket] = {}
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, Order] = {}
        self.settlement = Settlement(self.accounts)
        self.ids = Ids(seed)

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
        yes_price, total = requests.price_on(market.header.grid, request.price), requests.positive_count(request.count)
        outcome = requests.outcome_of(request.side)
        if request.ticker != order.ticker or outcome != order.outcome:
            raise errors.invalid_parameters("ticker and side must match the order")
        price = in_outcome(yes_price, outcome)
        remaining = CountE2(total - order.filled_e2)
        if remaining <= 0:
            raise errors.ApiError(400, "invalid_amend_qty_for_order", "invalid amend qty for order")
        now_us = self.timeline.now_us()
        expiration_us = requests.amended_expiration_us(order.expiration_us, request.expiration_time, now_us)
        new_client_id = request.updated_client_order_id
        requests.check_client_order_id(account, new_client_id)
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
        yes_price, count = requests.price_on(market.header.grid, request.price), requests.positive_count(request.count)
        requests.check_client_order_id(account, request.client_order_id)
        requests.check_offered(request)
        now_us = self.timeline.now_us()
        expiration_us = requests.new_expiration_us(request, now_us)
        outcome = requests.outcome_of(request.side)
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
        """Print a match, book it, and tell both sides."""
        trade_id = self.ids.new("trade")
        market.traded(in_outcome(match.price_e4, match.outcome), match.count_e2, now_us)
        self.publisher.traded(market, match, trade_id, now_us)
        for fill in self.settlement.settle(market, match, trade_id, now_us):
            account = self.accounts[fill.order.account_id]
            self.publisher.filled(account, fill)
            if fill.order.filled_e2 == fill.order.initial_e2:
                self._end(fill.order, "executed", "Trade")
                self.publisher.order_changed(account, fill.order)
            elif not fill.is_taker:  # a taker is told once, when all its matches are booked
                self.publisher.order_changed(account, fill.order)
