"""The bodies of every read, from the state of the exchange as it is. Listings are newest first, page by page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from fsm_exec.core.book import Level as BookLevel
from fsm_exec.core.units import (
    ONE_DOLLAR_E4,
    CountE2,
    MoneyE6,
    PriceE4,
    complement,
    format_count,
    format_money,
    format_price,
)
from fsm_exec.paper import bodies, errors
from fsm_exec.paper.accounts import Account
from fsm_exec.paper.exchange import Exchange
from fsm_exec.paper.market import PaperMarket
from fsm_exec.paper.orders import FillRecord, Order
from fsm_exec.paper.publishing import price_ranges
from fsm_exec.paper.times import rfc3339
from fsm_exec.wire import rest

Item = TypeVar("Item")
ZERO_PRICE = "0.0000"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing was asked for. Times are unix seconds of creation, both ends included."""

    limit: int = 100
    cursor: str = ""
    tickers: tuple[str, ...] = ()
    event: str | None = None
    status: str | None = None
    order_id: str | None = None
    min_s: int | None = None
    max_s: int | None = None


class MarketPosition(msgspec.Struct, kw_only=True):
    ticker: str
    exchange_index: int
    total_traded_dollars: str
    position_fp: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    last_updated_ts: str


class EventPosition(msgspec.Struct, kw_only=True):
    event_ticker: str
    total_cost_dollars: str
    total_cost_shares_fp: str
    event_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str


class PositionsPage(msgspec.Struct, kw_only=True):
    market_positions: list[MarketPosition]
    event_positions: list[EventPosition]
    cursor: str


def orders_page(exchange: Exchange, account: Account, page: Page) -> rest.OrdersPage:
    def wanted(order: Order) -> bool:
        return (
            (not page.tickers or order.ticker in page.tickers)
            and (page.event is None or exchange.markets[order.ticker].header.event == page.event)
            and (page.status is None or order.status == page.status)
            and _within(order.created_us, page)
        )

    found, cursor = _newest_first(account.orders, page, wanted, lambda order: order.number)
    return rest.OrdersPage(orders=[bodies.order_body(order, account.user_id) for order in found], cursor=cursor)


def order_of(exchange: Exchange, account: Account, order_id: str) -> rest.OrderBody:
    order = exchange.orders.get(order_id)
    if order is None or order.account_id != account.account_id:
        raise errors.not_found("order")
    return rest.OrderBody(order=bodies.order_body(order, account.user_id))


def fills_page(account: Account, page: Page) -> rest.FillsPage:
    def wanted(fill: FillRecord) -> bool:
        return (
            (not page.tickers or fill.order.ticker in page.tickers)
            and (page.order_id is None or fill.order.order_id == page.order_id)
            and _within(fill.at_us, page)
        )

    found, cursor = _newest_first(account.fills, page, wanted, lambda fill: fill.number)
    return rest.FillsPage(fills=[bodies.fill_body(fill) for fill in found], cursor=cursor)


def balance(exchange: Exchange, account: Account) -> rest.Balance:
    """`portfolio_value` counts each held contract at the best bid of its outcome."""
    available = exchange.available_e6(account)
    return rest.Balance(
        balance=available // 10_000,
        balance_dollars=bodies.format_balance(available),
        portfolio_value=sum(_value_e6(exchange.markets[t], p.count_e2) for t, p in account.positions.items()) // 10_000,
        updated_ts=exchange.timeline.now_us() // 1_000_000,
    )


def positions_page(exchange: Exchange, account: Account, page: Page) -> PositionsPage:
    """Every market ever traded; one page, for an account here trades few."""
    held = [
        (exchange.markets[ticker], position)
        for ticker, position in account.positions.items()
        if position.traded_e6
        and (not page.tickers or ticker in page.tickers)
        and (page.event is None or exchange.markets[ticker].header.event == page.event)
    ]
    events: dict[str, list[int]] = {}
    for market, position in held:
        sums = events.setdefault(market.header.event, [0, 0, 0, 0, 0])
        figures = (position.traded_e6, abs(position.count_e2), position.cost_e6, position.realized_e6, position.fees_e6)
        sums[:] = [total + figure for total, figure in zip(sums, figures, strict=True)]
    return PositionsPage(
        market_positions=[
            MarketPosition(
                ticker=market.ticker,
                exchange_index=0,
                total_traded_dollars=format_money(MoneyE6(position.traded_e6)),
                position_fp=format_count(CountE2(position.count_e2)),
                market_exposure_dollars=format_money(MoneyE6(position.cost_e6)),
                realized_pnl_dollars=format_money(MoneyE6(position.realized_e6)),
                fees_paid_dollars=format_money(MoneyE6(position.fees_e6)),
                last_updated_ts=rfc3339(position.updated_us),
            )
            for market, position in held
        ],
        event_positions=[
            EventPosition(
                event_ticker=event,
                total_cost_dollars=format_money(MoneyE6(sums[0])),
                total_cost_shares_fp=format_count(CountE2(sums[1])),
                event_exposure_dollars=format_money(MoneyE6(sums[2])),
                realized_pnl_dollars=format_money(MoneyE6(sums[3])),
                fees_paid_dollars=format_money(MoneyE6(sums[4])),
            )
            for event, sums in events.items()
        ],
        cursor="",
    )


