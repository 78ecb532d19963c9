"""REST bodies of public market data that the client lists: markets, books, trades, events, series, incentive
programmes, status (wire/README.md 4.4, 7).

Fields the client has no use for are left out; an exchange that sends more is read all the same.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

MarketFilter: TypeAlias = Literal["unopened", "open", "paused", "closed", "settled"]
"""Words of the listing's filter; a market's own `status` has others (wire/README.md 7)."""


class MarketRow(msgspec.Struct, kw_only=True):
    """One market of a listing. Times are RFC 3339; a quote of 0 or 1 dollar is none."""

    ticker: str
    event_ticker: str | None = None
    status: str | None = None
    open_time: str | None = None
    close_time: str | None = None
    expected_expiration_time: str | None = None
    price_level_structure: str | None = None
    title: str | None = None
    yes_sub_title: str | None = None
    yes_bid_dollars: str | None = None
    yes_bid_size_fp: str | None = None
    yes_ask_dollars: str | None = None
    yes_ask_size_fp: str | None = None
    last_price_dollars: str | None = None
    volume_fp: str | None = None
    volume_24h_fp: str | None = None
    open_interest_fp: str | None = None
    result: str | None = None
    settlement_value_dollars: str | None = None


class MarketRowBody(msgspec.Struct, kw_only=True):
    market: MarketRow


class TradeRow(msgspec.Struct, kw_only=True):
    trade_id: str
    ticker: str
    count_fp: str
    created_time: str
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    taker_outcome_side: str | None = None
    taker_book_side: str | None = None
    taker_side: str | None = None
    is_block_trade: bool | None = None


class EventRow(msgspec.Struct, kw_only=True):
    """The overrides of fees win over the series' where they are given (wire/README.md 9)."""

    event_ticker: str
    series_ticker: str | None = None
    title: str | None = None
    sub_title: str | None = None
    mutually_exclusive: bool | None = None
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None


class TickerOnly(msgspec.Struct, kw_only=True):
    """The one field that names a market among those of its event."""

    ticker: str


class EventWithMarkets(EventRow, kw_only=True):
    """An event with its markets in it; rows are `TickerOnly` or `MarketRow`."""

    collateral_return_type: str | None = None
    markets: list[msgspec.Raw] | None = None


class EventWithMarketsBody(msgspec.Struct, kw_only=True):
    """The deprecated list beside the event is read where the event itself holds none."""

    event: EventWithMarkets
    markets: list[msgspec.Raw] | None = None


class SeriesRow(msgspec.Struct, kw_only=True):
    ticker: str
    title: str | None = None
    category: str | None = None
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None
    frequency: str | None = None


class SeriesRows(msgspec.Struct, kw_only=True):
    """Rows are `SeriesRow`."""

    series: list[msgspec.Raw] | None = None


class IncentiveRow(msgspec.Struct, kw_only=True):
    """A programme that pays for liquidity or for volume. Money is in centi-cents: ten-thousandths of a dollar."""

    id: str
    market_ticker: str
    incentive_type: str
    start_date: str
    end_date: str
    period_reward: int
    paid_out: bool | None = None
    incentive_description: str | None = None
    discount_factor_bps: int | None = None
    target_size_fp: str | None = None
    max_reward_per_account: int | None = None


class IncentiveTicker(msgspec.Struct, kw_only=True):
    """The one field that says which market a programme is about."""

    market_ticker: str


class StatusBody(msgspec.Struct, kw_only=True):
    """Also the body of a 500, 503 or 504 of this endpoint (wire/README.md 7). If one of the two is left out, the other
    stands for it."""

    exchange_active: bool | None = None
    trading_active: bool | None = None
    exchange_estimated_resume_time: str | None = None
