"""REST bodies as the client reads them: only what it uses, and of that nothing required which may be missing.

None stands for a field that is left out, and for null. What must be there all the same, what replaces it if it is not,
and what is isolated, `kalshi.translate` and the readers beside it decide; whole bodies, as an exchange writes them,
stand in `rest` and `writes`. A field that nobody here uses is not named, so its type may be anything.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fsm_exec.wire.rest import PriceRange, WireLevel

# The account.


class Order(msgspec.Struct, kw_only=True):
    """A row of the listing of orders."""

    order_id: str | None = None
    client_order_id: str | None = None
    ticker: str | None = None
    market_ticker: str | None = None
    outcome_side: str | None = None
    book_side: str | None = None
    side: str | None = None
    action: str | None = None
    status: str | None = None
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    fill_count_fp: str | None = None
    remaining_count_fp: str | None = None
    initial_count_fp: str | None = None
    expiration_time: object = None
    order_group_id: str | None = None
    exchange_index: object = None
    created_time: str | None = None
    last_update_time: str | None = None


class Fill(msgspec.Struct, kw_only=True):
    """A row of the listing of fills. No client_order_id: it is joined by order_id. `fee_cost` is the whole fee."""

    fill_id: str | None = None
    trade_id: str | None = None
    order_id: str | None = None
    ticker: str | None = None
    market_ticker: str | None = None
    outcome_side: str | None = None
    book_side: str | None = None
    side: str | None = None
    action: str | None = None
    count_fp: str | None = None
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    is_taker: bool | None = None
    fee_cost: str | None = None
    created_time: str | None = None
    ts: int | None = None


class Balance(msgspec.Struct, kw_only=True):
    """In cents and in dollars: one of both is enough. `updated_ts` is unix seconds."""

    balance: int | None = None
    balance_dollars: str | None = None
    portfolio_value: int | None = None
    updated_ts: int | None = None


# Answers to writes.


class Placed(msgspec.Struct, kw_only=True):
    order_id: str | None = None
    client_order_id: str | None = None
    fill_count: str | None = None
    remaining_count: str | None = None
    ts_ms: int | None = None


class Amended(msgspec.Struct, kw_only=True):
    order_id: str | None = None
    remaining_count: str | None = None
    fill_count: str | None = None
    ts_ms: int | None = None


class Cancelled(msgspec.Struct, kw_only=True):
    order_id: str | None = None
    reduced_by: str | None = None
    ts_ms: int | None = None


class Decreased(msgspec.Struct, kw_only=True):
    order_id: str | None = None
    remaining_count: str | None = None
    ts_ms: int | None = None


class ItemError(msgspec.Struct, kw_only=True):
    code: str | None = None
    message: str | None = None
    details: str | None = None


class PlacedItem(Placed, kw_only=True):
    """One item of a batch: an order, or `error`."""

    error: ItemError | None = None


class CancelledItem(Cancelled, kw_only=True):
    error: ItemError | None = None


class BatchItems(msgspec.Struct, kw_only=True):
    """The answer to a batch, in the order of the request. Items are `PlacedItem` or `CancelledItem`."""

    orders: list[msgspec.Raw]


class GroupMade(msgspec.Struct, kw_only=True):
    order_group_id: str | None = None


class Group(msgspec.Struct, kw_only=True):
    """An order group. In a listing it has its `id` and lacks its orders."""

    id: str | None = None
    is_auto_cancel_enabled: bool | None = None
    orders: list[str] | None = None
    contracts_limit_fp: str | None = None
    exchange_index: int | None = None


class Groups(msgspec.Struct, kw_only=True):
    order_groups: list[Group]


# Markets.


class Market(msgspec.Struct, kw_only=True):
    ticker: str | None = None
    event_ticker: str | None = None
    status: str | None = None
    price_ranges: list[PriceRange] | None = None
    open_time: str | None = None
    close_time: str | None = None
    volume_24h_fp: str | None = None
    fee_waiver_expiration_time: str | None = None
    exchange_index: int | None = None


class MarketBody(msgspec.Struct, kw_only=True):
    market: Market


class Event(msgspec.Struct, kw_only=True):
    """`fee_multiplier_override` is a JSON number; decoded as Decimal it stays exact."""

    event_ticker: str | None = None
    series_ticker: str | None = None
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None
    exchange_index: int | None = None


class EventBody(msgspec.Struct, kw_only=True):
    event: Event


class Series(msgspec.Struct, kw_only=True):
    ticker: str | None = None
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None
    category: str | None = None


class SeriesBody(msgspec.Struct, kw_only=True):
    series: Series


class HistoricalCutoff(msgspec.Struct, kw_only=True):
    """Orders that ended, and trades that were made, before these times are in the historical listings alone."""

    orders_updated_ts: str | None = None
    trades_created_ts: str | None = None


class EventFeeChange(msgspec.Struct, kw_only=True):
    """An announced change of what an event overrides of its series' fees. Both null: it overrides nothing any more."""

    event_ticker: str | None = None
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None
    scheduled_ts: str | None = None


class SeriesFeeChange(msgspec.Struct, kw_only=True):
    """An announced change of a series' fees."""

    series_ticker: str | None = None
    fee_type: str | None = None
    fee_multiplier: Decimal | None = None
    scheduled_ts: str | None = None


class Ladders(msgspec.Struct, kw_only=True):
    """A side without orders is an empty list, or left out."""

    yes_dollars: list[WireLevel] | None = None
    no_dollars: list[WireLevel] | None = None


class BookBody(msgspec.Struct, kw_only=True):
    orderbook_fp: Ladders


class NamedBook(msgspec.Struct, kw_only=True):
    ticker: str
    orderbook_fp: Ladders


class Books(msgspec.Struct, kw_only=True):
    orderbooks: list[NamedBook]
