"""Prices, counts and money, exactly: the one place that owns their types, parsing, rounding and text.

Inside, everything is an integer whose unit is the suffix of its name: `_e4` ten-thousandths of a dollar (prices),
`_e2` hundredths of a contract (counts), `_e6` millionths of a dollar (money; price_e4 x count_e2 is already _e6),
`_e5` mids, `_e7` the exact common unit of costs, `_us` microseconds. Text is parsed once where it comes in and made
again where a person or the exchange reads it; no float is ever formed.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final, Literal, NewType, TypeAlias

import msgspec

from fsm_exec.core.errors import UnitError

US_PER_S: Final = 1_000_000
US_PER_MS: Final = 1_000
PPM: Final = 1_000_000  # a whole, in millionths

PriceE4 = NewType("PriceE4", int)
CountE2 = NewType("CountE2", int)
MoneyE6 = NewType("MoneyE6", int)
Outcome: TypeAlias = Literal["yes", "no"]

ONE_DOLLAR_E4 = PriceE4(10_000)
ONE_CONTRACT_E2 = CountE2(100)
COUNT_MAX_E2 = CountE2(10**12)  # ten billion contracts: beyond any book, far inside 64 bits with a price beside it

_NUMBER = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,12}))?", re.ASCII)
_LOOSE_PRICE = re.compile(
    r"(?P<dollar>\$)?\s?(?P<whole>[0-9]{0,3})(?:[.,](?P<fraction>[0-9]{1,4}))?\s?(?P<unit>c|ct|cts|¢|cents?|%)?",
    re.ASCII,
)
"""What people write for a price; see `price_hint`."""


@lru_cache(maxsize=4_096)  # the same few prices and counts are read again and again; what raises is not kept
def parse_fixed(text: str, decimals: int) -> int:
    """`text` as an integer of 10^-decimals. Raises UnitError unless it is a plain decimal that fits exactly."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UnitError(f"{text[:40]!r} is not a plain decimal number")
    sign, whole, fraction = match[1], match[2], (match[3] or "")
    if fraction[decimals:].strip("0"):
        raise UnitError(f"{text[:40]!r} has more than {decimals} decimals")
    value = int(whole + fraction[:decimals].ljust(decimals, "0"))
    return -value if sign else value


@lru_cache(maxsize=4_096)  # the same few prices and counts are written again and again
def format_fixed(value: int, decimals: int) -> str:
    """The inverse of `parse_fixed`, always with all decimals."""
    sign = "-" if value < 0 else ""
    whole, fraction = divmod(abs(value), 10**decimals)
    return f"{sign}{whole}.{fraction:0{decimals}d}"


def parse_price(text: str) -> PriceE4:
    """Dollars, at least 0 and at most 1, to 4 decimals. What looks like cents is refused with what it may mean."""
    try:
        value = parse_fixed(text, 4)
    except UnitError as error:
        raise UnitError(f"{error}{price_hint(text)}") from None
    if not 0 <= value <= ONE_DOLLAR_E4:
        raise UnitError(f"price {text[:40]!r} is not between 0 and 1 dollar{price_hint(text)}")
    return PriceE4(value)


