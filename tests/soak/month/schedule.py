"""What happens in a month: which days there are, and what befalls each. Pure.

A day is a calendar day of the configured zone, so one of them has 25 hours: the clocks of New York go back on the
second. Happenings are told by the hour of the day's local clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

ZONE = "America/New_York"
FIRST = date(2026, 10, 31)  # the clocks go back on 1 November
MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MAINTENANCE_H, MAINTENANCE_MIN = 3.0, 30
"""The exchange is down every night from then, for so long."""
PAUSE_H, PAUSE_MIN = 11.5, 10
"""Each day one market is paused for a while, and all trading for a moment after the maintenance."""
TRADING_H, TRADING_ENDS_H = 4.0, 22.0  # executions begin and end between these
CLOSE_H = 22.5  # then the markets of the day close, and settle


@dataclass(frozen=True)
class Day:
    """`begins_us` and `ends_us` are local midnights. What befalls it: `crashes` are local hours at which the process is
    killed; `new_key`: the key is replaced at the exchange; `fills_disk`: the disk fills until it is full, and is freed;
    `fails_over`: the host dies and another takes over."""

    number: int
    date: date
    begins_us: int
    ends_us: int
    crashes: tuple[float, ...] = ()
    new_key: bool = False
    fills_disk: bool = False
    fails_over: bool = False

    def at_us(self, hour: float) -> int:
        """Return the time at which a clock that was set at midnight shows that hour."""
        return self.begins_us + round(hour * HOUR_US)


def days_of(count: int, *, disk: bool, failover: bool) -> list[Day]:
    """Return the days of a month of `count`: three crashes, two new keys, a full disk and a failover, spread over it.
    In a short one a day has several of them."""
    third = max(1, count // 3)
    crashes = {0: (9.3,), third: (1.1,), min(2 * third, count - 1): (15.7,)}
    return [
        Day(
            number=number,
            date=FIRST + timedelta(days=number),
            begins_us=_midnight_us(FIRST + timedelta(days=number)),
            ends_us=_midnight_us(FIRST + timedelta(days=number + 1)),
            crashes=crashes.get(number, ()),
            new_key=number in (count // 2, (3 * count) // 4),
            fills_disk=disk and number == (2 * count) // 3,
            fails_over=failover and number == count - 1,
        )
        for number in range(count)
    ]


def _midnight_us(day: date) -> int:
    local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(ZONE))
    return (local - EPOCH) // timedelta(microseconds=1)
