"""What several algorithms are built from: prices on the grid, shares of the target, one resting order.

Prices are of the own outcome and in ten-thousandths of a dollar. Shares of one are integers in millionths (`_ppm`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Annotated

import msgspec

from fsm_exec.algorithms.algorithm_types import Settings
from fsm_exec.core.algorithm.algorithm import Action, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, US_PER_S, CountE2, PriceE4, PriceGrid

CONTEXT = Context(prec=18)  # our own: a changed precision somewhere else must not change a price

ClosingLeadS = Annotated[int, msgspec.Meta(ge=0, le=600)]
"""Seconds before the deadline at which the closing leg begins; 0: there is none."""


class ClosingSettings(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of a configuration with a closing leg, unless `closing_lead_s` is 0."""

    closing_lead_s: ClosingLeadS = 2

    @property
    def closing_lead_us(self) -> int | None:
        return self.closing_lead_s * US_PER_S or None


class BaselineSettings(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A baseline has no closing leg unless asked for one: what it leaves unfilled is what it is compared by."""

    closing_lead_s: ClosingLeadS = 0

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def check_weight(name: str, value: Decimal, low: Decimal | int, high: int) -> None:
    """Check a dimensionless weight of a configuration. Raises ValueError unless it is a number from `low` to `high`."""
    if not (value.is_finite() and low <= value <= high):
        raise ValueError(f"{name} {value} is not between {low} and {high}")


def weight_ppm(weight: Decimal) -> int:
    """A dimensionless weight in millionths, rounded towards zero."""
    return int(CONTEXT.multiply(weight, Decimal(PPM)))


def cap_to_grid(goal: Goal, price: int) -> PriceE4:
    """The highest price of the grid at or below `price` and the worst price; the grid's lowest if there is none."""
    found = goal.grid.floor(min(price, goal.limits.worst_e4))
    return lowest_price(goal.grid) if found is None else found


def lowest_price(grid: PriceGrid) -> PriceE4:
    """The cheapest price of a grid. Every grid has one."""
    found = grid.ceil(1)
    return PriceE4(1) if found is None else found


def tick_above(grid: PriceGrid, price: PriceE4) -> int:
    """From a price of the grid to the next one; 0 if it is the last."""
    above = grid.ceil(price + 1)
    return 0 if above is None else above - price


def price_between(bid: PriceE4, ask: PriceE4, share_ppm: int) -> int:
    """`share_ppm` of the way from the bid to the ask, rounded down."""
    return bid + share_ppm * (ask - bid) // PPM


def to_nearest(goal: Goal, price: int) -> int:
    """`price` and half a tick: rounded down to the grid afterwards, that is the nearest price."""
    return price + tick_above(goal.grid, cap_to_grid(goal, price)) // 2


def touch(view: MarketView) -> tuple[PriceE4, PriceE4] | None:
    """Return the best bid and ask; for a one-sided book those of the last two-sided one, from its mid and spread. None
    if there was none yet."""
    if view.is_two_sided:
        return view.bids[0][0], view.asks[0][0]
    if view.mid_e5 is None or view.spread_e4 is None:
        return None
    bid = (view.mid_e5 - view.spread_e4 * 5) // 10
    return PriceE4(bid), PriceE4(bid + view.spread_e4)


def offers_within(asks: Ladder, worst: PriceE4) -> Ladder:
    """The offers that may be taken."""
    return tuple(level for level in asks if level[0] <= worst)


def single_slice(goal: Goal) -> tuple[Slice, ...]:
    """One slice of everything."""
    return (Slice(level=1, count_e2=goal.target_e2),)


def rest_at(progress: Progress, price: PriceE4, *, post_only: bool = False) -> tuple[Action, ...]:
    """One order of slice 1 for all that is free, at a price that never changes; nothing while there is one."""
    part = progress.slices[0]
    if part.working is not None or part.free_e2 == 0:
        return ()
    return (PlaceAction(level=part.level, price_e4=price, count_e2=part.free_e2, post_only=post_only),)


def apportion(total: CountE2, weights: Sequence[int]) -> tuple[CountE2, ...]:
    """`total` in parts proportional to `weights` (not negative, not all zero), which add up to it exactly.

    Whole contracts by largest remainder, earlier parts first among equals; a fraction of a contract goes to the first
    part that has any. Parts may be zero.
    """
    contracts, fraction = divmod(total, ONE_CONTRACT_E2)
    weight = sum(weights)
    shares = [contracts * w // weight for w in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(contracts * weights[i] % weight), i))
    for i in by_remainder[: contracts - sum(shares)]:
        shares[i] += 1
    counts = [share * ONE_CONTRACT_E2 for share in shares]
    first = next((i for i, count in enumerate(counts) if count), next(i for i, w in enumerate(weights) if w))
    counts[first] += fraction
    return tuple(CountE2(count) for count in counts)


def slices_of(counts: Sequence[CountE2]) -> tuple[Slice, ...]:
    """Levels 1, 2, 3 ... of the parts that are not zero."""
    return tuple(Slice(level=n, count_e2=c) for n, c in enumerate((c for c in counts if c), start=1))
