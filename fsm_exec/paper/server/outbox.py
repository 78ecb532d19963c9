"""The frames that wait to be sent on one connection, each until its leg of latency is over.

Public and private frames have legs of their own; order within a kind is kept, whatever the legs do, unless a fault
says otherwise. A member that does not read is dropped when too much waits for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Iterator

import trio

from fsm_exec.paper.faults import UNCHANGED, FaultPlan
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import Legs

OUTBOX_FRAMES_MAX = 200_000  # then subscriptions are ended (error 25)
ANSWERS_MAX = 1_000  # frames that may still follow to say so; beyond, the connection is dropped
FRAME_KIND_MAX = 64  # bytes from the start of a frame, in which its type stands


class Outbox:
    """Whoever empties it sets `on_earlier`: it is called when a frame is due before all others."""

    def __init__(self, clock: Clock, legs: Legs, faults: FaultPlan | None = None) -> None:
        self._faults = faults
        self._clock = clock
        self._legs = legs
        self._heap: list[tuple[int, int, bytes]] = []
        self._entries = 0
        self._last_public_us = 0
        self._last_private_us = 0
        self.on_earlier: Callable[[], None] = _ignore
        self.overflowed = trio.Event()

    def is_full(self) -> bool:
        """Return whether too much waits: a subscription that would send more is ended instead."""
        return len(self._heap) >= OUTBOX_FRAMES_MAX

    def public(self, frame: bytes, at_us: int) -> None:
        """Queue a frame about the market at `at_us`, or an answer that must keep its place among such frames."""
        if self._faults is not None and self._faults.draw_public_loss(_kind(frame), at_us):
            return
        self._last_public_us = max(self._last_public_us, at_us + self._legs.feed_us())
        self._put(self._last_public_us, frame)

    def private(self, frame: bytes, at_us: int) -> None:
        """Queue a frame about the member's own orders at `at_us`."""
        kind = _kind(frame)
        copies = UNCHANGED if self._faults is None else self._faults.draw_private_copies(kind, at_us)
        sent = (frame,) if self._faults is None else self._faults.falsify_frame(kind, frame, at_us)
        for copy in copies:
            due_us = max(self._last_private_us, at_us + self._legs.response_us() + copy.delay_us)
            if copy.in_order:
                self._last_private_us = due_us
            for each in sent:
                self._put(due_us, each)

    def _put(self, due_us: int, frame: bytes) -> None:
        if len(self._heap) >= OUTBOX_FRAMES_MAX + ANSWERS_MAX:
            self.overflowed.set()
            return
        if not self._heap or due_us < self._heap[0][0]:
            self.on_earlier()
        heapq.heappush(self._heap, (due_us, self._entries, frame))
        self._entries += 1

    def next_due_us(self) -> int | None:
        """Return when the next frame is due."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_us: int) -> Iterator[str]:
        """Take out the frames that are due, in their order."""
        while self._heap and self._heap[0][0] <= now_us:
            yield heapq.heappop(self._heap)[2].decode()

    async def run(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send each frame when it is due, until cancelled or until `send` raises."""
        while True:
            earlier = trio.Event()
            self.on_earlier = earlier.set
            if not self._heap:
                await earlier.wait()
                continue
            due_us = self._heap[0][0]
            if due_us > self._clock.now_us():
                with trio.CancelScope(deadline=self._clock.deadline_s(due_us)):
                    await earlier.wait()
                continue
            await send(heapq.heappop(self._heap)[2].decode())


def _ignore() -> None:
    """Nobody empties the outbox yet."""


def _kind(frame: bytes) -> str:
    """Return the `type` of a frame: its first value."""
    return frame[:FRAME_KIND_MAX].split(b'"', 4)[3].decode()
