"""Weighted sums of a few features, fitted to what happened: to its mean, to a quantile of it, or to a chance.

Plain and small, as samples are a few thousand and features four. Nothing here is a price or a count: values are scaled
to be near one before they come here, and turned into the integers of a table after it.

    mean        least squares
    quantile    the pinball loss, by least squares reweighted with 1 / |residual|, then moved so that the share above
                is what was asked for
    chance      the normal distribution's (probit), by Fisher's scoring; also of shares between 0 and 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Final, TypeAlias

Row: TypeAlias = Sequence[float]
"""Features of one sample, the first of them 1."""

RIDGE: Final = 1e-6
SOFTEST: Final = (
    0.02  # residuals below it weigh alike: where many outcomes are the same the fit need not hit them exactly
)
STEPS: Final = 25
ENOUGH: Final = 1e-3
CHANCE_RIDGE: Final = 2.0  # of a few samples: a chance that is nearly sure must not run away
SURE: Final = 0.002
SUREST: Final = 1e-6  # no logarithm of nothing
_NORMAL = NormalDist()


def dot(weights: Row, row: Row) -> float:
    return sum(map(float.__mul__, weights, row))


def fit_mean(rows: Sequence[Row], values: Sequence[float]) -> list[float]:
    return _least_squares(rows, values, [1.0] * len(rows))


def fit_quantile(
    rows: Sequence[Row], values: Sequence[float], share: float, start: Sequence[float] | None = None
) -> list[float]:
    """Of `values`, the `share` is at or below the sum."""
    weights = list(start) if start is not None else fit_mean(rows, values)
    for _ in range(STEPS):
        pulls: list[float] = []
        for row, value in zip(rows, values, strict=True):
            off = value - dot(weights, row)
            pulls.append((share if off >= 0 else 1 - share) / max(abs(off), SOFTEST))
        found = _least_squares(rows, values, pulls)
        moved = max(abs(new - old) for new, old in zip(found, weights, strict=True))
        weights = found
        if moved < ENOUGH:
            break
    return weights


def fit_chance(rows: Sequence[Row], values: Sequence[float]) -> list[float]:
    """Weights whose sum z gives the chance Phi(z)."""
    size = len(rows[0])
    usual = sum(values) / len(values)
    weights = [0.0] * size
    weights[0] = _NORMAL.inv_cdf(min(1 - SURE, max(SURE, usual)))
    loss = _chance_loss(rows, values, weights)
    for _ in range(STEPS):
        square = [
            [CHANCE_RIDGE if i == j and i else RIDGE if i == j else 0.0 for j in range(size)] for i in range(size)
        ]
        slope = [-CHANCE_RIDGE * weight if i else 0.0 for i, weight in enumerate(weights)]
        for row, value in zip(rows, values, strict=True):
            z = dot(weights, row)
            chance = _chance(z)
            density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            pull = density / (chance * (1 - chance))
            _add(square, row, density * pull)
            for i, feature in enumerate(row):
                slope[i] += (value - chance) * pull * feature
        step = _solve(square, slope)
        for _ in range(STEPS):  # half as far, until it is a gain
            tried = [weight + change for weight, change in zip(weights, step, strict=True)]
            reached = _chance_loss(rows, values, tried)
            if reached < loss:
                break
            step = [change / 2 for change in step]
        else:
            break
        gained, weights, loss = loss - reached, tried, reached
        if gained < ENOUGH:
            break
    return weights


def _chance(z: float) -> float:
    return min(1 - SUREST, max(SUREST, _NORMAL.cdf(z)))


def _chance_loss(rows: Sequence[Row], values: Sequence[float], weights: Row) -> float:
    """Return the log-likelihood turned round, with the ridge."""
    total = CHANCE_RIDGE / 2 * math.fsum(weight * weight for weight in weights[1:])
    for row, value in zip(rows, values, strict=True):
        chance = _chance(dot(weights, row))
        total -= value * math.log(chance) + (1 - value) * math.log(1 - chance)
    return total


def _least_squares(rows: Sequence[Row], values: Sequence[float], pulls: Sequence[float]) -> list[float]:
    size = len(rows[0])
    square = [[RIDGE if i == j else 0.0 for j in range(size)] for i in range(size)]
    right = [0.0] * size
    for row, value, pull in zip(rows, values, pulls, strict=True):
        _add(square, row, pull)
        pulled = pull * value
        for i, feature in enumerate(row):
            right[i] += pulled * feature
    return _solve(square, right)


def _add(square: list[list[float]], row: Row, pull: float) -> None:
    """Add pull x row x row to the lower half."""
    for i, feature in enumerate(row):
        pulled, line = pull * feature, square[i]
        for j in range(i + 1):
            line[j] += pulled * row[j]


def _solve(square: list[list[float]], right: Sequence[float]) -> list[float]:
    """Solve by Cholesky's halves; only the lower half of `square` is read, which is positive thanks to the ridge."""
    size = len(right)
    half = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = square[i][j] - sum(half[i][k] * half[j][k] for k in range(j))
            half[i][j] = math.sqrt(max(rest, RIDGE)) if i == j else rest / half[j][j]
    down: list[float] = []
    for i in range(size):
        down.append((right[i] - sum(half[i][k] * down[k] for k in range(i))) / half[i][i])
    found = [0.0] * size
    for i in reversed(range(size)):
        found[i] = (down[i] - sum(half[k][i] * found[k] for k in range(i + 1, size))) / half[i][i]
    return found
