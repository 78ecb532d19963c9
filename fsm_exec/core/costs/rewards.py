"""What the exchange's programmes pay: the published formulas, in exact integers.

Liquidity. Each second one snapshot is taken. On each side the bids are walked from the best one down, all of a price
together, until the target size is reached: these are scored, each contract with the discount factor to the power of
its distance from the best price, in ticks of the market's grid (cents where it has cents). Half of the second's pool
goes to each side, shared by score. A snapshot in which a side does not reach the target, or in which its best bid is
at the highest price there is, pays nobody. Volume. Each contract of a trade between 3 and 97 cents counts once for the
maker and once for the taker; the pool is shared by contracts, with at most half a cent for one of a side.

What a second or a fill earns is rounded down to 10^-12 dollars, and those integers are added up: in a day less than
10^-7 dollars are lost, and the shares of all never exceed the pool. All of it is an estimate until the exchange pays:
the pool of the period is spread evenly over its seconds, although seconds that pay nobody leave more for the others;
how much will be traded until its end is a guess; and the exchange pays an account nothing below a dollar a programme.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

import msgspec

from fsm_exec.core.errors import LocalError
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, PriceE4, PriceGrid

E12_OF_E4: Final = 10**8
E12_OF_E7: Final = 10**5
BPS: Final = 10_000
VOLUME_LOW_E4, VOLUME_HIGH_E4 = PriceE4(300), PriceE4(9_700)
VOLUME_MOST_E4: Final = 50  # for a contract of a side
SIDES: Final = 2
COUNT_E2: Final = 100


class Rewards(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution is estimated to have earned, in 10^-7 dollars, at least 0; None: not known."""

    liquidity_e7: int | None
    volume_e7: int | None


UNKNOWN_REWARDS: Final = Rewards(liquidity_e7=None, volume_e7=None)


class SideScore(msgspec.Struct, frozen=True):
    """What one side of a snapshot scores: `weights` of a hundredth of a contract by price, only of prices that are
    scored, and the `total` of all that is displayed there. They share a denominator that is left out."""

    weights: dict[PriceE4, int]
    total: int


def score_side(bids: Iterable[Level], grid: PriceGrid, program: IncentiveProgram) -> SideScore | None:
    """Score the bids of one outcome, best first, ours among them; `grid` is in its terms. None: nothing of this side
    is scored, and so nothing of the snapshot. Raises LocalError for a programme that states no target or discount."""
    target, discount = program.target_e2, program.discount_bps
    if target is None or discount is None:
        raise LocalError(f"programme {program.program_id} states no target or no discount")
    best: PriceE4 | None = None
    reached = 0
    scored: list[tuple[PriceE4, CountE2, int]] = []
    for price, count in bids:
        if best is None:
            best = price
            if best >= (grid.floor(ONE_DOLLAR_E4 - 1) or ONE_DOLLAR_E4):
                return None
        scored.append((price, count, grid.ticks_between(price, best)))
        reached += count
        if reached >= target:
            break
    if not scored or reached < target:
        return None
    farthest = scored[-1][2]
    weights = {price: discount**ticks * BPS ** (farthest - ticks) for price, _, ticks in scored}
    return SideScore(weights, sum(weights[price] * count for price, count, _ in scored))


def share_of_snapshot(
    score: SideScore, displayed: Mapping[PriceE4, CountE2], own: Mapping[PriceE4, CountE2]
) -> Fraction:
    """Return what part of a side's score is that of `own` orders, as far as the book displays them."""
    ours = sum(
        score.weights[price] * min(count, displayed.get(price, 0))
        for price, count in own.items()
        if price in score.weights
    )
    return Fraction(ours, score.total) if score.total else Fraction(0)


def second_reward_e12(program: IncentiveProgram, share: Fraction) -> int:
    """Return what a share of one side earns in one second, in 10^-12 dollars, rounded down."""
    return program.reward_e4 * E12_OF_E4 * share.numerator // (SIDES * program.seconds * share.denominator)


def is_eligible_price(price: PriceE4) -> bool:
    """Whether a trade at this price counts for a volume programme; the same from both outcomes."""
    return VOLUME_LOW_E4 <= price <= VOLUME_HIGH_E4


def fill_reward_e12(program: IncentiveProgram, price: PriceE4, count: CountE2, traded_e2: CountE2) -> int:
    """Return what one fill earns of a volume programme in whose period `traded_e2` contracts trade at eligible prices,
    in 10^-12 dollars, rounded down. More cannot have been filled than is traded."""
    if not is_eligible_price(price):
        return 0
    pool_e12, most_e12 = program.reward_e4 * E12_OF_E4, VOLUME_MOST_E4 * E12_OF_E4 * count // COUNT_E2
    return min(most_e12, pool_e12 * count // (SIDES * max(count, traded_e2)))


def whole_period_volume(volume_24h: CountE2, program: IncentiveProgram) -> CountE2:
    """Return how much is traded in a programme's period if it goes on as in the last 24 hours."""
    return CountE2(volume_24h * program.seconds // 86_400)


def capped_e12(program: IncentiveProgram, earned_e12: int) -> int:
    """Return what was earned, not more than the programme pays one account."""
    return earned_e12 if program.max_reward_e4 is None else min(earned_e12, program.max_reward_e4 * E12_OF_E4)
