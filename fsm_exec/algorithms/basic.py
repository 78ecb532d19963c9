"""The reference design's rule: an edge worth more than 15 cents a contract is taken, any other rests.

Taking is one immediate order at the worst price, sent when there is an offer within it; what it does not get rests at
the target price. Slippage is controlled where it is for every algorithm: the worst price is 2 % above the target
unless the submitter says otherwise, and no order is ever above it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import ClosingSettings, offers_within, rest_at, single_slice
from fsm_exec.core.algorithm.algorithm import Action, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`take_above_e6`: dollars per contract, in millionths; an expected value above it is taken."""

    take_above_e6: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 150_000

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal, part = progress.goal, progress.slices[0]
    takes = goal.edge is not None and goal.edge.expected_value_e6 > config.take_above_e6
    if (
        takes
        and not part.sent
        and part.working is None
        and part.free_e2
        and offers_within(view.asks, goal.limits.worst_e4)
    ):
        return (
            PlaceAction(
                level=part.level,
                price_e4=goal.limits.worst_e4,
                count_e2=part.free_e2,
                time_in_force="immediate_or_cancel",
            ),
        )
    return rest_at(progress, goal.limits.target_e4)
