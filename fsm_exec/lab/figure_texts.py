"""How a figure of the lab is written: once, so that the terminal, `--json` and a page say the same.

A figure is rounded to four decimals when it is computed (`decimal_text`: what `--json` says), and what a person reads
is rounded from that text and from nothing else, half to even. What rounds to nought has no sign.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Final, TypeAlias, overload

Figure: TypeAlias = int | float | Fraction | Decimal
DECIMALS: Final = 4


@overload
def decimal_text(value: None, decimals: int = ...) -> None: ...
@overload
def decimal_text(value: Figure, decimals: int = ...) -> str: ...
def decimal_text(value: Figure | None, decimals: int = DECIMALS) -> str | None:
    """As a decimal; None stays None."""
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator) if isinstance(value, Fraction) else Decimal(value)
    return f"{exact.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN):zf}"


def two(text: str | None) -> str:
    """Two decimals; nothing for what is not known."""
    return "" if text is None else f"{Decimal(text):z.2f}"


def signed(text: str | None) -> str:
    return "" if text is None else f"{Decimal(text):+z.2f}"


def percent(share: str | None, decimals: int = 0) -> str:
    return "" if share is None else f"{100 * Decimal(share):z.{decimals}f} %"


def interval(low: str | None, high: str | None, *, is_rough: bool) -> str:
    """Marked where it stands on few blocks."""
    return "too few" if low is None or high is None else f"{'~' if is_rough else ''}[{signed(low)}, {signed(high)}]"
