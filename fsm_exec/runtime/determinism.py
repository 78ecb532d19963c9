"""The virtual lane: trio on a clock that jumps, with seeded scheduling; alone in touching trio's private switch.

trio shuffles its run queue on purpose. With the switch on and the generator seeded, one seed gives one order of tasks,
and therefore one history. A test fails when trio moves either name.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
import trio.testing
from trio._core import _run as trio_run

T = TypeVar("T")

_deciders: trio.lowlevel.RunVar[list[tuple[str, int, trio.Event]]] = trio.lowlevel.RunVar("deciders")


def run_virtual(main: Callable[[], Awaitable[T]], *, seed: int) -> T:
    """Run `main` on virtual time; the same seed gives the same order of everything."""
    allowed = trio_run._ALLOW_DETERMINISTIC_SCHEDULING
    state = trio_run._r.getstate()
    _allow_deterministic_scheduling(True)
    trio_run._r.seed(seed)
    try:
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        _allow_deterministic_scheduling(allowed)
        trio_run._r.setstate(state)


def _allow_deterministic_scheduling(allowed: bool) -> None:
    vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = allowed  # typed Final, so set by name


async def wait_settled(name: str) -> bool:
    """On virtual time, wait until all else that is due at this instant has happened, and until the callers whose `name`
    sorts before this one have gone on and come to rest, and return True. So what a decision sees, and which of two
    comes first, does not depend on the order in which tasks run. On real time instants have no width: return False at
    once."""
    if not isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock):
        return False
    waiting = _deciders.get([])
    if not waiting:
        _deciders.set(waiting)
        trio.lowlevel.spawn_system_task(_release_in_turn, waiting)
    event = trio.Event()
    heapq.heappush(waiting, (name, len(waiting), event))
    await event.wait()
    return True


async def _release_in_turn(waiting: list[tuple[str, int, trio.Event]]) -> None:
    """Release the waiting callers one after the other, in the order of their names."""
    while waiting:
        await trio.testing.wait_all_tasks_blocked()
        heapq.heappop(waiting)[-1].set()
