"""One limit at the target price that gives way in time: half a cent every 30 s, at most 5 times, then it rests.

A step is rounded up to the grid, so it is a tick at least, and never leads above the worst price. How many steps have
been made is the number of walks: what the exchange has not taken is not a step.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import ClosingSettings, cap_to_grid, rest_at, single_slice
from fsm_exec.core.algorithm.algorithm import Action, AmendAction, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import US_PER_S, PriceE4

LOOK_EVERY_US = US_PER_S


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    step_e4: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 50
    interval_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = 30
    steps_max: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5

    @property
    def look_every_us(self) -> int | None:
        return LOOK_EVERY_US

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    part = progress.slices[0]
    working = part.working
    if working is None:
        return rest_at(progress, _after(progress.goal, min(progress.walks, config.steps_max), config))
    due_us = working.moved_at_us + config.interval_s * US_PER_S
    if working.busy or progress.walks >= config.steps_max or progress.at_us < due_us:
        return ()
    price = _after(progress.goal, progress.walks + 1, config)
    return (AmendAction(level=part.level, price_e4=price),) if price > working.price_e4 else ()


def _after(goal: Goal, steps: int, config: Config) -> PriceE4:
    """The price after so many steps, within the worst price."""
    price = goal.limits.target_e4
    for _ in range(steps):
        stepped = goal.grid.ceil(price + config.step_e4)
        if stepped is None or stepped > goal.limits.worst_e4:
            return cap_to_grid(goal, goal.limits.worst_e4)
        price = stepped
    return price
