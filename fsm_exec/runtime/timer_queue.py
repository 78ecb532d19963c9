"""A queue of due times, soonest first, and the wait for the next one."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from fsm_exec.runtime.clock import WallClock

T = TypeVar("T")


class TimerQueue(Generic[T]):
    """Items by due time. Times are wall microseconds; items of one time keep the order in which they came."""

    def __init__(self, wall: WallClock) -> None:
        self._wall = wall
        self._heap: list[tuple[int, int, T]] = []
        self._entered = 0
        self._sooner = trio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due_us: int, item: T) -> None:
        """Add an item that is due at `due_us`."""
        self._entered += 1
        heapq.heappush(self._heap, (due_us, self._entered, item))
        self._sooner.set()

    def discard(self, is_over: Callable[[T], bool]) -> None:
        """Remove all items for which `is_over` is true. Takes time in proportion to the queue."""
        self._heap = [entry for entry in self._heap if not is_over(entry[2])]
        heapq.heapify(self._heap)

    async def wait_due(self, lag_us: int) -> list[tuple[int, T]]:
        """Wait until any item was due `lag_us` ago; return all that were, in order of time, then of adding."""
        while True:
            now_us = self._wall.now_us() - lag_us
            due: list[tuple[int, T]] = []
            while self._heap and self._heap[0][0] <= now_us:
                due_us, _, item = heapq.heappop(self._heap)
                due.append((due_us, item))
            if due:
                return due
            self._sooner = trio.Event()
            next_us: float = self._heap[0][0] + lag_us if self._heap else math.inf
            with trio.move_on_at(self._wall.trio_time(next_us)):
                await self._sooner.wait()
