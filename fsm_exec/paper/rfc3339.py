"""Exchange times as text: RFC 3339, UTC, microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from fsm_exec.core.values.units import US_PER_S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at_us: int) -> str:
    """`at_us` unix microseconds, as `2026-10-01T12:00:00.123456Z`."""
    second, rest_us = divmod(at_us, US_PER_S)
    return f"{_to_the_second(second)}.{rest_us:06}Z"


@lru_cache(maxsize=1_024)
def _to_the_second(at_s: int) -> str:
    """Many frames are of one second, and this was the dearest part of them."""
    return (_EPOCH + timedelta(seconds=at_s)).strftime("%Y-%m-%dT%H:%M:%S")
