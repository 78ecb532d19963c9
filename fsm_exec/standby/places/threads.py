"""Threads of a place's own, each call with a limit: a share or a store whose server is gone may hang for minutes.

A write whose caller gave up may still be done later; it is conditional, so it does no harm then. Threads that hang are
a few of the place's own: they must not use up those that the rest of the process needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import trio

from fsm_exec.standby.places.place import PlaceUnreachable

ANSWER_WITHIN_S: Final = 5.0
THREADS_MAX: Final = 8

T = TypeVar("T")


class PlaceThreads:
    """Where the calls of one place are done; `where` names it in messages."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._limiter = trio.CapacityLimiter(THREADS_MAX)

    async def run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread. Raises PlaceUnreachable when it does not end in time, and what it raises."""
        try:
            with trio.fail_after(ANSWER_WITHIN_S):
                return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
        except trio.TooSlowError:
            raise PlaceUnreachable(f"{self._where} did not answer within {ANSWER_WITHIN_S:g} s") from None
