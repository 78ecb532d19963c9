"""REST bodies of the trade API v2, whole, as they are written (state: October 2026): requests by the client, answers by
an exchange. What the client reads of answers stands in `reading`. A field that may be missing has a default.

Optional response fields that are None are left out when encoded (`omit_defaults`), as the exchange does.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

BookSide: TypeAlias = Literal["bid", "ask"]
OutcomeSide: TypeAlias = Literal["yes", "no"]
TimeInForce: TypeAlias = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
OrderStatus: TypeAlias = Literal["resting", "canceled", "executed"]
WireLevel: TypeAlias = tuple[str, str]
"""[price, count], both strings. Ladders ascend: the best bid is the last element."""

API_PREFIX = "/trade-api/v2"
WS_PATH = "/trade-api/ws/v2"
CLIENT_ORDER_ID_PATTERN = r"^[-\w:+=/]{1,64}$"  # FIX ClOrdID rule; letters, digits, _ - : + = /


class CreateOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    ticker: str
    side: BookSide
    count: str
    price: str
    time_in_force: TimeInForce
    self_trade_prevention_type: Literal["taker_at_cross", "maker"]
    client_order_id: str | None = None
    expiration_time: int | None = None
    post_only: bool = False
    cancel_order_on_pause: bool = False
    reduce_only: bool = False
    subaccount: int | None = None
    order_group_id: str | None = None
    exchange_index: int | None = None


class CreateOrderAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    fill_count: str
    remaining_count: str
    ts_ms: int
    client_order_id: str | None = None
    average_fill_price: str | None = None
    average_fee_paid: str | None = None


class AmendOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`count` is the total: already filled + still wanted."""

    ticker: str
    side: BookSide
    price: str
    count: str
    client_order_id: str | None = None
    updated_client_order_id: str | None = None
    expiration_time: int | None = None
    exchange_index: int | None = None


class AmendOrderAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    ts_ms: int
    client_order_id: str | None = None
    remaining_count: str | None = None
    fill_count: str | None = None
    average_fill_price: str | None = None
    average_fee_paid: str | None = None


class CancelOrderAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    reduced_by: str
    ts_ms: int
    client_order_id: str | None = None


class Order(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    user_id: str
    client_order_id: str
    ticker: str
    outcome_side: OutcomeSide
    book_side: BookSide
    type: str
    status: OrderStatus
    yes_price_dollars: str
    no_price_dollars: str
    fill_count_fp: str
    remaining_count_fp: str
    initial_count_fp: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    side: str | None = None
    action: str | None = None
    expiration_time: str | None = None
    created_time: str | None = None
    last_update_time: str | None = None
    self_trade_prevention_type: str | None = None
    order_group_id: str | None = None
    cancel_order_on_pause: bool | None = None
    subaccount_number: int | None = None
    exchange_index: int | None = None


class OrderBody(msgspec.Struct, kw_only=True):
    order: Order


class OrdersPage(msgspec.Struct, kw_only=True):
    orders: list[Order]
    cursor: str


class Fill(msgspec.Struct, kw_only=True, omit_defaults=True):
    """No client_order_id: a REST fill is joined by order_id. One of `fill_id` and `trade_id` is enough. `fee_cost` is
    the total for this fill, 6 decimals."""

    order_id: str
    fill_id: str = ""
    trade_id: str = ""
    ticker: str
    market_ticker: str
    exchange_index: int
    outcome_side: OutcomeSide
    book_side: BookSide
    count_fp: str
    yes_price_dollars: str
    no_price_dollars: str
    is_taker: bool
    fee_cost: str
    side: str | None = None
    action: str | None = None
    created_time: str | None = None
    ts: int | None = None
    subaccount_number: int | None = None


class FillsPage(msgspec.Struct, kw_only=True):
    fills: list[Fill]
    cursor: str


class Balance(msgspec.Struct, kw_only=True):
    balance: int
    balance_dollars: str
    portfolio_value: int
    updated_ts: int


class PriceRange(msgspec.Struct, kw_only=True):
    start: str
    end: str
    step: str


class Market(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All 34 required fields, so that the exchange cannot forget one; the client reads a handful
    (`client_bodies.Market`)."""

    ticker: str
    event_ticker: str
    market_type: Literal["binary", "scalar"]
    yes_sub_title: str
    no_sub_title: str
    created_time: str
    updated_time: str
    open_time: str
    close_time: str
    latest_expiration_time: str
    settlement_timer_seconds: int
    status: str
    yes_bid_dollars: str
    yes_bid_size_fp: str
    yes_ask_dollars: str
    yes_ask_size_fp: str
    no_bid_dollars: str
    no_ask_dollars: str
    last_price_dollars: str
    volume_fp: str
    volume_24h_fp: str
    result: str
    can_close_early: bool
    open_interest_fp: str
    notional_value_dollars: str
    previous_yes_bid_dollars: str
    previous_yes_ask_dollars: str
    previous_price_dollars: str
    settlement_bounds_type: str
    expiration_value: str
    rules_primary: str
    rules_secondary: str
    price_level_structure: str
    price_ranges: list[PriceRange]


class MarketBody(msgspec.Struct, kw_only=True):
    market: Market


class OrderBookLevels(msgspec.Struct, kw_only=True):
    yes_dollars: list[WireLevel]
    no_dollars: list[WireLevel]


class OrderBookBody(msgspec.Struct, kw_only=True):
    orderbook_fp: OrderBookLevels


class UserDataTimestamp(msgspec.Struct, kw_only=True):
    """User data is complete up to `as_of_time` (RFC 3339)."""

    as_of_time: str


class ErrorDetail(msgspec.Struct, kw_only=True, omit_defaults=True):
    code: str
    message: str = ""
    details: str | None = None


class NestedError(msgspec.Struct, kw_only=True):
    """Nearly all business errors: {"error": {"code", "message", "details"?}}."""

    error: ErrorDetail


def error_detail(body: bytes) -> ErrorDetail:
    """The error in any of the wire's four shapes: nested, flat, `msg`, and the string of a 429. Never raises."""
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorDetail(code="", message=body[:200].decode("utf-8", "replace"))
    if isinstance(raw, dict):
        inner = raw.get("error", raw)
        if isinstance(inner, str):
            return ErrorDetail(code=inner.replace(" ", "_"), message=inner)
        if isinstance(inner, dict):
            code, message, details = (inner.get(key) for key in ("code", "message", "details"))
            text = message if isinstance(message, str) else raw.get("msg")
            return ErrorDetail(
                code=code if isinstance(code, str) else "",
                message=text if isinstance(text, str) else "",
                details=details if isinstance(details, str) else None,
            )
    return ErrorDetail(code="", message=body[:200].decode("utf-8", "replace"))
