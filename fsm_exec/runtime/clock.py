"""Wall time: the only one there is, in integer microseconds, hung on trio's clock.

Everything that happens in the engine is stamped by a `WallClock`, and waits are made in trio's time, so a virtual clock
moves both together. In the live lane the offset to trio's clock is read again at intervals, and at once when the
exchange refuses a signature as expired: the system's clock may be set, and a suspended machine wakes up later than it
knows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import trio

RESYNC_INTERVAL_S = 10
RESYNC_PAUSE_S = 1  # after a reading: a row of refusals is one doubt
JUMP_US = 1_000_000  # a correction above this is an event: deadlines are armed anew


class WallClock:
    """`now_us()` = an origin + the time trio's clock has run since."""

    def __init__(self, origin_us: int) -> None:
        """Must be called inside trio: the origin is now."""
        self._origin_us = origin_us
        self._started_s = trio.current_time()
        self._doubted = trio.Event()

    def now_us(self) -> int:
        return self._origin_us + round((trio.current_time() - self._started_s) * 1_000_000)

    def trio_time(self, at_us: float) -> float:
        """The moment `at_us` on trio's clock; infinity stays infinity."""
        return math.inf if at_us == math.inf else self._started_s + (at_us - self._origin_us) / 1_000_000

    async def sleep_until_us(self, at_us: int) -> None:
        await trio.sleep_until(self.trio_time(at_us))

    def request_resync(self) -> None:
        """Somebody says that it is wrong: whoever keeps it in step reads the true time now, not at the interval's
        end."""
        self._doubted.set()

    async def wait_resync_requested(self) -> None:
        """Until somebody has doubted it since this last returned."""
        await self._doubted.wait()
        self._doubted = trio.Event()

    def set_us(self, true_us: int) -> int:
        """Correct the offset so that now is `true_us`; returns the correction."""
        correction = true_us - self.now_us()
        self._origin_us += correction
        return correction


def system_us() -> int:
    """The machine's own clock. Read here and nowhere else, in the live lane only."""
    return time.time_ns() // 1_000


async def keep_synchronized(
    wall: WallClock, on_jump: Callable[[int], None], true_us: Callable[[], int] = system_us
) -> None:
    """Follow the system's clock (or another) for ever, sooner where the wall is doubted; tell `on_jump` about
    corrections above a second."""
    while True:
        await trio.sleep(RESYNC_PAUSE_S)
        with trio.move_on_after(RESYNC_INTERVAL_S - RESYNC_PAUSE_S):
            await wall.wait_resync_requested()
        correction = wall.set_us(true_us())
        if abs(correction) > JUMP_US:
            on_jump(correction)
