"""A baseline: one limit at a fixed share of the way from bid to ask on arrival, to the nearest tick. It is never moved.

The best share, chosen before the event, is the baseline that every dynamic algorithm has to beat.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import (
    BaselineSettings,
    cap_to_grid,
    price_between,
    rest_at,
    single_slice,
    to_nearest,
    touch,
)
from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import PPM


class Config(BaselineSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`fraction_ppm`: 0 is the bid, 1,000,000 the ask."""

    fraction_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)] = 650_000


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal = progress.goal
    best = touch(goal.arrival)
    price = goal.limits.target_e4 if best is None else to_nearest(goal, price_between(*best, config.fraction_ppm))
    return rest_at(progress, cap_to_grid(goal, price))