def price_hint(text: str) -> str:
    """Return what a price that is none may mean, to end a message with: `55`, `55c`, `$0.55`, `.55` and `0,55` are all
    0.55. Empty if nothing is likely."""
    match = _LOOSE_PRICE.fullmatch(text.strip().lower())
    if match is None or not (match["whole"] or match["fraction"]):
        return ""
    is_dollars = match["unit"] is None and (match["dollar"] is not None or match["whole"] in ("", "0"))
    value_e6 = int(match["whole"] or 0) * PPM + int((match["fraction"] or "").ljust(6, "0"))
    value_e4, rest = divmod(value_e6, PPM // ONE_DOLLAR_E4 if is_dollars else PPM // 100)
    if rest or not 0 < value_e4 < ONE_DOLLAR_E4:
        return ""
    dollars = format_fixed(value_e4, 4)
    return f"; did you mean {dollars[:4]}{dollars[4:].rstrip('0')}?"


def parse_count(text: str) -> CountE2:
    """Contracts, at least 0, to 2 decimals."""
    value = parse_fixed(text, 2)
    if not 0 <= value <= COUNT_MAX_E2:
        raise UnitError(f"count {text!r} is not between 0 and {format_count(COUNT_MAX_E2)} contracts")
    return CountE2(value)


def parse_change(text: str) -> CountE2:
    """A signed change of a count."""
    value = parse_fixed(text, 2)
    if abs(value) > COUNT_MAX_E2:
        raise UnitError(f"change {text!r} is beyond {format_count(COUNT_MAX_E2)} contracts")
    return CountE2(value)


def parse_money(text: str) -> MoneyE6:
    """Dollars, signed, to 6 decimals."""
    return MoneyE6(parse_fixed(text, 6))


def format_price(value: PriceE4) -> str:
    return format_fixed(value, 4)


def format_count(value: CountE2) -> str:
    return format_fixed(value, 2)


def format_money(value: MoneyE6) -> str:
    return format_fixed(value, 6)


def opposite(outcome: Outcome) -> Outcome:
    return "no" if outcome == "yes" else "yes"


def complement(price: PriceE4) -> PriceE4:
    """The same trade seen from the other outcome: buying NO at p is selling YES at 1 - p."""
    return PriceE4(ONE_DOLLAR_E4 - price)


def in_outcome(yes_price: PriceE4, outcome: Outcome) -> PriceE4:
    """A YES price in the terms of `outcome`; its own inverse."""
    return yes_price if outcome == "yes" else complement(yes_price)


def rounded_ratio(numerator: int, denominator: int, decimals: int) -> Decimal:
    """numerator / denominator to `decimals` places, half to even: for display only."""
    return (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)


def ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


class PriceRange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices start, start + step, ... up to and including end."""

    start_e4: PriceE4
    end_e4: PriceE4
    step_e4: PriceE4


class PriceGrid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The prices a market allows, as its `price_ranges` say. 0 and 1 dollar are never prices."""

    ranges: tuple[PriceRange, ...]

    def contains(self, price: PriceE4) -> bool:
        return 0 < price < ONE_DOLLAR_E4 and any(
            r.start_e4 <= price <= r.end_e4 and (price - r.start_e4) % r.step_e4 == 0 for r in self.ranges
        )

    def floor(self, price: int) -> PriceE4 | None:
        """The highest grid price at or below `price`, or None."""
        best = 0
        for r in self.ranges:
            if r.start_e4 <= price:
                top = min(price, r.end_e4, ONE_DOLLAR_E4 - 1)
                best = max(best, r.start_e4 + (top - r.start_e4) // r.step_e4 * r.step_e4)
        return PriceE4(best) if best > 0 else None

    def ceil(self, price: int) -> PriceE4 | None:
        """The lowest grid price at or above `price`, or None."""
        mirrored = self.mirrored().floor(ONE_DOLLAR_E4 - price)
        return None if mirrored is None else complement(mirrored)

    def ticks_between(self, low: PriceE4, high: PriceE4) -> int:
        """How many steps lead from one price of the grid up to another."""
        return sum(max(0, min(high, r.end_e4) - max(low, r.start_e4)) // r.step_e4 for r in self.ranges)

    def mirrored(self) -> PriceGrid:
        """The grid in the terms of the other outcome."""
        return _mirrored(self)

    def seen_from(self, outcome: Outcome) -> PriceGrid:
        return self if outcome == "yes" else self.mirrored()


@lru_cache(maxsize=1_024)  # by far most markets share one; each decision for NO asks, and each execution keeps it
def _mirrored(grid: PriceGrid) -> PriceGrid:
    ranges = (PriceRange(complement(r.end_e4), complement(r.start_e4), r.step_e4) for r in reversed(grid.ranges))
    return PriceGrid(tuple(ranges))


LINEAR_CENT = PriceGrid((PriceRange(PriceE4(0), ONE_DOLLAR_E4, PriceE4(100)),))
