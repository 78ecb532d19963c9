"""Wall time: the only one there is, in integer microseconds, as an offset to trio's clock.

Every event in the engine is stamped by a `WallClock`, and waits are made in trio's time, so a virtual clock moves both
together. In the live lane the offset is read again at intervals, and at once when the exchange refuses a signature as
expired: the system's clock may be set, and a suspended machine wakes up later than its clock says.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from fsm_exec.runtime.system_time import system_us as system_us

RESYNC_INTERVAL_S = 10
RESYNC_PAUSE_S = 1  # after a reading: a row of refusals is one request
JUMP_US = 1_000_000  # a correction above this is logged, and every wait is computed again


class WallClock:
    """Wall time: `now_us()` is an origin plus the time trio's clock has run since."""

    def __init__(self, origin_us: int) -> None:
        """Take the present moment as the origin. Must be called inside trio."""
        self._origin_us = origin_us
        self._started_s = trio.current_time()
        self._resync_requested = trio.Event()

    def now_us(self) -> int:
        """Return the wall time in microseconds since 1970."""
        return self._origin_us + round((trio.current_time() - self._started_s) * 1_000_000)

    def trio_time(self, at_us: float) -> float:
        """Convert wall time to seconds of trio's clock; infinity stays infinity."""
        return math.inf if at_us == math.inf else self._started_s + (at_us - self._origin_us) / 1_000_000

    async def sleep_until_us(self, at_us: int) -> None:
        """Sleep until the given wall time, as the offset is now."""
        await trio.sleep_until(self.trio_time(at_us))

    def request_resync(self) -> None:
        """Have `keep_synchronized` read the true time now and not at the end of its interval."""
        self._resync_requested.set()

    async def wait_resync_requested(self) -> None:
        """Wait until a resync has been requested since this last returned."""
        await self._resync_requested.wait()
        self._resync_requested = trio.Event()

    def set_us(self, true_us: int) -> int:
        """Correct the offset so that now is `true_us`; return the correction in microseconds."""
        correction = true_us - self.now_us()
        self._origin_us += correction
        return correction


async def keep_synchronized(
    wall: WallClock, on_jump: Callable[[int], None], true_us: Callable[[], int] = system_us
) -> None:
    """Follow the system's clock (or another) forever, sooner when a resync is requested; call `on_jump` with each
    correction above a second."""
    while True:
        await trio.sleep(RESYNC_PAUSE_S)
        with trio.move_on_after(RESYNC_INTERVAL_S - RESYNC_PAUSE_S):
            await wall.wait_resync_requested()
        correction = wall.set_us(true_us())
        if abs(correction) > JUMP_US:
            on_jump(correction)
