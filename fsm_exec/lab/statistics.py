"""Is A better than B? Paired differences, resampled in blocks.

Episodes overlap and share the weather of their half hour, so they are not independent draws: a t-test on them is far
too sure of itself. What is resampled here is the block (`lab.blocks`: 30 minutes of a market, the market where it is
shorter; both outcomes of a start together), and an episode counts through its block only.

Several products (series) are strata: an episode weighs the same as any other of its product, and products weigh the
same, however many episodes each has. So a day that was measured every 20 seconds says no more than one measured every
minute, and blocks are drawn within their product.

The interval is the bootstrap's percentile interval of the mean, taken a little further out than its nominal level. The
plain one is too narrow for few blocks: it uses the normal's width where Student's is due, and the spread of n values
where that of n - 1 is due. The widening corrects both (Hesterberg 2014, "expanded percentile"), so 95 % means about 95
% from some ten blocks on; a test holds the coverage against planted truth. With fewer it cannot: no resample lies
outside the blocks' own means, so three blocks would give their smallest and largest mean, which hold the truth three
times in four. There the interval reaches at least as far as Student's of the blocks, and a report that prints it says
that it is rough. Of several products the degrees of freedom are Satterthwaite's: one product of three blocks that
makes most of the spread makes the whole rough.

Blocks that resemble their neighbours leave the interval somewhat narrow still; tests measure by how much, and the
autocorrelation is printed so that a reader can tell.

P-values are Student's of the blocks throughout: counted from resamples, none could be small enough to survive being
adjusted for more than a few dozen questions.

Up to here money is integers; the lab's statistics alone turn costs into floating cents, to describe samples and never
to decide about an order. Draws come from a seeded generator, and blocks are drawn in the order of their markets: the
same sample gives the same answer, whatever its methods are called and in whatever order it was read.
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from statistics import NormalDist, pvariance
from typing import NamedTuple, TypeVar

from fsm_exec.lab.blocks import Block, BlockId, autocorrelation, blocks_of
from fsm_exec.lab.distribution import median, quantile, trimmed_mean, weigh_alike
from fsm_exec.lab.student import student_quantile, student_share

RESAMPLES = 2_000
CONFIDENCE = 0.95
SEED = 1
BLOCKS_MIN = 2  # of a product; fewer show no spread at all: no interval can be given
BLOCKS_FEW = 10  # fewer: the interval is rough, as many resamples cannot make up for it
NON_INFERIORITY_MARGIN = 0.01  # of the fill: one percentage point

Key = TypeVar("Key", bound=Hashable)
Name = TypeVar("Name", bound=Hashable)


class Estimate(NamedTuple):
    """A mean with its interval. `below_zero` is how probable a mean below zero is: the share of resampled means, or
    Student's for few blocks; for differences of cost, how probable it is that A is better. `p_value` is two-sided.
    None: too few blocks to say. `is_rough`: the interval stands on fewer than BLOCKS_FEW."""

    mean: float
    low: float | None
    high: float | None
    below_zero: float | None
    p_value: float | None
    blocks: int
    episodes: int
    is_rough: bool


class Comparison(NamedTuple):
    """A against B on the same episodes. `median`, `trimmed` (without a tenth at each end) and `p95` are of the
    differences of episodes; `share_better` of the blocks have a mean below zero; `autocorrelation` is that of
    neighbouring blocks; `variance_ratio` is the variance of the differences over that of two unpaired samples: below
    one, pairing pays."""

    estimate: Estimate
    median: float
    trimmed: float
    p95: float
    share_better: float
    autocorrelation: float | None
    variance_ratio: float | None


def estimate(
    *products: Sequence[Block], seed: int = SEED, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Estimate:
    """The mean of the products' means, each over all episodes of its blocks, and how far it may be off. Raises
    ValueError without any block."""
    strata = [blocks for blocks in products if blocks]
    if not strata:
        raise ValueError("no episodes to estimate from")
    count = sum(len(blocks) for blocks in strata)
    episodes = sum(block.episodes for blocks in strata for block in blocks)
    mean = math.fsum(_mean(blocks) for blocks in strata) / len(strata)
    if min(len(blocks) for blocks in strata) < BLOCKS_MIN:
        return Estimate(mean, None, None, None, None, count, episodes, is_rough=True)
    spread = _spread(strata)
    means = weigh_alike(_resampled_means(strata, seed, resamples))
    tail = _expanded_tail(confidence, spread)
    low, high = quantile(means, tail), quantile(means, 1 - tail)
    below, above = sum(each < 0 for each, _ in means), sum(each > 0 for each, _ in means)
    below_zero = (below + (resamples - below - above) / 2) / resamples
    by_student = _student_below_zero(mean, spread)
    is_rough = spread.freedom + 1 < BLOCKS_FEW
    if is_rough:
        reach = student_quantile((1 + confidence) / 2, spread.freedom) * spread.error
        low, high = min(low, mean - reach), max(high, mean + reach)
        below_zero = by_student
    p_value = 2 * min(by_student, 1 - by_student)
    return Estimate(mean, low, high, below_zero, p_value, count, episodes, is_rough)


def compare(
    a: Mapping[Key, float],
    b: Mapping[Key, float],
    blocks: Mapping[Key, BlockId],
    products: Mapping[Key, str] | None = None,
    *,
    seed: int = SEED,
) -> Comparison | None:
    """A minus B over the episodes that both have; None if there are none. Without `products` all are of one."""
    shared = [key for key in a if key in b]
    if not shared:
        return None
    members: dict[str, list[Key]] = defaultdict(list)
    for key in shared:
        members["" if products is None else products[key]].append(key)
    keys_of = [members[product] for product in sorted(members)]
    strata = [blocks_of((blocks[key], a[key] - b[key]) for key in keys) for keys in keys_of]
    weighted = [(a[key] - b[key], 1 / len(keys)) for keys in keys_of for key in keys]
    unpaired = pvariance([a[key] for key in shared]) + pvariance([b[key] for key in shared])
    better = [sum(block.total < 0 for block in found.values()) / len(found) for found in strata]
    return Comparison(
        estimate=estimate(*(list(found.values()) for found in strata), seed=seed),
        median=median(weighted),
        trimmed=trimmed_mean(weighted),
        p95=quantile(weighted, 0.95),
        share_better=math.fsum(better) / len(better),
        autocorrelation=autocorrelation(strata),
        variance_ratio=pvariance([a[key] - b[key] for key in shared]) / unpaired if unpaired else None,
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


class _Spread(NamedTuple):
    """The standard error of the mean, its degrees of freedom, and the variance that resampling shows over the true
    one: n values show (n - 1) / n of it."""

    error: float
    freedom: int
    shown: float


def _spread(strata: Sequence[Sequence[Block]]) -> _Spread:
    variances = [_variance(blocks) for blocks in strata]
    freedoms = [len(blocks) - 1 for blocks in strata]
    total = math.fsum(variances)
    error = math.sqrt(total) / len(strata)
    if not total:
        return _Spread(error, sum(freedoms), 1.0)
    parts = list(zip(variances, freedoms, strict=True))
    freedom = total**2 / math.fsum(variance**2 / freedom for variance, freedom in parts)
    shown = math.fsum(variance * freedom / (freedom + 1) for variance, freedom in parts) / total
    return _Spread(error, math.floor(freedom + 1e-9), shown)


def _mean(blocks: Sequence[Block]) -> float:
    return math.fsum(block.total for block in blocks) / sum(block.episodes for block in blocks)


def _variance(blocks: Sequence[Block]) -> float:
    """Of the mean, as a ratio of two sums over blocks."""
    mean = _mean(blocks)
    squares = math.fsum((block.total - mean * block.episodes) ** 2 for block in blocks)
    return squares * len(blocks) / (len(blocks) - 1) / sum(block.episodes for block in blocks) ** 2


def _resampled_means(strata: Sequence[Sequence[Block]], seed: int, resamples: int) -> list[float]:
    draw = random.Random(seed)
    parts = [
        (range(len(blocks)), [block.total for block in blocks], [block.episodes for block in blocks])
        for blocks in strata
    ]
    means: list[float] = []
    for _ in range(resamples):
        mean = 0.0
        for numbers, totals, counts in parts:
            drawn = draw.choices(numbers, k=len(numbers))
            mean += sum(map(totals.__getitem__, drawn)) / sum(map(counts.__getitem__, drawn))
        means.append(mean / len(parts))
    return means


def _student_below_zero(mean: float, spread: _Spread) -> float:
    if not spread.error:
        return 0.5 if not mean else float(mean < 0)
    return student_share(-mean / spread.error, spread.freedom)


def _expanded_tail(confidence: float, spread: _Spread) -> float:
    """The share to cut off at either end so that the interval is as wide as Student's."""
    wanted = student_quantile((1 + confidence) / 2, spread.freedom)
    return NormalDist().cdf(-wanted / math.sqrt(spread.shown))
