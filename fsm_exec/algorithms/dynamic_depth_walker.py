"""The reference design's walker, its idea intact, its flaws mended: rest at two or three levels, walk to the market.

The target is split over the best bids of others at or below the target price, and each part rests there. Every
`walk_interval_s` a part may walk: up, when the bids of others grow (against their mean of two minutes, our own size
removed) and the flow of orders is not against us, or when time demands it; a tick down, when the flow is clearly
against us and we stand alone above the book. While it is, nothing walks up, for whatever reason: without new facts no
two prices alternate. While less than `min_volume_threshold` is on offer up to the worst price there is nothing to walk
towards: what rests stays, and new orders rest at the target (that design's fall-back). A forecast of costlier sweeping
brings the walk forward. A forecast that the offers, which hold all that is left now, will not do so at the deadline
brings the closing leg forward. No price passes the worst price, and none but the closing leg's crosses.

Everything is derived from what has been placed, moved and filled, so it goes on after a restart as if nothing was.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from fsm_exec.algorithms.toolkit import ClosingSettings, apportion, offers_within, single_slice, slices_of
from fsm_exec.core.algorithm.algorithm import (
    Action,
    AmendAction,
    CloseAction,
    Goal,
    PlaceAction,
    Progress,
    Slice,
    SliceProgress,
)
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.values.units import ONE_CONTRACT_E2, US_PER_S, PriceE4

LOOK_EVERY_US = US_PER_S
TWO_LEVELS = (60, 40)
SIGNALS_READ = frozenset({"seed_momentum_ppm", "ofi_z_ppm", "ema_slippage_ppm", "dry_up_ppm"})


class Config(ClosingSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`splits`: "60_40" over two levels, or "proportional" to what stands at up to `levels` levels. Momentum and
    forecasts are ratios in millionths; `adverse_flow_ppm` is how far below its usual the order flow must be (in the
    scaled order-flow imbalance) to step down. `early_walk_slippage_ppm`: above this forecast of the slippage of
    sweeping the remainder a walk comes after half its interval. `dry_up_ppm`: above this probability that what is on
    offer now will not be there at the deadline the closing leg begins. Both need signals, and are left alone
    without."""

    min_volume_threshold: Annotated[int, Meta(ge=0, le=1_000_000)] = 50  # contracts
    splits: Literal["60_40", "proportional"] = "60_40"
    levels: Annotated[int, Meta(ge=2, le=3)] = 2
    walk_interval_s: Annotated[int, Meta(ge=1, le=3_600)] = 4
    max_walks: Annotated[int, Meta(ge=0, le=100)] = 10
    momentum_threshold_ppm: Annotated[int, Meta(ge=0, le=100_000_000)] = 100_000
    strong_momentum_ppm: Annotated[int, Meta(ge=0, le=100_000_000)] = 200_000
    adverse_flow_ppm: Annotated[int, Meta(ge=0, le=3_000_000)] = 1_000_000
    step_e4: Annotated[int, Meta(ge=1, le=1_000)] = 50  # half a cent, rounded up to the grid
    strong_step_e4: Annotated[int, Meta(ge=1, le=1_000)] = 100
    early_walk_slippage_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] = 20_000
    dry_up_ppm: Annotated[int, Meta(ge=0, le=1_000_000)] = 800_000

    def __post_init__(self) -> None:
        if self.strong_momentum_ppm < self.momentum_threshold_ppm:
            raise ValueError("strong_momentum_ppm is below momentum_threshold_ppm")
        if self.splits == "60_40" and self.levels != len(TWO_LEVELS):
            raise ValueError("splits 60_40 has 2 levels; use proportional for 3")

    @property
    def look_every_us(self) -> int:
        return LOOK_EVERY_US

    @property
    def resting_at_most(self) -> int:
        return self.levels

    @property
    def signals_read(self) -> frozenset[str]:
        return SIGNALS_READ


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    """Two or three slices where the book has that many levels to rest at, else one. They sum to the target."""
    levels = _resting_levels(goal, view, config)
    if _is_thin(goal, view, config) or len(levels) < len(TWO_LEVELS):
        return single_slice(goal)
    weights = TWO_LEVELS if config.splits == "60_40" else tuple(count for _, count in levels)
    return slices_of(apportion(goal.target_e2, weights))


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    goal = progress.goal
    if _dries_up(progress, view, config):
        return (CloseAction(),)
    actions: list[Action] = []
    # One budget for the whole execution. An amend whose answer is outstanding may become a walk, and counts as one.
    walks_left = config.max_walks - progress.walks - sum(1 for s in progress.slices if s.working and s.working.busy)
    for part in progress.slices:
        working = part.working
        if working is None:
            price = _resting_price(goal, view, config, part.level)
            if part.free_e2 > 0 and price is not None:
                actions.append(PlaceAction(level=part.level, price_e4=price, count_e2=part.free_e2, post_only=True))
        elif walks_left > 0 and not working.busy:
            price = _walked_to(progress, part, working.price_e4, view, config)
            if price is not None:
                actions.append(AmendAction(level=part.level, price_e4=price))
                walks_left -= 1
    return tuple(actions)


