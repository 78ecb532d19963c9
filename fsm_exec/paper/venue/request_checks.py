"""What a member's request says, checked before anything is done. Each check raises the ApiError of the wire."""

from __future__ import annotations

import re
from collections.abc import Collection

from fsm_exec.core.errors import UnitError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid, parse_count, parse_price
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.wire import rest
from fsm_exec.wire.writes import DecreaseOrder

LAST_SECOND = 253_402_300_799  # of the year 9999: later times have no RFC 3339 text
PRICE_DECIMALS_MAX = 4
COUNT_DECIMALS_MAX = 2
_CLIENT_ORDER_ID = re.compile(rest.CLIENT_ORDER_ID_PATTERN, re.ASCII)


def outcome_of(side: rest.BookSide) -> Outcome:
    """The ladder an order stands in: an ask for YES is a bid for NO."""
    return "yes" if side == "bid" else "no"


def price_on(grid: PriceGrid, text: str) -> PriceE4:
    """A YES price on the market's grid, written with two to four decimals."""
    if not 2 <= _decimals(text) <= PRICE_DECIMALS_MAX:
        raise errors.invalid_price("price has not two to four decimals")
    try:
        price = parse_price(text)
    except UnitError as error:
        raise errors.invalid_price(str(error)) from error
    if not grid.contains(price):
        raise errors.invalid_price("price is not on the market's grid")
    return price


def positive_count(text: str) -> CountE2:
    count = _count(text)
    if count <= 0:
        raise errors.invalid_parameters("count must be positive")
    return count


def _count(text: str) -> CountE2:
    """A count, written with at most two decimals."""
    if _decimals(text) > COUNT_DECIMALS_MAX:
        raise errors.invalid_parameters("count has more than two decimals")
    try:
        return parse_count(text)
    except UnitError as error:
        raise errors.invalid_parameters(str(error)) from error


def _decimals(text: str) -> int:
    return len(text.partition(".")[2])


def check_client_order_id(account: Account, client_order_id: str | None) -> None:
    """Its alphabet, and that this account never used it. An empty one is none."""
    if not client_order_id:
        return
    if not _CLIENT_ORDER_ID.fullmatch(client_order_id):
        raise errors.invalid_parameters("client_order_id")
    if client_order_id in account.client_ids:
        raise errors.order_already_exists()


def check_shard(exchange_index: int | None, shards: Collection[int]) -> None:
    """Raise ApiError for a shard that is not here: the member never had funds there. -1 requests routing by ticker."""
    if exchange_index not in (None, -1) and exchange_index not in shards:
        raise errors.user_not_found()


def check_combination(request: rest.CreateOrder) -> None:
    """Raise ApiError for fields that exclude each other and for what this exchange does not do: refused, never ignored.
    That a reduce-only order must be immediate-or-cancel is documented, the code of its refusal is not."""
    if request.reduce_only and request.time_in_force != "immediate_or_cancel":
        raise errors.invalid_parameters("reduce_only goes with immediate_or_cancel only")


def remaining_after_decrease(remaining: CountE2, request: DecreaseOrder) -> int:
    """Return what is left of an order of `remaining` after a decrease; zero or less if nothing is. `reduce_to` above
    `remaining` is refused; `reduce_by` above it takes all there is."""
    if (request.reduce_by is None) == (request.reduce_to is None):
        raise errors.invalid_parameters("exactly one of reduce_by and reduce_to is required")
    if request.reduce_by is not None:
        return remaining - positive_count(request.reduce_by)
    wanted = _count(request.reduce_to or "")
    if wanted > remaining:
        raise errors.invalid_parameters("reduce_to is above what remains")
    return wanted


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
    if at_s > LAST_SECOND:
        raise errors.invalid_parameters("expiration_time is beyond the calendar")
    return at_s * 1_000_000
