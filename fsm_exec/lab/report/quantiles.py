"""What a picture needs of a distribution, so that a page need not hold every episode."""

from __future__ import annotations

import math
from typing import NamedTuple

from fsm_exec.lab.distribution import Weighted, quantile


class Spread(NamedTuple):
    """Quantiles of a sample, linear between neighbours, and its mean."""

    p05: float
    p25: float
    p50: float
    p75: float
    p95: float
    mean: float


def spread(values: Weighted) -> Spread:
    """Raises ValueError for an empty sample."""
    p05, p25, p50, p75, p95 = (quantile(values, share) for share in (0.05, 0.25, 0.50, 0.75, 0.95))
    mean = math.fsum(value * weight for value, weight in values) / math.fsum(weight for _, weight in values)
    return Spread(p05, p25, p50, p75, p95, mean)
