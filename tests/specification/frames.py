"""The frames of the stream, as the exchange's specification 2.0.0 has them, by their `type`.

A frame is its envelope with the message in it. `ok` comes in two forms: after a change of a subscription, and with the
list of all.
"""

from __future__ import annotations

from tests.specification.shapes import Shape, named, shape

named(
    "LastUpdateReason",
    "Decrease|Amend|MarginCancel|SelfTradeCancel|ExpiryCancel|CloseCancel|HaltCancel|Trade|PostOnlyCrossCancel"
    "|ReduceOnlyCancel|SettlementBoundsCancel",
)
named(
    "StreamFeeType",
    "quadratic|quadratic_with_maker_fees|quadratic_with_combo_maker_fees|flat|margin_market_maker_program_fees",
)
named("ErrorCode", "1..28")  # less the retired 6, 16 and 17, which a test of its own names
_SENT = "int: sending_ts_ms"


def _frame(kind: str, message: str, official: str, *, counted: bool, may: str = "") -> Shape:
    """A data frame of a subscription; counted ones have a number."""
    numbers = "1..: sid seq" if counted else "1..: sid"
    return shape(official, f"={kind}: type\n {numbers}\n {message}: msg", f"{_SENT}\n {may}")


shape(
    "BookSnapshotMessage",
    "text: market_ticker\n uuid: market_id\n 0..: clock",
    "[Level]: yes_dollars_fp no_dollars_fp",
)
shape(
    "BookDeltaMessage",
    """
    text: market_ticker
    uuid: market_id
    1..: clock
    price: price_dollars
    count: delta_fp
    yes|no: side
    """,
    """
    text: client_order_id
    time: ts
    int: ts_ms subaccount
    """,
)
shape(
    "TickerMessage",
    """
    text: market_ticker
    uuid: market_id
    price: price_dollars yes_bid_dollars yes_ask_dollars
    count: yes_bid_size_fp yes_ask_size_fp last_trade_size_fp volume_fp open_interest_fp
    int: dollar_volume dollar_open_interest ts ts_ms
    time: time
    """,
)
shape(
    "TradeMessage",
    """
    uuid: trade_id
    text: market_ticker
    price: yes_price_dollars no_price_dollars
    count: count_fp
    yes|no: taker_side taker_outcome_side
    bid|ask: taker_book_side
    flag: is_block_trade
    int: ts ts_ms
    """,
)
shape(
    "FillMessage",
    """
    uuid: trade_id order_id
    text: market_ticker
    int: exchange_index ts ts_ms
    flag: is_taker
    yes|no: side purchased_side outcome_side
    bid|ask: book_side
    buy|sell|sell_partial|sell_to_close|: action
    price: yes_price_dollars fee_cost
    count: count_fp post_position_fp
    """,
    "text: client_order_id\n int: subaccount",
)
shape(
    "UserOrderMessage",
    """
    uuid: order_id user_id
    text: ticker client_order_id
    int: exchange_index
    resting|canceled|executed|unknown: status
    yes|no: side outcome_side
    flag: is_yes
    bid|ask: book_side
    price: yes_price_dollars
    count: initial_count_fp fill_count_fp remaining_count_fp
    price: taker_fill_cost_dollars maker_fill_cost_dollars taker_fees_dollars maker_fees_dollars
    time?: created_time
    int?: created_ts_ms
    """,
    """
    text: order_group_id
    taker_at_cross|maker: self_trade_prevention_type
    time: last_update_time expiration_time
    int: last_updated_ts_ms expiration_ts_ms subaccount_number
    LastUpdateReason: last_update_reason
    """,
)
shape(
    "MarketPositionMessage",
    """
    text: user_id market_ticker
    count: position_fp volume_fp
    price: position_cost_dollars realized_pnl_dollars fees_paid_dollars position_fee_cost_dollars
    """,
    "int: subaccount",
)
shape(
    "GroupMessage",
    "created|triggered|reset|deleted|limit_updated: event_type\n text: order_group_id\n int: ts_ms",
    "count: contracts_limit_fp",
)
shape(
    "LifecycleMessage",
    """
    text: market_ticker
    created|deactivated|activated|close_date_updated|determined|settled|price_level_structure_updated: event_type
    """,
    """
    int: exchange_index open_ts close_ts determination_ts settled_ts
    text: result settlement_value price_level_structure
    flag: is_deactivated
    [PriceRange]: price_ranges
    """,
)
shape(
    "EventFeesMessage",
    """
    text: event_ticker
    StreamFeeType?: fee_type_override
    number?: fee_multiplier_override
    """,
)
shape("SubscribedMessage", "text: channel\n 1..: sid")
shape("OkMessage", may="[text]: market_tickers")
shape("ErrorMessage", "ErrorCode: code\n text: msg", "text: market_ticker")

FRAMES = {
    "orderbook_snapshot": _frame(
        "orderbook_snapshot", "BookSnapshotMessage", "orderbookSnapshotPayload", counted=True, may="0..: id"
    ),
    "orderbook_delta": _frame("orderbook_delta", "BookDeltaMessage", "orderbookDeltaPayload", counted=True),
    "ticker": _frame("ticker", "TickerMessage", "tickerPayload", counted=False),
    "trade": _frame("trade", "TradeMessage", "tradePayload", counted=True),
    "fill": _frame("fill", "FillMessage", "fillPayload", counted=False),
    "user_order": _frame("user_order", "UserOrderMessage", "userOrderPayload", counted=False),
    "market_position": _frame("market_position", "MarketPositionMessage", "marketPositionPayload", counted=False),
    "order_group_updates": _frame("order_group_updates", "GroupMessage", "orderGroupUpdatesPayload", counted=True),
    "market_lifecycle_v2": _frame("market_lifecycle_v2", "LifecycleMessage", "marketLifecycleV2Payload", counted=True),
    "event_fee_update": _frame("event_fee_update", "EventFeesMessage", "eventFeeUpdatePayload", counted=True),
    "subscribed": shape(
        "subscribedResponsePayload", "=subscribed: type\n SubscribedMessage: msg", f"0..: id\n {_SENT}"
    ),
    "unsubscribed": shape("unsubscribedResponsePayload", "=unsubscribed: type\n 1..: sid seq", f"0..: id\n {_SENT}"),
    "error": shape("errorResponsePayload", "=error: type\n ErrorMessage: msg", f"0..: id\n 1..: sid seq\n {_SENT}"),
}
CHANGED = shape("okResponsePayload", "=ok: type", f"0..: id\n 1..: sid seq\n OkMessage: msg\n {_SENT}")
LISTED = shape("listSubscriptionsResponsePayload", "=ok: type\n [SubscribedMessage]: msg", f"0..: id\n {_SENT}")


def shape_of(frame: dict[str, object]) -> Shape | None:
    """The shape that a frame claims to have."""
    if frame.get("type") == "ok":
        return LISTED if isinstance(frame.get("msg"), list) else CHANGED
    return FRAMES.get(str(frame.get("type")))
