"""The exchange's time: a heap of actions, executed one after the other in order of (time, rank, key, entry).

Everything that changes the exchange runs here: tape events, arrivals of writes, expiries. So the order of two things
due at one microsecond never depends on the order in which tasks happen to run. Actions are synchronous and must not
advance the timeline themselves. Whoever reads the exchange calls `advance()` first, so that a read at t shows all
that was due up to t, also when the loop itself wakes late.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import IntEnum
from typing import TypeAlias

import trio

from fsm_exec.paper.timing.clock import Clock, TimeSource

Action: TypeAlias = Callable[[], None]


class Rank(IntEnum):
    """What comes first at one microsecond: the tape, then expiries, then what the members send."""

    TAPE = 0
    EXPIRY = 1
    ARRIVAL = 2


class Timeline:
    """`now_us()` never goes back; during an action it is the time the action was due. Whoever runs the timeline sets
    `on_earlier`: it is called when an action is due before all others."""

    def __init__(self, clock: TimeSource) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, str, int, Action]] = []
        self._entries = 0
        self._reached_us: int | None = None
        self._running = False
        self.on_earlier: Action = _ignore

    def now_us(self) -> int:
        if self._running and self._reached_us is not None:
            return self._reached_us
        now_us = self._clock.now_us()
        return now_us if self._reached_us is None else max(now_us, self._reached_us)

    def at(self, due_us: int, rank: Rank, key: str, action: Action) -> None:
        """Run `action` at `due_us`. `key` breaks ties within a rank: for writes, the client order id."""
        is_earliest = not self._heap or due_us < self._heap[0][0]
        heapq.heappush(self._heap, (due_us, rank, key, self._entries, action))
        self._entries += 1
        if is_earliest:
            self.on_earlier()

    def advance(self) -> None:
        """Execute everything due up to the clock's now."""
        assert not self._running, "an action must not advance the timeline"
        now_us = self._clock.now_us()
        self._running = True
        try:
            while self._heap and self._heap[0][0] <= now_us:
                due_us, _, _, _, action = heapq.heappop(self._heap)
                self._reached_us = due_us if self._reached_us is None else max(due_us, self._reached_us)
                action()
        finally:
            self._running = False

    def next_due_us(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    async def run(self, clock: Clock) -> None:
        """Advance for ever, each time something is due. Ends only by cancellation."""
        while True:
            earlier = trio.Event()
            self.on_earlier = earlier.set
            due_us = self.next_due_us()
            if due_us is None:
                await earlier.wait()
                continue
            if due_us > clock.now_us():
                with trio.CancelScope(deadline=clock.deadline_s(due_us)):
                    await earlier.wait()
            else:
                await trio.lowlevel.checkpoint()
            self.advance()


def _ignore() -> None:
    """Nobody runs the timeline yet."""
