"""A baseline: one limit at the mid on arrival, rounded down to the grid. It is never moved."""

from __future__ import annotations

from fsm_exec.algorithms.toolkit import BaselineSettings, allowed, rest_at, whole
from fsm_exec.core.algorithm.algorithm import Goal, Progress, Slice, Wish
from fsm_exec.core.algorithm.market_view import View


class Config(BaselineSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to choose but the closing leg."""


def plan(goal: Goal, view: View, config: Config) -> tuple[Slice, ...]:
    return whole(goal)


def replan(progress: Progress, view: View, config: Config) -> tuple[Wish, ...]:
    goal = progress.goal
    mid_e5 = goal.arrival.mid_e5
    return rest_at(progress, allowed(goal, goal.limits.target_e4 if mid_e5 is None else mid_e5 // 10))
