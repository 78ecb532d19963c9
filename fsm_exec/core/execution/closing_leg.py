"""The closing leg: shortly before the deadline, one last order for all that is left. Core's alone.

At deadline - `closing_lead_us` everything live is cancelled. When every order has ended, and it is before the deadline
with a live feed and an open market, one immediate order takes the remainder at the worst price; all that is free moves
into its slice first. It is placed again only if it never reached the exchange. What it does not get ends the execution
for `no_liquidity`, which says something of the market; if it could not be placed in time, the deadline does, which says
something of us. Every step is a journaled intent, so the fold
needs no algorithm, and after a restart inside the window it goes on where it was.
"""

from __future__ import annotations

from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Algorithm, PlaceAction
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.events import (
    AnyEvent,
    AnyIntent,
    BeginClosing,
    DecisionDue,
    GiveUp,
    PlaceUnconfirmed,
    Restored,
    Transfer,
)
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.order_checks import cancel_intents, place_intent, slices_with_all_in


def closing_at_us(execution: Execution, algorithm: Algorithm) -> int | None:
    """When the closing leg is to begin (at once, for a deadline nearer than its lead); None if it has, or there is
    none."""
    lead_us = algorithm.closing_lead_us
    if lead_us is None or execution.closing is not None:
        return None
    return execution.deadline_us - lead_us


def begin_closing(seen: Execution) -> tuple[AnyIntent, ...]:
    """No more decisions of the algorithm: what is live is cancelled. What has no answer yet follows when it has."""
    return (BeginClosing(), *cancel_intents(seen))


def closing_intents(seen: Execution, event: AnyEvent) -> tuple[AnyIntent, ...]:
    """Return the leg's intents for `event`, once it has begun."""
    if any(child.is_open for child in seen.children):
        # The last order cannot rest: heard of before its answer it is left to end by itself. Without an answer, or in a
        # new process, nothing else would show that it has.
        own = None if seen.closing is None or isinstance(event, PlaceUnconfirmed | Restored) else seen.closing.order
        return tuple(cancel for cancel in cancel_intents(seen) if cancel.client_order_id != own)
    last = None if seen.closing is None or seen.closing.order is None else seen.child(seen.closing.order)
    if last is not None and last.order_id is not None:
        return (GiveUp(reason="no_liquidity"),)
    return _last_order(seen, event.view) if isinstance(event, DecisionDue) else ()


def _last_order(seen: Execution, view: MarketView) -> tuple[AnyIntent, ...]:
    limits = seen.limits_at(view.at_us)
    if limits is None or seen.free_e2 <= 0:
        return ()
    level = min(part.level for part in seen.slices)
    slices = slices_with_all_in(seen, level)
    action = PlaceAction(
        level=level,
        price_e4=limits.worst_e4,
        count_e2=seen.free_e2,
        time_in_force="immediate_or_cancel",
    )
    moved = replace(seen, slices=slices)
    order = place_intent(moved, action, view, seen.free_e2)
    if order is None:
        return ()
    return (order,) if slices == seen.slices else (Transfer(slices=slices), order)
