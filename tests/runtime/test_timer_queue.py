"""What is to be looked at in its time, and what is not any more."""

from __future__ import annotations

from trio.testing import MockClock

from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.timer_queue import TimerQueue
from tests.runtime.support import T0_US


async def test_what_is_over_is_not_looked_at(autojump_clock: MockClock) -> None:
    """The soonest and one behind it are dropped; the others come in their order, and nothing of those dropped stays."""
    wall = WallClock(T0_US)
    timers: TimerQueue[str] = TimerQueue(wall)
    for after_s, item in ((1, "gone"), (2, "stays"), (3, "gone"), (4, "last")):
        timers.push(wall.now_us() + after_s * 1_000_000, item)
    timers.discard(lambda item: item == "gone")
    assert len(timers) == 2
    assert [item for _, item in await timers.wait_due(0)] == ["stays"]
    assert [item for _, item in await timers.wait_due(0)] == ["last"]
    assert len(timers) == 0
