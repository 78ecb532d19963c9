"""The engine's status, in one frozen struct."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from fsm_exec.core.execution.execution import ChildOrder, Execution, PendingRenewal
from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.values.units import US_PER_S, ceil_div
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.order_lookup import LATE_PAUSE_MAX_S

ANSWER_WITHIN_S = 10  # the client gives a write up then


class FeedStatus(msgspec.Struct, frozen=True):
    """`state` is that of the feed's table, `market` the market's own."""

    state: str
    market: str


class LeaseStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How long what rests outlives this host. `wanted_s` is the lease that was asked for, 0: none; `in_force_s` the one
    that new orders and renewals get: it is longer where the account's write tokens carry no shorter one. `outlives_s`:
    if this host were gone now, the last of what rests would end by itself within so many seconds; None: nothing
    rests."""

    wanted_s: int
    in_force_s: int
    outlives_s: int | None

    @property
    def is_stretched(self) -> bool:
        """Whether the lease in force is longer than the one that was asked for."""
        return self.in_force_s > self.wanted_s > 0


class EngineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`state` is the engine's own, or `degraded`: it runs and cannot act at the exchange, for the reasons in
    `why_degraded`, which other states may have too. `quarantined` has the reasons. `live_orders` counts every order
    that is live or may be: whatever the exchange has not said to have ended with all its fills counted here. Of them,
    `unknown_orders` were sent and not heard of since, `settling_orders` have ended there and miss fills here, or their
    end is doubted, and `loose_orders` are those of quarantined executions and those without an owner.
    `oldest_unknown_us` is how long the oldest place without proof has been so. `nothing_live` is said by the exchange's
    word alone: there are none of these, and its listings have been read since the start. `halt_within_s`: see
    `halt_within_s`. `lease`: how long what rests outlives this host."""

    state: str
    why_degraded: tuple[str, ...]
    why_halted: str | None
    at_work: int
    quarantined: dict[str, str]
    live_orders: int
    unknown_orders: int
    settling_orders: int
    loose_orders: int
    nothing_live: bool
    oldest_unknown_us: int | None
    stream_connected: bool
    feeds: dict[str, FeedStatus]
    halt_within_s: int
    lease: LeaseStatus


def reported_state(state: str, why_degraded: Collection[str]) -> str:
    """Return the state to report: `running` only while the engine can act at the exchange, otherwise `degraded`."""
    return "degraded" if state == "running" and why_degraded else state


def halt_within_s(open_orders: int, unknown_orders: int, budget: BudgetFacts) -> int:
    """Return within how many seconds a halt begun now has every order off the book, while the exchange answers.

    The time for the tokens of as many cancels as there are open orders (cancels go before all else), and twice the time
    within which a request is answered or given up: that of a place in flight, then that of its cancel. If the outcome
    of a place is unknown: the time until a listing can prove it either way (signature window + read lag), and the
    longest pause between two looks then.
    """
    seconds = -(-budget.cancelling_us(open_orders) // 1_000_000) + 2 * ANSWER_WITHIN_S
    if unknown_orders:
        seconds += (SIGNATURE_WINDOW_US + READ_LAG_US) // 1_000_000 + round(LATE_PAUSE_MAX_S) + ANSWER_WITHIN_S
    return seconds


def status_of(
    state: str,
    why_halted: str | None,
    executions: Iterable[Execution],
    quarantined: Mapping[str, str],
    feeds: Mapping[str, MarketFeed],
    budget: BudgetFacts,
    now_us: int,
    *,
    loose: Collection[str],
    has_listed: bool,
    why_degraded: tuple[str, ...],
    stream_connected: bool,
    lease_wanted_s: int,
    lease_s: int | None,
) -> EngineStatus:
    found = list(executions)
    open_orders = [
        child for execution in found for child in execution.children if child.is_open or child.suspicion is not None
    ]
    unknown = [child for child in open_orders if child.state == "unknown"]
    sent = {entry.client_order_id for execution in found for entry in execution.outbox if entry.kind == "place"}
    unheard_of = [child for child in open_orders if child.state == "intended" and child.client_order_id in sent]
    unsent = sum(len(execution.unsent) for execution in found)
    live = {child.client_order_id for child in open_orders} | set(loose)
    return EngineStatus(
        state=reported_state(state, why_degraded),
        why_degraded=why_degraded,
        why_halted=why_halted,
        at_work=len(found),
        quarantined=dict(quarantined),
        live_orders=len(live) - unsent,
        unknown_orders=len(unknown) + len(unheard_of),
        settling_orders=sum(child.state == "settling" or not child.is_open for child in open_orders),
        loose_orders=len(loose),
        nothing_live=has_listed and len(live) == unsent,
        oldest_unknown_us=max((now_us - child.sent_at_us for child in unknown), default=None),
        stream_connected=stream_connected,
        feeds={ticker: FeedStatus(feed.state, feed.status) for ticker, feed in feeds.items()},
        halt_within_s=halt_within_s(len(open_orders), len(unknown), budget),
        lease=LeaseStatus(
            wanted_s=lease_wanted_s, in_force_s=lease_s or 0, outlives_s=_outlives_s(open_orders, now_us)
        ),
    )


def _outlives_s(open_orders: Iterable[ChildOrder], now_us: int) -> int | None:
    ends_s = [
        child.write.expiration_s if isinstance(child.write, PendingRenewal) else child.expiration_s
        for child in open_orders
        if child.expiration_s is not None
    ]
    last_s = max((at_s for at_s in ends_s if at_s is not None), default=None)
    return None if last_s is None else max(0, ceil_div(last_s * US_PER_S - now_us, US_PER_S))
