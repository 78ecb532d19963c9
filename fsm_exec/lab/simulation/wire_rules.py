"""What every request for an order must say, read off the wire: what the exchange is asked is what was promised.

The engine's own arithmetic is not used: a fault in it would hide itself.
"""

from __future__ import annotations

import httpx
import msgspec

from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import ONE_DOLLAR_E4, US_PER_S, PriceE4, complement, parse_count, parse_price
from fsm_exec.wire import rest

ON_THE_WAY_US = 30_000_000  # for so long after it was signed a request may be taken in


def broken_by_place(request: httpx.Request, execution: Execution, lives_until_us: int | None, now_us: int) -> list[str]:
    """What is wrong with a new order of `execution`, which is sent at `now_us` and may outlive its host until
    `lives_until_us`; None: until the execution is over."""
    body = msgspec.json.decode(request.content, type=rest.CreateOrder)
    name, found = body.client_order_id, []
    if body.self_trade_prevention_type != "taker_at_cross":
        found.append(f"2: order {name} is sent with self-trade prevention {body.self_trade_prevention_type}")
    expires_s = body.expiration_time
    if body.time_in_force == "good_till_canceled":
        dear_us = _dear_from_us(body.side, body.price, execution, now_us, taker=not body.post_only)
        found += _wrong_expiration(f"{name} is sent", expires_s, execution, lives_until_us, dear_us)
    elif expires_s is not None:
        found.append(f"9: order {name} is {body.time_in_force} and sent with an expiration")
    return found + _beyond_the_cap(
        f"{name} is sent at", body.side, body.price, execution, now_us, taker=not body.post_only
    )


def broken_by_amend(
    request: httpx.Request, name: str, execution: Execution, lives_until_us: int | None, now_us: int
) -> list[str]:
    """What is wrong with a new price or end for an order of `execution`; `lives_until_us` as in `broken_by_place`."""
    body = msgspec.json.decode(request.content, type=rest.AmendOrder)
    found = []
    child, own = execution.child(name), _own_price(body.side, body.price)
    # Nothing says that an order of another price still only rests; one that keeps its price does.
    is_maker = child is not None and child.post_only and not child.walks and child.price_e4 == own
    if body.expiration_time is not None:  # left out it stays as it is
        if lives_until_us is None and not execution.terms.fee_changes:  # which may end it sooner, or later again
            found.append(f"9: order {name} is amended with another expiration, and there is no lease")
        dear_us = _dear_from_us(body.side, body.price, execution, now_us, taker=not is_maker)
        found += _wrong_expiration(f"{name} is amended", body.expiration_time, execution, lives_until_us, dear_us)
    if parse_count(body.count) > execution.target_e2:
        found.append(f"1: order {name} is amended to {body.count} of a target of {execution.target_e2}")
    return found + _beyond_the_cap(
        f"{name} is amended to", body.side, body.price, execution, now_us, taker=not is_maker
    )


def _wrong_expiration(
    what: str, expires_s: int | None, execution: Execution, lives_until_us: int | None, dear_us: int | None
) -> list[str]:
    ends_us = execution.deadline_us + execution.grace_us
    if expires_s is not None and dear_us is not None and dear_us < execution.deadline_us:
        if expires_s * US_PER_S > dear_us:
            return [f"2: order {what} with expiration {expires_s}, fees take it beyond the cap from {dear_us} us"]
        return []
    if expires_s is None or expires_s * US_PER_S >= ends_us + US_PER_S:
        return [f"9: order {what} with expiration {expires_s}, its execution is over at {ends_us} us"]
    if lives_until_us is None and expires_s * US_PER_S < execution.deadline_us:
        return [f"9: order {what} with expiration {expires_s}, before its execution is over at {ends_us} us"]
    if lives_until_us is not None and expires_s * US_PER_S > lives_until_us:
        return [f"17: order {what} with expiration {expires_s}, it may outlive its host until {lives_until_us} us"]
    return []


def all_in_e6(price: PriceE4, fees: FeeTerms, *, taker: bool) -> int:
    """What one contract costs with its fee, rounded up to a millionth of a dollar: written out once more."""
    rate_e10 = fees.taker_e10 if taker else fees.maker_e10
    return price * 100 + -(-rate_e10 * price * (ONE_DOLLAR_E4 - price) // 10**12)


def _own_price(side: str, price: str) -> PriceE4:
    return parse_price(price) if side == "bid" else complement(parse_price(price))


def _dear_from_us(side: str, price: str, execution: Execution, now_us: int, *, taker: bool) -> int | None:
    """From when on the price is beyond the cap by the fees that are announced; None: never."""
    limits, own = execution.limits, _own_price(side, price)
    for change in execution.terms.fee_changes:
        dear = limits is None or change.fees is None or all_in_e6(own, change.fees, taker=taker) > limits.cap_e6
        if change.at_us > now_us and dear:
            return change.at_us
    return None


def _beyond_the_cap(what: str, side: str, price: str, execution: Execution, now_us: int, *, taker: bool) -> list[str]:
    own = _own_price(side, price)
    limits = execution.limits
    if limits is None:
        return [f"2: order {what} {own} and its execution has no limits"]
    may_hold = execution.terms.fees_within(now_us, now_us + ON_THE_WAY_US)  # when it arrives
    cost_e6 = max(all_in_e6(own, fees, taker=taker) for fees in may_hold if fees is not None)
    if own > limits.worst_e4 or cost_e6 > limits.cap_e6:
        return [f"2: order {what} {own}, with its fee {cost_e6}: beyond {limits.worst_e4} or the cap {limits.cap_e6}"]
    return []
