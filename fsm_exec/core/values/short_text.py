"""Figures of the API as a person reads them: no digit that says nothing, and none that is lost.

They are texts with all their decimals; here they get shorter. Pure; commands and pages share it.
"""

from __future__ import annotations

from fsm_exec.core.values.units import MoneyE6, format_fixed, parse_money


def trim_dollars(dollars: str) -> str:
    """Remove trailing zeros, but keep two decimals at least."""
    whole, _, fraction = dollars.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"


def trim_count(count: str) -> str:
    """Remove the decimals of a whole count."""
    return count.removesuffix(".00")


def dollars(money: str) -> str:
    """Return dollars to four decimals, of which the last two only where they say something; half away from zero."""
    value = parse_money(money)
    rounded = (abs(value) + 50) // 100
    return trim_dollars(format_fixed(-rounded if value < 0 else rounded, 4))


def signed(money: str) -> str:
    """The same, with its sign."""
    return f"+{dollars(money)}" if parse_money(money) > MoneyE6(0) else dollars(money)


def cents(dollars: str) -> str:
    """Return dollars with five decimals as cents with two, half away from zero."""
    negative, digits = dollars.startswith("-"), int(dollars.replace("-", "").replace(".", ""))
    whole, rest = divmod((digits + 5) // 10, 100)
    return f"{'-' if negative and (whole or rest) else ''}{whole}.{rest:02}"


def percent(share: str | None) -> str:
    """Return a share with six decimals as a whole percentage."""
    if share is None:
        return "-"
    return f"{(int(share.replace('.', '')) + 5_000) // 10_000} %"
