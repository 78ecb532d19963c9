"""The parts that a figure is of, by name: a product (a series of markets), all products together, or one tape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ALL_PRODUCTS: Final = "all"  # in results: all products together
ALL_TAPES: Final = "all"  # in results: all tapes together


def part_title(product: str, tape: str, called: Mapping[str, str]) -> str:
    """What to call a part on a page or above a table; `called` are the short names of the tapes."""
    if product == ALL_PRODUCTS:
        return "all products together"
    return product if tape == ALL_TAPES else f"{product}, {called.get(tape, tape)}"
