"""The trading floor: markets, accounts and orders, and the mechanics every write and every tape event share.

It matches an order, cancels it, ends it, books matches and publishes them. A member's request is checked a layer above
(exchange.py); the operator's acts stand between (lifecycle.py). A group whose limit was reached is cancelled only when
the whole step has been published: an order that the same step is still going to fill must not be cancelled under it.
"""

from __future__ import annotations

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import CountE2, MoneyE6, format_money, in_outcome
from fsm_exec.paper import errors
from fsm_exec.paper.ids import Ids, member_of, subaccount_id, subaccount_of
from fsm_exec.paper.matching_engine.accounts import Account, Transfer, cached_reserve
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.market_book import BookEvent, LevelChange, Match, SelfTradeCancelled
from fsm_exec.paper.matching_engine.order_groups import OrderGroup
from fsm_exec.paper.matching_engine.orders import FillRecord, Order, TradeRecord
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.matching_engine.settlement import Settlement
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, TapeHeader, Trade
from fsm_exec.paper.timing.timeline import Rank, Timeline
from fsm_exec.paper.venue.fee_schedule import FeeSchedule
from fsm_exec.paper.venue.incentives import Incentives
from fsm_exec.paper.venue.publisher import Publisher
from fsm_exec.wire import rest

E6_PER_CENT = 10_000


