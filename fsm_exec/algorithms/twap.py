"""Slices in time: each comes due N seconds after the one before it and is taken when there is an offer within the
limit.

What a slice does not get is never lost: it moves into the newest slice that is due and is tried again as soon as
something is offered, until the deadline; after the last slice there is nothing left to wait for but offers. The slices
are spread over a part of the time before the closing leg only, so that a book too thin for the schedule can be caught
up with. One immediate order at a time, at the worst price. Fewer contracts than slices are fewer slices.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.algorithms.toolkit import ClosingLeadS, ClosingSettings, apportion, offers_within, slices_of
from fsm_exec.core.algorithm.algorithm import Action, Goal, PlaceAction, Progress, Slice, SliceProgress, TransferAction
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import PPM, US_PER_S, CountE2

LOOK_EVERY_US = US_PER_S


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`interval_s` 0: as long as the time allows; it is shortened where it would not fit. `spread_ppm` is the share of
    the time before the closing leg in which the slices come due, `retry_ms` the least time from one order to the next.
    After `fruitless_max` orders in a row that got nothing, what the book shows is not believed until the next slice
    comes due."""

    closing_lead_s: ClosingLeadS = 1  # nothing rests, so nothing has to be cancelled before the last order
    slices: Annotated[int, msgspec.Meta(ge=5, le=10)] = 8
    interval_s: Annotated[int, msgspec.Meta(ge=0, le=3_600)] = 0
    spread_ppm: Annotated[int, msgspec.Meta(ge=100_000, le=PPM)] = 800_000
    retry_ms: Annotated[int, msgspec.Meta(ge=250, le=60_000)] = 500
    fruitless_max: Annotated[int, msgspec.Meta(ge=3, le=1_000)] = 8

    @property
    def look_every_us(self) -> int | None:
        return min(LOOK_EVERY_US, self.retry_ms * 1_000)

    @property
    def takes_only(self) -> bool:
        return True

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return slices_of(apportion(goal.target_e2, [1] * config.slices))


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal = progress.goal
    due = _due(progress, config)
    wanted = CountE2(sum(part.free_e2 for part in due))
    placed_us = [part.last_placed_at_us for part in progress.slices if part.last_placed_at_us is not None]
    if (
        wanted == 0
        or any(part.working is not None for part in progress.slices)
        or (placed_us and progress.at_us < max(placed_us) + config.retry_ms * 1_000)
        or due[-1].fruitless >= config.fruitless_max
        or not view.is_tradable
        or not offers_within(view.asks, goal.limits.worst_e4)
    ):
        return ()
    newest = due[-1]
    order = PlaceAction(
        level=newest.level,
        price_e4=goal.limits.worst_e4,
        count_e2=wanted,
        time_in_force="immediate_or_cancel",
    )
    return (*_caught_up(due[:-1], newest), order)


def _due(progress: Progress, config: Config) -> tuple[SliceProgress, ...]:
    """The slices whose time has come, oldest first; the first at once."""
    goal, count = progress.goal, len(progress.slices)
    span_us = goal.deadline_us - (config.closing_lead_us or 0) - goal.accepted_at_us
    interval_us = max(0, span_us) * config.spread_ppm // PPM // count
    if config.interval_s:
        interval_us = min(interval_us, config.interval_s * US_PER_S)
    passed_us = progress.at_us - goal.accepted_at_us
    return tuple(part for n, part in enumerate(progress.slices) if n * interval_us <= passed_us) or progress.slices[:1]


def _caught_up(earlier: tuple[SliceProgress, ...], newest: SliceProgress) -> tuple[TransferAction, ...]:
    return tuple(
        TransferAction(from_level=part.level, to_level=newest.level, count_e2=part.free_e2)
        for part in earlier
        if part.free_e2
    )
