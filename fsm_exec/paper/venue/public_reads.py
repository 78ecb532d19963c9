"""The bodies of public reads of markets: their terms, books and trades; and of the exchange's own state and hours."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from fsm_exec.core.market.book import Level as BookLevel
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, PriceE4, complement, format_count, format_price
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.orders import TradeRecord
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.paging import ANY_TIME, Page, Span, newest_first
from fsm_exec.paper.venue.publisher import price_ranges
from fsm_exec.wire import rest

ZERO_PRICE = "0.0000"
STATUS_WORDS = {  # of the markets' listing: the states of a market that each one means
    "unopened": ("initialized",),
    "open": ("active",),
    "paused": ("inactive",),
    "closed": ("closed", "determined"),
    "settled": ("finalized",),
}
STATUSES_BESIDE = {  # which of them may be asked for together with a filter by time
    "created": ("unopened", "open"),
    "updated": (),
    "close": ("closed",),
    "settled": ("settled",),
}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class MarketTimes(NamedTuple):
    """The times by which a listing of markets is filtered. Only one kind may be given at once."""

    created: Span = ANY_TIME
    updated: Span = ANY_TIME
    close: Span = ANY_TIME
    settled: Span = ANY_TIME

    def check(self, page: Page, *, without_combos: bool) -> None:
        """Raises ApiError 400 for what the exchange's own table of filters does not let go together."""
        given = [name for name, span in self._asdict().items() if span.is_given]
        if not given:
            return
        if len(given) > 1:
            raise errors.invalid_parameters("timestamp filters are mutually exclusive")
        if page.status not in (None, *STATUSES_BESIDE[given[0]]):
            raise errors.invalid_parameters(f"the {given[0]} filter cannot be combined with status {page.status}")
        if given == ["updated"] and (page.tickers or page.events or (page.series and not without_combos)):
            raise errors.invalid_parameters("the updated filter goes with series_ticker and mve_filter=exclude only")

    def hold(self, market: PaperMarket) -> bool:
        return (
            self.created.holds(market.opened_us)
            and self.updated.holds(market.updated_us)
            and self.close.holds(market.close_us)
            and self.settled.holds(market.settled_us)
        )


class MarketWithExtras(rest.Market, kw_only=True):
    """With what the specification no longer names but some clients demand, and what a market shows once it has a
    result."""

    liquidity_dollars: str
    exchange_index: int
    expected_expiration_time: str
    settlement_value_dollars: str | None = None
    settlement_ts: str | None = None
    fee_waiver_expiration_time: str | None = None


class MarketsPage(msgspec.Struct, kw_only=True):
    markets: list[rest.Market]
    cursor: str


def market_of(exchange: Exchange, ticker: str) -> PaperMarket:
    market = exchange.markets.get(ticker)
    if market is None:
        raise errors.market_not_found(ticker)
    return market


def market_body(market: PaperMarket) -> rest.Market:
    """All required fields. A side without quotes shows 0 for a bid and 1 for an ask. A tape does not carry the open
    interest; the volume stands for it."""
    header = market.header
    yes_bid, yes_size = market.book.best("yes") or (PriceE4(0), CountE2(0))
    no_bid, no_size = market.book.best("no") or (PriceE4(0), CountE2(0))
    last, previous, waived_us = market.last_price_e4, market.previous_price_e4, market.fees_waived_until_us
    return MarketWithExtras(
        ticker=header.ticker,
        event_ticker=header.event,
        market_type="binary",
        yes_sub_title=header.title,
        no_sub_title=header.title,
        created_time=rfc3339(market.opened_us),
        updated_time=rfc3339(market.updated_us),
        open_time=rfc3339(market.opened_us),
        close_time=rfc3339(market.close_us),
        expected_expiration_time=rfc3339(market.close_us),
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
        volume_24h_fp=format_count(CountE2(market.earlier_volume_e2 + market.volume_e2)),
        result=market.result or "",
        can_close_early=True,
        open_interest_fp=format_count(CountE2(market.volume_e2)),
        notional_value_dollars=format_price(ONE_DOLLAR_E4),
        previous_yes_bid_dollars=ZERO_PRICE,
        previous_yes_ask_dollars=format_price(ONE_DOLLAR_E4),
        previous_price_dollars=ZERO_PRICE if previous is None else format_price(previous),
        settlement_bounds_type="default",
        expiration_value=_expiration_value(market),
        rules_primary="A market of the paper exchange.",
        rules_secondary="",
        price_level_structure=header.price_level_structure,
        price_ranges=price_ranges(header.grid),
        liquidity_dollars=ZERO_PRICE,
        exchange_index=market.exchange_index,
        settlement_value_dollars=None if market.result is None else format_price(market.value_e4),
        settlement_ts=None if market.settled_us is None else rfc3339(market.settled_us),
        fee_waiver_expiration_time=None if waived_us is None else rfc3339(waived_us),
    )


