"""Is A better than B? Paired differences, resampled in blocks.

Episodes overlap and share the weather of their quarter of an hour, so they are not independent draws: a t-test on them
is far too sure of itself. What is resampled here is the block (a market and 15 minutes, both outcomes of a start
together), and an episode counts through its block only.

The interval is the bootstrap's percentile interval of the mean, taken a little further out than its nominal level. The
plain one is too narrow for few blocks: it uses the normal's width where Student's is due, and the spread of n values
where that of n - 1 is due. The widening corrects both (Hesterberg 2014, "expanded percentile"), so 95 % means about 95
% from some ten blocks on; a test holds the coverage against planted truth. With fewer it cannot: no resample lies
outside the blocks' own means, so three blocks would give their smallest and largest mean, which hold the truth three
times in four. There the interval reaches at least as far as Student's of the blocks, and a report that prints it says
that it is rough.

P-values are Student's of the blocks throughout: counted from resamples, none could be small enough to survive being
adjusted for more than a few dozen questions.

Up to here money is integers; this module alone turns costs into floating cents, to describe samples and never to decide
about an order. Draws come from a seeded generator: the same samples give the same answer.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist, pvariance
from typing import NamedTuple, TypeVar

from fsm_exec.lab.student import student_quantile, student_share

RESAMPLES = 2_000
CONFIDENCE = 0.95
BLOCKS_MIN = 2  # fewer show no spread at all: no interval can be given
BLOCKS_FEW = 10  # fewer: the interval is rough, as many resamples cannot make up for it
NON_INFERIORITY_MARGIN = 0.01  # of the fill: one percentage point

Key = TypeVar("Key", bound=Hashable)
Name = TypeVar("Name", bound=Hashable)


class Block(NamedTuple):
    """Episodes that are drawn together."""

    total: float
    episodes: int


class Estimate(NamedTuple):
    """A mean with its interval. `below_zero` is how probable a mean below zero is: the share of resampled means, or
    Student's for few blocks; for differences of cost, how probable it is that A is better. `p_value` is two-sided.
    None: too few blocks to say."""

    mean: float
    low: float | None
    high: float | None
    below_zero: float | None
    p_value: float | None
    blocks: int
    episodes: int


class Comparison(NamedTuple):
    """A against B on the same episodes. `p95` is the difference that one episode in twenty exceeds; `variance_ratio`
    is the variance of the differences over that of two unpaired samples: below one, pairing pays."""

    estimate: Estimate
    p95: float
    variance_ratio: float | None


def blocks_of(values: Iterable[tuple[Hashable, float]]) -> list[Block]:
    """Group (block, value) pairs, in the order in which blocks first appear."""
    totals: dict[Hashable, list[float]] = defaultdict(list)
    for block, value in values:
        totals[block].append(value)
    return [Block(math.fsum(members), len(members)) for members in totals.values()]


def estimate(
    blocks: Sequence[Block], *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean over all episodes of all blocks, and how far it may be off. Raises ValueError without any block."""
    if not blocks:
        raise ValueError("no episodes to estimate from")
    episodes = sum(block.episodes for block in blocks)
    mean = math.fsum(block.total for block in blocks) / episodes
    if len(blocks) < BLOCKS_MIN:
        return Estimate(mean, None, None, None, None, len(blocks), episodes)
    means = _resampled_means(blocks, seed, resamples)
    tail = _expanded_tail(confidence, len(blocks))
    low, high = quantile(means, tail), quantile(means, 1 - tail)
    below, above = sum(each < 0 for each in means), sum(each > 0 for each in means)
    below_zero = (below + (resamples - below - above) / 2) / resamples
    error, freedom = _standard_error(blocks, mean), len(blocks) - 1
    by_student = _student_below_zero(mean, error, freedom)
    if len(blocks) < BLOCKS_FEW:
        reach = student_quantile((1 + confidence) / 2, freedom) * error
        low, high = min(low, mean - reach), max(high, mean + reach)
        below_zero = by_student
    p_value = 2 * min(by_student, 1 - by_student)
    return Estimate(mean, low, high, below_zero, p_value, len(blocks), episodes)


def compare(
    a: Mapping[Key, float], b: Mapping[Key, float], blocks: Mapping[Key, Hashable], *, seed: int
) -> Comparison | None:
    """A minus B over the episodes that both have; None if there are none."""
    shared = [key for key in a if key in b]
    if not shared:
        return None
    differences = [a[key] - b[key] for key in shared]
    grouped = blocks_of((blocks[key], difference) for key, difference in zip(shared, differences, strict=True))
    unpaired = pvariance([a[key] for key in shared]) + pvariance([b[key] for key in shared])
    return Comparison(
        estimate(grouped, seed=seed),
        quantile(sorted(differences), 0.95),
        pvariance(differences) / unpaired if unpaired else None,
    )


def is_non_inferior(fill_difference: Estimate, margin: float = NON_INFERIORITY_MARGIN) -> bool:
    """Whether a loss of fill beyond `margin` can be ruled out: a claim about cost stands only then."""
    return fill_difference.low is not None and fill_difference.low > -margin


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """The p-values of a family of questions, adjusted (Holm 1979): of twenty families without any effect, at most one
    will show a value below 0.05."""
    adjusted: dict[Name, float] = {}
    reached = 0.0
    ascending = sorted(p_values.items(), key=lambda item: item[1])
    for rank, (name, p_value) in enumerate(ascending):
        reached = max(reached, min(1.0, p_value * (len(ascending) - rank)))
        adjusted[name] = reached
    return {name: adjusted[name] for name in p_values}


def quantile(ascending: Sequence[float], share: float) -> float:
    """Linear between neighbours; `ascending` must be sorted and not empty."""
    place = share * (len(ascending) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ascending) - 1)
    return ascending[low] + (ascending[high] - ascending[low]) * (place - low)


def _resampled_means(blocks: Sequence[Block], seed: int, resamples: int) -> list[float]:
    draw = random.Random(seed)
    totals = [block.total for block in blocks]
    counts = [block.episodes for block in blocks]
    numbers = range(len(blocks))
    means: list[float] = []
    for _ in range(resamples):
        drawn = draw.choices(numbers, k=len(blocks))
        means.append(sum(map(totals.__getitem__, drawn)) / sum(map(counts.__getitem__, drawn)))
    means.sort()
    return means


def _standard_error(blocks: Sequence[Block], mean: float) -> float:
    """Return the standard error of the mean as a ratio of two sums over blocks."""
    squares = math.fsum((block.total - mean * block.episodes) ** 2 for block in blocks)
    return math.sqrt(squares * len(blocks) / (len(blocks) - 1)) / sum(block.episodes for block in blocks)


def _student_below_zero(mean: float, error: float, freedom: int) -> float:
    if not error:
        return 0.5 if not mean else float(mean < 0)
    return student_share(-mean / error, freedom)


def _expanded_tail(confidence: float, blocks: int) -> float:
    """The share to cut off at either end so that the interval of n blocks is as wide as Student's."""
    normal = NormalDist()
    return normal.cdf(-math.sqrt(blocks / (blocks - 1)) * student_quantile((1 + confidence) / 2, blocks - 1))
