"""The lease of a resting order: how long it outlives its host.

Nobody cancels an order whose host is gone, so every order that rests ends by itself. Without a lease it does so when
its execution is over; with one at most that much ahead, and while the host lives its end is put off again and again by
amends that change nothing else. The lease in force is told with each event that may decide about it: nothing here
looks at a clock or a budget.

An end is put off when about half of the lease is left, by some orders earlier than by others: those that were placed
together must not fall due together for ever. One that is much too far ahead, of a time with a longer lease or with
none, is brought in at once.
"""

from __future__ import annotations

import zlib
from typing import Final

from fsm_exec.core.execution.events import DecisionDue, Place, Renew, RenewalDue
from fsm_exec.core.execution.execution import ChildOrder, Execution, PendingRenewal
from fsm_exec.core.values.units import US_PER_S, PriceE4, ceil_div

DUE_PER_MILLE: Final = 450  # of the lease left, and up to SPREAD_PER_MILLE more
SPREAD_PER_MILLE: Final = 100
HURRY_PER_MILLE: Final = 250  # of the lease left: from then on a renewal waits no longer than any other amend
TOO_FAR: Final = 2  # leases ahead


def last_expiration_s(execution: Execution) -> int:
    """Return when an order ends by itself at the latest, in unix seconds: its execution is over then."""
    return ceil_div(execution.deadline_us + execution.grace_us, US_PER_S)


def expiration_within(execution: Execution, at_us: int, lease_s: int | None) -> int:
    """Return when an order ends by itself that is sent at `at_us` under this lease, in unix seconds; None: no lease."""
    last_s = last_expiration_s(execution)
    return last_s if lease_s is None else min(last_s, at_us // US_PER_S + lease_s)


def expiration_of(execution: Execution, child: ChildOrder, at_us: int, lease_s: int | None) -> int:
    """Return when this order is to end by itself, where it stands: within the lease, and before fees make it cost more
    than the cap."""
    taker = not child.post_only or child.walks > 0  # nothing says that post-only survives an amend
    return _affordable(execution, child.price_e4, at_us, lease_s, taker=taker)


def _affordable(execution: Execution, price: PriceE4, at_us: int, lease_s: int | None, *, taker: bool) -> int:
    expires_s = expiration_within(execution, at_us, lease_s)
    dear_us = execution.beyond_cap_from_us(price, at_us, taker=taker)
    return expires_s if dear_us is None else min(expires_s, dear_us // US_PER_S)


def earliest_expiration_s(child: ChildOrder) -> int | None:
    """Return the earliest time at which the order may end by itself, in unix seconds."""
    if child.expiration_s is None or not isinstance(child.write, PendingRenewal):
        return child.expiration_s
    return min(child.expiration_s, child.write.expiration_s)


def is_leased(execution: Execution, expiration_s: int | None) -> bool:
    """Whether an order with this end is over before its execution is: then that end is no deadline."""
    return expiration_s is not None and expiration_s < last_expiration_s(execution)


def expires_s_of(execution: Execution, placed: Place, event: DecisionDue | RenewalDue) -> int | None:
    """Return what an order that is placed now is to be told of its end; None: nothing, as it ends with its
    execution."""
    taker = not placed.post_only
    expires_s = _affordable(execution, placed.price_e4, event.at_us, event.lease_s, taker=taker)
    return expires_s if is_leased(execution, expires_s) else None


def put_off_s(execution: Execution, child: ChildOrder, price: PriceE4, event: DecisionDue | RenewalDue) -> int | None:
    """Return the end that a change of an order's price is to bring with it; None: it stays."""
    expires_s = _affordable(execution, price, event.at_us, event.lease_s, taker=True)
    if child.expiration_s is None or expires_s == child.expiration_s:
        return None
    moved = expires_s > child.expiration_s or expires_s < expiration_within(execution, event.at_us, event.lease_s)
    return expires_s if moved or is_too_far(child.expiration_s, event.at_us, event.lease_s) else None


def renewal_due_us(execution: Execution, child: ChildOrder, lease_s: int | None, at_us: int) -> int | None:
    """Return from when on the end of this order is to be moved; None: it stays, or cannot be moved now."""
    expiration_s = child.expiration_s
    if expiration_s is None or child.order_id is None or child.write is not None:
        return None
    if child.state not in ("resting", "partial"):
        return None
    wanted_s = expiration_of(execution, child, at_us, lease_s)
    if wanted_s == expiration_s and wanted_s < expiration_within(execution, at_us, lease_s):
        return None  # after that it would be too dear
    if is_too_far(expiration_s, at_us, lease_s):
        return at_us
    if not is_leased(execution, expiration_s):
        return None
    if lease_s is None:
        return at_us
    return expiration_s * US_PER_S - lease_s * (DUE_PER_MILLE + _spread(child.client_order_id)) * US_PER_S // 1_000


def renewals(seen: Execution, event: RenewalDue) -> tuple[Renew, ...]:
    """Return the orders whose end is to be moved now, and to when."""
    found: list[Renew] = []
    for child in seen.children:
        due_us = renewal_due_us(seen, child, event.lease_s, event.at_us)
        if due_us is None or due_us > event.at_us:
            continue
        expires_s = expiration_of(seen, child, event.at_us, event.lease_s)
        if expires_s != child.expiration_s:
            found.append(Renew(client_order_id=child.client_order_id, expiration_s=expires_s))
    return tuple(found)


def is_renewal_alone(child: ChildOrder) -> bool:
    """Whether the amend in flight moves nothing but the order's end by itself."""
    return isinstance(child.write, PendingRenewal) and child.write.price_e4 == child.price_e4


def can_wait(child: ChildOrder, expiration_s: int, at_us: int) -> bool:
    """Whether so much is left of an order's time, of what it is to get, that its renewal may be the last in a queue."""
    if child.expiration_s is None:
        return False
    left_us, whole_us = child.expiration_s * US_PER_S - at_us, expiration_s * US_PER_S - at_us
    return left_us * 1_000 > whole_us * HURRY_PER_MILLE


def is_too_far(expiration_s: int, at_us: int, lease_s: int | None) -> bool:
    """Whether an order would outlive its host by far more than the lease."""
    return lease_s is not None and expiration_s * US_PER_S - at_us > TOO_FAR * lease_s * US_PER_S


def _spread(client_order_id: str) -> int:
    return zlib.crc32(client_order_id.encode()) % (SPREAD_PER_MILLE + 1)
