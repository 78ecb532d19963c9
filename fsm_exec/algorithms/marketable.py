"""A baseline: one limit at the best ask on arrival, never above the worst price. What it does not take rests there."""

from __future__ import annotations

from fsm_exec.algorithms.toolkit import BaselineSettings, allowed, rest_at, touch, whole
from fsm_exec.core.algorithm.algorithm import Goal, Progress, Slice, Wish
from fsm_exec.core.algorithm.market_view import View


class Config(BaselineSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to choose but the closing leg."""


def plan(goal: Goal, view: View, config: Config) -> tuple[Slice, ...]:
    return whole(goal)


def replan(progress: Progress, view: View, config: Config) -> tuple[Wish, ...]:
    goal = progress.goal
    best = touch(goal.arrival)
    return rest_at(progress, allowed(goal, goal.limits.worst_e4 if best is None else best[1]))
