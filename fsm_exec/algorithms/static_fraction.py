"""A baseline: one limit at a fixed share of the way from bid to ask on arrival, to the nearest tick. It is never moved.

The best share, chosen before the event, is the baseline that every dynamic algorithm has to beat.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import BaselineSettings, allowed, between, rest_at, to_nearest, touch, whole
from fsm_exec.core.algorithm.algorithm import Goal, Progress, Slice, Wish
from fsm_exec.core.algorithm.market_view import View
from fsm_exec.core.values.units import PPM


class Config(BaselineSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`fraction_ppm`: 0 is the bid, 1,000,000 the ask."""

    fraction_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)] = 650_000


def plan(goal: Goal, view: View, config: Config) -> tuple[Slice, ...]:
    return whole(goal)


def replan(progress: Progress, view: View, config: Config) -> tuple[Wish, ...]:
    goal = progress.goal
    best = touch(goal.arrival)
    price = goal.limits.target_e4 if best is None else to_nearest(goal, between(*best, config.fraction_ppm))
    return rest_at(progress, allowed(goal, price))
