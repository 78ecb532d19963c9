"""Pages of listings whose rows are read one by one: a row nobody here needs and nobody can read spoils no other.

What a row must hold stands with its struct in `rest`; here is only what tells rows apart before they are read.
"""

from __future__ import annotations

import msgspec


class RawMarketsPage(msgspec.Struct, kw_only=True):
    """Rows are `rest.MarketSummary`."""

    markets: list[msgspec.Raw]
    cursor: str = ""


class RawEventsPage(msgspec.Struct, kw_only=True):
    """Rows are `rest.EventSummary`."""

    events: list[msgspec.Raw]
    cursor: str = ""


class RawOrdersPage(msgspec.Struct, kw_only=True):
    """Rows are `rest.Order`."""

    orders: list[msgspec.Raw]
    cursor: str


class RawFillsPage(msgspec.Struct, kw_only=True):
    """Rows are `rest.Fill`."""

    fills: list[msgspec.Raw]
    cursor: str


class FillOrder(msgspec.Struct, kw_only=True):
    """What tells whose a fill is: its order."""

    order_id: str
    market_ticker: str = ""


class OrderName(msgspec.Struct, kw_only=True):
    order_id: str


class OrderNameBody(msgspec.Struct, kw_only=True):
    order: OrderName
