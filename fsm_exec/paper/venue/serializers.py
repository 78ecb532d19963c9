"""What the exchange says about its orders and fills, as the wire's structs: for REST and for the streams.

The wire's deprecated fields (`side`, `action`, `purchased_side`, `taker_side`) are sent too, as it still does.
"""

from __future__ import annotations

from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4, complement, format_count, format_money, format_price
from fsm_exec.paper.ids import subaccount_of
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market_book import Match
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.wire import feeds, rest, ws


class PublicSnapshot(ws.BookSnapshot, kw_only=True):
    """A book with the market's clock: which changes are in it already."""

    clock: int


class PublicDelta(ws.BookDelta, kw_only=True):
    """A change with the market's clock, the same on every connection."""

    clock: int


def order_body(order: Order, user_id: str) -> rest.Order:
    return rest.Order(
        order_id=order.order_id,
        user_id=user_id,
        client_order_id=order.client_order_id,
        ticker=order.ticker,
        outcome_side=order.outcome,
        book_side=order.book_side,
        type="limit",
        status=order.status,
        yes_price_dollars=format_price(order.yes_price_e4),
        no_price_dollars=format_price(complement(order.yes_price_e4)),
        fill_count_fp=format_count(order.filled_e2),
        remaining_count_fp=format_count(order.open_e2),
        initial_count_fp=format_count(order.initial_e2),
        taker_fill_cost_dollars=format_money(order.taker_cost_e6),
        maker_fill_cost_dollars=format_money(order.maker_cost_e6),
        taker_fees_dollars=format_money(order.taker_fees_e6),
        maker_fees_dollars=format_money(order.maker_fees_e6),
        side="yes",
        action=_action(order),
        expiration_time=None if order.expiration_us is None else rfc3339(order.expiration_us),
        created_time=rfc3339(order.created_us),
        last_update_time=rfc3339(order.updated_us),
        self_trade_prevention_type=order.self_trade_prevention,
        order_group_id=order.group_id,
        cancel_order_on_pause=True if order.cancel_on_pause else None,
        subaccount_number=order.subaccount,
        exchange_index=order.exchange_index,
    )


def order_frame(order: Order, user_id: str) -> feeds.UserOrder:
    expires_us = order.expiration_us
    return feeds.UserOrder(
        order_id=order.order_id,
        user_id=user_id,
        client_order_id=order.client_order_id,
        ticker=order.ticker,
        exchange_index=order.exchange_index,
        status=order.status,
        side="yes",
        is_yes=True,
        outcome_side=order.outcome,
        book_side=order.book_side,
        yes_price_dollars=format_price(order.yes_price_e4),
        initial_count_fp=format_count(order.initial_e2),
        fill_count_fp=format_count(order.filled_e2),
        remaining_count_fp=format_count(order.open_e2),
        taker_fill_cost_dollars=format_money(order.taker_cost_e6),
        maker_fill_cost_dollars=format_money(order.maker_cost_e6),
        taker_fees_dollars=format_money(order.taker_fees_e6),
        maker_fees_dollars=format_money(order.maker_fees_e6),
        created_time=rfc3339(order.created_us),
        created_ts_ms=order.created_us // 1_000,
        last_update_time=rfc3339(order.updated_us),
        last_updated_ts_ms=order.updated_us // 1_000,
        last_update_reason=order.reason,
        expiration_time=None if expires_us is None else rfc3339(expires_us),
        expiration_ts_ms=None if expires_us is None else expires_us // 1_000,
        order_group_id=order.group_id,
        self_trade_prevention_type=order.self_trade_prevention,
        subaccount_number=order.subaccount,
    )


