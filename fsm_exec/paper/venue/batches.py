"""Many orders in one request: done one after the other; one that is refused does not stop those behind it."""

from __future__ import annotations

import msgspec

from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.venue.encoding import decode, error_detail
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.request_checks import check_shard
from fsm_exec.wire import rest
from fsm_exec.wire.writes import (
    BatchCancel,
    BatchCancelAnswer,
    BatchCancelled,
    BatchCreate,
    BatchCreateAnswer,
    BatchCreated,
    CancelItem,
)

NOTHING = "0.00"


def create_batch(exchange: Exchange, account: Account, batch: BatchCreate) -> BatchCreateAnswer:
    return BatchCreateAnswer(orders=[_create(exchange, account, item) for item in batch.orders])


def _create(exchange: Exchange, account: Account, item: msgspec.Raw) -> BatchCreated:
    client_order_id: str | None = None
    try:
        asked = decode(bytes(item), rest.CreateOrder)
        client_order_id = asked.client_order_id
        done = exchange.create_order(account, asked)
    except ApiError as refusal:
        return BatchCreated(client_order_id=client_order_id, error=error_detail(refusal))
    return msgspec.convert(done, BatchCreated, from_attributes=True)


def cancel_batch(exchange: Exchange, account: Account, batch: BatchCancel) -> BatchCancelAnswer:
    return BatchCancelAnswer(orders=[_cancel(exchange, account, item) for item in batch.orders])


def _cancel(exchange: Exchange, account: Account, item: CancelItem) -> BatchCancelled:
    try:
        owner = exchange.subaccount(account, item.subaccount)
        check_shard(item.exchange_index, exchange.shards)
        exchange.check_route(item.order_id, item.market_ticker, item.exchange_index)
        done = exchange.cancel_order(owner, item.order_id, item.market_ticker)
    except ApiError as refusal:
        return BatchCancelled(order_id=item.order_id, reduced_by=NOTHING, error=error_detail(refusal))
    return msgspec.convert(done, BatchCancelled, from_attributes=True)
