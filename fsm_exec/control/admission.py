"""Admission checks a submission before the engine accepts it: numbers, prices, times and limits.

Each refusal is one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from fsm_exec.algorithms import Method
from fsm_exec.control import api_errors
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import EdgeGiven, Submission, describe_missing
from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.market.edge import PPM_DECIMALS, Edge, make_edge
from fsm_exec.core.market.limits import MAX_SLIPPAGE, Limits, largest_within, resolve_limits
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.times import is_time, to_iso
from fsm_exec.core.values.units import (
    US_PER_S,
    CountE2,
    MoneyE6,
    PriceE4,
    PriceGrid,
    ceil_div,
    format_count,
    format_fixed,
    format_money,
    format_price,
    parse_count,
    parse_fixed,
    parse_money,
    parse_price,
    price_hint,
)

E2_PER_CONTRACT = 100
E6_PER_DOLLAR = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPEN_STATUSES = ("open", "paused")  # of a paused market the orders wait


class CheckedSubmission(msgspec.Struct, frozen=True, kw_only=True):
    """A submission whose numbers are numbers. `canonical` is the request as it is stored and compared: the same
    request always gives the same bytes. `reduce_only`: it closes what is held, and no limit of size is meant for it.
    `sized`: how an edge gave its quantity."""

    given: Submission
    target_e2: CountE2
    edge: Edge | None
    method: Method
    deadline_us: int | None
    canonical: bytes
    reduce_only: bool = False
    sized: str | None = None


_IN_FULL: Final[Mapping[str, Callable[[str], str]]] = {
    "quantity": lambda text: format_count(parse_count(text)),
    "limit": lambda text: format_price(parse_price(text)),
    "cap": lambda text: format_money(_parse_cap(text)),
    "target_price": lambda text: format_price(parse_price(text)),
    "worst_price": lambda text: format_price(parse_price(text)),
    "max_slippage": lambda text: format_fixed(parse_fixed(text, PPM_DECIMALS), PPM_DECIMALS),
}


def canonical_request(given: Submission) -> bytes:
    """Return the request as JSON with every number in its full form and without absent fields.

    A field that a later version adds changes nothing, and a limit has the name that it was first stored by, so what was
    accepted under a key before is still the same request. Raises UserError for a number or time that is none."""
    fields = msgspec.structs.asdict(given)
    for name, in_full in _IN_FULL.items():
        if fields[name] is not None:
            try:
                fields[name] = in_full(fields[name])
            except UserError as error:
                raise UserError(f"{name}: {error}") from None
    if given.deadline is not None:
        fields["deadline"] = to_iso(_parse_time_us(given.deadline))
    limit = fields.pop("limit")
    fields["worst_price"] = fields["worst_price"] if limit is None else limit
    if given.edge is not None:
        edge = msgspec.structs.asdict(given.edge)
        fields["edge"] = {name: value for name, value in edge.items() if value is not None}
    kept = {name: value for name, value in fields.items() if value is not None and name != "key"}
    return msgspec.json.encode(kept, order="sorted")


def check_submission(given: Submission, find: Callable[[str], Method]) -> CheckedSubmission:
    """Check what needs neither the market nor the time. `find` knows the methods. Raises UserError."""
    canonical = canonical_request(given)  # first, since it names the field of a number that is none
    if missing := Submission.find_missing(msgspec.structs.asdict(given)):
        raise UserError(describe_missing(missing))
    if given.quantity is None:
        raise UserError("missing: quantity")
    target_e2 = parse_count(given.quantity)
    if target_e2 <= 0:
        raise UserError("quantity must be above 0 contracts")
    if given.deadline is not None and given.horizon_s is not None:
        raise UserError("deadline and horizon_s both say when it ends; give one of them")
    if given.limit is not None and given.worst_price is not None:
        raise UserError("worst_price is the older name of limit; give limit alone")
    limit = limit_of(given)
    if limit is not None and given.cap is not None:
        raise UserError("give either limit (before fees) or cap (with fees), not both")
    if given.max_slippage is not None and (limit is not None or given.cap is not None):
        raise UserError("max_slippage goes with target_price alone: limit and cap say it themselves")
    try:
        found = find(given.method)
    except CorruptSnapshot as error:  # asked again it would be no better: it is for the caller to choose another
        raise UserError(f"method {given.method!r} cannot be used: {error}") from error
    if found.lab_only:
        raise UserError(f"method {given.method!r} is for the lab only; choose another one")
    return CheckedSubmission(
        given=given,
        target_e2=target_e2,
        edge=None if given.edge is None else _parse_edge(given.edge),
        method=found,
        deadline_us=None if given.deadline is None else _parse_time_us(given.deadline),
        canonical=canonical,
    )


def limit_of(given: Submission) -> str | None:
    """Return the limit, under whichever of its names it was given."""
    return given.worst_price if given.limit is None else given.limit


def limits_for(request: CheckedSubmission, terms: MarketTerms, now_us: int, until_us: int) -> Limits:
    """Return the hard limits on this market. Without a target the highest price allowed is the target. The cap of a
    limit is made by the dearest fees that are announced until `until_us`, the deadline; the limit of a cap by the
    cheapest, and the execution bids less while they are higher. Raises UserError."""
    given = request.given
    grid = terms.grid.seen_from(given.outcome)
    cap = None if given.cap is None else _parse_cap(given.cap)
    fees = terms.dearest_fees(now_us, until_us) if cap is None else terms.cheapest_fees(now_us, until_us)
    if fees is None:
        raise UserError(
            f"market {terms.ticker} is to have fees without a published formula before the deadline; end it before "
            f"{to_iso(terms.unpriced_from_us or until_us)}"
        )
    limit = limit_of(given)
    worst = None if limit is None else parse_price(limit)
    target = None if given.target_price is None else parse_price(given.target_price)
    for name, price in (("limit", worst), ("target price", target)):
        if price is not None and not grid.contains(price):
            raise UserError(f"{name} {format_price(price)} is not on the market's grid; {_nearest(price, grid)}")
    if target is None:
        target = worst if cap is None else largest_within(cap, grid, fees)
    if target is None:
        raise UserError(f"cap {given.cap} allows no price at all; raise it")
    return resolve_limits(target, grid, fees, cap=cap, worst=worst, max_slippage=_parse_slippage(given.max_slippage))


def check_market(terms: MarketTerms, status: str) -> None:
    """Raises UserError for a market that takes no orders now."""
    if status not in OPEN_STATUSES:
        raise UserError(f"market {terms.ticker} is {status}; choose one that is open")


def deadline_us(request: CheckedSubmission, now_us: int, limits: ControlLimits) -> int:
    """Return the deadline in wall time. Raises UserError for one that has passed, Refusal for one too far away."""
    given = request.given
    if request.deadline_us is None:
        assert given.horizon_s is not None, "checked() saw to it"
        at_us = now_us + given.horizon_s * US_PER_S
    else:
        at_us = request.deadline_us
    if at_us <= now_us:
        raise UserError(f"deadline {given.deadline!r} has passed, it is {to_iso(now_us)}; give a later one")
    if at_us - now_us > limits.max_horizon_s * US_PER_S:
        raise api_errors.over_limit(f"the deadline is more than max_horizon_s = {limits.max_horizon_s} s away")
    return at_us


def check_size(request: CheckedSubmission, price: Limits, limits: ControlLimits) -> None:
    """Raises Refusal for more than one execution may buy. What is too large must be able to shrink."""
    if request.reduce_only:
        return
    if request.target_e2 > limits.max_quantity_contracts * E2_PER_CONTRACT:
        raise api_errors.over_limit(
            f"quantity {format_count(request.target_e2)} is above max_quantity_contracts = "
            f"{limits.max_quantity_contracts}"
        )
    notional = MoneyE6(ceil_div(request.target_e2 * price.cap_e6, E2_PER_CONTRACT))
    if notional > limits.max_notional_dollars * E6_PER_DOLLAR:
        raise api_errors.over_limit(
            f"quantity x cap = {format_money(notional)} dollars is above max_notional_dollars = "
            f"{limits.max_notional_dollars}"
        )


def _parse_cap(text: str) -> MoneyE6:
    """Parse a cap. Raises UserError above a dollar: it would limit nothing, and who writes 70 means cents."""
    try:
        cap = parse_money(text)
    except UserError as error:
        raise UserError(f"{error}{price_hint(text)}") from None
    if cap > E6_PER_DOLLAR:
        raise UserError(
            f"{text} is above 1 dollar, the most that a contract pays; give dollars per contract{price_hint(text)}"
        )
    return cap


def _nearest(price: PriceE4, grid: PriceGrid) -> str:
    """Return which prices beside this one there are, as advice."""
    prices = [format_price(near) for near in (grid.floor(price), grid.ceil(price)) if near is not None]
    return f"the nearest price{'s are' if len(prices) > 1 else ' is'} {' and '.join(prices)}"


def _parse_slippage(text: str | None) -> Decimal:
    if text is None:
        return MAX_SLIPPAGE
    value = parse_fixed(text, PPM_DECIMALS)
    if not 0 <= value <= 10**PPM_DECIMALS:
        raise UserError(f"max_slippage {text!r} is not between 0 and 1")
    return Decimal(value).scaleb(-PPM_DECIMALS)


def _parse_edge(given: EdgeGiven) -> Edge:
    if given.expected_value is None:
        raise UserError("missing: expected_value, which goes with model_probability beside a quantity")
    if any(one is not None for one in (given.shrink, given.fraction, given.bankroll, given.min_edge)):
        raise UserError("shrink, fraction, bankroll and min_edge find a quantity: leave them out, or the quantity")
    return make_edge(parse_fixed(given.model_probability, PPM_DECIMALS), parse_money(given.expected_value))


def _parse_time_us(text: str) -> int:
    """Parse a time in ISO 8601 with its zone. Raises UserError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise UserError(f"deadline {text!r} is no time with its zone; give one like 2030-01-31T14:05:00Z")
    at_us = (at - EPOCH) // timedelta(microseconds=1)
    if not is_time(at_us):  # its zone leads out of the years there are
        raise UserError(f"deadline {text!r} is before the year 1 or after 9999; give one like 2030-01-31T14:05:00Z")
    return at_us
