"""A baseline: one limit at the best bid on arrival. It is never moved."""

from __future__ import annotations

from fsm_exec.algorithms.toolkit import BaselineSettings, cap_to_grid, rest_at, single_slice, touch
from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView


class Config(BaselineSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to choose but the closing leg."""


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal = progress.goal
    best = touch(goal.arrival)
    return rest_at(progress, cap_to_grid(goal, goal.limits.target_e4 if best is None else best[0]))
