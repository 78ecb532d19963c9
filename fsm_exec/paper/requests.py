"""What a member's request says, checked before anything is done. Each check raises the ApiError of the wire."""

from __future__ import annotations

import re

from fsm_exec.core.errors import UnitError
from fsm_exec.core.units import CountE2, Outcome, PriceE4, PriceGrid, parse_count, parse_price
from fsm_exec.paper import errors
from fsm_exec.paper.accounts import Account
from fsm_exec.wire import rest

_CLIENT_ORDER_ID = re.compile(rest.CLIENT_ORDER_ID_PATTERN, re.ASCII)


def outcome_of(side: rest.BookSide) -> Outcome:
    """The ladder an order stands in: an ask for YES is a bid for NO."""
    return "yes" if side == "bid" else "no"


def price_on(grid: PriceGrid, text: str) -> PriceE4:
    """A YES price on the market's grid."""
    try:
        price = parse_price(text)
    except UnitError as error:
        raise errors.invalid_price(str(error)) from error
    if not grid.contains(price):
        raise errors.invalid_price("price is not on the market's grid")
    return price


def positive_count(text: str) -> CountE2:
    try:
        count = parse_count(text)
    except UnitError as error:
        raise errors.invalid_parameters(str(error)) from error
    if count <= 0:
        raise errors.invalid_parameters("count must be positive")
    return count


def check_client_order_id(account: Account, client_order_id: str | None) -> None:
    """Its alphabet, and that this account never used it."""
    if client_order_id is None:
        return
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise errors.invalid_parameters("client_order_id")
    if client_order_id in account.client_ids:
        raise errors.order_already_exists()


def check_offered(request: rest.CreateOrder) -> None:
    """What this exchange does not do is refused, never ignored."""
    for name, given in (
        ("reduce_only", request.reduce_only),
        ("subaccount", request.subaccount),
        ("order_group_id", request.order_group_id),
    ):
        if given:
            raise errors.invalid_parameters(f"{name} is not offered by this exchange")


def new_expiration_us(request: rest.CreateOrder, now_us: int) -> int | None:
    if request.expiration_time is None:
        return None
    if request.time_in_force != "good_till_canceled":
        raise errors.invalid_parameters("expiration_time goes with good_till_canceled only")
    return _future_us(request.expiration_time, now_us)


def amended_expiration_us(current_us: int | None, expiration_s: int | None, now_us: int) -> int | None:
    """None keeps it, 0 removes it, else future seconds."""
    if expiration_s is None:
        return current_us
    return None if expiration_s == 0 else _future_us(expiration_s, now_us)


def _future_us(at_s: int, now_us: int) -> int:
    if at_s * 1_000_000 <= now_us:
        raise errors.invalid_parameters("expiration_time is in the past")
    return at_s * 1_000_000
