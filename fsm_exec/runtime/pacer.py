"""A pace for the virtual lane: real time passes so that a person can watch.

The same ticks happen at every speed, `max` included: a tick is part of trio's schedule, so leaving it out would change
the order of tasks and with it the results. Only what a tick does differs: sleep, or not. It blocks the thread on
purpose: nothing in this lane waits for real time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

TICK_S = 0.25  # of virtual time


async def keep_pace(speed: float | None, on_tick: Callable[[], None]) -> None:
    """Call `on_tick` at each tick, forever, and hold virtual time to `speed` times the real one (None: no limit)."""
    began_virtual, began_real = trio.current_time(), time.perf_counter()
    while True:
        await trio.sleep(TICK_S)
        on_tick()
        if speed is not None:
            ahead = (trio.current_time() - began_virtual) / speed - (time.perf_counter() - began_real)
            if ahead > 0:
                time.sleep(ahead)  # noqa: ASYNC251 - blocking is the point, see above
