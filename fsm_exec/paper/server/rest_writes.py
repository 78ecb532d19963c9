"""The endpoints that change something: path, body, cost, what is done, and the status of success."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from fsm_exec.paper import errors
from fsm_exec.paper.server.rate_limit import CANCEL_COST, DEFAULT_COST, UPGRADE, UPGRADE_COST, RateLimiter
from fsm_exec.paper.server.request_params import RequestParams
from fsm_exec.paper.venue import batches, order_group_requests
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.request_checks import check_shard
from fsm_exec.wire import rest, writes

Act: TypeAlias = Callable[[RequestParams, Any], object]
EMPTY: dict[str, object] = {}


class NoBody(msgspec.Struct):
    """The body of a write that takes none: any object, or nothing."""


class Write(NamedTuple):
    """`operation` names the endpoint in the messages about a wrong query. `cost` may depend on the decoded body. A
    success without a body is answered with None."""

    method: str
    path: str
    operation: str
    body: type[Any]
    act: Act
    status: int = 200
    cost: int | Callable[[Any], int] = DEFAULT_COST


class Writes:
    def __init__(self, exchange: Exchange, budget: RateLimiter) -> None:
        self._exchange = exchange
        self._budget = budget

    def all(self) -> list[Write]:
        """Return the endpoints in the order in which paths are matched: literal parts before parameters."""
        orders, groups = "/portfolio/events/orders", "/portfolio/order_groups"
        group = f"{groups}/{{group_id}}"
        create, cancel = _cost_per_order(DEFAULT_COST), _cost_per_order(CANCEL_COST)
        return [
            Write("POST", orders, "CreateOrderV2", rest.CreateOrder, self._create, 201),
            Write("DELETE", orders, "CancelAllOrders", NoBody, self._cancel_all, 204, CANCEL_COST),
            Write(
                "POST", f"{orders}/batched", "BatchCreateOrdersV2", writes.BatchCreate, self._create_batch, 201, create
            ),
            Write(
                "DELETE",
                f"{orders}/batched",
                "BatchCancelOrdersV2",
                writes.BatchCancel,
                self._cancel_batch,
                200,
                cancel,
            ),
            Write("DELETE", f"{orders}/{{order_id}}", "CancelOrderV2", NoBody, self._cancel, 200, CANCEL_COST),
            Write("POST", f"{orders}/{{order_id}}/amend", "AmendOrderV2", rest.AmendOrder, self._amend),
            Write("POST", f"{orders}/{{order_id}}/decrease", "DecreaseOrderV2", writes.DecreaseOrder, self._decrease),
            Write("POST", f"{groups}/create", "CreateOrderGroup", writes.CreateGroup, self._create_group, 201),
            Write("PUT", f"{group}/limit", "UpdateOrderGroupLimit", writes.GroupLimit, self._change_limit),
            Write("PUT", f"{group}/reset", "ResetOrderGroup", NoBody, self._reset),
            Write("PUT", f"{group}/trigger", "TriggerOrderGroup", NoBody, self._trigger),
            Write("DELETE", group, "DeleteOrderGroup", NoBody, self._delete_group),
            Write("POST", UPGRADE, "UpgradeAccountApiUsageLevel", NoBody, self._upgrade, 201, UPGRADE_COST),
        ]

    def key_of(self, params: RequestParams, body: object) -> str:
        """What breaks a tie between writes that arrive at one microsecond: the client order id, else the order's."""
        if isinstance(body, rest.CreateOrder):
            return body.client_order_id or ""
        order_id: str = params.request.path_params.get("order_id", "")
        order = self._exchange.orders.get(order_id)
        return order_id if order is None else order.client_order_id

    # Orders

    def _create(self, params: RequestParams, body: rest.CreateOrder) -> object:
        return self._exchange.create_order(params.user, body)

    def _cancel(self, params: RequestParams, _: NoBody) -> object:
        ticker = params.text("market_ticker")
        shard = params.number("exchange_index", "ExchangeIndex")
        self._exchange.check_route(params.named("order_id"), ticker, shard)
        return self._exchange.cancel_order(params.account, params.named("order_id"), ticker)

    def _cancel_all(self, params: RequestParams, _: NoBody) -> None:
        for account in params.accounts:
            self._exchange.cancel_all(account)

    def _amend(self, params: RequestParams, body: rest.AmendOrder) -> object:
        check_shard(body.exchange_index, self._exchange.shards)
        self._exchange.check_route(params.named("order_id"), body.ticker, body.exchange_index)
        return self._exchange.amend_order(params.account, params.named("order_id"), body)

    def _decrease(self, params: RequestParams, body: writes.DecreaseOrder) -> object:
        self._exchange.check_route(params.named("order_id"), body.market_ticker, body.exchange_index)
        return self._exchange.decrease_order(params.account, params.named("order_id"), body)

    def _create_batch(self, params: RequestParams, body: writes.BatchCreate) -> object:
        return batches.create_batch(self._exchange, params.user, body)

    def _cancel_batch(self, params: RequestParams, body: writes.BatchCancel) -> object:
        return batches.cancel_batch(self._exchange, params.user, body)

    # Order groups

    def _group_named(self, params: RequestParams) -> str:
        """The group of the path, on the shard of the query, or on the first one. Raises ApiError 404."""
        group_id = params.named("group_id")
        group = self._exchange.groups.get(group_id)
        shard = params.number("exchange_index", "ExchangeIndex") or 0
        if shard != (0 if group is None else group.exchange_index):
            raise errors.group_not_found(group_id)
        return group_id

    def _create_group(self, params: RequestParams, body: writes.CreateGroup) -> object:
        return order_group_requests.create_group(self._exchange, params.user, body)

    def _change_limit(self, params: RequestParams, body: writes.GroupLimit) -> object:
        order_group_requests.change_limit(self._exchange, params.account, self._group_named(params), body)
        return EMPTY

    def _reset(self, params: RequestParams, _: NoBody) -> object:
        order_group_requests.reset(self._exchange, params.account, self._group_named(params))
        return EMPTY

    def _trigger(self, params: RequestParams, _: NoBody) -> object:
        order_group_requests.trigger(self._exchange, params.account, self._group_named(params))
        return EMPTY

    def _delete_group(self, params: RequestParams, _: NoBody) -> object:
        order_group_requests.delete(self._exchange, params.account, self._group_named(params))
        return EMPTY

    # The account

    def _upgrade(self, params: RequestParams, _: NoBody) -> None:
        """Grant the Advanced tier for good to a member who has sent one of its last hundred orders by the API; every
        order here came so."""
        if not params.user.orders:
            raise errors.forbidden("no order of the last 100 was created by the API")
        self._budget.upgrade(params.user)


def _cost_per_order(cost: int) -> Callable[[writes.BatchCreate | writes.BatchCancel], int]:
    """Return the cost of a batch: all its orders are charged at once, so it must fit the bucket. One without orders is
    refused."""

    def of(batch: writes.BatchCreate | writes.BatchCancel) -> int:
        if not batch.orders:
            raise errors.invalid_parameters("orders is empty")
        return cost * len(batch.orders)

    return of