def order_book(market: PaperMarket, depth: int) -> rest.OrderBookBody:
    """The `depth` best levels a side (0: all), ascending: the best is the last."""

    def shown(levels: list[BookLevel]) -> list[rest.WireLevel]:
        return [(format_price(price), format_count(count)) for price, count in levels[-depth:]]

    return rest.OrderBookBody(
        orderbook_fp=rest.OrderBookLevels(
            yes_dollars=shown(market.book.displayed("yes")), no_dollars=shown(market.book.displayed("no"))
        )
    )


def market_body(market: PaperMarket) -> rest.Market:
    """All required fields. A side without quotes shows 0 for a bid and 1 for an ask. A tape does not tell the open
    interest; the volume stands for it."""
    header = market.header
    yes, no = market.book.best("yes"), market.book.best("no")
    yes_bid, yes_size = yes if yes is not None else (PriceE4(0), CountE2(0))
    no_bid, no_size = no if no is not None else (PriceE4(0), CountE2(0))
    last, previous = market.last_price_e4, market.previous_price_e4
    return rest.Market(
        ticker=header.ticker,
        event_ticker=header.event,
        market_type="binary",
        yes_sub_title=header.title,
        no_sub_title=header.title,
        created_time=rfc3339(market.opened_us),
        updated_time=rfc3339(market.updated_us),
        open_time=rfc3339(market.opened_us),
        close_time=rfc3339(market.close_us),
        latest_expiration_time=rfc3339(market.close_us),
        settlement_timer_seconds=0,
        status=market.status,
        yes_bid_dollars=format_price(yes_bid),
        yes_bid_size_fp=format_count(yes_size),
        yes_ask_dollars=format_price(complement(no_bid)),
        yes_ask_size_fp=format_count(no_size),
        no_bid_dollars=format_price(no_bid),
        no_ask_dollars=format_price(complement(yes_bid)),
        last_price_dollars=ZERO_PRICE if last is None else format_price(last),
        volume_fp=format_count(CountE2(market.volume_e2)),
        volume_24h_fp=format_count(CountE2(market.volume_e2)),
        result="",
        can_close_early=True,
        open_interest_fp=format_count(CountE2(market.volume_e2)),
        notional_value_dollars=format_price(ONE_DOLLAR_E4),
        previous_yes_bid_dollars=ZERO_PRICE,
        previous_yes_ask_dollars=ZERO_PRICE,
        previous_price_dollars=ZERO_PRICE if previous is None else format_price(previous),
        settlement_bounds_type="default",
        expiration_value="",
        rules_primary="A market of the paper exchange.",
        rules_secondary="",
        price_level_structure=header.price_level_structure,
        price_ranges=price_ranges(header.grid),
    )


def event_body(exchange: Exchange, event: str) -> dict[str, object]:
    markets = [market for market in exchange.markets.values() if market.header.event == event]
    if not markets:
        raise errors.not_found("event")
    return {
        "event": {
            "event_ticker": event,
            "series_ticker": markets[0].header.series,
            "sub_title": "",
            "title": markets[0].header.title,
            "collateral_return_type": "",
            "mutually_exclusive": False,
            "settlement_sources": [],
        },
        "markets": [market_body(market) for market in markets],
    }


def series_body(exchange: Exchange, series: str) -> dict[str, object]:
    header = next((m.header for m in exchange.markets.values() if m.header.series == series), None)
    if header is None:
        raise errors.not_found("series")
    return {
        "series": {
            "ticker": series,
            "frequency": "custom",
            "title": series,
            "category": header.category,
            "categories": [header.category],
            "tags": [],
            "settlement_sources": [],
            "contract_url": "",
            "contract_terms_url": "",
            "fee_type": header.fee_type,
            "fee_multiplier": header.fee_multiplier,
            "additional_prohibitions": [],
        }
    }


def market_of(exchange: Exchange, ticker: str) -> PaperMarket:
    market = exchange.markets.get(ticker)
    if market is None:
        raise errors.market_not_found(ticker)
    return market


def _value_e6(market: PaperMarket, count: int) -> int:
    best = market.book.best("yes" if count > 0 else "no") if count else None
    return 0 if best is None else abs(count) * best[0]


def _within(at_us: int, page: Page) -> bool:
    at_s = at_us // 1_000_000
    return (page.min_s is None or at_s >= page.min_s) and (page.max_s is None or at_s <= page.max_s)


def _newest_first(
    items: Iterable[Item], page: Page, wanted: Callable[[Item], bool], number: Callable[[Item], int]
) -> tuple[list[Item], str]:
    """One page, and the cursor of the next: the number of the last item shown. New items never shift a page."""
    below = _decode_cursor(page.cursor)
    found: list[Item] = []
    for item in reversed(list(items)):
        if (below is not None and number(item) >= below) or not wanted(item):
            continue
        if len(found) == page.limit:
            return found, base64.urlsafe_b64encode(str(number(found[-1])).encode()).decode()
        found.append(item)
    return found, ""


def _decode_cursor(cursor: str) -> int | None:
    """A cursor that is not one of ours lists from the start, as the real exchange does."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
