"""The interval of a share: as wide as what happens together makes it, and right as often as it says."""

from __future__ import annotations

import random

import pytest

from fsm_exec.lab.proportions import Proportion, proportion

TRIALS = 300


@pytest.mark.parametrize(
    ("blocks", "size", "alike", "truth"), [(40, 5, 0.3, 0.10), (20, 10, 0.5, 0.30), (150, 4, 0.4, 0.10)]
)
def test_it_holds_the_truth_as_often_as_it_says(blocks: int, size: int, alike: float, truth: float) -> None:
    """Blocks drawn with a rate of their own around a planted one: 95 % holds it, and one that took every draw for
    independent would not."""
    draw = random.Random(f"{blocks}:{size}:{alike}:{truth}")
    a, b = truth * (1 - alike) / alike, (1 - truth) * (1 - alike) / alike
    held = held_naive = 0
    for _ in range(TRIALS):
        draws: list[tuple[int, bool]] = []
        for block in range(blocks):
            rate = draw.betavariate(a, b)
            draws += [(block, draw.random() < rate) for _ in range(draw.randint(1, 2 * size - 1))]
        held += holds(proportion(draws), truth)
        held_naive += holds(proportion((number, hit) for number, (_, hit) in enumerate(draws)), truth)
    assert held >= 0.93 * TRIALS
    assert held_naive < 0.85 * TRIALS


def holds(found: Proportion, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_of_independent_draws_it_is_nearly_wilsons() -> None:
    """40 of 400, each in a block of its own: Wilson's is [0.0744, 0.1331]; the corrections add less than a tenth."""
    found = proportion((n, n < 40) for n in range(400))
    assert (found.hits, found.number, found.blocks, found.rate) == (40, 400, 400, 0.1)
    assert 0.070 < found.low <= 0.0744
    assert 0.1331 <= found.high < 0.138


def test_a_block_that_is_all_alike_counts_once() -> None:
    """Ten blocks of 50, each wholly hit or not, say about as much as ten draws; mixed blocks say far more."""
    alike = proportion((n // 50, n // 50 < 3) for n in range(500))
    mixed = proportion((n // 50, n % 10 < 3) for n in range(500))
    ten = proportion((n, n < 3) for n in range(10))
    assert alike.rate == mixed.rate == ten.rate == 0.3
    assert alike.high - alike.low == pytest.approx(ten.high - ten.low, rel=0.15)
    assert mixed.high - mixed.low < 0.7 * (alike.high - alike.low)


def test_a_rate_of_nought_is_not_certain() -> None:
    """None of 500 in 20 blocks: the blocks are what was seen. The first hit does not make the interval shrink."""
    none = proportion((n // 25, False) for n in range(500))
    one = proportion((n // 25, n == 7) for n in range(500))
    assert none.low == 0
    assert 0.1 < none.high < 0.3
    assert one.high > 0.9 * none.high


def test_without_a_draw_or_with_one_block_it_says_next_to_nothing() -> None:
    """No rate, and 0 to 1; one quarter of an hour is one draw of the weather."""
    nothing = proportion([])
    assert (nothing.rate, nothing.low, nothing.high, nothing.number) == (None, 0, 1, 0)
    once = proportion((1, n < 20) for n in range(40))
    assert once.low < 0.02
    assert once.high > 0.98