class Trading:
    """`seed` makes the identifiers of a run."""

    def __init__(self, timeline: Timeline, *, seed: int = 0) -> None:
        self.timeline = timeline
        self.publisher = Publisher()
        self.markets: dict[str, PaperMarket] = {}
        self.shards = {0}  # those that have, or had, a market; the first one is always there
        self.exclusive_events: set[str] = set()  # those of whose markets at most one settles YES
        self.accounts: dict[str, Account] = {}
        self.orders: dict[str, Order] = {}
        self.groups: dict[str, OrderGroup] = {}
        self.trades: list[TradeRecord] = []
        self.settlement = Settlement(self.accounts)
        self.incentives = Incentives(timeline, self.markets, self.accounts, self.trades, self._credit)
        self.ids = Ids(seed)
        self.archived_until_us = 0  # what ended before it is only in the historical listings
        self.fees = FeeSchedule(timeline, self.publisher, self.markets, self.accounts, self.ids)
        self._traded_groups: dict[str, OrderGroup] = {}  # groups that traded in the running step

    # Setting up

    def add_market(
        self,
        header: TapeHeader,
        queue_model: QueueModel = "conservative",
        fill_model: FillModel = "recorded",
        exchange_index: int = 0,
    ) -> PaperMarket:
        """`queue_model`: what the decreases of its tape do to the places of members' orders (price_level.py);
        `fill_model`: which limit orders of its tape cross to them (fill_models.py); `exchange_index`: its shard."""
        assert header.ticker not in self.markets, f"{header.ticker} is already here"
        now_us = self.timeline.now_us()
        market = PaperMarket(header, now_us, queue_model, fill_model, exchange_index)
        self.shards.add(exchange_index)
        self.markets[header.ticker] = market
        self.fees.bill(market)
        self.publisher.publish_market_created(market, now_us)
        return market

    def add_account(self, cash: MoneyE6) -> Account:
        account = Account(self.ids.new("account"), self.ids.new("user"), cash)
        self.accounts[account.account_id] = account
        return account

    def open_subaccount(self, account: Account, cash: MoneyE6) -> Account:
        """Open the member's next numbered subaccount, with money from outside."""
        name = subaccount_id(account.account_id, len(self.subaccounts(account)))
        opened = Account(name, account.user_id, cash, client_ids=account.client_ids)
        self.accounts[name] = opened
        return opened

    def subaccount(self, account: Account, number: int | None) -> Account:
        """Return the member's subaccount; None or 0: the primary one. A key that is restricted to one acts for that one
        alone. Raises ApiError for one that is not there, or not allowed."""
        own = subaccount_of(account.account_id)
        if own and number not in (None, own):
            raise errors.forbidden(f"this key may act on subaccount {own} alone")
        if own or not number:
            return account
        found = self.accounts.get(subaccount_id(account.account_id, number))
        if found is None:
            raise errors.invalid_parameters(f"there is no subaccount {number}")
        return found

    def subaccounts(self, account: Account) -> list[Account]:
        """Return all of the member's that a key may see, the primary one first."""
        if subaccount_of(account.account_id):
            return [account]
        return [each for name, each in self.accounts.items() if member_of(name) == account.account_id]

    def transfer(self, account: Account, amount: MoneyE6) -> None:
        """Add money from outside to the cash, or take it out (below 0), in whole cents. Raises UserError for nothing,
        for parts of a cent, and for more than the account has free."""
        if amount == 0 or amount % E6_PER_CENT:
            raise UserError(f"a transfer of {format_money(amount)} dollars: give whole cents, not 0")
        if amount < 0 and -amount > self.available_e6(account):
            raise UserError(
                f"a withdrawal of {format_money(MoneyE6(-amount))} dollars is more than the account has free"
            )
        self._credit(account, amount)

    def _credit(self, account: Account, amount: MoneyE6) -> None:
        account.cash_e6 += amount
        self.settlement.transferred_e6 += amount
        number = len(account.transfers) + 1
        account.transfers.append(Transfer(number, self.ids.new("transfer"), amount, self.timeline.now_us()))

    def available_e6(self, account: Account) -> int:
        """Cash net of what resting orders reserve."""
        return account.cash_e6 - sum(
            cached_reserve(account, ticker, self.markets[ticker].fees).reserved_e6 for ticker in account.resting
        )

    # What the tape and the clock do

    def apply(self, ticker: str, change: Change, recorded_us: int | None = None) -> None:
        """One event of its tape, at `recorded_us` of the tape's time (None: now). Raises BookError if it cannot be."""
        market = self.markets[ticker]
        if market.paused_book is not None:
            market.paused_book = _apply_unseen(market.paused_book, change)
            return
        at_us = self.timeline.now_us() if recorded_us is None else recorded_us
        match change:
            case BookDelta():
                happened = market.book.record_change(change.outcome, change.price_e4, change.delta_e2, at_us)
            case Trade():
                happened = market.book.record_trade(change.taker, change.yes_price_e4, change.count_e2)
            case BookSnapshot():
                happened = market.book.record_snapshot(change.yes, change.no, at_us)
        self._publish(market, happened)
        self._trigger_hit_groups()

    def _expire(self, order: Order, expiration_us: int) -> None:
        if order.status == "resting" and order.expiration_us == expiration_us:
            self.cancel(order, "ExpiryCancel")

    def _watch_expiry(self, order: Order) -> None:
        at_us = order.expiration_us
        if at_us is not None and order.status == "resting":
            self.timeline.at(at_us, Rank.EXPIRY, order.client_order_id, lambda: self._expire(order, at_us))

    # Orders

    def _register_order(self, account: Account, order: Order) -> None:
        """Make an order known to all who keep lists of orders."""
        self.orders[order.order_id] = order
        account.add_order(order, self.markets[order.ticker].fees)
        group = self._group_of(order)
        if group is not None:
            group.resting[order.order_id] = order

    def _match(self, account: Account, market: PaperMarket, order: Order) -> list[FillRecord]:
        """Match an incoming order and end what does not rest. Returns the fills it made as a taker."""
        known = len(account.fills)
        self._publish(market, market.book.submit(order))
        if order.status == "resting":  # else it filled whole, or self-trade prevention ended it: both were published
            if order.time_in_force != "good_till_canceled":
                self._end_order(
                    order, "canceled", "ReduceOnlyCancel" if order.capped and not order.remaining_e2 else None
                )
            self.publisher.publish_order(account, order)
        self._trigger_hit_groups()
        return [fill for fill in account.fills[known:] if fill.order is order]

    def cancel(self, order: Order, reason: str | None) -> None:
        """Take a resting order off the book and end it."""
        market = self.markets[order.ticker]
        happened = market.book.cancel(order)
        self._end_order(order, "canceled", reason)
        self._publish(market, happened)
        self.publisher.publish_order(self.accounts[order.account_id], order)

    def trigger_group(self, group: OrderGroup) -> None:
        """Cancel its orders and refuse new ones until it is reset."""
        group.triggered = True
        for order in list(group.resting.values()):
            self.cancel(order, None)  # none of the wire's update reasons names a group
        self.publisher.publish_group(group, "triggered", self.timeline.now_us())

    def _trigger_hit_groups(self) -> None:
        hit, self._traded_groups = self._traded_groups, {}
        for group in hit.values():
            if not group.triggered and group.has_reached_limit(self.timeline.now_us()):
                self.trigger_group(group)

    def _end_order(self, order: Order, status: rest.OrderStatus, reason: str | None) -> None:
        order.status, order.reason = status, reason
        order.remaining_e2 = CountE2(0)
        order.updated_us = self.timeline.now_us()
        account = self.accounts[order.account_id]
        account.resting_in(order.ticker).pop(order.order_id, None)
        account.drop_cached_reserve(order.ticker)
        group = self._group_of(order)
        if group is not None:
            group.resting.pop(order.order_id, None)

    def _group_of(self, order: Order) -> OrderGroup | None:
        return None if order.group_id is None else self.groups.get(order.group_id)

    # Publishing

    def _publish(self, market: PaperMarket, happened: list[BookEvent]) -> None:
        """Book what happened and publish it."""
        now_us = self.timeline.now_us()
        if happened:
            market.clock += 1
        touched = False
        for each in happened:
            match each:
                case LevelChange():
                    touched = touched or market.may_move_best(each.outcome, each.price_e4)
                    self.publisher.publish_book_change(market, each, now_us)
                case Match():
                    self._settle(market, each, now_us)
                case SelfTradeCancelled():
                    self._end_order(each.order, "canceled", "SelfTradeCancel")
                    self.publisher.publish_order(self.accounts[each.order.account_id], each.order)
        if touched:
            market.record_quotes(now_us)
        if happened:
            self.publisher.publish_ticker(market, now_us)

    def _settle(self, market: PaperMarket, match: Match, now_us: int) -> None:
        """Print a match, book it, and publish it to both sides."""
        trade_id = self.ids.new("trade")
        yes_price = in_outcome(match.price_e4, match.outcome)
        market.record_trade(yes_price, match.count_e2, now_us)
        self.trades.append(
            TradeRecord(len(self.trades) + 1, trade_id, market.ticker, match.outcome, yes_price, match.count_e2, now_us)
        )
        self.publisher.publish_trade(market, match, trade_id, now_us)
        for fill in self.settlement.settle(market, match, trade_id, now_us):
            account, order = self.accounts[fill.order.account_id], fill.order
            self.publisher.publish_fill(account, fill)
            self.publisher.publish_position(account, market.ticker, now_us)
            group = self._group_of(order)
            if group is not None:
                group.record_trade(fill.count_e2, now_us)
                self._traded_groups[group.group_id] = group
            if order.filled_e2 == order.initial_e2:
                self._end_order(order, "executed", "Trade")
                self.publisher.publish_order(account, order)
            elif not fill.is_taker:  # a taker's order is published once, when all its matches are booked
                self.publisher.publish_order(account, order)


def _apply_unseen(unseen: Book, change: Change) -> Book:
    """The tape's book while nothing may trade: its changes count, its trades did not happen."""
    match change:
        case BookDelta():
            unseen.change(change.outcome, change.price_e4, change.delta_e2)
            return unseen
        case BookSnapshot():
            return Book(change.yes, change.no)
        case Trade():
            return unseen
