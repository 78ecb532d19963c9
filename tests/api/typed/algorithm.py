"""What an algorithm's author writes with the names of `fsm_exec` alone; held to `mypy --strict` against the wheel."""

from typing import Annotated

from msgspec import Meta

from fsm_exec import (
    Action,
    AmendAction,
    CancelAction,
    ClosingSettings,
    Family,
    Goal,
    MarketView,
    PlaceAction,
    Progress,
    Slice,
    cap_to_grid,
    single_slice,
    touch,
)


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rests `below_ticks` below the best bid."""

    below_ticks: Annotated[int, Meta(ge=0, le=10)] = 1

    @property
    def look_every_us(self) -> int | None:
        return 1_000_000


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    part = progress.slices[0]
    seen = touch(view)
    if seen is None:
        return () if part.working is None else (CancelAction(level=part.level),)
    price = cap_to_grid(progress.goal, seen[0] - 100 * config.below_ticks)
    if part.working is None:
        return (PlaceAction(level=part.level, price_e4=price, count_e2=part.free_e2),) if part.free_e2 else ()
    if part.working.busy or part.working.price_e4 == price:
        return ()
    return (AmendAction(level=part.level, price_e4=price),)


FAMILY = Family("rests_below", Config, plan, replan)
