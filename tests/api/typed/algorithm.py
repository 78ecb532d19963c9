"""What an algorithm's author writes with the names of `fsm_exec` alone; held to `mypy --strict` against the wheel."""

from typing import Annotated

from msgspec import Meta

from fsm_exec import (
    ClosingSettings,
    Family,
    Goal,
    PlaceWish,
    Progress,
    RepriceWish,
    Slice,
    View,
    Wish,
    WithdrawWish,
    allowed,
    touch,
    whole,
)


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Rests `below_ticks` below the best bid."""

    below_ticks: Annotated[int, Meta(ge=0, le=10)] = 1

    @property
    def look_every_us(self) -> int | None:
        return 1_000_000


def plan(goal: Goal, view: View, config: Config) -> tuple[Slice, ...]:
    return whole(goal)


def replan(progress: Progress, view: View, config: Config) -> tuple[Wish, ...]:
    part = progress.slices[0]
    seen = touch(view)
    if seen is None:
        return () if part.working is None else (WithdrawWish(level=part.level),)
    price = allowed(progress.goal, seen[0] - 100 * config.below_ticks)
    if part.working is None:
        return (PlaceWish(level=part.level, price_e4=price, count_e2=part.free_e2),) if part.free_e2 else ()
    if part.working.busy or part.working.price_e4 == price:
        return ()
    return (RepriceWish(level=part.level, price_e4=price),)


FAMILY = Family("rests_below", Config, plan, replan)
