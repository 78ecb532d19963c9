"""The statistics find what was planted, do not find what was not, and are as sure as they say."""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import TypeAlias

import pytest

from fsm_exec.lab.blocks import Block, BlockId, blocks_of
from fsm_exec.lab.statistics import Comparison, compare, estimate, holm, is_non_inferior
from fsm_exec.lab.student import student_quantile, student_share

SEED = 20_260_105
BLOCKS, EPISODES = 40, 30
EFFECT = -0.2


Costs: TypeAlias = dict[Hashable, float]


def pairs(rng: random.Random, effect: float) -> tuple[Costs, Costs, dict[Hashable, BlockId]]:
    """Costs of two methods in cents on 1,200 episodes. Each block has a weather that both feel, and one that makes
    their difference larger or smaller; A's true advantage is `effect`."""
    a: Costs = {}
    b: Costs = {}
    blocks: dict[Hashable, BlockId] = {}
    for block in range(BLOCKS):
        weather, tilt = rng.gauss(2, 2), rng.gauss(0, 0.3)
        for episode in range(EPISODES):
            key = (block, episode)
            shared = weather + rng.gauss(0, 2)
            a[key] = shared + effect + tilt + rng.gauss(0, 0.7)
            b[key] = shared + rng.gauss(0, 0.7)
            blocks[key] = BlockId("a", block)
    return a, b, blocks


def compared(rng: random.Random, effect: float) -> Comparison:
    found = compare(*pairs(rng, effect), seed=rng.getrandbits(32))
    assert found is not None
    return found


def test_a_planted_better_method_is_found() -> None:
    """An advantage of a fifth of a cent, with the noise of real episodes: the whole interval lies below zero."""
    found = compared(random.Random(SEED), EFFECT).estimate
    assert found.low is not None
    assert found.high is not None
    assert found.low < EFFECT < found.high < 0, f"seed {SEED}"
    assert found.below_zero is not None
    assert found.below_zero > 0.99
    assert found.p_value is not None
    assert found.p_value < 0.01


def test_a_planted_equal_method_is_not_found() -> None:
    """Two equal methods are told apart in about one experiment of twenty, as a 95 % interval promises."""
    rng = random.Random(SEED)
    told_apart = 0
    for _ in range(100):
        a, b, blocks = pairs(rng, 0.0)
        grouped = blocks_of((blocks[key], a[key] - b[key]) for key in a)
        found = estimate(list(grouped.values()), seed=rng.getrandbits(32), resamples=1_000)
        assert found.low is not None
        assert found.high is not None
        told_apart += not found.low <= 0 <= found.high
    assert told_apart <= 10, f"seed {SEED}"


@pytest.mark.parametrize("blocks", [12, 40])
def test_the_interval_covers_the_truth_as_often_as_it_says(blocks: int) -> None:
    """Over 500 samples of known mean, with blocks of unequal size and skewed values, 93 to 97 % of the intervals hold
    it."""
    rng = random.Random(SEED + blocks)
    covered, samples = 0, 500
    for _ in range(samples):
        drawn = []
        for _ in range(blocks):
            episodes = rng.randint(20, 40)
            weather = rng.gauss(0, 1) + 0.5 * (rng.expovariate(1) - 1)
            drawn.append(Block(episodes * (0.3 + weather) + rng.gauss(0, 2 * episodes**0.5), episodes))
        found = estimate(drawn, seed=rng.getrandbits(32), resamples=1_000)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert 0.93 <= covered / samples <= 0.97, f"seed {SEED + blocks}"


@pytest.mark.parametrize("blocks", [2, 3, 5])
def test_few_blocks_are_not_taken_for_many(blocks: int) -> None:
    """Resamples of few blocks cannot reach beyond them: of two, their interval would hold the truth every second time.
    Student's of the blocks holds it as often as it says."""
    rng = random.Random(SEED + blocks)
    covered, samples = 0, 600
    for _ in range(samples):
        drawn = []
        for _ in range(blocks):
            episodes = rng.randint(25, 35)
            drawn.append(Block(episodes * (0.3 + rng.gauss(0, 1)) + rng.gauss(0, 2 * episodes**0.5), episodes))
        found = estimate(drawn, seed=rng.getrandbits(32), resamples=50)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.3 <= found.high
    assert 0.93 <= covered / samples <= 0.98, f"seed {SEED + blocks}"


@pytest.mark.parametrize("blocks", [4, 9])
def test_of_few_blocks_interval_probability_and_p_value_agree(blocks: int) -> None:
    """An interval that leaves zero out has a p-value below 5 %, and the more probable side is that of the mean."""
    rng = random.Random(SEED + blocks)
    outside = 0
    for _ in range(200):
        found = estimate([Block(rng.gauss(-12, 15), 20) for _ in range(blocks)], seed=1, resamples=50)
        assert found.low is not None
        assert found.high is not None
        assert found.p_value is not None
        assert found.below_zero is not None
        if not found.low <= 0 <= found.high:
            assert found.p_value < 0.0501
        assert (found.below_zero > 0.5) == (found.mean < 0)
        assert found.p_value == pytest.approx(2 * min(found.below_zero, 1 - found.below_zero))
        outside += found.high < 0
    assert 20 < outside < 180, f"seed {SEED + blocks}"


