"""The virtual lane: trio on a clock that jumps, with seeded scheduling; alone in touching trio's private names.

trio shuffles its run queue on purpose. With the switch on and the generator seeded, one seed gives one order of tasks,
and therefore one history. A test fails when trio moves any of the names.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
import trio.testing
from trio._core import _run as trio_run

T = TypeVar("T")


def run_virtual(main: Callable[[], Awaitable[T]], *, seed: int) -> T:
    """Run `main` on virtual time; the same seed gives the same order of everything."""
    allowed = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    state = trio_run._r.getstate()
    _allow_deterministic_scheduling(True)
    trio_run._r.seed(seed)
    try:
        return trio.run(main, clock=_jumping_clock())
    finally:
        _allow_deterministic_scheduling(allowed)
        trio_run._r.setstate(state)


def _jumping_clock() -> trio.testing.MockClock:
    """trio's clock that jumps as soon as all tasks are blocked, without what it does for a clock that also runs: an
    episode of three minutes jumps hundreds of times. What is due then runs in the same pass of the loop, as it would in
    the next one."""
    clock = trio.testing.MockClock(autojump_threshold=0)

    def current_time() -> float:
        return clock._virtual_base

    def jump() -> None:
        deadlines = trio_run.GLOBAL_RUN_CONTEXT.runner.deadlines
        jump_s = deadlines.next_deadline() - clock._virtual_base
        if 0 < jump_s < math.inf:
            clock._virtual_base += jump_s
            deadlines.expire(clock._virtual_base)

    vars(clock).update(current_time=current_time, _autojump=jump)  # by instance: trio's loop takes no other class
    return clock


class _Decider:
    """One that waits until an instant has settled. Those of lower names go first."""

    __slots__ = ("name", "number")

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number

    def __lt__(self, other: _Decider) -> bool:
        return (self.name, self.number) < (other.name, other.number)


class _Deciders:
    """Those who wait, and how many have gone on so far."""

    def __init__(self) -> None:
        self.waiting: list[_Decider] = []
        self.came = self.went = 0


_deciders: trio.lowlevel.RunVar[_Deciders] = trio.lowlevel.RunVar("deciders")


def _allow_deterministic_scheduling(allowed: bool) -> None:
    vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = allowed  # typed Final, so set by name


async def wait_settled(name: str) -> bool:
    """On virtual time, wait until all else that is due at this instant has happened, and until the callers whose `name`
    sorts before this one have gone on and come to rest, and return True. So what a decision sees, and which of two
    comes first, does not depend on the order in which tasks run. On real time instants have no width: return False at
    once."""
    if not isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        return False
    try:
        deciders = _deciders.get()
    except LookupError:
        deciders = _Deciders()
        _deciders.set(deciders)
    mine = _Decider(name, deciders.came)
    deciders.came += 1
    heapq.heappush(deciders.waiting, mine)
    try:
        while True:
            went = deciders.went
            await trio.testing.wait_all_tasks_blocked()
            # All who wait are woken at once; when one has gone on, the others wait until he has come to rest.
            if went == deciders.went and deciders.waiting[0] is mine:
                deciders.went += 1
                return True
    finally:
        deciders.waiting.remove(mine)
        heapq.heapify(deciders.waiting)
