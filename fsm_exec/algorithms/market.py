"""One immediate-or-cancel order at the worst price, not repeated. What it does not get is left unfilled.

The exchange has no market orders; this is one with a bound. It is sent again only if it never reached the exchange.
"""

from __future__ import annotations

from fsm_exec.algorithms.algorithm_types import Settings
from fsm_exec.core.algorithm.algorithm import Action, GiveUpAction, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView


class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to choose."""

    @property
    def takes_only(self) -> bool:
        return True

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return (Slice(level=1, count_e2=goal.target_e2),)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    part = progress.slices[0]
    if part.working is not None or part.free_e2 == 0:
        return ()
    if part.sent:
        return (GiveUpAction(reason="no_liquidity"),)
    return (
        PlaceAction(
            level=1,
            price_e4=progress.goal.limits.worst_e4,
            count_e2=part.free_e2,
            time_in_force="immediate_or_cancel",
        ),
    )
