"""After how many trades would the work on a better method be paid for?

    trades needed = cost / what one trade saves, rounded up
    cost          = hours x dollars an hour

What one trade saves, where the database holds both kinds of method, is the all-in cost (implementation shortfall less
estimated rewards, dollars a contract, of the whole target) of the limits that stay where they were put, less that of
the methods that walk, times the mean size of a trade. Both means are ratios of exact sums. The two kinds did not work
the same trades, so nothing can be paired: each mean has its own 95 % interval, from its variance between blocks
(lab.blocks) with Student's quantile, and the difference has the root of their squared widths. Whoever ended an
execution early ended the comparison too, so those are left out. Otherwise the saving is assumed: a share of what a
trade has cost at its fill prices on average.

For scale: 40 hours at 50 dollars, saved by 1 % of trades of 400 dollars, are the reference design's 500 trades.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from fsm_exec.core.values.units import MoneyE6
from fsm_exec.lab.blocks import BlockId, number_blocks
from fsm_exec.lab.evidence import WALKING
from fsm_exec.lab.review import BY_OWNER
from fsm_exec.lab.statistics import BLOCKS_MIN, CONFIDENCE
from fsm_exec.lab.student import student_quantile
from fsm_exec.store.reads.review_queries import EndedRow

RESTING: Final = frozenset({"basic", "simple_limit", "passive_mid", "join_bid", "static_fraction"})
E7_PER_E6: Final = 10
E2_PER_CONTRACT: Final = 100


class Saving(NamedTuple):
    """What one trade saves, in dollars (10^-6); negative is a loss. `low_e6`, `high_e6`: its interval, None if it is
    assumed or unknown."""

    basis: Literal["observed", "assumed"]
    e6: MoneyE6
    low_e6: MoneyE6 | None
    high_e6: MoneyE6 | None
    resting: int
    walking: int


class BreakEven(NamedTuple):
    """`trades` None: a saving of nought or less never pays. `at_least` and `at_most` are those of the interval's ends,
    None where it never pays, or where there is no interval."""

    cost_e6: MoneyE6
    saving: Saving
    trades: int | None
    at_least: int | None
    at_most: int | None


def observed_saving(ended: Sequence[EndedRow]) -> Saving | None:
    """None unless both kinds have executions whose cost is known."""
    priced = [row for row in ended if row.shortfall_e7 is not None and row.reason not in BY_OWNER]
    resting = [row for row in priced if row.algorithm in RESTING]
    walking = [row for row in priced if row.algorithm in WALKING]
    if not resting or not walking:
        return None
    size_e2 = Fraction(sum(row.target_e2 for row in resting + walking), len(resting) + len(walking))
    saved_e6 = (_cost(resting) - _cost(walking)) * size_e2 / E7_PER_E6
    low = high = None
    a, b = _half_width(resting), _half_width(walking)
    if a is not None and b is not None:
        half_e6 = math.hypot(a, b) * float(size_e2) / E7_PER_E6
        low, high = MoneyE6(round(saved_e6 - half_e6)), MoneyE6(round(saved_e6 + half_e6))
    return Saving("observed", MoneyE6(round(saved_e6)), low, high, len(resting), len(walking))


def assumed_saving(ended: Sequence[EndedRow], percent_e6: int) -> Saving | None:
    """So many per cent (in millionths of one) of the mean price of a trade; None without any trade."""
    paid = [row.average_fill_price * row.filled_e2 for row in ended if row.average_fill_price and row.filled_e2]
    if not paid:
        return None
    dollars = Fraction(sum(paid, Decimal(0))) / E2_PER_CONTRACT / len(paid)
    return Saving("assumed", MoneyE6(round(dollars * percent_e6 / 100)), None, None, 0, 0)


def break_even(cost_e6: MoneyE6, saving: Saving) -> BreakEven:
    """How many trades pay `cost_e6`."""
    return BreakEven(
        cost_e6,
        saving,
        _trades(cost_e6, saving.e6),
        None if saving.high_e6 is None else _trades(cost_e6, saving.high_e6),
        None if saving.low_e6 is None else _trades(cost_e6, saving.low_e6),
    )


def _trades(cost_e6: int, saving_e6: int) -> int | None:
    return -(-cost_e6 // saving_e6) if saving_e6 > 0 else None


def _cost(rows: Sequence[EndedRow]) -> Fraction:
    """10^-7 dollars for a hundredth of a contract."""
    return Fraction(sum(row.cost_e7 or 0 for row in rows), sum(row.target_e2 for row in rows))


def _half_width(rows: Sequence[EndedRow]) -> float | None:
    """Return half the width of the interval of the same difference; None for too few blocks."""
    mean = float(_cost(rows))
    numbered = number_blocks((row.ticker, row.at_us) for row in rows)
    residuals: dict[BlockId, float] = defaultdict(float)
    for row in rows:
        residuals[numbered[row.ticker, row.at_us]] += (row.cost_e7 or 0) - mean * row.target_e2
    blocks = len(residuals)
    if blocks < BLOCKS_MIN:
        return None
    variance = math.fsum(each**2 for each in residuals.values()) * blocks / (blocks - 1)
    size = sum(row.target_e2 for row in rows)
    return student_quantile((1 + CONFIDENCE) / 2, blocks - 1) * math.sqrt(variance) / size
