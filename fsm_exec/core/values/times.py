"""Points in time: microseconds since 1970-01-01 UTC (`_us`) inside, ISO 8601 UTC text in SQL and JSON.

The text always has six decimals and a Z, so it sorts as it stands. Integer arithmetic only.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from fsm_exec.core.values.units import US_PER_S

DAY_S = 86_400
EPOCH_DAY = date(1970, 1, 1).toordinal()
TIME_MIN_US = (1 - EPOCH_DAY) * DAY_S * US_PER_S  # the year 1 begins
TIME_END_US = (date.max.toordinal() + 1 - EPOCH_DAY) * DAY_S * US_PER_S  # the year 9999 has ended

_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}):(\d{2}):(\d{2})\.(\d{6})Z", re.ASCII)


def is_time(at_us: int) -> bool:
    """Whether it has a text: within the years 1 to 9999."""
    return TIME_MIN_US <= at_us < TIME_END_US


def to_iso(at_us: int) -> str:
    """`2023-04-10T18:00:00.000250Z`. Raises ValueError or OverflowError outside the years 1 to 9999."""
    second, fraction_us = divmod(at_us, US_PER_S)
    return f"{_second_text(second)}.{fraction_us:06d}Z"


def from_iso(text: str) -> int:
    """The inverse of `to_iso`, for its own format only. Raises ValueError for anything else."""
    match = _ISO.fullmatch(text)
    if match is None or not (match[2] < "24" and match[3] < "60" and match[4] < "60"):
        raise ValueError(f"{text[:40]!r} is not a time like 2023-04-10T18:00:00.000250Z")
    day = date.fromisoformat(match[1]).toordinal() - EPOCH_DAY
    second = day * DAY_S + int(match[2]) * 3_600 + int(match[3]) * 60 + int(match[4])
    return second * US_PER_S + int(match[5])


@lru_cache(maxsize=1_024)  # seconds: the rows of one commit share a handful
def _second_text(second: int) -> str:
    day, rest = divmod(second, DAY_S)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    return f"{date.fromordinal(day + EPOCH_DAY).isoformat()}T{hours:02d}:{minutes:02d}:{seconds:02d}"
