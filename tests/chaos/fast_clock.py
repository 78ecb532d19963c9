"""A clock for several processes at once: `rate` seconds of trio's pass in one of the machine's, in all of them alike.

Real sockets, real processes and real time, only faster: half a minute of doubt about an order passes in a second or
two. Nothing here is deterministic, and nothing needs to be.
"""

from __future__ import annotations

import time
from typing import Final

import trio

ORIGIN_US: Final = 1_800_000_000_000_000
"""The wall time at trio's zero."""


class FastClock(trio.abc.Clock):
    """`epoch_ns` is the moment of time.monotonic_ns() that is zero: the same for all processes of a machine."""

    def __init__(self, rate: int, epoch_ns: int) -> None:
        self._rate, self._epoch_ns = rate, epoch_ns

    def start_clock(self) -> None:
        """It runs already."""

    def current_time(self) -> float:
        return (time.monotonic_ns() - self._epoch_ns) * self._rate / 1_000_000_000

    def deadline_to_sleep_time(self, deadline: float) -> float:
        return (deadline - self.current_time()) / self._rate


def now_us() -> int:
    """The wall time on a FastClock."""
    return ORIGIN_US + round(trio.current_time() * 1_000_000)
