"""What an algorithm is: two pure functions that never see an order id.

`plan` splits the target into slices once; `replan` is asked at every decision and answers with wishes. Core turns
wishes into orders, holds those the moment forbids (feed not live, our own order in the way) and refuses those that
break an invariant. Both must give the same answer to the same arguments, at any time, in any process.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from fsm_exec.core.fees import FeeTerms
from fsm_exec.core.limits import Limits
from fsm_exec.core.orders import TimeInForce
from fsm_exec.core.units import CountE2, PriceE4, PriceGrid
from fsm_exec.core.view import View


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The task, in the execution's own outcome."""

    target_e2: CountE2
    limits: Limits
    accepted_at_us: int
    deadline_us: int
    grid: PriceGrid
    fees: FeeTerms


class Slice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the target. `level` 1 is nearest the touch. All slices together are the target at all times."""

    level: int
    count_e2: CountE2


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """The slice's order that has not ended. `busy`: an answer is outstanding, so it cannot be changed now."""

    price_e4: PriceE4
    count_e2: CountE2
    filled_e2: CountE2
    busy: bool


class SliceProgress(msgspec.Struct, frozen=True, kw_only=True):
    """`free_e2` may be placed now: not filled, live or unknown. `sent` counts orders that reached the exchange."""

    level: int
    count_e2: CountE2
    filled_e2: CountE2
    free_e2: CountE2
    sent: int
    working: Working | None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    goal: Goal
    at_us: int
    walks: int
    slices: tuple[SliceProgress, ...]


class PlaceWish(msgspec.Struct, frozen=True, kw_only=True):
    level: int
    price_e4: PriceE4
    count_e2: CountE2
    time_in_force: TimeInForce = "good_till_canceled"
    post_only: bool = False


class RepriceWish(msgspec.Struct, frozen=True, kw_only=True):
    """A new price for the slice's working order; its total stays."""

    level: int
    price_e4: PriceE4


class WithdrawWish(msgspec.Struct, frozen=True, kw_only=True):
    level: int


class GiveUpWish(msgspec.Struct, frozen=True, kw_only=True):
    """End the execution: cancel what is live, keep what is filled."""

    reason: Literal["no_liquidity", "cap"]


Wish: TypeAlias = PlaceWish | RepriceWish | WithdrawWish | GiveUpWish


class Algorithm(Protocol):
    """An algorithm with its configuration already bound: what `advance` is handed."""

    def plan(self, goal: Goal, view: View) -> tuple[Slice, ...]: ...
    def replan(self, progress: Progress, view: View) -> tuple[Wish, ...]: ...
