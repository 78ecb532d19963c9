"""Times of the API as a table shows them."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import US_PER_S

CLOCK: Final = slice(len("2023-04-10T"), len("2023-04-10T18:00:00"))
DAY_AND_CLOCK: Final = slice(len("2023-"), len("2023-04-10T18:00:00"))
HALF_A_DAY_US: Final = 43_200 * US_PER_S


def day_and_clock(time: str) -> str:
    """Return `11-30 18:00:00` of a time in ISO 8601."""
    return time[DAY_AND_CLOCK].replace("T", " ")


def clock_if_near(time: str, now_us: int) -> str:
    """Return `18:00:00` of a time that is at most half a day from now, so that its date goes without saying; of any
    other its date too."""
    with suppress(ValueError):
        if abs(from_iso(time) - now_us) <= HALF_A_DAY_US:
            return time[CLOCK]
    return day_and_clock(time)


def short_span(seconds: int) -> str:
    """Return a span in at most six characters: `12s`, `4m05s`, `2h03m`, `3d04h`."""
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3_600:
        return f"{seconds // 60}m{seconds % 60:02}s"
    hours, minutes = seconds // 3_600, seconds // 60 % 60
    return f"{hours}h{minutes:02}m" if hours < 100 else f"{hours // 24}d{hours % 24:02}h"
