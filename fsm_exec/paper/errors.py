"""Refusals, with the exact status, code and body shape of the wire (wire/README.md 8)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fsm_exec.core.errors import ExecError

Shape: TypeAlias = Literal["nested", "flat", "msg", "text"]


class ApiError(ExecError):
    """A refusal. Nothing was done. `shape` says which of the wire's error bodies carries it."""

    def __init__(
        self, status: int, code: str, message: str, details: str | None = None, *, shape: Shape = "nested"
    ) -> None:
        super().__init__(f"{status} {code}: {message}" + (f" ({details})" if details else ""))
        self.status, self.code, self.message, self.details, self.shape = status, code, message, details, shape


def bad_request(details: str) -> ApiError:
    """The body does not decode."""
    return ApiError(400, "bad_request", "bad request", details, shape="flat")


def invalid_parameters(details: str) -> ApiError:
    return ApiError(400, "invalid_parameters", "invalid parameters", details)


def invalid_price(details: str) -> ApiError:
    return ApiError(400, "invalid_price", "invalid price", details)


def invalid_query(operation: str, field: str, tag: str) -> ApiError:
    """Query validation has a body of its own: {"msg": ...}."""
    struct = f"{operation}Params.{field}"
    message = (
        f"Parameter validation failed for {operation}: "
        f"Key: '{struct}' Error:Field validation for '{field}' failed on the '{tag}' tag"
    )
    return ApiError(400, "", message, shape="msg")


def post_only_cross() -> ApiError:
    return ApiError(400, "invalid_order", "invalid order", "post only cross")


def insufficient_balance() -> ApiError:
    return ApiError(400, "insufficient_balance", "insufficient balance")


def invalid_uuid() -> ApiError:
    return ApiError(400, "invalid_UUID", "invalid UUID")


def forbidden(details: str) -> ApiError:
    """The status is documented, the code is not."""
    return ApiError(403, "forbidden", "forbidden", details)


def not_found(what: str) -> ApiError:
    return ApiError(404, "not_found", "not found", what)


def market_not_found(ticker: str) -> ApiError:
    return ApiError(404, "market_not_found", "market not found", ticker)


def order_already_exists() -> ApiError:
    return ApiError(409, "order_already_exists", "order already exists")


def fill_or_kill_unfilled() -> ApiError:
    code = "fill_or_kill_insufficient_resting_volume"
    return ApiError(409, code, "fill or kill insufficient resting volume")


def market_inactive(ticker: str) -> ApiError:
    """After close. Status and casing are not confirmed by any source; the plain thing is a 400 in lower case."""
    return ApiError(400, "market_inactive", "market inactive", ticker)


def trading_is_paused() -> ApiError:
    return ApiError(409, "trading_is_paused", "trading is paused")


def exchange_is_paused() -> ApiError:
    return ApiError(409, "exchange_is_paused", "exchange is paused")


def user_not_found() -> ApiError:
    """An order for a shard where the member never held funds: of this exchange's one shard, every other."""
    return ApiError(404, "user_not_found", "user not found", "Exchange user not found on this exchange index")


def group_not_found(group_id: str) -> ApiError:
    """Status and code are the snake case of FIX's reason: no source has the REST ones."""
    return ApiError(404, "order_group_not_found", "order group not found", group_id)


def group_limit_exceeded() -> ApiError:
    """Return the refusal of an order for a triggered group, which takes none until it is reset. No source has its
    status."""
    return ApiError(400, "exceeded_order_group_risk_limit", "exceeded order group risk limit")


def too_many_requests() -> ApiError:
    """Return the refusal for an empty bucket. No header says when to retry."""
    return ApiError(429, "", "too many requests", shape="text")


def internal_error() -> ApiError:
    """The status is documented, the code is not."""
    return ApiError(500, "internal_server_error", "internal server error")


def unavailable() -> ApiError:
    return ApiError(503, "service_unavailable", "service unavailable")


def deprecated_v1() -> ApiError:
    return ApiError(
        410,
        "deprecated_v1_order_endpoint",
        "Please switch to the V2 endpoints",
        "https://docs.kalshi.com/api-reference/orders/create-order-v2",
    )
