"""Takes what is offered within the limit, whenever something is, until the deadline. It never quotes.

Made for executions that close a position, whose orders must all be immediate; it can work any. One order at a time, at
the worst price, for all that is left. What the book shows may be gone, and what is held too: after orders in a row that
got nothing it waits, twice as long each time.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import ClosingLeadS, ClosingSettings, offers_within, single_slice
from fsm_exec.core.algorithm.algorithm import Action, Goal, PlaceAction, Progress, Slice, SliceProgress
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import US_PER_MS

PauseMs = Annotated[int, msgspec.Meta(ge=250, le=600_000)]


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`retry_ms` is the least time from one order to the next; it doubles with each order in a row that got nothing, up
    to `pause_max_ms` (or `retry_ms`, if that is more)."""

    closing_lead_s: ClosingLeadS = 1  # nothing rests, so nothing has to be cancelled before the last order
    retry_ms: PauseMs = 500
    pause_max_ms: PauseMs = 60_000

    @property
    def look_every_us(self) -> int | None:
        return self.retry_ms * US_PER_MS  # a pause may be over although nothing moves

    @property
    def takes_only(self) -> bool:
        return True

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal, part = progress.goal, progress.slices[0]
    if part.working is not None or part.free_e2 == 0 or progress.at_us < _next_order_us(part, config):
        return ()
    if not view.is_tradable or not offers_within(view.asks, goal.limits.worst_e4):
        return ()
    return (
        PlaceAction(
            level=part.level,
            price_e4=goal.limits.worst_e4,
            count_e2=part.free_e2,
            time_in_force="immediate_or_cancel",
        ),
    )


def _next_order_us(part: SliceProgress, config: Config) -> int:
    """The earliest time of the next order."""
    if part.last_placed_at_us is None:
        return 0
    retry_us, most_us = config.retry_ms * US_PER_MS, config.pause_max_ms * US_PER_MS
    pause_us = min(retry_us << min(part.fruitless, 20), max(retry_us, most_us))
    return part.last_placed_at_us + pause_us
