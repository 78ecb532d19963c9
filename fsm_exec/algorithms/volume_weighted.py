"""Once, all at once: the target spread over the offers on arrival, in proportion to what each offers.

Each part is one limit at its offer's price and stays there. Offers above the worst price do not count; with none
left, everything rests at the target price. The arrival decides for good, so that a restart changes nothing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import ClosingSettings, apportion, offers_within, single_slice
from fsm_exec.core.algorithm.algorithm import Action, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import VIEW_DEPTH_LEVELS, MarketView
from fsm_exec.core.market.book import Ladder


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`levels_max`: how many offers, best first, are looked at."""

    levels_max: Annotated[int, msgspec.Meta(ge=1, le=VIEW_DEPTH_LEVELS)] = 5

    @property
    def resting_at_most(self) -> int:
        return self.levels_max

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    offers = _offers(goal, config)
    if not offers:
        return single_slice(goal)
    counts = apportion(goal.target_e2, [count for _, count in offers])
    return tuple(Slice(level=n, count_e2=count) for n, count in enumerate(counts, start=1) if count)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal = progress.goal
    offers = _offers(goal, config)
    return tuple(
        PlaceAction(
            level=part.level,
            price_e4=offers[part.level - 1][0] if offers else goal.limits.target_e4,
            count_e2=part.free_e2,
        )
        for part in progress.slices
        if part.working is None and part.free_e2
    )


def _offers(goal: Goal, config: Config) -> Ladder:
    """Those the plan was made from, on the grid the execution was accepted under."""
    within_limits = offers_within(goal.arrival.asks, goal.limits.worst_e4)[: config.levels_max]
    return tuple(level for level in within_limits if goal.grid.contains(level[0]))
