"""REST bodies of public market data that the client lists: markets, books, trades, events, series, status (W4.4, W7).

Fields the client has no use for are left out; an exchange that sends more is read all the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from fsm_exec.wire.rest import BookSide, OrderBookLevels, OutcomeSide, PriceRange

MarketFilter: TypeAlias = Literal["unopened", "open", "paused", "closed", "settled"]
"""Words of the listing's filter; a market's own `status` has others (W7)."""


class MarketRow(msgspec.Struct, kw_only=True):
    """One market of a listing. Times are RFC 3339; a quote of 0 or 1 dollar is none."""

    ticker: str
    event_ticker: str
    status: str
    open_time: str
    close_time: str
    price_level_structure: str
    price_ranges: list[PriceRange]
    title: str = ""
    yes_sub_title: str = ""
    yes_bid_dollars: str = "0.0000"
    yes_ask_dollars: str = "1.0000"
    last_price_dollars: str = "0.0000"
    volume_fp: str = "0.00"
    volume_24h_fp: str = "0.00"
    open_interest_fp: str = "0.00"
    result: str = ""
    fee_waiver_expiration_time: str | None = None
    exchange_index: int | None = None


class MarketRowBody(msgspec.Struct, kw_only=True):
    market: MarketRow


class MarketsPage(msgspec.Struct, kw_only=True):
    markets: list[MarketRow]
    cursor: str


class TickerBook(msgspec.Struct, kw_only=True):
    ticker: str
    orderbook_fp: OrderBookLevels


class OrderBooksBody(msgspec.Struct, kw_only=True):
    orderbooks: list[TickerBook]


class TradeRow(msgspec.Struct, kw_only=True):
    trade_id: str
    ticker: str
    count_fp: str
    yes_price_dollars: str
    no_price_dollars: str
    taker_outcome_side: OutcomeSide
    taker_book_side: BookSide
    created_time: str
    is_block_trade: bool = False


class TradesPage(msgspec.Struct, kw_only=True):
    trades: list[TradeRow]
    cursor: str


class EventRow(msgspec.Struct, kw_only=True):
    """The overrides of fees win over the series' where they are given (W9)."""

    event_ticker: str
    series_ticker: str
    title: str = ""
    sub_title: str = ""
    mutually_exclusive: bool = False
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None


class EventsPage(msgspec.Struct, kw_only=True):
    events: list[EventRow]
    cursor: str


class SeriesRow(msgspec.Struct, kw_only=True):
    ticker: str
    title: str
    category: str
    fee_type: str
    fee_multiplier: Decimal
    frequency: str = ""


class SeriesRows(msgspec.Struct, kw_only=True):
    series: list[SeriesRow] | None = None


class ShardStatus(msgspec.Struct, kw_only=True):
    exchange_index: int
    exchange_active: bool
    trading_active: bool
    description: str = ""


class StatusBody(msgspec.Struct, kw_only=True):
    """Also the body of a 500, 503 or 504 of this endpoint (W7)."""

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: str | None = None
    exchange_index_statuses: list[ShardStatus] | None = None
