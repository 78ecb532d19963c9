"""One limit order at the target price. At the deadline the remainder is cancelled."""

from __future__ import annotations

from fsm_exec.algorithms.algorithm_types import Settings
from fsm_exec.core.algorithm.algorithm import Action, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView


class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to choose."""

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return (Slice(level=1, count_e2=goal.target_e2),)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    part = progress.slices[0]
    if part.working is not None or part.free_e2 == 0:
        return ()
    return (PlaceAction(level=1, price_e4=progress.goal.limits.target_e4, count_e2=part.free_e2),)
