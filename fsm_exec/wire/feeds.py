"""WebSocket messages beside the book's, whole, as an exchange writes them (AsyncAPI of October 2026)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.wire.rest import BookSide, OutcomeSide, PriceRange

GroupEvent: TypeAlias = Literal["created", "triggered", "reset", "deleted", "limit_updated"]
LifecycleEvent: TypeAlias = Literal[
    "created",
    "activated",
    "deactivated",
    "close_date_updated",
    "determined",
    "settled",
    "price_level_structure_updated",
    "metadata_updated",
]


class Trade(msgspec.Struct, kw_only=True, omit_defaults=True):
    trade_id: str
    market_ticker: str
    yes_price_dollars: str
    no_price_dollars: str
    count_fp: str
    taker_outcome_side: OutcomeSide
    taker_book_side: BookSide
    ts_ms: int
    is_block_trade: bool
    ts: int = 0
    taker_side: str | None = None


class Fill(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`trade_id` is the REST listing's fill_id. `post_position_fp` is signed: + YES, - NO."""

    trade_id: str
    order_id: str
    market_ticker: str
    is_taker: bool
    outcome_side: OutcomeSide
    book_side: BookSide
    yes_price_dollars: str
    count_fp: str
    fee_cost: str
    post_position_fp: str
    exchange_index: int
    ts_ms: int
    ts: int = 0
    client_order_id: str | None = None
    side: str | None = None
    action: str | None = None
    purchased_side: str | None = None
    subaccount: int | None = None


class UserOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    user_id: str
    client_order_id: str
    ticker: str
    status: str
    outcome_side: OutcomeSide
    book_side: BookSide
    yes_price_dollars: str
    initial_count_fp: str
    fill_count_fp: str
    remaining_count_fp: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    created_time: str
    created_ts_ms: int
    exchange_index: int
    side: str | None = None
    is_yes: bool | None = None
    last_update_time: str | None = None
    last_updated_ts_ms: int | None = None
    last_update_reason: str | None = None
    expiration_time: str | None = None
    expiration_ts_ms: int | None = None
    order_group_id: str | None = None
    self_trade_prevention_type: str | None = None
    subaccount_number: int | None = None


class Ticker(msgspec.Struct, kw_only=True):
    """Whole dollars for the two `dollar_` figures: a contract counts its notional value of one."""

    market_ticker: str
    market_id: str
    price_dollars: str
    yes_bid_dollars: str
    yes_ask_dollars: str
    yes_bid_size_fp: str
    yes_ask_size_fp: str
    last_trade_size_fp: str
    volume_fp: str
    open_interest_fp: str
    dollar_volume: int
    dollar_open_interest: int
    ts: int
    ts_ms: int
    time: str


class MarketPosition(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`position_fp` is signed: + YES, - NO."""

    user_id: str
    market_ticker: str
    position_fp: str
    position_cost_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    position_fee_cost_dollars: str
    volume_fp: str
    subaccount: int | None = None


class GroupUpdate(msgspec.Struct, kw_only=True, omit_defaults=True):
    event_type: GroupEvent
    order_group_id: str
    ts_ms: int
    contracts_limit_fp: str | None = None


class Lifecycle(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Times are unix seconds. Which of the optional fields are there depends on the event."""

    market_ticker: str
    event_type: LifecycleEvent
    exchange_index: int | None = None
    open_ts: int | None = None
    close_ts: int | None = None
    determination_ts: int | None = None
    settled_ts: int | None = None
    result: str | None = None
    settlement_value: str | None = None
    is_deactivated: bool | None = None
    price_level_structure: str | None = None
    price_ranges: list[PriceRange] | None = None
