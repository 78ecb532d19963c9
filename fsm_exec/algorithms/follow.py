"""A baseline: one post-only order at a fixed share of the way from bid to ask, which follows them.

No ramp and no signals: what moves the order is the book alone, by the rules of `quoting`, and the closing leg takes the
rest. A method that re-prices by anything better has to beat this.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from fsm_exec.algorithms.quoting import Ticks, may_move, may_write, move_quote, place_quote, quote_price
from fsm_exec.algorithms.toolkit import ClosingSettings, check_weight, single_slice, weight_ppm
from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`share` of the spread that is given: at 0 the order is at the bid, at 1 a tick below the ask. The rest are the
    rules of `quoting`."""

    share: Decimal = Decimal("0.7")
    up_ticks: Ticks = 1
    down_ticks: Ticks = 3
    fine_grid_ticks: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    guard_spread_factor: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    guard_spread_e4: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 200
    look_every_ms: Annotated[int, msgspec.Meta(ge=250, le=60_000)] = 1_000
    write_budget: Annotated[int, msgspec.Meta(ge=3, le=1_000)] = 12
    tokens_min: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 20
    patient_spread_e4: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    patient_until_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 45

    def __post_init__(self) -> None:
        check_weight("share", self.share, 0, 1)

    @property
    def look_every_us(self) -> int | None:
        return self.look_every_ms * 1_000

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset()


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal, part = progress.goal, progress.slices[0]
    working = part.working
    if (working is None and part.free_e2 == 0) or not may_write(progress, 1, config):
        return ()
    price = quote_price(progress, view, config, weight_ppm(config.share))
    if working is None:
        return place_quote(part, price, view)
    return move_quote(goal, part.level, working, price, config) if may_move(progress, working, view, config) else ()
