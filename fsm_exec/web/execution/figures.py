"""Figures as this page shows them: exact, and without zeros that say nothing."""

from __future__ import annotations

from collections.abc import Sequence

from fsm_exec.core.execution.execution import Fill
from fsm_exec.core.values.short_text import dollars, trim_count, trim_dollars
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import (
    US_PER_S,
    CountE2,
    MoneyE6,
    PriceE4,
    format_count,
    format_fixed,
    format_money,
    format_price,
    rounded_ratio,
)

COST_DECIMALS = 2
NOUGHT = "0.00"


def price(value: PriceE4) -> str:
    """A price in dollars."""
    return trim_dollars(format_price(value))


def count(value: CountE2) -> str:
    """A number of contracts."""
    return trim_count(format_count(value))


def money(value: MoneyE6) -> str:
    """An amount in dollars, four decimals at most."""
    return dollars(format_money(value))


def clock(at_us: int) -> str:
    """The time of day in UTC, to the millisecond."""
    return to_iso(at_us)[11:-4]


def since(at_us: int, start_us: int) -> str:
    """Seconds since a start, to the millisecond, with their sign."""
    return f"{'' if at_us < start_us else '+'}{format_fixed((at_us - start_us) // 1_000, 3)}"


def cents_each(total_e7: int, target: CountE2) -> str:
    """A total in 10^-7 dollars as cents for each contract of the target, signed; positive is a cost."""
    rounded = rounded_ratio(total_e7, target * 1_000, COST_DECIMALS)
    return f"{rounded:+f}" if rounded else NOUGHT


def dollars_e7(total_e7: int) -> str:
    """A total in 10^-7 dollars, signed, to four decimals at most."""
    text = trim_dollars(format_fixed((abs(total_e7) + 500) // 1_000, 4))
    return text if text == NOUGHT else f"{'-' if total_e7 < 0 else '+'}{text}"


def duration(length_us: int) -> str:
    """A length of time, to the nearest second, in the two largest units that say something: `1 h 04 min`, `3 min 20 s`,
    `12 s`."""
    seconds = (max(0, length_us) + US_PER_S // 2) // US_PER_S
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    if hours >= 24:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def average_price(fills: Sequence[Fill]) -> str:
    """What a contract cost on average without fees, in dollars; empty without a fill."""
    bought = sum(fill.count_e2 for fill in fills)
    if not bought:
        return ""
    return trim_dollars(str(rounded_ratio(sum(fill.count_e2 * fill.price_e4 for fill in fills), bought * 10**4, 5)))
