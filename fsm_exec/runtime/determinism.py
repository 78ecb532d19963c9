"""The virtual lane: trio on a clock that jumps, with seeded scheduling; alone in touching trio's private switch.

trio shuffles its run queue on purpose. With the switch on and the generator seeded, one seed gives one order of tasks,
and therefore one history. A test fails when trio moves either name.
"""

from __future__ import annotations

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
        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        _allow_deterministic_scheduling(allowed)
        trio_run._r.setstate(state)


def _allow_deterministic_scheduling(allowed: bool) -> None:
    vars(trio_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = allowed  # typed Final, so set by name
