"""The endpoints that change something: path, body, cost, what is done, and the status of success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from fsm_exec.paper import batches, errors, grouping
from fsm_exec.paper.asking import Asked
from fsm_exec.paper.budget import CANCEL_COST, DEFAULT_COST
from fsm_exec.paper.exchange import Exchange
from fsm_exec.paper.requests import check_shard
from fsm_exec.wire import rest, writes

Act: TypeAlias = Callable[[Asked, Any], object]
EMPTY: dict[str, object] = {}


class NoBody(msgspec.Struct):
    """Whatever object is sent, or nothing at all."""


class Write(NamedTuple):
    """`cost` may depend on the decoded body. A success without a body is answered with None."""

    method: str
    path: str
    body: type[Any]
    act: Act
    status: int = 200
    cost: int | Callable[[Any], int] = DEFAULT_COST


class Writes:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def all(self) -> list[Write]:
        """In the order in which paths are tried: words before names."""
        orders, groups = "/portfolio/events/orders", "/portfolio/order_groups"
        return [
            Write("POST", orders, rest.CreateOrder, self._create, 201),
            Write("DELETE", orders, NoBody, self._cancel_all, 204, CANCEL_COST),
            Write("POST", f"{orders}/batched", writes.BatchCreate, self._create_batch, 201, _each(DEFAULT_COST)),
            Write("DELETE", f"{orders}/batched", writes.BatchCancel, self._cancel_batch, 200, _each(CANCEL_COST)),
            Write("DELETE", f"{orders}/{{order_id}}", NoBody, self._cancel, 200, CANCEL_COST),
            Write("POST", f"{orders}/{{order_id}}/amend", rest.AmendOrder, self._amend),
            Write("POST", f"{orders}/{{order_id}}/decrease", writes.DecreaseOrder, self._decrease),
            Write("POST", f"{groups}/create", writes.CreateGroup, self._create_group, 201),
            Write("PUT", f"{groups}/{{group_id}}/limit", writes.GroupLimit, self._change_limit),
            Write("PUT", f"{groups}/{{group_id}}/reset", NoBody, self._reset),
            Write("PUT", f"{groups}/{{group_id}}/trigger", NoBody, self._trigger),
            Write("DELETE", f"{groups}/{{group_id}}", NoBody, self._delete_group),
        ]

    def key_of(self, asked: Asked, body: object) -> str:
        """What breaks a tie between writes that arrive at one microsecond: the client order id, else the order's."""
        if isinstance(body, rest.CreateOrder):
            return body.client_order_id or ""
        order_id: str = asked.request.path_params.get("order_id", "")
        order = self._exchange.orders.get(order_id)
        return order_id if order is None else order.client_order_id

    # Orders

    def _create(self, asked: Asked, body: rest.CreateOrder) -> object:
        return self._exchange.create_order(asked.account, body)

    def _cancel(self, asked: Asked, _: NoBody) -> object:
        ticker = asked.text("market_ticker")
        if not self._on_this_shard(asked.number("exchange_index", "ExchangeIndex"), ticker):
            raise errors.not_found("order")
        return self._exchange.cancel_order(asked.account, asked.named("order_id"), ticker)

    def _cancel_all(self, asked: Asked, _: NoBody) -> None:
        self._exchange.cancel_all(asked.account)

    def _amend(self, asked: Asked, body: rest.AmendOrder) -> object:
        check_shard(body.exchange_index)
        return self._exchange.amend_order(asked.account, asked.named("order_id"), body)

    def _decrease(self, asked: Asked, body: writes.DecreaseOrder) -> object:
        if not self._on_this_shard(body.exchange_index, body.market_ticker):
            raise errors.not_found("order")
        return self._exchange.decrease_order(asked.account, asked.named("order_id"), body)

    def _create_batch(self, asked: Asked, body: writes.BatchCreate) -> object:
        return batches.create_batch(self._exchange, asked.account, body)

    def _cancel_batch(self, asked: Asked, body: writes.BatchCancel) -> object:
        return batches.cancel_batch(self._exchange, asked.account, body)

    def _on_this_shard(self, exchange_index: int | None, ticker: str | None) -> bool:
        """-1 demands routing by ticker; an order is looked for on the shard that is named."""
        if exchange_index == -1 and ticker is None:
            raise errors.invalid_parameters("market_ticker is required to route by ticker")
        return exchange_index in (None, -1, 0)

    # Order groups

    def _create_group(self, asked: Asked, body: writes.CreateGroup) -> object:
        return grouping.create_group(self._exchange, asked.account, body)

    def _change_limit(self, asked: Asked, body: writes.GroupLimit) -> object:
        grouping.change_limit(self._exchange, asked.account, asked.named("group_id"), body)
        return EMPTY

    def _reset(self, asked: Asked, _: NoBody) -> object:
        grouping.reset(self._exchange, asked.account, asked.named("group_id"))
        return EMPTY

    def _trigger(self, asked: Asked, _: NoBody) -> object:
        grouping.trigger(self._exchange, asked.account, asked.named("group_id"))
        return EMPTY

    def _delete_group(self, asked: Asked, _: NoBody) -> object:
        grouping.delete(self._exchange, asked.account, asked.named("group_id"))
        return EMPTY


def _each(cost: int) -> Callable[[writes.BatchCreate | writes.BatchCancel], int]:
    """A batch is charged for all its orders at once, so it must fit the bucket; one without orders is refused."""

    def of(batch: writes.BatchCreate | writes.BatchCancel) -> int:
        if not batch.orders:
            raise errors.invalid_parameters("orders is empty")
        return cost * len(batch.orders)

    return of
