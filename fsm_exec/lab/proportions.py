"""How often something happens, with the interval that the sample allows, when what happens together counts together.

Executions of one block (lab.blocks) meet the same book, so ten of them that failed together are not ten
failures. The interval is Wilson's, taken not of the sample's size but of its effective size: the size divided by the
design effect, which is the variance of the rate between blocks (as of a ratio of two sums) over the variance that
independent draws would have, and never below one. Two corrections keep it honest in small samples:

* two imagined blocks of the usual size, one with nothing but hits and one without any, take part in the design effect
  (not in the rate): a rate of nought or one shows no spread at all, and one hit block hardly any;
* the effective size is taken smaller by (normal quantile / Student's)^2 for as many blocks less one, because the spread
  itself was estimated (Korn and Graubard 1998).

Both err towards a wider interval, and both vanish as blocks are added. A test holds the coverage against planted truth.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterable
from functools import lru_cache
from itertools import count
from statistics import NormalDist
from typing import NamedTuple

from fsm_exec.lab.statistics import CONFIDENCE
from fsm_exec.lab.student import student_quantile

FURTHER_MAX = 10_000  # beyond it the rate is too near to its threshold for an honest forecast


class Proportion(NamedTuple):
    """`design_effect`: so many draws are worth one independent one. Without any draw the rate is None and the interval
    says nothing: 0 to 1."""

    hits: int
    number: int
    blocks: int
    rate: float | None
    low: float
    high: float
    design_effect: float


def proportion(draws: Iterable[tuple[Hashable, bool]]) -> Proportion:
    """Estimate a proportion from pairs of (block, whether it happened)."""
    counts: dict[Hashable, list[int]] = defaultdict(lambda: [0, 0])
    for block, happened in draws:
        counts[block][0] += happened
        counts[block][1] += 1
    hits = sum(hit for hit, _ in counts.values())
    number = sum(size for _, size in counts.values())
    if not number:
        return Proportion(0, 0, 0, None, 0.0, 1.0, 1.0)
    effect = _design_effect([(hit, size) for hit, size in counts.values()])
    low, high = _interval(hits / number, number / effect, len(counts))
    return Proportion(hits, number, len(counts), hits / number, low, high, effect)


def further_needed(found: Proportion, threshold: float) -> int | None:
    """How many draws more, at the observed rate, design effect and draws a block, until the interval leaves the
    threshold out; 0 if it does already, None for more than FURTHER_MAX. Without any draw: the fewest that could."""
    if found.high < threshold or found.low > threshold:
        return 0
    rate = found.rate
    if rate is None:
        return next(number for number in count(1) if proportion((n, False) for n in range(number)).high < threshold)

    def suffices(further: int) -> bool:
        number = found.number + further
        blocks = found.blocks * number // found.number
        low, high = _interval(rate, number / found.design_effect, blocks)
        return high < threshold or low > threshold

    if not suffices(FURTHER_MAX):
        return None
    return bisect_left(range(FURTHER_MAX + 1), True, lo=1, key=suffices)


def _design_effect(blocks: list[tuple[int, int]]) -> float:
    number = sum(size for _, size in blocks)
    usual = number / len(blocks)
    widened = [*blocks, (usual, usual), (0.0, usual)]
    total = number + 2 * usual
    rate = (sum(hit for hit, _ in blocks) + usual) / total
    between = math.fsum((hit - rate * size) ** 2 for hit, size in widened) * len(widened) / (len(widened) - 1)
    return max(1.0, between / (rate * (1 - rate) * total))


def _interval(rate: float, number: float, blocks: int) -> tuple[float, float]:
    """Wilson's, of `number` independent draws whose spread was estimated from so many blocks."""
    normal, students = _quantiles(max(1, blocks - 1))
    number *= (normal / students) ** 2
    shrink = 1 + normal**2 / number
    centre = (rate + normal**2 / (2 * number)) / shrink
    half = normal / shrink * math.sqrt(rate * (1 - rate) / number + (normal / (2 * number)) ** 2)
    return (max(0.0, centre - half) if rate else 0.0), (min(1.0, centre + half) if rate < 1 else 1.0)


@lru_cache(maxsize=1_024)
def _quantiles(freedom: int) -> tuple[float, float]:
    """The normal's and Student's, two-sided."""
    share = (1 + CONFIDENCE) / 2
    return NormalDist().inv_cdf(share), student_quantile(share, freedom)