def test_a_plain_difference_survives_many_questions() -> None:
    """A difference of six standard errors among two hundred questions is still one: a p-value counted from 2,000
    resamples could not say so."""
    rng = random.Random(SEED)
    effect = estimate([Block(rng.gauss(-20, 20), 20) for _ in range(40)], seed=1)
    assert effect.p_value is not None
    assert effect.p_value > 0
    others: dict[Hashable, float] = {number: rng.random() for number in range(199)}
    assert holm({**others, "planted": effect.p_value})["planted"] < 0.01


def test_no_difference_at_all_proves_nothing() -> None:
    """Two methods that did the same: as probably better as worse, in few blocks and in many."""
    for blocks in (2, 30):
        found = estimate([Block(0.0, 20)] * blocks, seed=1)
        assert (found.low, found.high, found.below_zero, found.p_value) == (0.0, 0.0, 0.5, 1.0)


@pytest.mark.parametrize(("freedom", "value"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (8, 2.3060), (74, 1.9925)])
def test_student_by_the_tables(freedom: int, value: float) -> None:
    """The 97.5 % points of printed tables, from both functions."""
    assert student_share(value, freedom) == pytest.approx(0.975, abs=1e-5)
    assert student_share(-value, freedom) == pytest.approx(0.025, abs=1e-5)
    assert student_quantile(0.975, freedom) == pytest.approx(value, rel=2e-3)


def test_episodes_of_one_block_are_not_taken_for_independent() -> None:
    """The same differences with their blocks forgotten would give an interval far too narrow."""
    a, b, blocks = pairs(random.Random(SEED), EFFECT)
    blocked = compare(a, b, blocks, seed=1)
    alone = compare(a, b, {key: BlockId(key, 0) for key in a}, seed=1)
    assert blocked is not None
    assert alone is not None
    assert width(alone) < 0.7 * width(blocked)


def width(found: Comparison) -> float:
    low, high = found.estimate.low, found.estimate.high
    assert low is not None
    assert high is not None
    return high - low


def test_pairing_is_judged() -> None:
    """Paired costs that move together have a variance ratio below one; costs that have nothing in common, about one."""
    a, b, blocks = pairs(random.Random(SEED), 0.0)
    together = compare(a, b, blocks, seed=1)
    values = list(b.values())
    random.Random(SEED).shuffle(values)
    apart = compare(a, dict(zip(b, values, strict=True)), blocks, seed=1)
    assert together is not None
    assert apart is not None
    assert together.variance_ratio is not None
    assert apart.variance_ratio is not None
    assert together.variance_ratio < 0.3
    assert 0.85 < apart.variance_ratio < 1.15


def test_only_episodes_that_both_have_are_compared() -> None:
    """An episode of one method alone says nothing about a difference; none in common: no answer."""
    found = compare(
        {1: 5.0, 2: 7.0, 3: 900.0}, {1: 4.0, 2: 5.0, 4: -900.0}, {1: BlockId("a", 0), 2: BlockId("b", 0)}, seed=1
    )
    assert found is not None
    assert (found.estimate.mean, found.estimate.episodes) == (1.5, 2)
    assert compare({1: 5.0}, {2: 5.0}, {}, seed=1) is None


def test_one_block_has_no_interval() -> None:
    """However many episodes: without a second block nothing is known about how far it may be off."""
    found = estimate([Block(-12.0, 24)], seed=1)
    assert (found.mean, found.low, found.high, found.p_value) == (-0.5, None, None, None)


def test_the_same_seed_gives_the_same_interval() -> None:
    """And another seed a slightly different one."""
    blocks = [Block(random.Random(n).gauss(10, 5), 20) for n in range(30)]
    assert estimate(blocks, seed=7) == estimate(blocks, seed=7)
    assert estimate(blocks, seed=7) != estimate(blocks, seed=8)


def test_holm_by_hand() -> None:
    """The smallest p-value is multiplied by the number of questions, the next by one less, and none falls below the
    one before it or rises above 1."""
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9}) == pytest.approx(
        {"a": 0.04, "b": 0.09, "c": 0.09, "d": 0.9}
    )
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


def test_a_loss_of_fill_must_be_ruled_out() -> None:
    """A cheaper method may not have filled less: an interval that reaches below a point of loss rules nothing out."""
    same = [Block(0.0, 20) for _ in range(30)]
    assert is_non_inferior(estimate(same, seed=1))
    half_lost = [Block(-10.0 if n % 2 else 0.0, 20) for n in range(30)]
    assert not is_non_inferior(estimate(half_lost, seed=1))
