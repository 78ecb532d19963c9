"""The brake of a runaway: an engine that places and amends more often than a minute may hold is halted.

Cancels and renewals never count and are never held back. Counted by trio's clock, which nobody puts back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

MINUTE_S: Final = 60.0


class WriteBrake:
    """`halt` is called with the reason at the first write too many, and at each one after it."""

    def __init__(self, limit: int, halt: Callable[[str], None]) -> None:
        self._limit, self._halt = limit, halt
        self._sent_s: deque[float] = deque()

    def may_write(self) -> bool:
        """Count a place or an amend that is about to be sent; False: it must not be, and the engine halts."""
        now_s = trio.current_time()
        while self._sent_s and self._sent_s[0] <= now_s - MINUTE_S:
            self._sent_s.popleft()
        if len(self._sent_s) < self._limit:
            self._sent_s.append(now_s)
            return True
        self._halt(f"more than {self._limit} orders and amends in 60 s (max_writes_per_minute of [risk])")
        return False