def _expiration_value(market: PaperMarket) -> str:
    return format_price(market.value_e4) if market.result == "scalar" else market.result or ""


def markets_page(exchange: Exchange, page: Page, times: MarketTimes) -> MarketsPage:
    """The markets in the order in which they were opened, the last one first."""
    listed = list(enumerate(exchange.markets.values(), 1))
    states = STATUS_WORDS.get(page.status or "", ())

    def wanted(item: tuple[int, PaperMarket]) -> bool:
        market = item[1]
        return (
            page.names(market.ticker)
            and page.names_event(market.header.event)
            and (page.series is None or market.header.series == page.series)
            and (not states or market.status in states)
            and times.hold(market)
        )

    found, cursor = newest_first(listed, page, wanted, lambda item: item[0])
    return MarketsPage(markets=[market_body(market) for _, market in found], cursor=cursor)


def order_book(market: PaperMarket, depth: int) -> rest.OrderBookBody:
    """The `depth` best levels a side (0: all), ascending: the best is the last."""

    def shown(levels: list[BookLevel]) -> list[rest.WireLevel]:
        return [(format_price(price), format_count(count)) for price, count in levels[-depth:]]

    return rest.OrderBookBody(
        orderbook_fp=rest.OrderBookLevels(
            yes_dollars=shown(market.book.displayed("yes")), no_dollars=shown(market.book.displayed("no"))
        )
    )


def order_books(exchange: Exchange, tickers: tuple[str, ...]) -> dict[str, object]:
    books = [(ticker, order_book(market_of(exchange, ticker), 0)) for ticker in dict.fromkeys(tickers)]
    return {"orderbooks": [{"ticker": ticker, "orderbook_fp": body.orderbook_fp} for ticker, body in books]}


def trades_page(exchange: Exchange, page: Page, *, block_trades: bool) -> dict[str, object]:
    """Every print; none here is a block trade."""
    found, cursor = newest_first(
        exchange.trades,
        page,
        lambda trade: not block_trades and page.names(trade.ticker) and page.within(trade.at_us),
        lambda trade: trade.number,
    )
    return {"trades": [_trade_body(trade) for trade in found], "cursor": cursor}


def _trade_body(trade: TradeRecord) -> dict[str, object]:
    taker = "yes" if trade.outcome == "no" else "no"
    return {
        "trade_id": trade.trade_id,
        "ticker": trade.ticker,
        "count_fp": format_count(trade.count_e2),
        "yes_price_dollars": format_price(trade.yes_price_e4),
        "no_price_dollars": format_price(complement(trade.yes_price_e4)),
        "taker_side": taker,
        "taker_outcome_side": taker,
        "taker_book_side": "bid" if taker == "yes" else "ask",
        "created_time": rfc3339(trade.at_us),
        "is_block_trade": False,
    }


def status_body(exchange: Exchange) -> dict[str, object]:
    """The same when the exchange is down; only the status of the answer is another then."""
    state = {
        "exchange_active": exchange.exchange_active,
        "trading_active": exchange.exchange_active and exchange.trading_active,
        "intra_exchange_transfers_active": False,
    }
    body: dict[str, object] = dict(state)
    if exchange.resume_us is not None:
        body["exchange_estimated_resume_time"] = rfc3339(exchange.resume_us)
    body["exchange_index_statuses"] = [
        {"exchange_index": index, "description": f"shard {index}" if index else "default", **state}
        for index in sorted(exchange.shards)
    ]
    return body


def schedule_body(exchange: Exchange) -> dict[str, object]:
    """Open around the clock, from the first market on; no maintenance."""
    opened_us = min((market.opened_us for market in exchange.markets.values()), default=exchange.timeline.now_us())
    hours = [{"open_time": "00:00", "close_time": "00:00"}]
    week = {"start_time": rfc3339(opened_us), "end_time": "2100-01-01T00:00:00Z", **dict.fromkeys(DAYS, hours)}
    return {"schedule": {"standard_hours": [week], "maintenance_windows": []}}


def cutoff_body(exchange: Exchange) -> dict[str, object]:
    """Nothing is moved to history by itself: the cutoff lies before everything until orders and fills are put away."""
    opened_us = min((market.opened_us for market in exchange.markets.values()), default=exchange.timeline.now_us())
    at = rfc3339(opened_us)
    put_away = rfc3339(max(opened_us, exchange.archived_until_us))
    return {"market_settled_ts": at, "trades_created_ts": put_away, "orders_updated_ts": put_away}
