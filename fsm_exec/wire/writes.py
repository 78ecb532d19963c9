"""REST bodies of the writes beyond create, amend and cancel: decrease, batches, order groups.

Field names and which of them may be missing: OpenAPI 3.34.0 (wire/README.md 4.1 and 4.3).
"""

from __future__ import annotations

import msgspec

from fsm_exec.wire.rest import ErrorDetail


class DecreaseOrder(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Exactly one of `reduce_by` and `reduce_to`."""

    reduce_by: str | None = None
    reduce_to: str | None = None
    exchange_index: int | None = None
    market_ticker: str | None = None


class DecreaseOrderAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    remaining_count: str
    ts_ms: int
    client_order_id: str | None = None


class BatchCreate(msgspec.Struct, kw_only=True):
    """Items are decoded one by one: a wrong one has an error of its own and does not spoil the others."""

    orders: list[msgspec.Raw]


class BatchCreated(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One item of a batch create's answer: an order, or `error`."""

    order_id: str | None = None
    client_order_id: str | None = None
    fill_count: str | None = None
    remaining_count: str | None = None
    average_fill_price: str | None = None
    average_fee_paid: str | None = None
    ts_ms: int | None = None
    error: ErrorDetail | None = None


class BatchCreateAnswer(msgspec.Struct, kw_only=True):
    """In the order of the request."""

    orders: list[BatchCreated]


class CancelItem(msgspec.Struct, kw_only=True, omit_defaults=True):
    order_id: str
    subaccount: int | None = None
    exchange_index: int | None = None
    market_ticker: str | None = None


class BatchCancel(msgspec.Struct, kw_only=True):
    orders: list[CancelItem]


class BatchCancelled(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`reduced_by` is "0.00" beside an error."""

    order_id: str
    reduced_by: str
    client_order_id: str | None = None
    ts_ms: int | None = None
    error: ErrorDetail | None = None


class BatchCancelAnswer(msgspec.Struct, kw_only=True):
    orders: list[BatchCancelled]


class GroupLimit(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One of both; if both are given they must agree. Whole contracts, or with two decimals."""

    contracts_limit: int | None = None
    contracts_limit_fp: str | None = None


class CreateGroup(GroupLimit, kw_only=True, omit_defaults=True):
    subaccount: int | None = None
    exchange_index: int | None = None


class GroupCreated(msgspec.Struct, kw_only=True):
    order_group_id: str
    subaccount: int
    exchange_index: int


class GroupBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    is_auto_cancel_enabled: bool
    orders: list[str]
    contracts_limit_fp: str | None = None
    exchange_index: int | None = None


class GroupSummary(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    is_auto_cancel_enabled: bool
    contracts_limit_fp: str | None = None
    exchange_index: int | None = None


class GroupsPage(msgspec.Struct, kw_only=True):
    order_groups: list[GroupSummary]