def fill_body(fill: FillRecord) -> rest.Fill:
    order = fill.order
    return rest.Fill(
        fill_id=fill.trade_id,
        trade_id=fill.trade_id,
        order_id=order.order_id,
        ticker=order.ticker,
        market_ticker=order.ticker,
        exchange_index=order.exchange_index,
        outcome_side=order.outcome,
        book_side=order.book_side,
        count_fp=format_count(fill.count_e2),
        yes_price_dollars=format_price(fill.yes_price_e4),
        no_price_dollars=format_price(complement(fill.yes_price_e4)),
        is_taker=fill.is_taker,
        fee_cost=format_money(fill.fee_e6),
        side="yes",
        action=_action(order),
        created_time=rfc3339(fill.at_us),
        ts=fill.at_us // 1_000_000,
        subaccount_number=order.subaccount,
    )


def fill_frame(fill: FillRecord) -> feeds.Fill:
    order = fill.order
    return feeds.Fill(
        trade_id=fill.trade_id,
        order_id=order.order_id,
        client_order_id=order.client_order_id or None,
        market_ticker=order.ticker,
        exchange_index=order.exchange_index,
        is_taker=fill.is_taker,
        side="yes",
        action=_action(order),
        purchased_side=order.outcome,
        outcome_side=order.outcome,
        book_side=order.book_side,
        yes_price_dollars=format_price(fill.yes_price_e4),
        count_fp=format_count(fill.count_e2),
        fee_cost=format_money(fill.fee_e6),
        post_position_fp=format_count(CountE2(fill.position_e2)),
        subaccount=order.subaccount,
        ts=fill.at_us // 1_000_000,
        ts_ms=fill.at_us // 1_000,
    )


def trade_frame(ticker: str, trade_id: str, match: Match, at_us: int) -> feeds.Trade:
    """The public print of a match: the taker bought the outcome opposite to the maker's ladder."""
    yes_price = match.price_e4 if match.outcome == "yes" else complement(match.price_e4)
    taker_bids = match.outcome == "no"
    return feeds.Trade(
        trade_id=trade_id,
        market_ticker=ticker,
        yes_price_dollars=format_price(yes_price),
        no_price_dollars=format_price(complement(yes_price)),
        count_fp=format_count(match.count_e2),
        taker_side="yes" if taker_bids else "no",
        taker_outcome_side="yes" if taker_bids else "no",
        taker_book_side="bid" if taker_bids else "ask",
        is_block_trade=False,
        ts=at_us // 1_000_000,
        ts_ms=at_us // 1_000,
    )


def position_frame(account: Account, ticker: str) -> feeds.MarketPosition:
    position = account.position(ticker)
    return feeds.MarketPosition(
        user_id=account.user_id,
        market_ticker=ticker,
        position_fp=format_count(CountE2(position.count_e2)),
        position_cost_dollars=format_money(MoneyE6(position.cost_e6)),
        realized_pnl_dollars=format_money(MoneyE6(position.realized_e6)),
        fees_paid_dollars=format_money(MoneyE6(position.fees_e6)),
        position_fee_cost_dollars=format_money(MoneyE6(position.open_fees_e6)),
        volume_fp=format_count(CountE2(position.traded_e2)),
        subaccount=subaccount_of(account.account_id),
    )


def average_price(fills: list[FillRecord]) -> str | None:
    """The volume-weighted YES price to 4 decimals, or None without fills."""
    count = sum(fill.count_e2 for fill in fills)
    if not count:
        return None
    cost = sum(fill.count_e2 * fill.yes_price_e4 for fill in fills)
    return format_price(PriceE4((cost + count // 2) // count))


def average_fee(fills: list[FillRecord]) -> str | None:
    """Net fee per contract to 4 decimals, or None without fills."""
    count = sum(fill.count_e2 for fill in fills)
    if not count:
        return None
    fee = sum(fill.fee_e6 for fill in fills)
    return format_price(PriceE4((fee + count // 2) // count))  # money_e6 / count_e2 is already in _e4


def format_balance(money: int) -> str:
    """A balance has four decimals, rounded down."""
    return format_price(PriceE4(MoneyE6(money) // 100))


def _action(order: Order) -> str:
    return "buy" if order.outcome == "yes" else "sell"
