"""What a mean hides: the middle, the tails, and how often. Of samples in which some values may weigh more than others.

All take (value, weight) pairs, weights above zero. With equal weights they are the usual figures: quantiles linear
between neighbours, the mean without a tenth at each end, the mean of the worst twentieth (of a weight that is cut
through, the part beyond the cut). All raise ValueError for an empty sample.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, TypeAlias

TRIMMED: Final = 0.10  # at each end
WORST: Final = 0.05
Weighted: TypeAlias = Sequence[tuple[float, float]]


def weigh_alike(values: Iterable[float]) -> Weighted:
    return [(value, 1.0) for value in values]


def quantile(values: Iterable[tuple[float, float]], share: float) -> float:
    """Linear between neighbours: the smallest value at 0, the greatest at 1, each other at the weight before the middle
    of its own."""
    ordered = _ordered(values)
    half = [weight / 2 for _, weight in ordered]
    ends = list(accumulate(weight for _, weight in ordered))
    places = [end - own for end, own in zip(ends, half, strict=True)]
    wanted = places[0] + share * (places[-1] - places[0])
    above = bisect_right(places, wanted)
    if above >= len(ordered):
        return ordered[-1][0]
    low, high = ordered[above - 1][0], ordered[above][0]
    return low + (high - low) * (wanted - places[above - 1]) / (places[above] - places[above - 1])


def median(values: Iterable[tuple[float, float]]) -> float:
    return quantile(values, 0.5)


def trimmed_mean(values: Iterable[tuple[float, float]], cut: float = TRIMMED) -> float:
    """The mean without the share `cut` of the weight at either end."""
    return _mean_between(_ordered(values), cut, 1 - cut)


def worst_mean(values: Iterable[tuple[float, float]], share: float = WORST) -> float:
    """The mean of the greatest values, `share` of the weight: what it costs when it costs most."""
    return _mean_between(_ordered(values), 1 - share, 1.0)


def _ordered(values: Iterable[tuple[float, float]]) -> Weighted:
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered


def _mean_between(ordered: Weighted, low: float, high: float) -> float:
    """The mean of the weight between two shares of it."""
    total = math.fsum(weight for _, weight in ordered)
    kept: list[tuple[float, float]] = []
    reached = 0.0
    for value, weight in ordered:
        inside = min(reached + weight, high * total) - max(reached, low * total)
        if inside > 0:
            kept.append((value, inside))
        reached += weight
    return math.fsum(value * weight for value, weight in kept) / math.fsum(weight for _, weight in kept)
