"""The boundary to trio's clock: the only file of the exchange where a time is a float of seconds.

Everywhere else a time is an integer of unix microseconds. `origin_us` is the unix time of trio's zero, so on a real
clock it is a large negative offset away from now; `starting_at` computes it.
"""

from __future__ import annotations

from typing import Protocol

import trio

from fsm_exec.core.values.units import US_PER_S


class TimeSource(Protocol):
    """What the synchronous parts need of a clock."""

    def now_us(self) -> int: ...


class Clock:
    """Unix microseconds on trio's clock, real or virtual; `rate` of them pass in a microsecond of trio's."""

    __slots__ = ("origin_us", "rate")

    def __init__(self, origin_us: int, rate: int = 1) -> None:
        self.origin_us = origin_us
        self.rate = rate

    @classmethod
    def starting_at(cls, now_us: int, rate: int = 1) -> Clock:
        """A clock that says `now_us` now. Needs a running trio."""
        return cls(now_us - rate * _trio_us(), rate)

    def now_us(self) -> int:
        return self.origin_us + self.rate * _trio_us()

    def deadline_s(self, at_us: int) -> float:
        """`at_us` in trio's own seconds."""
        return (at_us - self.origin_us) / (US_PER_S * self.rate)

    async def sleep_until(self, at_us: int) -> None:
        await trio.sleep_until(self.deadline_s(at_us))


def _trio_us() -> int:
    # Rounded, not cut: a virtual clock jumps to a deadline that was a whole microsecond before it became a float.
    return round(trio.current_time() * US_PER_S)
