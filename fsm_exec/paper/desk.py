"""Where requests meet the timeline: the legs of latency of REST, and the order in which writes are matched.

A write travels the entry leg, is executed on the timeline at the very microsecond it is due (ties by client order
id), and its answer travels the response leg. It is executed even if whoever sent it has gone. A read is answered from
the state at its arrival and travels the response leg.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from fsm_exec.paper.clock import Clock
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.exchange import Exchange
from fsm_exec.paper.latency import Latency
from fsm_exec.paper.timeline import Rank

T = TypeVar("T")


class _Outcome(Generic[T]):
    """The result of a write, or its refusal, and when it was decided."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.at_us = 0
        self.value: T | None = None
        self.refusal: ApiError | None = None


class Desk:
    def __init__(self, exchange: Exchange, clock: Clock, latency: Latency) -> None:
        self.exchange = exchange
        self.clock = clock
        self.latency = latency

    async def write(self, key: str, action: Callable[[], T]) -> T:
        """Execute `action` on the timeline after the entry leg. Raises its ApiError after the response leg."""
        outcome: _Outcome[T] = _Outcome()

        def execute() -> None:
            outcome.at_us = self.exchange.timeline.now_us()
            try:
                outcome.value = action()
            except ApiError as refusal:
                outcome.refusal = refusal
            outcome.done.set()

        due_us = self.clock.now_us() + self.latency.entry_us
        self.exchange.timeline.at(due_us, Rank.ARRIVAL, key, execute)
        await outcome.done.wait()
        await self.clock.sleep_until(outcome.at_us + self.latency.response_us)
        if outcome.refusal is not None:
            raise outcome.refusal
        return outcome.value  # type: ignore[return-value]  # set by execute()

    async def read(self, look: Callable[[], T]) -> T:
        """What `look` sees now, after the response leg. Raises its ApiError then."""
        self.exchange.timeline.advance()
        answered_us = self.clock.now_us() + self.latency.response_us
        try:
            return look()
        finally:
            await self.clock.sleep_until(answered_us)
