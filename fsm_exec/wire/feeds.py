"""WebSocket messages of the channels beside the book and one's own orders (AsyncAPI of October 2026)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.wire.rest import PriceRange

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
