"""What a request costs, in which bucket, and how urgent it is: one table, corrected by the costs the exchange
publishes.

The tokens are those of wire/README.md 11 until `GET /account/endpoint_costs` has been read; a request that no row names
costs the default. Urgency matters among writes only: what takes risk off the book goes before what changes it, and that
before what adds to it.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from fsm_exec.wire.account import EndpointCosts
from fsm_exec.wire.rest import API_PREFIX

BucketName: TypeAlias = Literal["read", "write"]
Rank: TypeAlias = Literal["cancel", "amend", "create", "renewal", "read"]

URGENCY: Final[dict[Rank, int]] = {"cancel": 0, "amend": 1, "create": 2, "renewal": 3, "read": 0}
DEFAULT_COST: Final = 10
COST_MAX: Final = 10_000  # tokens for one request: more is taken for a mistake

ANY_PART: Final = "{}"
_Template: TypeAlias = tuple[str, tuple[str, ...]]
_Value = TypeVar("_Value", int, Rank)


class Charge(NamedTuple):
    """The tokens one request takes from its bucket. `is_batch`: several orders, which must fit the bucket as a
    whole."""

    bucket: BucketName
    rank: Rank
    tokens: int
    is_batch: bool


class _Row(NamedTuple):
    method: str
    path: str
    rank: Rank
    tokens: int  # per order, where the request names several


_ROWS: Final = (
    # wire/README.md 11: cancels of every kind cost 2; deleting or triggering a group cancels its orders, at the default
    # cost.
    _Row("DELETE", "/portfolio/events/orders/{order_id}", "cancel", 2),
    _Row("DELETE", "/portfolio/events/orders/batched", "cancel", 2),
    _Row("DELETE", "/portfolio/events/orders", "cancel", 2),
    _Row("DELETE", "/portfolio/order_groups/{id}", "cancel", DEFAULT_COST),
    _Row("PUT", "/portfolio/order_groups/{id}/trigger", "cancel", DEFAULT_COST),
    _Row("POST", "/portfolio/events/orders/{order_id}/amend", "amend", DEFAULT_COST),
    _Row("POST", "/portfolio/events/orders/{order_id}/decrease", "amend", DEFAULT_COST),
    _Row("PUT", "/portfolio/order_groups/{id}/limit", "amend", DEFAULT_COST),
    _Row("GET", "/portfolio/orders/{order_id}", "read", 2),
    # Would match the row above without a row of its own.
    _Row("GET", "/portfolio/orders/queue_positions", "read", DEFAULT_COST),
)


class TokenCosts:
    """The costs of requests. `set_published` replaces the tokens, never the ranks: those are ours."""

    def __init__(self) -> None:
        self._default = DEFAULT_COST
        self._tokens = {_template(row.method, row.path): row.tokens for row in _ROWS}
        self._ranks = {_template(row.method, row.path): row.rank for row in _ROWS}

    @property
    def default(self) -> int:
        return self._default

    def set_published(self, published: EndpointCosts) -> None:
        """Adopt the costs the exchange publishes. A figure that is missing or impossible is skipped: our own stays."""
        if published.default_cost is not None and 0 < published.default_cost <= COST_MAX:
            self._default = published.default_cost
        if published.endpoint_costs is None:
            return
        named = {
            _template(row.method, row.path): row.cost for row in published.endpoint_costs if 0 <= row.cost <= COST_MAX
        }
        # The exchange lists only the costs that differ from the default: what it leaves out costs the default.
        self._tokens = dict.fromkeys(self._ranks, self._default) | named

    def charge_for(self, method: str, path: str, orders: int | None) -> Charge:
        """Return the charge for a request. `path` is without the API's prefix; `orders` is None unless it is a
        batch."""
        tokens = _best_match(self._tokens, method, path)
        rank = _best_match(self._ranks, method, path)
        bucket: BucketName = "read" if method == "GET" else "write"
        return Charge(
            bucket=bucket,
            rank=rank if rank is not None else ("read" if bucket == "read" else "create"),
            tokens=(self._default if tokens is None else tokens) * (1 if orders is None else orders),
            is_batch=orders is not None,
        )


def _template(method: str, path: str) -> _Template:
    parts = path.removeprefix(API_PREFIX).strip("/").split("/")
    return method.upper(), tuple(ANY_PART if part.startswith(("{", ":")) else part for part in parts)


def _best_match(rows: dict[_Template, _Value], method: str, path: str) -> _Value | None:
    """Return the value of the row that matches a path; of several rows, of the one with the most literal parts."""
    parts = path.strip("/").split("/")
    fitting = [
        template
        for template in rows
        if template[0] == method
        and len(template[1]) == len(parts)
        and all(wanted in (ANY_PART, part) for wanted, part in zip(template[1], parts, strict=True))
    ]
    if not fitting:
        return None
    return rows[min(fitting, key=lambda template: template[1].count(ANY_PART))]
