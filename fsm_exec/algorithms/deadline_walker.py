"""A quoter with a clock: one post-only order inside the spread, dearer as the deadline comes nearer.

price = bid + a x (ask - bid), a = a0 + a1 x (t / H)^g, a tick below the ask at most, never above the worst price.
t is the time since the execution was accepted, H its horizon. Between which prices the ramp runs while a spread is
wide, and when the order moves, is said in `quoting`. Around it:

* Signals (optional, weights zero by default): a grows by imbalance_weight x (queue imbalance - 1/2) + flow_weight x
  the scaled order-flow imbalance. A signal that is missing changes nothing.
* Taking (optional, off in version 1): all that remains is taken as soon as the offer is cheap against what waiting
  costs; `taking` says when.
* Fast markets (optional, off in version 1): settings of their own for the quote and for taking; `market_class` says
  which they are.
* Taker leg (optional, off by default): what the expected flow will not fill in time is taken from the touch, if that
  is cheap enough for the hour.

Before either takes, the quote is withdrawn and has ended, so that nothing can be bought twice.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec

from fsm_exec.algorithms.market_class import SIGNALS_OF_CLASS, FastMarket, is_fast
from fsm_exec.algorithms.quoting import (
    Ticks,
    is_sound,
    may_move,
    may_write,
    move_quote,
    place_quote,
    quote_price,
)
from fsm_exec.algorithms.taking import SIGNALS_OF_TAKING, Taking, price_to_take
from fsm_exec.algorithms.toolkit import (
    CONTEXT,
    ClosingSettings,
    cap_to_grid,
    check_weight,
    single_slice,
    weight_ppm,
)
from fsm_exec.core.algorithm.algorithm import (
    Action,
    CancelAction,
    Goal,
    PlaceAction,
    Progress,
    Slice,
    SliceProgress,
    Working,
)
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, US_PER_S, CountE2, PriceE4

TAKER_LEG_WRITES = 3  # a cancel, the immediate order, and the quote again

Take = tuple[PriceE4, CountE2]
"""Up to which price how much is to be taken."""


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ramp's `a0`, `a1`, `g`, and the rules of `quoting`.

    `taker_leg` uses `flow_e2_per_s`, the contracts expected to fill passively per second, and allows an ask of at most
    arrival mid + `taker_start_e4` + `taker_slope_e4` x t / H, at most every `taker_every_s`.

    `taking`: off unless it is given. With `fast` given a fast market is quoted by it, and taken from by `fast_taking`
    or not at all."""

    a0: Decimal = Decimal("0.6")
    a1: Decimal = Decimal("0.5")
    g: Decimal = Decimal(2)
    up_ticks: Ticks = 1
    down_ticks: Ticks = 3
    fine_grid_ticks: Annotated[int, msgspec.Meta(ge=0, le=100)] = 3
    guard_spread_factor: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    guard_spread_e4: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 200
    look_every_ms: Annotated[int, msgspec.Meta(ge=250, le=60_000)] = 1_000
    write_budget: Annotated[int, msgspec.Meta(ge=3, le=1_000)] = 12
    tokens_min: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 20
    imbalance_weight: Decimal = Decimal(0)
    flow_weight: Decimal = Decimal(0)
    taker_leg: bool = False
    flow_e2_per_s: Annotated[int, msgspec.Meta(ge=0, le=10**8)] = 100
    taker_start_e4: Annotated[int, msgspec.Meta(ge=-10_000, le=10_000)] = -200
    taker_slope_e4: Annotated[int, msgspec.Meta(ge=-10_000, le=10_000)] = 300
    taker_every_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = 5
    patient_spread_e4: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200
    patient_until_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 45
    # Not stored where they are off: configurations of before stay what they were.
    taking: Taking | msgspec.UnsetType = msgspec.UNSET
    fast: FastMarket | msgspec.UnsetType = msgspec.UNSET
    fast_taking: Taking | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        check_weight("imbalance_weight", self.imbalance_weight, -10, 10)
        check_weight("flow_weight", self.flow_weight, -10, 10)
        check_weight("a0", self.a0, 0, 10)
        check_weight("a1", self.a1, 0, 10)
        check_weight("g", self.g, Decimal("0.1"), 10)  # 0 to the power of 0 is no number
        if self.fast is msgspec.UNSET and self.fast_taking is not msgspec.UNSET:
            raise ValueError("fast_taking without fast would change nothing; give fast too, {} for its defaults")

    @property
    def look_every_us(self) -> int | None:
        return self.look_every_ms * 1_000

    @property
    def signals_read(self) -> frozenset[str]:
        takes = self.taking is not msgspec.UNSET or self.fast_taking is not msgspec.UNSET
        return (
            (frozenset({"ofi_z_ppm"}) if self.flow_weight else frozenset())
            | (SIGNALS_OF_TAKING if takes else frozenset())
            | (SIGNALS_OF_CLASS if self.fast is not msgspec.UNSET else frozenset())
        )


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    part = progress.slices[0]
    config = _config_for(view, config)
    take = _take(progress, part, view, config)
    if part.working is not None:
        return _move(progress, part.working, take, view, config)
    if part.free_e2 == 0 or not may_write(progress, 1, config):
        return ()
    if take is not None:
        price, count = take
        return (PlaceAction(level=part.level, price_e4=price, count_e2=count, time_in_force="immediate_or_cancel"),)
    return place_quote(part, _wanted(progress, view, config), view)


