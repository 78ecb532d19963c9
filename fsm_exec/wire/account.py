"""REST bodies about the account: rate limits and costs, positions, queue places, keys (W4.2, W11)."""

from __future__ import annotations

import msgspec


class BucketLimits(msgspec.Struct, kw_only=True):
    """Tokens a second, and the most a bucket holds."""

    refill_rate: int
    bucket_capacity: int


class AccountLimits(msgspec.Struct, kw_only=True):
    usage_tier: str
    read: BucketLimits
    write: BucketLimits


class EndpointCost(msgspec.Struct, kw_only=True):
    method: str
    path: str
    cost: int


class EndpointCosts(msgspec.Struct, kw_only=True):
    """`endpoint_costs` lists what does not cost the default. A batch is charged per order."""

    default_cost: int
    endpoint_costs: list[EndpointCost]


class MarketPositionRow(msgspec.Struct, kw_only=True):
    """`position_fp` is signed: + YES, - NO. `last_updated_ts` is RFC 3339 despite its name."""

    ticker: str
    position_fp: str
    total_traded_dollars: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    last_updated_ts: str


class PositionRows(msgspec.Struct, kw_only=True):
    """What the client reads of a page of positions; the cursor may be left out (W15.2)."""

    market_positions: list[MarketPositionRow]
    cursor: str | None = None


class QueuePositionRow(msgspec.Struct, kw_only=True):
    """`queue_position_fp`: contracts ahead of the order."""

    order_id: str
    market_ticker: str
    queue_position_fp: str


class QueuePositionRows(msgspec.Struct, kw_only=True):
    queue_positions: list[QueuePositionRow] | None = None


class ApiKeyRow(msgspec.Struct, kw_only=True):
    """`scopes` is left out by an exchange that does not tell (W2 has the words)."""

    api_key_id: str
    name: str = ""
    scopes: list[str] | None = None


class ApiKeyRows(msgspec.Struct, kw_only=True):
    api_keys: list[ApiKeyRow]
