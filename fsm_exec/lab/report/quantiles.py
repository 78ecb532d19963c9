"""What a picture needs of a distribution, so that a page need not hold every episode."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple


class Spread(NamedTuple):
    """Quantiles of a sample: the smallest value that at least so many of a hundred do not exceed."""

    p05: Decimal
    p25: Decimal
    p50: Decimal
    p75: Decimal
    p95: Decimal
    mean: Decimal


def spread(values: Sequence[Decimal]) -> Spread:
    """Raises ValueError for an empty sample."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    p05, p25, p50, p75, p95 = (
        ordered[max(0, -(-percent * len(ordered) // 100) - 1)] for percent in (5, 25, 50, 75, 95)
    )
    return Spread(p05, p25, p50, p75, p95, mean=sum(ordered, Decimal(0)) / len(ordered))