def _config_for(view: MarketView, config: Config) -> Config:
    """The configuration as it is in a market of this class."""
    fast = config.fast
    if fast is msgspec.UNSET or not is_fast(view.signals, fast):
        return config
    return msgspec.structs.replace(config, a0=fast.a0, down_ticks=fast.down_ticks, taking=config.fast_taking)


def _move(
    progress: Progress, working: Working, take: Take | None, view: MarketView, config: Config
) -> tuple[Action, ...]:
    """Move or cancel the working order, or leave it."""
    level = progress.slices[0].level
    if not may_move(progress, working, view, config):
        return ()
    if take is not None and may_write(progress, TAKER_LEG_WRITES, config):
        return (CancelAction(level=level),)
    if not may_write(progress, 1, config):
        return ()
    return move_quote(progress.goal, level, working, _wanted(progress, view, config), config)


def _wanted(progress: Progress, view: MarketView, config: Config) -> PriceE4:
    """The ramp's price now."""
    share_ppm = min(max(0, _ramp_ppm(progress, config) + _pressure_ppm(view, config)), PPM)
    return quote_price(progress, view, config, share_ppm)


def _ramp_ppm(progress: Progress, config: Config) -> int:
    """a0 + a1 x (t / H)^g in millionths."""
    goal = progress.goal
    horizon_us = goal.deadline_us - goal.accepted_at_us
    passed_us = min(max(0, progress.at_us - goal.accepted_at_us), horizon_us)
    passed = CONTEXT.divide(Decimal(passed_us), Decimal(horizon_us))
    return weight_ppm(CONTEXT.fma(config.a1, CONTEXT.power(passed, config.g), config.a0))


def _pressure_ppm(view: MarketView, config: Config) -> int:
    """Return what the signals add to a, in millionths; positive: buyers press."""
    signals, pressure = view.signals, Decimal(0)
    if signals is not None and signals.imbalance_ppm is not None:
        pressure = CONTEXT.multiply(config.imbalance_weight, Decimal(signals.imbalance_ppm - PPM // 2))
    if signals is not None and signals.ofi_z_ppm is not None:
        pressure = CONTEXT.fma(config.flow_weight, Decimal(signals.ofi_z_ppm), pressure)
    return int(pressure)


def _take(progress: Progress, part: SliceProgress, view: MarketView, config: Config) -> Take | None:
    """What to take now, by the rule or by the taker leg; None: nothing."""
    if not is_sound(progress.goal, view, config):
        return None
    if config.taking is not msgspec.UNSET:
        price = price_to_take(progress, part, view, config.taking)
        if price is not None:
            return price, _remaining(part)
    count = _touch_to_take(progress, part, view, config)
    return (cap_to_grid(progress.goal, view.asks[0][0]), count) if count else None  # no offer above the cheap one


def _remaining(part: SliceProgress) -> CountE2:
    """What is still to be bought, once the working order has been withdrawn."""
    if part.working is None:
        return part.free_e2
    return CountE2(part.free_e2 + part.working.count_e2 - part.working.filled_e2)


def _touch_to_take(progress: Progress, part: SliceProgress, view: MarketView, config: Config) -> CountE2:
    """Return how much to take from the touch now: all that the expected flow will not fill in time, if it is a contract
    or more and cheap enough for the hour; else nothing."""
    goal = progress.goal
    mid_e5 = goal.arrival.mid_e5
    if not config.taker_leg or mid_e5 is None:
        return CountE2(0)
    last_us = part.last_placed_at_us
    if last_us is not None and progress.at_us < last_us + config.taker_every_s * US_PER_S:
        return CountE2(0)
    ask, offered = view.asks[0]
    horizon_us = goal.deadline_us - goal.accepted_at_us
    left_us = max(0, goal.deadline_us - progress.at_us)
    slope_e4 = config.taker_slope_e4 * (horizon_us - left_us) // horizon_us
    if ask > min(goal.limits.worst_e4, mid_e5 // 10 + config.taker_start_e4 + slope_e4):
        return CountE2(0)
    remaining = _remaining(part)
    excess = remaining - config.flow_e2_per_s * left_us // US_PER_S
    return CountE2(min(excess, offered, remaining)) if excess >= ONE_CONTRACT_E2 else CountE2(0)
