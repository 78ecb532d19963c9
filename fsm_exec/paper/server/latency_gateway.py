"""Where requests meet the timeline: the legs of latency of REST, the order of writes, and the faults of requests.

A write travels the entry leg, is executed on the timeline at the very microsecond it is due (ties by client order id),
and its answer travels the response leg. It is executed even if its sender has gone. A read is answered from the state
at its arrival and travels the response leg. A fault of either is drawn here, at the moment it is executed, so that the
seed decides it and not the order of tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.paper import errors
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.faults import NO_FAULT, Fault, FaultPlan
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.request_context import CURRENT_CALL, Call
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import Latency, Legs
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.stale_listings import StaleListings

T = TypeVar("T")


class _WriteOutcome(Generic[T]):
    """The result of a write, or its refusal, and when it was decided."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.at_us = 0
        self.value: T | None = None
        self.refusal: ApiError | None = None

    def decide(self, action: Callable[[], T], at_us: int) -> None:
        self.at_us = at_us
        try:
            self.value = action()
        except ApiError as refusal:
            self.refusal = refusal
        self.done.set()

    def refuse(self, refusal: ApiError, at_us: int) -> None:
        """Answer with `refusal`, whatever was done before."""
        self.at_us, self.refusal = at_us, refusal
        self.done.set()


class LatencyGateway:
    """Passes requests to the exchange. `faults` None: nothing ever goes wrong."""

    def __init__(self, exchange: Exchange, clock: Clock, latency: Latency, faults: FaultPlan | None = None) -> None:
        self.exchange = exchange
        self.clock = clock
        self.legs = Legs(latency)
        self.faults = faults
        self.stale_listings = StaleListings(exchange)

    async def write(self, key: str, action: Callable[[], T]) -> T:
        """Execute `action` on the timeline after the entry leg. Raises its ApiError after the response leg."""
        outcome: _WriteOutcome[T] = _WriteOutcome()
        call = CURRENT_CALL.get()
        timeline = self.exchange.timeline

        def execute() -> None:
            now_us = timeline.now_us()
            fault = self.faults.draw_write_fault(now_us) if self.faults is not None and call is not None else NO_FAULT
            if fault.kind == "late":
                timeline.at(now_us + fault.delay_us, Rank.ARRIVAL, key, lambda: _run_unanswered(action))
            elif fault.done:
                outcome.decide(action, now_us)
                if self.faults is not None and call is not None and outcome.value is not None:
                    outcome.value = self.faults.falsify_answer(call.kind, outcome.value, now_us)  # type: ignore[assignment]  # for the wire, as it comes
            if call is not None and (refusal := self._apply_fault(call, fault)) is not None:
                outcome.refuse(refusal, now_us)

        due_us = self.clock.now_us() + self.legs.entry_us()
        timeline.at(due_us, Rank.ARRIVAL, key, execute)
        await outcome.done.wait()
        await self.clock.sleep_until(outcome.at_us + self.legs.response_us())
        if outcome.refusal is not None:
            raise outcome.refusal
        return outcome.value  # type: ignore[return-value]  # set by execute()

    async def read(self, look: Callable[[], T]) -> T:
        """Return what `look` sees now, after the response leg. Raises its ApiError then."""
        self.exchange.timeline.advance()
        now_us = self.clock.now_us()
        call = CURRENT_CALL.get()
        try:
            if self.faults is not None and call is not None:
                refusal = self._apply_fault(call, self.faults.draw_read_fault(now_us))
                if refusal is not None:
                    raise refusal
            return look()
        finally:
            await self.clock.sleep_until(now_us + self.legs.response_us())

    def account_view(self, account: Account) -> Account:
        """Return the account as its listings show it: as it is, or as it was when the listings were frozen."""
        return self.stale_listings.account_view(account)

    def holdings_view(self, account: Account) -> Account:
        """Return the account as reads of positions, balance and settlements show it."""
        return self.stale_listings.holdings_view(account)

    def settled_before_us(self) -> int:
        """Return until when a settlement must have been paid to be listed now."""
        now_us = self.clock.now_us()
        return now_us if self.faults is None else now_us - self.faults.settlement_delay_us(now_us)

    def falsify_account(self, what: str, body: object) -> object:
        """Return a page of `positions` or `settlements`, or the `balance`, falsified if the plan says so."""
        return body if self.faults is None else self.faults.falsify_account(what, body, self.clock.now_us())

    def falsify_listing(self, what: str, page: object) -> object:
        """Return a page of the listing of `orders` or `fills`, falsified if the plan says so."""
        return page if self.faults is None else self.faults.falsify_listing(what, page, self.clock.now_us())

    def as_of_us(self) -> int:
        """Return the time up to which the listings are complete."""
        return self.stale_listings.as_of_us()

    def _apply_fault(self, call: Call, fault: Fault) -> ApiError | None:
        """Let `fault` decide about the answer. Returns the refusal if the fault is one; with an answer that is never
        sent it only ends the wait."""
        assert self.faults is not None or fault is NO_FAULT
        match fault.kind:
            case "none":
                return None
            case "slow":
                call.slow_us = fault.delay_us
                return None
            case "cut":
                call.fate = "cut"
                return None
            case "lost_answer" | "late":
                assert self.faults is not None
                profile = self.faults.profile
                held_ms = profile.reads.hold_ms if call.kind == "read" else profile.writes.hold_ms
                call.fate, call.hold_us = "never", held_ms * US_PER_MS
                return errors.unavailable() if fault.kind == "late" else None
            case "refused":
                # A cancel is refused as on a wrong shard: not found, although the order lives.
                return errors.not_found("order") if call.kind == "cancel" else errors.invalid_parameters("fault")
            case "too_many":
                return errors.too_many_requests()
            case "internal_error":
                return errors.internal_error()
            case "unavailable":
                return errors.unavailable()


def _run_unanswered(action: Callable[[], object]) -> None:
    """Run a write whose sender has given up: its answer or refusal is dropped."""
    try:
        action()
    except ApiError:
        return
