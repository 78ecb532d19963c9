"""One post-only order that is priced again and again: when it may move, how far, and how often.

What a quote is worth is its algorithm's own; the rules around it are the same for all:

* Hysteresis. Up only by so many ticks at once, down only by more: an order keeps its place in the queue, and no two
  prices alternate.
* Book guard. With one side empty, or a spread far wider than on arrival, an order stays where it is; a new one is
  priced by the last two-sided book (by the arrival, if the spread blew up), never by what is left.
* Patience. A wide spread narrows again within a minute or so. As long as more time than that is left the quote stands
  within so much around the mid; after that, from bid to ask.
* A small budget of writes, of which the closing leg's are kept back. When the budget is spent, or the account is short
  of tokens, the order rests until the closing leg.
"""

from __future__ import annotations

from typing import Annotated, Protocol

import msgspec

from fsm_exec.algorithms.toolkit import cap_to_grid, price_between, tick_above, to_nearest, touch
from fsm_exec.core.algorithm.algorithm import Action, AmendAction, Goal, PlaceAction, Progress, SliceProgress, Working
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import US_PER_S, PriceE4

CENT_E4 = 100
CLOSING_WRITES = 2  # kept back from the budget: a cancel and the last order

Ticks = Annotated[int, msgspec.Meta(ge=1, le=100)]


class QuotingRules(Protocol):
    """The part of a configuration that these rules read: hysteresis in ticks, `fine_grid_ticks` more where a tick is
    less than a cent. The guard holds while the spread is above `guard_spread_factor` x the arrival's +
    `guard_spread_e4`. Below `tokens_min` write tokens the order is left alone. With more than `patient_until_s` left,
    of a wider spread only `patient_spread_e4` around its mid count."""

    @property
    def up_ticks(self) -> int: ...
    @property
    def down_ticks(self) -> int: ...
    @property
    def fine_grid_ticks(self) -> int: ...
    @property
    def guard_spread_factor(self) -> int: ...
    @property
    def guard_spread_e4(self) -> int: ...
    @property
    def write_budget(self) -> int: ...
    @property
    def tokens_min(self) -> int: ...
    @property
    def patient_spread_e4(self) -> int: ...
    @property
    def patient_until_s(self) -> int: ...


def quote_price(progress: Progress, view: MarketView, config: QuotingRules, share_ppm: int) -> PriceE4:
    """The price at this share of the spread to the nearest tick, below the ask and within the worst price; the target
    where there has been no book on both sides."""
    goal = progress.goal
    best = touch(goal.arrival if is_blown_up(goal, view, config) else view)
    if best is None:
        return cap_to_grid(goal, min(goal.limits.target_e4, _below_ask(view)))
    bid, ask = best
    wanted = price_between(*_patient(progress, bid, ask, config), share_ppm)
    return cap_to_grid(goal, min(to_nearest(goal, wanted), ask - 1, _below_ask(view)))


def _patient(progress: Progress, bid: PriceE4, ask: PriceE4, config: QuotingRules) -> tuple[PriceE4, PriceE4]:
    """Between which prices the quote stands: the touch, or so much around its mid while there is time to wait for a
    wide spread to narrow."""
    left_us = progress.goal.deadline_us - progress.at_us
    if ask - bid <= config.patient_spread_e4 or left_us <= config.patient_until_s * US_PER_S:
        return bid, ask
    low = (bid + ask - config.patient_spread_e4) // 2
    return PriceE4(low), PriceE4(low + config.patient_spread_e4)


def place_quote(part: SliceProgress, price: PriceE4, view: MarketView) -> tuple[Action, ...]:
    """An order for all that is free; nothing where the book leaves no price at which one can only rest."""
    if view.best_ask is not None and price >= view.best_ask:
        return ()
    return (PlaceAction(level=part.level, price_e4=price, count_e2=part.free_e2, post_only=True),)


def may_move(progress: Progress, working: Working, view: MarketView, config: QuotingRules) -> bool:
    """Whether anything may be done now about an order that works."""
    scarce = view.write_tokens_left is not None and view.write_tokens_left < config.tokens_min
    return not (working.busy or scarce) and is_sound(progress.goal, view, config)


def move_quote(goal: Goal, level: int, working: Working, wanted: PriceE4, config: QuotingRules) -> tuple[Action, ...]:
    """A new price for the working order, if the wanted one is far enough away."""
    tick = tick_above(goal.grid, wanted) or CENT_E4
    extra = config.fine_grid_ticks if tick < CENT_E4 else 0
    up = wanted >= working.price_e4 + (config.up_ticks + extra) * tick
    # Nothing below the best bid of others is ever wanted, so an order that is to come down stands alone above it.
    down = wanted <= working.price_e4 - (config.down_ticks + extra) * tick
    return (AmendAction(level=level, price_e4=wanted),) if up or down else ()


def may_write(progress: Progress, writes: int, config: QuotingRules) -> bool:
    """Whether so many writes leave the closing leg its own."""
    return progress.writes + writes + CLOSING_WRITES <= config.write_budget


def is_sound(goal: Goal, view: MarketView, config: QuotingRules) -> bool:
    """Whether this book may move an order."""
    return view.is_tradable and view.is_two_sided and not is_blown_up(goal, view, config)


def is_blown_up(goal: Goal, view: MarketView, config: QuotingRules) -> bool:
    """Whether the spread is far wider than on arrival."""
    usual_e4 = goal.arrival.spread_e4
    if usual_e4 is None or not view.is_two_sided:
        return False
    return view.asks[0][0] - view.bids[0][0] > config.guard_spread_factor * usual_e4 + config.guard_spread_e4


def _below_ask(view: MarketView) -> int:
    """The highest price that does not take."""
    return 9_999 if view.best_ask is None else view.best_ask - 1
