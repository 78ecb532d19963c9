"""Times on a command line that lie in the past: as a date, as a time, or as so many days, hours or minutes back."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import DAY_S
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.system_time import system_us

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BACK: Final = re.compile(r"([0-9]{1,6})([dhm]?)")
_SECONDS: Final = {"": DAY_S, "d": DAY_S, "h": 3_600, "m": 60}
_DATE_CHARS: Final = len("2026-10-01")


def parse_since_us(option: str, text: str) -> int:
    """Parse `2026-10-01` (UTC), a time with its zone, or how far back: `7` or `7d` days, `2h`, `30m`. Raises UserError
    that names the option."""
    back = _BACK.fullmatch(text)
    if back is not None:
        return max(0, system_us() - int(back[1]) * _SECONDS[back[2]] * US_PER_S)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is not None and at.tzinfo is None and len(text) == _DATE_CHARS:
        at = at.replace(tzinfo=UTC)
    if at is None or at.tzinfo is None:
        raise UserError(
            f"{option} {text[:40]!r} is no time with its zone, nor a number of days; try 2026-10-01T00:00:00Z, 7 or 2h"
        )
    return max(0, (at - EPOCH) // timedelta(microseconds=1))
