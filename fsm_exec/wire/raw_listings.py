"""Pages of listings whose rows are read one by one: a row nobody here needs and nobody can read spoils no other.

What is read of a row stands with its struct in `reading`; here is only what tells rows apart before they are read. A
cursor that is left out or null is empty: the page is the last.
"""

from __future__ import annotations

import msgspec


class RawMarketsPage(msgspec.Struct, kw_only=True):
    """Rows are `reading.Market`, or `markets.MarketRow`."""

    markets: list[msgspec.Raw]
    cursor: str | None = None


class RawEventsPage(msgspec.Struct, kw_only=True):
    """Rows are `reading.Event`, or `markets.EventRow`."""

    events: list[msgspec.Raw]
    cursor: str | None = None


class RawOrdersPage(msgspec.Struct, kw_only=True):
    """Rows are `reading.Order`."""

    orders: list[msgspec.Raw]
    cursor: str | None = None


class RawFillsPage(msgspec.Struct, kw_only=True):
    """Rows are `reading.Fill`."""

    fills: list[msgspec.Raw]
    cursor: str | None = None


class RawTradesPage(msgspec.Struct, kw_only=True):
    """Rows are `markets.TradeRow`."""

    trades: list[msgspec.Raw]
    cursor: str | None = None


class RawPositionsPage(msgspec.Struct, kw_only=True):
    """Rows are `account.MarketPositionRow`."""

    market_positions: list[msgspec.Raw]
    cursor: str | None = None


class OrderIdOnly(msgspec.Struct, kw_only=True):
    """Which order a row is about."""

    order_id: str | None = None
