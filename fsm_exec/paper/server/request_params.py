"""The parameters of a request as the endpoints see them: member, path and query, checked as the exchange does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from starlette.datastructures import QueryParams

from fsm_exec.paper import errors
from fsm_exec.paper.ids import is_uuid
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.venue import request_checks
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.paging import Page, Span

LIMIT_MAX = 1_000
LIMIT_DEFAULT = 100
NUMBER_DIGITS_MAX = 18
TRUE_WORDS, FALSE_WORDS = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


class RequestTarget(Protocol):
    """The target of a request: a Starlette request, or what stands for one. `path_params` are the parts of the path
    that the endpoint names."""

    @property
    def method(self) -> str: ...
    @property
    def path_params(self) -> Mapping[str, Any]: ...
    @property
    def query_params(self) -> QueryParams: ...


class CallTarget(NamedTuple):
    """The target of a call."""

    method: str
    path_params: Mapping[str, Any]
    query_params: QueryParams


class RequestParams(NamedTuple):
    """`operation` is the name under which the exchange reports a wrong query."""

    request: RequestTarget
    member: Account | None
    operation: str
    exchange: Exchange

    @property
    def user(self) -> Account:
        """The member; only endpoints that demand one ask for it."""
        assert self.member is not None
        return self.member

    @property
    def account(self) -> Account:
        """The member's subaccount that the query names, else the primary one. Raises ApiError."""
        return self.exchange.subaccount(self.user, self.number("subaccount", "Subaccount"))

    @property
    def accounts(self) -> list[Account]:
        """The subaccount that the query names, else all of them. Raises ApiError."""
        number = self.number("subaccount", "Subaccount")
        return self.exchange.subaccounts(self.user) if number is None else [self.account]

    def named(self, parameter: str) -> str:
        """A part of the path."""
        value: str = self.request.path_params[parameter]
        return value

    def uuid(self, parameter: str) -> str:
        """A part of the path that must be a UUID. Raises ApiError 400."""
        value = self.named(parameter)
        if not is_uuid(value):
            raise errors.invalid_uuid()
        return value

    def text(self, name: str) -> str | None:
        return self.request.query_params.get(name) or None

    def choice(self, name: str, field: str, *known: str) -> str | None:
        """Return one of the known words, or None if the parameter is missing."""
        value = self.text(name)
        if value is not None and value not in known:
            raise errors.invalid_query(self.operation, field, "oneof")
        return value

    def words(self, *names: str) -> tuple[str, ...]:
        """A list, whether its words come in one value with commas or in repeated keys."""
        values = [value for name in names for value in self.request.query_params.getlist(name)]
        return tuple(word for value in values for word in value.split(",") if word)

    def flag(self, name: str, field: str) -> bool:
        """Return a boolean parameter; a missing one is false."""
        text = self.text(name)
        if text is not None and text not in (*TRUE_WORDS, *FALSE_WORDS):
            raise errors.invalid_query(self.operation, field, "boolean")
        return text in TRUE_WORDS

    def span(self, what: str, field: str, *, up_to: bool = False) -> Span:
        """The filter `min_WHAT_ts`, `max_WHAT_ts`. `up_to`: the last second belongs to it."""
        last = self.number(f"max_{what}_ts", f"Max{field}Ts")
        return Span(self.number(f"min_{what}_ts", f"Min{field}Ts"), last if last is None else last + up_to)

    def since(self, what: str, field: str) -> Span:
        """The filter `min_WHAT_ts` alone."""
        return Span(self.number(f"min_{what}_ts", f"Min{field}Ts"))

    def several(self, name: str, field: str, most: int) -> tuple[str, ...]:
        """A list of at least one word."""
        words = self.words(name)
        if not 1 <= len(words) <= most:
            raise errors.invalid_query(self.operation, field, "min" if not words else "max")
        return words

    def required(self, name: str, field: str) -> int:
        value = self.number(name, field)
        if value is None:
            raise errors.invalid_query(self.operation, field, "required")
        return value

    def number(self, name: str, field: str) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= NUMBER_DIGITS_MAX):
            raise errors.invalid_query(self.operation, field, "number")
        return int(text)

    def bounded(self, name: str, field: str, *, default: int, low: int, high: int) -> int:
        value = self.number(name, field)
        if value is None:
            return default
        if value < low:
            raise errors.invalid_query(self.operation, field, "gte")
        if value > high:
            raise errors.invalid_query(self.operation, field, "lte")
        return value

    def page(
        self, *statuses: str, limit_min: int = 1, limit_max: int = LIMIT_MAX, limit_default: int = LIMIT_DEFAULT
    ) -> Page:
        """Return the parameters that every listing takes. `statuses`: the words its status filter knows."""
        limit = self.bounded("limit", "Limit", default=limit_default, low=limit_min, high=limit_max)
        return Page(
            limit=limit or limit_default,
            cursor=self.text("cursor") or "",
            tickers=self.words("ticker", "tickers"),
            events=self.words("event_ticker"),
            series=self.text("series_ticker"),
            status=self.choice("status", "Status", *statuses) if statuses else None,
            order_id=self.text("order_id"),
            min_s=self.number("min_ts", "MinTs"),
            max_s=self.number("max_ts", "MaxTs"),
            exchange_index=self.number("exchange_index", "ExchangeIndex"),
        )

    def check_scope(self) -> None:
        """Raise ApiError for a subaccount that the member has not, and for a shard that is not here."""
        self.check_subaccount()
        request_checks.check_shard(self.number("exchange_index", "ExchangeIndex"), self.exchange.shards)

    def check_subaccount(self) -> None:
        self.exchange.subaccount(self.user, self.number("subaccount", "Subaccount"))
