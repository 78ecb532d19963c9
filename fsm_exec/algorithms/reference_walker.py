"""The reference design's walker as it was written, for the lab alone: what the mended one is compared with.

As far as an engine that keeps its invariants can run it, with the charitable reading that the reference table uses:
the best bids first, half a cent read as a cent where the grid has no half, the remainder placed again and not the
whole. What stays is the idea's own: depth is read from the bids beside us; below 50 contracts there it is one limit at
the target; momentum is the unsigned growth of the resting bids, which are our competitors; every walk cancels each
unfilled part and places it at the same target plus a step again, so only the first changes the price; a walk counts
for each part; after ten it rests; nothing closes, and without momentum it never walks. The engine refuses to run it
with money.
"""

from __future__ import annotations

from fsm_exec.algorithms.algorithm_types import Settings
from fsm_exec.algorithms.toolkit import apportion, cap_to_grid, single_slice, slices_of
from fsm_exec.core.algorithm.algorithm import Action, CancelAction, Goal, PlaceAction, Progress, Slice, SliceProgress
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, US_PER_S, PriceE4

THRESHOLD_CONTRACTS = 50
SPLIT = (60, 40)
WALK_INTERVAL_US = 4 * US_PER_S
MAX_WALKS = 10
MOMENTUM_PPM, STRONG_PPM = PPM // 10, PPM // 5
STEP_E4, STRONG_STEP_E4 = 50, 100


class Config(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nothing to choose: as written."""

    @property
    def look_every_us(self) -> int | None:
        return US_PER_S

    @property
    def resting_at_most(self) -> int:
        return len(SPLIT)

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset({"seed_momentum_ppm"})


def plan(goal: Goal, view: MarketView, config: Config) -> tuple[Slice, ...]:
    levels = _levels(goal, view)
    if sum(count for _, count in levels) < THRESHOLD_CONTRACTS * ONE_CONTRACT_E2 or len(levels) < len(SPLIT):
        return single_slice(goal)
    return slices_of(apportion(goal.target_e2, SPLIT))


def replan(progress: Progress, view: MarketView, config: Config) -> tuple[Action, ...]:
    actions: list[Action] = []
    for part in progress.slices:
        if part.working is None and part.free_e2 > 0:
            price = _price(progress, part, view)
            actions.append(PlaceAction(level=part.level, price_e4=price, count_e2=part.free_e2))
        elif part.working is not None and not part.working.busy and _walks(progress, part, view):
            actions.append(CancelAction(level=part.level))
    return tuple(actions)


def _levels(goal: Goal, view: MarketView) -> Ladder:
    return tuple(level for level in view.bids if level[0] <= goal.limits.target_e4)


def _split_target(progress: Progress, part: SliceProgress) -> PriceE4:
    """The level this part was given at the beginning. It is never updated: the seventh flaw."""
    goal = progress.goal
    levels = _levels(goal, goal.arrival)
    if len(progress.slices) == 1 or len(levels) < part.level:
        return goal.limits.target_e4
    return levels[part.level - 1][0]


def _price(progress: Progress, part: SliceProgress, view: MarketView) -> PriceE4:
    target = _split_target(progress, part)
    if part.sent == 0:
        return cap_to_grid(progress.goal, target)
    step = STRONG_STEP_E4 if (_momentum_ppm(view) or 0) > STRONG_PPM else STEP_E4
    raised = progress.goal.grid.ceil(target + step)
    return cap_to_grid(progress.goal, target if raised is None else raised)


def _walks(progress: Progress, part: SliceProgress, view: MarketView) -> bool:
    walked = sum(max(0, other.sent - 1) for other in progress.slices)
    momentum = _momentum_ppm(view)
    return (
        len(progress.slices) > 1
        and walked < MAX_WALKS
        and momentum is not None
        and momentum > MOMENTUM_PPM
        and part.working is not None
        and progress.at_us - part.working.placed_at_us >= WALK_INTERVAL_US
    )


def _momentum_ppm(view: MarketView) -> int | None:
    """(size now - its two-minute mean) / mean of the bids. As written it would count our own size too; the engine
    shows no algorithm its own orders as the market's."""
    return None if view.signals is None else view.signals.seed_momentum_ppm
