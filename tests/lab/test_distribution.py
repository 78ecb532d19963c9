"""Robust figures against planted truth: known medians, trimmed means and tails, also where values weigh differently."""

from __future__ import annotations

import random
from statistics import NormalDist, fmean

import pytest

from fsm_exec.lab.distribution import median, quantile, trimmed_mean, weigh_alike, worst_mean

SEED = 20_261_130


def test_quantiles_lie_between_neighbours() -> None:
    """Linear between the two nearest values, whatever the order they come in."""
    values = weigh_alike([20.0, 0.0, 10.0])
    assert [quantile(values, share) for share in (0, 0.25, 0.5, 0.9, 1)] == pytest.approx([0, 5, 10, 18, 20])
    assert quantile(weigh_alike([7.0]), 0.3) == 7.0


def test_the_figures_of_a_known_distribution() -> None:
    """Ten thousand draws of a normal with mean 2 and deviation 3, and what printed tables say of it."""
    rng = random.Random(SEED)
    values = weigh_alike([rng.gauss(2, 3) for _ in range(10_000)])
    normal = NormalDist(2, 3)
    assert median(values) == pytest.approx(2, abs=0.1), f"seed {SEED}"
    assert trimmed_mean(values) == pytest.approx(2, abs=0.1), f"seed {SEED}"
    for share in (0.05, 0.95):
        assert quantile(values, share) == pytest.approx(normal.inv_cdf(share), abs=0.2), f"seed {SEED}"
    assert worst_mean(values) == pytest.approx(2 + 3 * 2.0627, abs=0.2), f"seed {SEED}"


def test_a_tail_moves_the_mean_and_nothing_in_the_middle() -> None:
    """Ninety-six executions that cost .3 c more, four that save 20 c: the mean is better, the median and the trimmed
    mean say that most are worse, and the saving stands in the tail."""
    values = [0.3] * 96 + [-20.0] * 4
    assert fmean(values) < 0
    assert median(weigh_alike(values)) == trimmed_mean(weigh_alike(values)) == pytest.approx(0.3)
    assert worst_mean(weigh_alike([-value for value in values])) == pytest.approx((4 * 20.0 - 0.3) / 5)


def test_a_tenth_is_cut_at_each_end() -> None:
    """Of ten the smallest and the greatest; of fifteen one and a half."""
    assert trimmed_mean(weigh_alike([-1e9, *range(1, 9), 1e9])) == pytest.approx(4.5)
    fifteen = weigh_alike([-100.0, -10.0, *[0.0] * 11, 10.0, 160.0])
    assert trimmed_mean(fifteen) == pytest.approx(0.0)
    assert worst_mean(fifteen) == pytest.approx(160.0)


def test_weights_count_as_often_as_they_say() -> None:
    """A value of weight three in the tails and the trimmed mean is three values; equal weights of any size are none."""
    rng = random.Random(SEED)
    drawn = [(rng.gauss(0, 1), float(rng.randint(1, 3))) for _ in range(400)]
    spread_out = weigh_alike([value for value, weight in drawn for _ in range(int(weight))])
    for figure in (trimmed_mean, worst_mean):
        assert figure(drawn) == pytest.approx(figure(spread_out)), f"seed {SEED}"
    for share in (0.05, 0.5, 0.95):
        assert quantile(drawn, share) == pytest.approx(quantile(spread_out, share), abs=0.05), f"seed {SEED}"
        assert quantile([(value, 0.2) for value, _ in drawn], share) == pytest.approx(
            quantile(weigh_alike([value for value, _ in drawn]), share)
        )


def test_an_empty_sample_has_no_figure() -> None:
    """Rather an error than a nought."""
    for figure in (median, trimmed_mean, worst_mean):
        with pytest.raises(ValueError, match="no values"):
            figure([])
