"""REST bodies about the account: rate limits and costs, positions, queue places, keys (wire/README.md 4.2, 11)."""

from __future__ import annotations

import msgspec


class BucketLimits(msgspec.Struct, kw_only=True):
    """Tokens a second, and the most a bucket holds."""

    refill_rate: int
    bucket_capacity: int


class AccountLimits(msgspec.Struct, kw_only=True):
    """The account's limits. A bucket that is left out keeps its limits."""

    usage_tier: str | None = None
    read: BucketLimits | None = None
    write: BucketLimits | None = None


class EndpointCost(msgspec.Struct, kw_only=True):
    method: str
    path: str
    cost: int


class EndpointCosts(msgspec.Struct, kw_only=True):
    """`endpoint_costs` lists what does not cost the default. A batch is charged per order."""

    default_cost: int | None = None
    endpoint_costs: list[EndpointCost] | None = None


class MarketPositionRow(msgspec.Struct, kw_only=True):
    """`position_fp` is signed: + YES, - NO. `last_updated_ts` is RFC 3339 despite its name."""

    ticker: str
    position_fp: str
    total_traded_dollars: str | None = None
    market_exposure_dollars: str | None = None
    realized_pnl_dollars: str | None = None
    fees_paid_dollars: str | None = None
    last_updated_ts: str | None = None


class SettlementRow(msgspec.Struct, kw_only=True):
    """What was held of a market that settled. `revenue` and `value` (of one YES contract) are whole cents."""

    ticker: str
    market_result: str
    settled_time: str
    revenue: int
    event_ticker: str | None = None
    yes_count_fp: str | None = None
    yes_total_cost_dollars: str | None = None
    no_count_fp: str | None = None
    no_total_cost_dollars: str | None = None
    fee_cost: str | None = None
    value: int | None = None


class QueuePositionRow(msgspec.Struct, kw_only=True):
    """`queue_position_fp`: contracts ahead of the order."""

    order_id: str
    queue_position_fp: str
    market_ticker: str | None = None


class QueuePositionRows(msgspec.Struct, kw_only=True):
    queue_positions: list[QueuePositionRow] | None = None


class ApiKeyRow(msgspec.Struct, kw_only=True):
    """One key. An exchange may leave out `scopes` (their words: wire/README.md 2). `subaccount`: the only one it may
    act on; None: any."""

    api_key_id: str | None = None
    scopes: list[str] | None = None
    subaccount: int | None = None


class ApiKeyRows(msgspec.Struct, kw_only=True):
    api_keys: list[ApiKeyRow]
