"""Deciding: what an execution wants to do about a fact. Pure; returns intents, changes nothing.

The ending flag outranks everything: once it stands, only cancels follow; so it is while the process leaves. Then the
closing leg, if its time has come. Otherwise the algorithm is asked, and `core.execution.order_checks` says what becomes
of its actions. The plan and the first orders are one decision: two would be a quarter of a second and a
commit apart, for nothing.
"""

from __future__ import annotations

from typing import assert_never

from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import (
    Action,
    Algorithm,
    AmendAction,
    CancelAction,
    CloseAction,
    GiveUpAction,
    PlaceAction,
    TransferAction,
)
from fsm_exec.core.execution.closing_leg import begin_closing, closing_at_us, closing_intents
from fsm_exec.core.execution.events import (
    Amend,
    AnyEvent,
    AnyIntent,
    BeginClosing,
    Cancel,
    DecisionDue,
    DropUnsent,
    GiveUp,
    MakePlan,
    RenewalDue,
    ResendPlace,
    Restored,
    TimerFired,
    Transfer,
)
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.fee_guard import cancels_of_dear, is_beyond_cap, may_fit_later
from fsm_exec.core.execution.lease import expiration_of, expires_s_of, is_leased, renewals
from fsm_exec.core.execution.order_checks import (
    IllegalAction,
    amend_intents,
    cancel_intents,
    check_actions,
    check_plan,
    place_intent,
    progress_of,
    resend_cancel_intents,
    slices_after_transfer,
    wants_nothing_more,
)
from fsm_exec.core.market.client_order_id import is_of_instance
from fsm_exec.core.values.units import CountE2


def decide(seen: Execution, event: AnyEvent, algorithm: Algorithm) -> tuple[AnyIntent, ...]:
    """Return the intents of an execution to which `event` has been applied already. Raises IllegalAction."""
    if seen.is_ended:
        return ()
    # The order of these questions is the order of what matters: an ending outranks the closing leg, the leg outranks
    # the algorithm. A cancel without an outcome is sent again in every case, because a second one can do no harm.
    resent = resend_cancel_intents(seen) if isinstance(event, Restored) or _repeats_cancels(seen, event) else ()
    forgone = tuple(DropUnsent(client_order_id=child.client_order_id) for child in seen.unsent)
    if seen.ending is not None or seen.draining:
        # Nothing may reach the exchange any more but cancels: an order that was proven absent is not sent again.
        return (*resent, *forgone, *cancel_intents(seen))
    closing_us = closing_at_us(seen, algorithm)
    closes = closing_us is not None and event.at_us >= closing_us
    if closes and seen.slices:  # whatever else is the matter: this time must not stay due
        return (*resent, *begin_closing(seen))
    if seen.free_e2 < 0:  # a late fill, or an end that is doubted, has taken what other orders still want to buy
        return (*resent, *forgone, *cancel_intents(seen))
    again: tuple[AnyIntent, ...] = _place_again(seen, event)
    if seen.closing is not None:
        return (*resent, *(again or closing_intents(seen, event)))
    dear = cancels_of_dear(seen, event.at_us)
    again = (*again, *dear)
    if isinstance(event, RenewalDue):
        leaving = {cancel.client_order_id for cancel in dear}
        return (*resent, *again, *(one for one in renewals(seen, event) if one.client_order_id not in leaving))
    if seen.limits_at(event.at_us) is None:  # at these fees no price is within the cap
        ends = () if may_fit_later(seen, event.at_us) else (GiveUp(reason="cap"),)
        return (*resent, *ends, *again)
    if not isinstance(event, DecisionDue):
        return (*resent, *again)
    planned: tuple[AnyIntent, ...] = ()
    if not seen.slices:  # it is new, or what it was planned as is lost
        slices = check_plan(seen, algorithm.plan(seen.goal_at(event.at_us), event.view))
        planned = (MakePlan(slices=slices),)
        if closes:
            return (*planned, BeginClosing())
        seen = replace(seen, slices=slices)  # the plan and its first orders are one decision: waiting costs
    actions = check_actions(algorithm.replan(progress_of(seen, event.at_us), event.view))
    granted = _intents_of(seen, actions, event)
    if any(isinstance(intent, BeginClosing) for intent in granted):
        again = ()  # the leg sends its own order only
    # An order whose fees rise is rather given a price that fits, if the algorithm wishes so, than taken off.
    moved = {intent.client_order_id for intent in granted if isinstance(intent, Amend | Cancel)}
    kept = (one for one in again if not (isinstance(one, Cancel) and one.client_order_id in moved))
    return (*planned, *kept, *granted)


def _repeats_cancels(seen: Execution, event: AnyEvent) -> bool:
    """Whether it is time to send cancels again that have no outcome: a look-up may never answer."""
    return isinstance(event, TimerFired) and wants_nothing_more(seen)


def _place_again(seen: Execution, event: AnyEvent) -> tuple[ResendPlace | DropUnsent, ...]:
    """Send every order again that was proven absent, but one that fees have made too dear, and one that bears the name
    of the database this one was copied from: an engine of that would take it for its own. One that ended by itself
    before its execution does is given a new end, so it waits for an event that says under which lease: a decision
    follows soon."""
    found: list[ResendPlace | DropUnsent] = []
    for child in seen.unsent:
        if is_beyond_cap(seen, child, event.at_us) or not is_of_instance(child.client_order_id, seen.instance):
            found.append(DropUnsent(client_order_id=child.client_order_id))
        elif isinstance(event, DecisionDue | RenewalDue) and child.expiration_s is not None:
            expires_s = expiration_of(seen, child, event.at_us, event.lease_s)
            told = None if expires_s == child.expiration_s else expires_s
            found.append(ResendPlace(client_order_id=child.client_order_id, expires_s=told))
        elif not is_leased(seen, child.expiration_s):
            found.append(ResendPlace(client_order_id=child.client_order_id))
    return tuple(found)


def _intents_of(seen: Execution, actions: tuple[Action, ...], event: DecisionDue) -> tuple[AnyIntent, ...]:
    """Turn `actions` into intents. Raises IllegalAction, and then none of them counts."""
    view = event.view
    intents: list[AnyIntent] = []
    before = seen.slices
    free = seen.free_e2
    touched: set[int] = set()
    for action in actions:
        if isinstance(action, PlaceAction | AmendAction | CancelAction):
            if action.level in touched:
                raise IllegalAction(
                    f"two wishes for slice {action.level} in one decision; one write in flight per order"
                )
            touched.add(action.level)
        match action:
            case PlaceAction():
                placed = place_intent(seen, action, view, free)
                if placed is not None:
                    free = CountE2(free - placed.count_e2)
                    rests = placed.time_in_force == "good_till_canceled"
                    intents.append(replace(placed, expires_s=expires_s_of(seen, placed, event)) if rests else placed)
            case AmendAction():
                intents += amend_intents(seen, action, event)
            case CancelAction():
                intents += cancel_intents(seen, action.level)
            case TransferAction():
                if touched & {action.from_level, action.to_level}:
                    raise IllegalAction(
                        f"slice {action.from_level} or {action.to_level} is asked for before it is resized"
                    )
                seen = replace(seen, slices=slices_after_transfer(seen, action))
            case CloseAction():
                return begin_closing(seen)
            case GiveUpAction():
                return (GiveUp(reason=action.reason), *cancel_intents(seen))
            case _:
                assert_never(action)
    return tuple(intents) if seen.slices == before else (Transfer(slices=seen.slices), *intents)
