"""exp, ln, the normal distribution and decayed figures in integers, against Decimal and against slow references."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from fsm_exec.core.values.ewma import DecayedMean, DecayedSum
from fsm_exec.core.values.fixed_point import ONE_Q30, decay_q30, ln_ppm, normal_ppm
from fsm_exec.core.values.units import PPM

T0_US = 1_700_000_000_000_000
TAU_US = 15_000_000


@given(st.integers(0, 30 * 10**9), st.integers(10**8, 10**9))
@example(0, 1)
@example(1, 10**9)
@example(10**12, 10**7)
def test_the_decay_is_within_two_units_of_exp(elapsed: int, tau: int) -> None:
    """In 2^-30, whatever the times."""
    with localcontext(prec=40):
        exact = (-Decimal(elapsed) / Decimal(tau)).exp() * ONE_Q30
    assert abs(exact - decay_q30(elapsed, tau)) <= 2


@given(st.integers(1, 10**14), st.sampled_from([1, 100, 10_000]))
@example(1, 1)
@example(2**40, 1)
@example(2**41 - 1, 1)
def test_the_logarithm_is_within_two_millionths(value: int, unit: int) -> None:
    """Of numbers and of hundredths."""
    with localcontext(prec=40):
        exact = (Decimal(value) / unit).ln() * PPM
    assert abs(exact - ln_ppm(value, unit)) <= 2


@given(st.integers(-7 * PPM, 7 * PPM))
@example(0)
def test_the_normal_distribution_is_within_three_millionths(z_ppm: int) -> None:
    """And never leaves 0 to 1."""
    exact = math.erfc(-z_ppm / PPM / math.sqrt(2)) / 2 * PPM
    assert abs(exact - normal_ppm(z_ppm)) <= 3
    assert 0 <= normal_ppm(z_ppm) <= PPM


STEPS = st.lists(st.tuples(st.integers(-2_000, 60_000_000), st.integers(-100_000, 100_000)), min_size=1, max_size=20)


def timed(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(time, value): times may step back by 2 ms, as the exchange's do."""
    at_us, made = T0_US, []
    for gap_us, value in steps:
        at_us += gap_us
        made.append((at_us, value))
    return made


def forward(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same, with a step back counted as no time."""
    made: list[tuple[int, int]] = []
    for at_us, value in timed(steps):
        made.append((max(at_us, made[-1][0]) if made else at_us, value))
    return made


@given(STEPS, st.integers(0, 60_000_000))
def test_a_decayed_sum_is_the_sum_of_its_faded_parts(steps: list[tuple[int, int]], later_us: int) -> None:
    """Each amount times exp(-age / tau), within one unit; looking changes nothing; the rate is the sum over tau."""
    faded = DecayedSum(TAU_US)
    for at_us, amount in timed(steps):
        faded.value(at_us + 5_000_000)
        faded.add(amount, at_us)
    parts = forward(steps)
    now_us = parts[-1][0] + later_us
    exact = sum(amount * math.exp(-(now_us - at_us) / TAU_US) for at_us, amount in parts)
    assert abs(faded.value(now_us) - exact) <= 1
    assert abs(faded.rate(now_us, 100) - exact * 100 / 15) <= 10
    assert faded.value(now_us) == faded.value(now_us)


@given(STEPS, st.integers(0, 60_000_000))
def test_a_decayed_mean_weighs_what_held_by_how_long_and_how_lately(
    steps: list[tuple[int, int]], later_us: int
) -> None:
    """The mean is the integral of the value times exp(-age / tau), the first value before its beginning; the
    deviation the same of the distance from the mean at the beginning of each stretch."""
    mean = DecayedMean(TAU_US)
    for at_us, value in timed(steps):
        mean.mean(at_us + 1_000_000)
        mean.put(value, at_us)
    changes: list[tuple[int, int]] = []
    for at_us, value in timed(steps):
        if not changes or value != changes[-1][1]:
            changes.append((max(at_us, changes[-1][0]) if changes else at_us, value))
    now_us = changes[-1][0] + later_us
    expected, deviation = float(changes[0][1]), 0.0
    for (begin_us, value), (end_us, _) in pairwise([*changes, (now_us, 0)]):
        weight = math.exp(-(end_us - begin_us) / TAU_US)
        deviation = weight * deviation + (1 - weight) * abs(value - expected)
        expected = weight * expected + (1 - weight) * value
    assert abs(mean.mean(now_us) - expected) <= 1
    looked, deviated, z = mean.look(now_us, 10 * PPM)
    assert looked == mean.mean(now_us)
    assert abs(deviated - deviation) <= 1
    if deviation > 10:
        assert z is not None
        assert abs(z - max(-10.0, min(10.0, (changes[-1][1] - expected) / deviation)) * PPM) <= PPM * 2 / deviation * 20
    assert (z is None) or abs(z) <= 10 * PPM


def test_time_without_a_value_counts_for_nothing() -> None:
    """A book that was one-sided for an hour leaves the mean where it was; the age counts from the first value."""
    mean = DecayedMean(TAU_US)
    assert (mean.current, mean.observed_us(T0_US)) == (None, 0)
    mean.put(1_000, T0_US)
    mean.put(2_000, T0_US + TAU_US)
    mean.put(None, T0_US + 2 * TAU_US)
    before = mean.mean(T0_US + 2 * TAU_US)
    assert 1_600 < before < 1_700
    later_us = T0_US + 3_600_000_000
    assert (mean.mean(later_us), mean.current, mean.look(later_us, PPM)[2]) == (before, None, None)
    mean.put(5_000, later_us)
    assert mean.mean(later_us) == before
    assert mean.mean(later_us + 100 * TAU_US) == 5_000
    assert mean.observed_us(later_us) == 3_600_000_000
