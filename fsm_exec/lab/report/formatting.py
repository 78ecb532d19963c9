"""Times, prices and counts as they are hovered over: exact, and without zeros that say nothing."""

from __future__ import annotations

from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import CountE2, format_count, format_fixed


def utc(at_us: int) -> str:
    """The time of day, to the microsecond."""
    return f"{to_iso(at_us)[11:-1]} UTC"


def cents(price_e4: int) -> str:
    return f"{format_fixed(price_e4, 2).removesuffix('.00')}c"


def size(count: CountE2) -> str:
    return format_count(count).removesuffix(".00")