def _is_thin(goal: Goal, view: MarketView, config: Config) -> bool:
    """Less than the threshold can be bought up to the worst price: the liquidity to take, not the bids beside us."""
    offered = sum(count for _, count in offers_within(view.asks, goal.limits.worst_e4))
    return offered < config.min_volume_threshold * ONE_CONTRACT_E2


def _resting_levels(goal: Goal, view: MarketView, config: Config) -> Ladder:
    """The best bids of others that we may join: at or below the target, best first."""
    return tuple(level for level in view.bids if level[0] <= goal.limits.target_e4)[: config.levels]


def _resting_price(goal: Goal, view: MarketView, config: Config, level: int) -> PriceE4 | None:
    """Where slice `level` joins the book; at the target where there is no such level, or nothing to walk towards."""
    levels = _resting_levels(goal, view, config)
    if _is_thin(goal, view, config) or not levels:
        return _not_crossing(goal, view, goal.limits.target_e4)
    return _not_crossing(goal, view, levels[min(level, len(levels)) - 1][0])


def _not_crossing(goal: Goal, view: MarketView, price: int) -> PriceE4 | None:
    """On the grid, at most the worst price, and below the best offer."""
    top = min(price, goal.limits.worst_e4)
    if view.best_ask is not None:
        top = min(top, view.best_ask - 1)
    return goal.grid.floor(top)


def _walked_to(
    progress: Progress, part: SliceProgress, price: PriceE4, view: MarketView, config: Config
) -> PriceE4 | None:
    """The next price of a slice's order; None while it is to stay. A one-sided book, or a feed that is not live, is
    no reason to chase."""
    goal, working = progress.goal, part.working
    if working is None or not view.is_tradable or not view.is_two_sided or _is_thin(goal, view, config):
        return None
    interval_us = config.walk_interval_s * US_PER_S
    if _sweeping_gets_dear(view, config):
        interval_us //= 2
    if progress.at_us - working.moved_at_us < interval_us:
        return None
    momentum, flow = _momentum_ppm(view), _flow_ppm(view)
    if flow < -config.adverse_flow_ppm:
        return _down(goal, view, price)
    if momentum > config.momentum_threshold_ppm and flow >= 0:
        step = config.strong_step_e4 if momentum > config.strong_momentum_ppm else config.step_e4
        return _up(goal, view, price, step)
    return _up(goal, view, price, config.step_e4) if _is_late(progress, config) else None


def _down(goal: Goal, view: MarketView, price: PriceE4) -> PriceE4 | None:
    """A tick lower, where that is still no worse than the best bid of others; else the price comes to us as it is."""
    down = goal.grid.floor(price - 1)
    return None if down is None or down < view.bids[0][0] else down


def _up(goal: Goal, view: MarketView, price: PriceE4, step: int) -> PriceE4 | None:
    """At least `step` higher, on the grid; None if that is no higher: the same price again would cost the place in
    the queue for nothing."""
    wanted = goal.grid.ceil(price + step)
    top = _not_crossing(goal, view, price + step if wanted is None else wanted)
    return None if top is None or top <= price else top


def _is_late(progress: Progress, config: Config) -> bool:
    """Fewer walks than the time that has gone by demands: a quiet market must not keep us waiting to the end. The
    first is due at once, for a better price is worth most while there is time left to be hit at it (measured)."""
    goal = progress.goal
    elapsed, whole = progress.at_us - goal.accepted_at_us, goal.deadline_us - goal.accepted_at_us
    return progress.walks * whole < config.max_walks * elapsed


def _momentum_ppm(view: MarketView) -> int:
    """Growth of the bids of others; 0, no reason to walk, without enough snapshots."""
    momentum = None if view.signals is None else view.signals.seed_momentum_ppm
    return 0 if momentum is None else momentum


def _flow_ppm(view: MarketView) -> int:
    """The scaled order-flow imbalance, positive towards a higher price; 0 where it is not known."""
    flow = None if view.signals is None else view.signals.ofi_z_ppm
    return 0 if flow is None else flow


def _sweeping_gets_dear(view: MarketView, config: Config) -> bool:
    forecast = None if view.signals is None else view.signals.ema_slippage_ppm
    return forecast is not None and forecast > config.early_walk_slippage_ppm


def _dries_up(progress: Progress, view: MarketView, config: Config) -> bool:
    """Only on a live, two-sided book, for an empty side is no forecast; and only while the offers hold all that is
    left: what never held it does not dry up, and to close then would give up the rest."""
    risk = None if view.signals is None else view.signals.dry_up_ppm
    if risk is None or risk <= config.dry_up_ppm or not (view.is_tradable and view.is_two_sided):
        return False
    goal = progress.goal
    left = goal.target_e2 - sum(part.filled_e2 for part in progress.slices)
    return sum(count for _, count in offers_within(view.asks, goal.limits.worst_e4)) >= left
