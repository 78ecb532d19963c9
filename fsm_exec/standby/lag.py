"""How far a copy is behind the database that is being copied: computed from the signs of life in it.

The engine leaves a sign of life in its database whenever it renews its lease. How long the newest one took to reach the
copy is the lag; when the next one is overdue, the lag is at least the time it is overdue. So it is known of an engine
that does nothing, too. The two hosts' clocks differ a little, and the lag is wrong by that.
"""

from __future__ import annotations

from fsm_exec.core.values.times import from_iso


class LagMeter:
    """Measures the lag of one copy."""

    def __init__(self) -> None:
        self._newest_us: int | None = None
        self._took_us = 0

    def measure_us(self, written: list[str | None], beat_every_us: int, now_us: int) -> int | None:
        """Return the lag. `written` are times of rows that the copy has, ISO 8601 UTC: its newest sign of life, its
        newest step; None of either: nothing is known."""
        times = [at_us for one in written if one is not None and (at_us := _parse(one)) is not None]
        if not times:
            return None
        newest_us = max(times)
        age_us = max(0, now_us - newest_us)
        if self._newest_us is not None and newest_us != self._newest_us:  # what was there at first took nobody knows
            self._took_us = age_us
        self._newest_us = newest_us
        return max(self._took_us, age_us - beat_every_us)


def _parse(text: str) -> int | None:
    try:
        return from_iso(text)
    except ValueError:
        return None
