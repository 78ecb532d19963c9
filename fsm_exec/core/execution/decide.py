"""Deciding: what an execution wants to do about a fact. Pure; returns intents, changes nothing.

The ending flag outranks everything: once it stands, only cancels follow; so it is while the process leaves. Then the
closing leg, if its time has come. Otherwise the algorithm is asked, and `core.execution.order_checks` says what becomes
of its wishes. The plan and the first orders are one decision: two would be a quarter of a second and a
commit apart, for nothing.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import (
    Algorithm,
    CloseWish,
    GiveUpWish,
    PlaceWish,
    RepriceWish,
    TransferWish,
    Wish,
    WithdrawWish,
)
from fsm_exec.core.algorithm.market_view import View
from fsm_exec.core.execution.closing_leg import begin_closing, closing_at_us, closing_leg
from fsm_exec.core.execution.events import (
    AnyEvent,
    AnyIntent,
    BeginClosing,
    ClockStruck,
    DecisionDue,
    Forgo,
    GiveUp,
    MakePlan,
    PlaceAgain,
    Restored,
    Transfer,
)
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.order_checks import (
    IllegalWish,
    cancels,
    checked_plan,
    checked_wishes,
    insists,
    lost_cancels,
    place,
    progress_of,
    reprice,
    transferred,
)
from fsm_exec.core.values.units import CountE2


def choose(seen: Execution, event: AnyEvent, algorithm: Algorithm) -> tuple[AnyIntent, ...]:
    """The intents of an execution that has already absorbed `event`. Raises IllegalWish."""
    if seen.is_ended:
        return ()
    resent = lost_cancels(seen) if isinstance(event, Restored) or _cancels_on(seen, event) else ()
    forgone = tuple(Forgo(client_order_id=child.client_order_id) for child in seen.unsent)
    if seen.ending is not None or seen.draining:
        return (*resent, *forgone, *cancels(seen))
    closing_us = closing_at_us(seen, algorithm)
    closes = closing_us is not None and event.at_us >= closing_us
    if closes and seen.state != "pending":  # whatever else is the matter: this time must not stay due
        return (*resent, *begin_closing(seen))
    if seen.free_e2 < 0:  # a late fill, or an end that is doubted, has taken what other orders still want to buy
        return (*resent, *forgone, *cancels(seen))
    again = tuple(PlaceAgain(client_order_id=child.client_order_id) for child in seen.unsent)
    if seen.closing is not None:
        return (*resent, *(again or closing_leg(seen, event)))
    if not isinstance(event, DecisionDue):
        return (*resent, *again)
    planned: tuple[AnyIntent, ...] = ()
    if seen.state == "pending":
        slices = checked_plan(seen, algorithm.plan(seen.goal, event.view))
        planned = (MakePlan(slices=slices),)
        if closes:
            return (*planned, BeginClosing())
        seen = replace(seen, slices=slices)  # the plan and its first orders are one decision: waiting costs
    wishes = checked_wishes(algorithm.replan(progress_of(seen, event.at_us), event.view))
    granted = _granted(seen, wishes, event.view)
    if any(isinstance(intent, BeginClosing) for intent in granted):
        again = ()  # the leg sends its own order only
    return (*planned, *again, *granted)


def _cancels_on(seen: Execution, event: AnyEvent) -> bool:
    """Whether a time has come at which what is to be cancelled is asked for again: a look-up may never answer."""
    return isinstance(event, ClockStruck) and insists(seen)


def _granted(seen: Execution, wishes: tuple[Wish, ...], view: View) -> tuple[AnyIntent, ...]:
    """The intents that come of `wishes`. Raises IllegalWish, and then nothing comes of any of them."""
    intents: list[AnyIntent] = []
    before = seen.slices
    free = seen.free_e2
    touched: set[int] = set()
    for wish in wishes:
        if isinstance(wish, PlaceWish | RepriceWish | WithdrawWish):
            if wish.level in touched:
                raise IllegalWish(f"two wishes for slice {wish.level} in one decision; one write in flight per order")
            touched.add(wish.level)
        match wish:
            case PlaceWish():
                placed = place(seen, wish, view, free)
                if placed is not None:
                    free = CountE2(free - placed.count_e2)
                    intents.append(placed)
            case RepriceWish():
                intents += reprice(seen, wish, view)
            case WithdrawWish():
                intents += cancels(seen, wish.level)
            case TransferWish():
                if touched & {wish.from_level, wish.to_level}:
                    raise IllegalWish(f"slice {wish.from_level} or {wish.to_level} is asked for before it is resized")
                seen = replace(seen, slices=transferred(seen, wish))
            case CloseWish():
                return begin_closing(seen)
            case GiveUpWish():
                return (GiveUp(reason=wish.reason), *cancels(seen))
            case _:
                assert_never(wish)
    return tuple(intents) if seen.slices == before else (Transfer(slices=seen.slices), *intents)
