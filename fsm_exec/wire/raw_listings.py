"""Pages of listings whose rows are decoded one by one, so that a row that cannot be read spoils no other.

The structs of rows are in `client_bodies`; here is only what is needed before they are decoded. A cursor that is
left out or null is empty: the page is the last.
"""

from __future__ import annotations

import msgspec


class RawMarketsPage(msgspec.Struct, kw_only=True):
    """Rows are `client_bodies.Market`, or `markets.MarketRow`."""

    markets: list[msgspec.Raw]
    cursor: str | None = None


class RawEventsPage(msgspec.Struct, kw_only=True):
    """Rows are `client_bodies.Event`, or `markets.EventRow`."""

    events: list[msgspec.Raw]
    cursor: str | None = None


class RawEventFeeChangesPage(msgspec.Struct, kw_only=True):
    """Rows are `client_bodies.EventFeeChange`."""

    event_fee_changes: list[msgspec.Raw]
    cursor: str | None = None


class RawSeriesFeeChanges(msgspec.Struct, kw_only=True):
    """All there are: no page. Rows are `client_bodies.SeriesFeeChange`."""

    series_fee_change_arr: list[msgspec.Raw]


class RawOrdersPage(msgspec.Struct, kw_only=True):
    """Rows are `client_bodies.Order`."""

    orders: list[msgspec.Raw]
    cursor: str | None = None


class RawFillsPage(msgspec.Struct, kw_only=True):
    """Rows are `client_bodies.Fill`."""

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


class RawSettlementsPage(msgspec.Struct, kw_only=True):
    """Rows are `account.SettlementRow`."""

    settlements: list[msgspec.Raw]
    cursor: str | None = None


class RawIncentivesPage(msgspec.Struct, kw_only=True):
    """Rows are `markets.IncentiveRow`. Its cursor has a name of its own."""

    incentive_programs: list[msgspec.Raw]
    next_cursor: str | None = None


class OrderIdOnly(msgspec.Struct, kw_only=True):
    """The one field that says which order a row is about."""

    order_id: str | None = None
