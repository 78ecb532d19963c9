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


def broken_by_place(request: httpx.Request, execution: Execution, lives_until_us: int | None) -> list[str]:
    """What is wrong with a new order of `execution`, which may outlive its host until `lives_until_us`; None: until the
    execution is over."""
    body = msgspec.json.decode(request.content, type=rest.CreateOrder)
    name, found = body.client_order_id, []
    if body.self_trade_prevention_type != "taker_at_cross":
        found.append(f"2: order {name} is sent with self-trade prevention {body.self_trade_prevention_type}")
    expires_s = body.expiration_time
    if body.time_in_force == "good_till_canceled":
        found += _wrong_expiration(f"{name} is sent", expires_s, execution, lives_until_us)
    elif expires_s is not None:
        found.append(f"9: order {name} is {body.time_in_force} and sent with an expiration")
    return found + _beyond_the_cap(f"{name} is sent at", body.side, body.price, execution, taker=not body.post_only)


def broken_by_amend(request: httpx.Request, name: str, execution: Execution, lives_until_us: int | None) -> list[str]:
    """What is wrong with a new price or end for an order of `execution`; `lives_until_us` as in `broken_by_place`."""
    body = msgspec.json.decode(request.content, type=rest.AmendOrder)
    found = []
    if body.expiration_time is not None:  # left out it stays as it is
        if lives_until_us is None:
            found.append(f"9: order {name} is amended with another expiration, and there is no lease")
        found += _wrong_expiration(f"{name} is amended", body.expiration_time, execution, lives_until_us)
    if parse_count(body.count) > execution.target_e2:
        found.append(f"1: order {name} is amended to {body.count} of a target of {execution.target_e2}")
    return found + _beyond_the_cap(f"{name} is amended to", body.side, body.price, execution, taker=True)


def _wrong_expiration(what: str, expires_s: int | None, execution: Execution, lives_until_us: int | None) -> list[str]:
    ends_us = execution.deadline_us + execution.grace_us
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


def _beyond_the_cap(what: str, side: str, price: str, execution: Execution, *, taker: bool) -> list[str]:
    own = parse_price(price) if side == "bid" else complement(parse_price(price))
    limits = execution.limits
    if limits is None:
        return [f"2: order {what} {own} and its execution has no limits"]
    cost_e6 = all_in_e6(own, execution.terms.fees, taker=taker)
    if own > limits.worst_e4 or cost_e6 > limits.cap_e6:
        return [f"2: order {what} {own}, with its fee {cost_e6}: beyond {limits.worst_e4} or the cap {limits.cap_e6}"]
    return []
