"""WebSocket commands and messages (AsyncAPI of October 2026).

A frame is decoded in two steps: `decode_envelope` reads its `type` and numbers, `decode_message` reads its `msg` as the
struct of that type. They know the frames this engine uses; any other type comes back as `OtherFrame` and is for the
reader to ignore. Changes of books, nearly all frames, have a way of their own in one step: `decode_quick_delta`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, TypeAlias

import msgspec

from fsm_exec.wire.rest import OutcomeSide, PriceRange, WireLevel


class BookSnapshot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A side that is empty is absent. Ladders ascend."""

    market_ticker: str
    market_id: str | None = None
    yes_dollars_fp: list[WireLevel] | None = None
    no_dollars_fp: list[WireLevel] | None = None


class BookDelta(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`delta_fp` is signed. `client_order_id` stands only on changes caused by one's own order."""

    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: OutcomeSide
    market_id: str | None = None
    client_order_id: str | None = None
    subaccount: int | None = None
    ts: str | None = None
    ts_ms: int | None = None


# What follows is only read: of each message only what the client uses, and of that nothing
# required which may be missing. `feeds` has the whole of each.


class Trade(msgspec.Struct, kw_only=True):
    market_ticker: str
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    count_fp: str | None = None
    taker_outcome_side: str | None = None
    taker_book_side: str | None = None
    taker_side: str | None = None
    ts_ms: int | None = None
    ts: int | None = None


class Fill(msgspec.Struct, kw_only=True):
    """`trade_id` is that of the REST listing's row, too."""

    trade_id: str | None = None
    order_id: str | None = None
    client_order_id: str | None = None
    market_ticker: str | None = None
    is_taker: bool | None = None
    outcome_side: str | None = None
    book_side: str | None = None
    purchased_side: str | None = None
    side: str | None = None
    action: str | None = None
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    count_fp: str | None = None
    fee_cost: str | None = None
    post_position_fp: str | None = None
    subaccount: int | None = None
    ts_ms: int | None = None
    ts: int | None = None


class UserOrder(msgspec.Struct, kw_only=True):
    order_id: str | None = None
    client_order_id: str | None = None
    ticker: str | None = None
    market_ticker: str | None = None
    status: str | None = None
    outcome_side: str | None = None
    book_side: str | None = None
    yes_price_dollars: str | None = None
    no_price_dollars: str | None = None
    initial_count_fp: str | None = None
    fill_count_fp: str | None = None
    remaining_count_fp: str | None = None
    created_ts_ms: int | None = None
    last_updated_ts_ms: int | None = None
    last_update_reason: str | None = None
    subaccount_number: int | None = None
    order_group_id: str | None = None
    expiration_ts_ms: object = None


class GroupUpdate(msgspec.Struct, kw_only=True):
    """An order group of the account was created, triggered, reset, deleted, or has another limit: `event_type`."""

    event_type: str
    order_group_id: str


class MarketLifecycle(msgspec.Struct, kw_only=True):
    """A change in a market's life."""

    market_ticker: str
    event_type: str
    price_ranges: list[PriceRange] | None = None


class EventFeeUpdate(msgspec.Struct, kw_only=True):
    """What an event overrides of its series' fees from now on. Both null: nothing any more."""

    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None


class Subscribed(msgspec.Struct, kw_only=True):
    channel: str
    sid: int


class StreamError(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`code` 0 where there is none."""

    code: int = 0
    msg: str | None = None
    market_ticker: str | None = None


class Ok(msgspec.Struct, kw_only=True, omit_defaults=True):
    market_tickers: list[str] | None = None


class OtherFrame(msgspec.Struct, kw_only=True):
    """A frame of a type this engine does not read."""

    type: str


Message: TypeAlias = (
    BookSnapshot
    | BookDelta
    | Trade
    | MarketLifecycle
    | EventFeeUpdate
    | Fill
    | UserOrder
    | GroupUpdate
    | Subscribed
    | StreamError
    | Ok
    | OtherFrame
)

_MESSAGES: dict[str, type[Any]] = {
    "orderbook_snapshot": BookSnapshot,
    "orderbook_delta": BookDelta,
    "trade": Trade,
    "market_lifecycle_v2": MarketLifecycle,
    "event_fee_update": EventFeeUpdate,
    "fill": Fill,
    "user_order": UserOrder,
    "order_group_updates": GroupUpdate,
    "subscribed": Subscribed,
    "error": StreamError,
}

FRAME_TYPES = frozenset(
    {*_MESSAGES, "ok", "unsubscribed", "ticker", "market_position"}
    | {"event_lifecycle", "multivariate_market_lifecycle"}
)
"""All that a frame may be (wire/README.md 10.3 and 10.4), also those that this engine does not read."""


class Envelope(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Every frame. `sid` numbers a subscription of this connection; `seq` counts its messages from 1, all markets
    together, control answers included; fill, user_order, ticker and market_position have none. `sending_ts_ms` is when
    the exchange sent it, where it says so."""

    type: str
    id: int | None = None
    sid: int | None = None
    seq: int | None = None
    sending_ts_ms: int | None = None
    msg: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(Envelope)
_DECODERS = {name: msgspec.json.Decoder(struct) for name, struct in _MESSAGES.items()}


def decode_envelope(frame: str | bytes) -> Envelope:
    """Raises msgspec.DecodeError (or its ValidationError) for anything that is no frame."""
    return _ENVELOPE.decode(frame)


def decode_message(envelope: Envelope) -> Message:
    """The typed `msg`. Raises msgspec.DecodeError if it does not fit its type."""
    # After an update msg is an object; after a listing a list, which this client does not read.
    if envelope.type == "ok":
        raw = bytes(envelope.msg)
        return msgspec.json.decode(raw, type=Ok) if raw.startswith(b"{") else Ok()
    decoder = _DECODERS.get(envelope.type)
    if decoder is None:
        return OtherFrame(type=envelope.type)
    message: Message = decoder.decode(envelope.msg)
    return message


class QuickDelta(msgspec.Struct, kw_only=True, gc=False):
    """What applying a `BookDelta` needs, and nothing else of it."""

    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: OutcomeSide
    ts_ms: int


class QuickDeltaFrame(msgspec.Struct, kw_only=True, gc=False):
    """A whole frame of that kind in one step: nearly all frames are changes of books."""

    sid: int
    seq: int
    msg: QuickDelta


QUICK_DELTA_START = '{"type":"orderbook_delta",'
"""How such a frame starts as the exchange writes it. One that starts otherwise is read like any other frame."""
_QUICK_DELTA = msgspec.json.Decoder(QuickDeltaFrame)


def decode_quick_delta(frame: str | bytes) -> QuickDeltaFrame:
    """Raises msgspec.DecodeError for a change that is not as usual: `decode_envelope` may still be able to read it."""
    return _QUICK_DELTA.decode(frame)


class CommandParams(msgspec.Struct, kw_only=True, omit_defaults=True):
    channels: list[str] | None = None
    market_ticker: str | None = None
    market_tickers: list[str] | None = None
    market_id: str | None = None
    market_ids: list[str] | None = None
    sid: int | None = None
    sids: list[int] | None = None
    action: Literal["add_markets", "delete_markets", "get_snapshot"] | str | None = None  # noqa: PYI051 - documents the known ones
    use_yes_price: bool | None = None
    send_initial_snapshot: bool = False
    skip_ticker_ack: bool = False


class Command(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`{"id": 1, "cmd": "subscribe", "params": {...}}`; cmd is subscribe, unsubscribe, update_subscription or
    list_subscriptions."""

    id: int = 0
    cmd: str = ""
    params: CommandParams | None = None
