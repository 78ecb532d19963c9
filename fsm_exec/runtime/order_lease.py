"""The lease in force: how long our resting orders outlive this host, and when their end is put off.

Renewals are amends, and the account's write tokens pay for them. A share of what flows in may go to them; where so many
orders rest that it does not carry the lease that is wanted, the lease in force is longer, and the status says so. A
renewal that is due waits while tokens are scarce, but not until its order ends by itself.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

import msgspec

from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.execution.lease import HURRY_PER_MILLE, renewal_due_us
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import US_PER_S, ceil_div
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.own_orders import OwnOrders

SHARE_PER_MILLE: Final = 300
"""Of the write tokens that flow in, for renewals: the rest is for real work."""
COUNT_EVERY_US: Final = US_PER_S
WAIT_US: Final = US_PER_S // 2  # a renewal that found too few tokens looks again after it
PAUSE_LEASES: Final = 20  # an execution renews at most so often a lease, whatever comes of it
PAUSE_MIN_US: Final = US_PER_S


class LeaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[execution]` of the configuration: for how many seconds a resting order outlives this host at most; 0:
    until its execution is over."""

    host_lease_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 90


class HostLease:
    """The lease of all orders of one engine. `wanted_s` is 0 for none."""

    def __init__(self, wanted_s: int, exchange: Exchange, own: OwnOrders, wall: WallClock) -> None:
        self.wanted_s = wanted_s
        self._exchange, self._own, self._wall = exchange, own, wall
        self._counted_us: int | None = None
        self._in_force_s = wanted_s
        self.longest_s = wanted_s  # that was in force since the start

    def in_force_s(self) -> int | None:
        """Return the lease that new ends are set by, in seconds; None: there is none."""
        if not self.wanted_s:
            return None
        now_us = self._wall.now_us()
        if self._counted_us is None or not 0 <= now_us - self._counted_us < COUNT_EVERY_US:
            self._counted_us = now_us
            self._in_force_s = max(self.wanted_s, carried_s(self._own.count(), self._exchange.budget()))
            self.longest_s = max(self.longest_s, self._in_force_s)
        return self._in_force_s

    @property
    def orders(self) -> int:
        """How many of our orders are live."""
        return self._own.count()

    @property
    def is_stretched(self) -> bool:
        """Whether the lease in force is longer than the one that is wanted."""
        return (self.in_force_s() or 0) > self.wanted_s

    def has_tokens(self, in_hurry: bool) -> bool:
        """Return whether a renewal may go now: one that can wait leaves half of what is not the cancels' to others."""
        budget = self._exchange.budget()
        spare = max(0, budget.write_capacity - budget.cancel_reserve) // 2
        return in_hurry or budget.write_left >= budget.cancel_reserve + max(budget.amend_tokens, spare)


def carried_s(orders: int, budget: BudgetFacts) -> int:
    """Return the shortest lease that the share of the tokens carries for so many orders, in seconds: each of them is
    renewed when half of it is left."""
    return ceil_div(2 * orders * budget.amend_tokens * 1_000, max(1, budget.write_per_s) * SHARE_PER_MILLE)


class RenewalTimer:
    """When one execution is to put off the ends of its orders. It keeps what it reckoned for as long as neither the
    orders nor the terms nor the lease have changed: it is asked at every turn of the execution's task."""

    __slots__ = ("_children", "_due_us", "_hurry_us", "_lease", "_lease_s", "_not_before_us", "_terms")

    def __init__(self, lease: HostLease) -> None:
        self._lease = lease
        self._children: tuple[ChildOrder, ...] | None = None
        self._terms: MarketTerms | None = None
        self._lease_s: int | None = None
        self._due_us = self._hurry_us = math.inf
        self._not_before_us = 0

    def due_us(self, execution: Execution, now_us: int) -> float:
        """Return the wall time at which the next renewal is due; infinity: none is."""
        lease_s = self._lease.in_force_s()
        is_known = self._children is execution.children and self._terms is execution.terms
        if not is_known or lease_s != self._lease_s:
            self._children, self._terms, self._lease_s = execution.children, execution.terms, lease_s
            self._reckon(execution, lease_s, now_us)
        if self._due_us == math.inf:
            return math.inf
        self._not_before_us = min(self._not_before_us, now_us + self._pause_us())  # the clock may have been put back
        due_us = max(self._due_us, self._not_before_us)
        if due_us <= now_us and not self._lease.has_tokens(in_hurry=now_us >= self._hurry_us):
            return now_us + WAIT_US
        return due_us

    def record_turn(self, now_us: int) -> None:
        """Record that the renewals were decided: whatever came of it, the next ones are after a pause."""
        self._not_before_us = now_us + self._pause_us()

    def _reckon(self, execution: Execution, lease_s: int | None, now_us: int) -> None:
        self._due_us = self._hurry_us = math.inf
        for child in execution.children:
            if child.state not in ("resting", "partial"):  # of thousands it is mostly neither
                continue
            due_us = renewal_due_us(execution, child, lease_s, now_us)
            if due_us is not None and child.expiration_s is not None:
                left_us = (lease_s or 0) * HURRY_PER_MILLE * US_PER_S // 1_000
                self._due_us = min(self._due_us, due_us)
                self._hurry_us = min(self._hurry_us, child.expiration_s * US_PER_S - left_us)

    def _pause_us(self) -> int:
        return max(PAUSE_MIN_US, (self._lease_s or 0) * US_PER_S // PAUSE_LEASES)
