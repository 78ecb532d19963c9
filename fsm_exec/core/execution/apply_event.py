"""Applying an event: how each fact changes an execution, before anything is decided about it.

A fact that contradicts what we hold (an order proven absent that lives, a listing with another price than was sent)
raises IllegalEvent and changes nothing; the runtime then quarantines the execution instead of guessing. A fact that may
be wrong itself (another order id, more filled than there is, a cancel that took off what was filled) is noted and not
believed: listings later than it by the signature window and the read lag settle what is true (core.recovery.proof).

An order amended or decreased from outside is no contradiction: the execution ends (`external`), because its owner wants
it so. After an answer that says nothing about an order (paused, no tokens, never sent) nothing is placed for 1, 2, 4
... 30 s: trying at every decision would leave thousands of attempts in a snapshot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, assert_never

from msgspec.structs import replace

from fsm_exec.core.errors import IllegalEvent, Implausible, LocalError
from fsm_exec.core.execution.corrections import apply_proof
from fsm_exec.core.execution.draft import Draft
from fsm_exec.core.execution.events import (
    GROUP_CANCEL,
    QUARANTINE_CANCEL,
    AmendAnswered,
    AmendRefused,
    AnyEvent,
    CancelAnswered,
    DecisionDue,
    DrainRequested,
    FeesChanged,
    FillReported,
    MarketChanged,
    OrderAccepted,
    OrderDisputed,
    OrderNotFound,
    OrderNotSent,
    OrderProven,
    OrderRefused,
    OrderReported,
    PlaceUnconfirmed,
    PositionRead,
    Reason,
    RenewalDue,
    Restored,
    StopRequested,
    Submitted,
    TimerFired,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import (
    HOLD_MAX_US,
    ChildOrder,
    Execution,
    PendingAmend,
    PendingCancel,
    PendingRenewal,
    Suspicion,
)
from fsm_exec.core.execution.fenced_orders import FENCE_CANCEL, drop_never_arrived, take_over_order
from fsm_exec.core.execution.fills import take_fill
from fsm_exec.core.execution.invariants import check
from fsm_exec.core.execution.lease import earliest_expiration_s, is_leased, is_renewal_alone
from fsm_exec.core.execution.reduce_only import apply_position, end_if_gone, end_refused, is_about_position, read_cut
from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.values.units import US_PER_S, CountE2, PriceE4, format_count

REFUSALS_MAX = 3

REFUSAL_ENDS: dict[str, Reason] = {
    "insufficient_balance": "insufficient_balance",
    "user_not_found": "insufficient_balance",  # a shard that never held funds
    "market_not_found": "market_closed",
    "market_inactive": "market_closed",
    "market_already_closed": "market_closed",
}
"""Refusal codes that no later attempt can change."""

NOT_NOW = frozenset(
    {
        "trading_is_paused",
        "exchange_is_paused",
        "too_many_requests",
        "header_timestamp_expired",
        "key_not_accepted",  # a key that was replaced: who works the account goes on with the new one
        "exceeded_order_group_risk_limit",  # of all orders together, or another engine has taken over
        "order_group_not_found",
    }
)
"""Refusals that say nothing about the order: it is placed again later, with a growing pause."""
HOLD_FIRST_US = 1_000_000

CROSS = "PostOnlyCrossCancel"
"""The exchange did not let a post-only order meet another: the book had moved when it came. It says nothing about the
next one, made of a newer book."""
CROSSES_AT_ONCE = 2  # so many in a row are followed by the next decision; after more, nothing is placed for a moment

NOT_SENT = "not_sent"
"""The code of an amend that was never handed to the socket: the exchange refused nothing."""

CANCEL_ENDS: dict[str, Reason] = {
    "CloseCancel": "market_closed",
    "MarginCancel": "insufficient_balance",
}
"""Why the exchange cancelled one of our orders unasked, where that ends the execution."""

CANCEL_GOES_ON = frozenset({"HaltCancel", "SelfTradeCancel", CROSS, FENCE_CANCEL, GROUP_CANCEL})
"""The same, where the next decision may place again."""

Refusal: TypeAlias = OrderAccepted | OrderRefused | PlaceUnconfirmed | AmendRefused | OrderReported
TELLS_CROSS = (OrderAccepted, OrderRefused, AmendRefused, OrderReported)
OrderStatement: TypeAlias = OrderAccepted | OrderRefused | CancelAnswered | AmendAnswered | OrderReported | FillReported
"""What answers, frames and listings say about one order."""

BEFORE_ANSWER = frozenset({"intended", "unknown"})
ENDABLE = frozenset({"intended", "unknown", "resting", "partial", "cancelling"})


def begin(event: Submitted) -> Draft:
    """The execution that `event` brings into being. Raises IllegalEvent for a target of nothing or a time gone by."""
    if event.target_e2 <= 0:
        raise IllegalEvent(f"target {event.target_e2} is not above zero")
    if event.deadline_us <= event.at_us:
        raise IllegalEvent("the deadline is not after the acceptance")
    draft = Draft(
        Execution(
            execution_id=event.execution_id,
            instance=event.instance,
            outcome=event.outcome,
            method=event.method,
            target_e2=event.target_e2,
            limits=event.limits,
            accepted_at_us=event.at_us,
            deadline_us=event.deadline_us,
            grace_us=event.grace_us,
            terms=event.terms,
            arrival=event.arrival,
            edge=event.edge,
            reduce_only=event.reduce_only,
        )
    )
    if event.limits is None:
        draft.end("no_book", event.at_us)
    return draft


def apply_event(execution: Execution, event: AnyEvent) -> Draft:
    """A draft that knows `event`. If nothing changed, `draft.execution is execution`.

    Raises IllegalEvent or IllegalTrigger for what cannot be; `execution` itself is never touched.
    """
    draft = Draft(execution)
    if event.at_us >= execution.deadline_us:
        draft.end("deadline", event.at_us)  # first, so that nothing is sent again after the deadline
    match event:
        case Submitted():
            raise IllegalEvent(f"{execution.execution_id} was submitted already")
        case DecisionDue() | RenewalDue() | TimerFired():
            pass
        case StopRequested():
            draft.end(event.reason, event.at_us)
        case MarketChanged():
            if event.status == "closed":
                draft.end("market_closed", event.at_us)
        case FeesChanged():
            terms = execution.terms.with_fees_from(event.from_us, event.fees, event.later)
            if terms != execution.terms:
                draft.update(terms=terms)
        case PositionRead():
            apply_position(draft, event)
        case DrainRequested():
            _drain(draft)
        case Restored():
            _apply_restored(draft, event)
        case PlaceUnconfirmed():
            _apply_place_unconfirmed(draft, event)
        case OrderNotSent():
            child = draft.child(event.client_order_id)
            draft.clear_outbox(child.client_order_id, "place")
            draft.fire_child(child, "withdrawn")
            _hold(draft, event.at_us)
        case OrderNotFound():
            _apply_not_found(draft, event)
        case WriteUnconfirmed():
            _apply_write_unconfirmed(draft, event)
        case AmendRefused():
            _apply_amend_refused(draft, event)
        case OrderAccepted() | OrderRefused() | CancelAnswered() | AmendAnswered() | OrderReported() | FillReported():
            _apply_or_suspect(draft, event)
        case OrderProven():
            _apply_proven(draft, event)
        case OrderDisputed():
            _apply_disputed(draft, event)
        case _:
            assert_never(event)
    end_if_gone(draft, event.at_us)
    return draft


def _with_order_id(child: ChildOrder, order_id: str) -> ChildOrder:
    """The child with its exchange id. Raises Implausible if it is known under another one."""
    if child.order_id is not None and child.order_id != order_id:
        raise Implausible(f"order {child.client_order_id} is {child.order_id} at the exchange, not {order_id}")
    return child if child.order_id == order_id else replace(child, order_id=order_id)


def _check_not_forgotten(child: ChildOrder, lives: bool) -> None:
    """An order that ended here without ever having been seen at the exchange must not turn up there alive."""
    if lives and not child.is_open and child.order_id is None:
        raise IllegalEvent(f"order {child.client_order_id} is {child.state} here and lives at the exchange")


def _check_ended_with(child: ChildOrder, filled: int) -> None:
    """Raise Implausible if more is said to be filled of an order than it has ended with. An old statement says less,
    never more, so one of the two is wrong; and what the order did not buy may have been bought elsewhere since."""
    has_ended = not child.is_open or child.state == "settling"
    if has_ended and filled > child.committed_e2:
        raise Implausible(
            f"order {child.client_order_id} ended with {format_count(child.committed_e2)} filled, and "
            f"{format_count(CountE2(filled))} are said to be"
        )


def _raise_reported(child: ChildOrder, filled: int) -> ChildOrder:
    """`reported` never falls but by proof, and never passes the order's count. Raises Implausible."""
    if not 0 <= filled <= max(child.count_e2, child.write.total_e2 if isinstance(child.write, PendingAmend) else 0):
        raise Implausible(f"order {child.client_order_id} of {child.count_e2} is said to be filled {filled}")
    return replace(child, reported_e2=CountE2(filled)) if filled > child.reported_e2 else child


def _end_order(draft: Draft, child: ChildOrder, final: int) -> ChildOrder:
    """End the order as the exchange did, with `final` filled, which `child` already holds. Writes in flight no longer
    matter: their answers change nothing. Raises Implausible if more was stated before: those fills would be waited for
    in vain."""
    if child.state not in ENDABLE:
        return draft.put(child)
    if child.reported_e2 > final:
        raise Implausible(
            f"order {child.client_order_id} ended with fewer fills, {final}, than the {child.reported_e2} stated before"
        )
    draft.clear_outbox(child.client_order_id, "amend", "cancel")
    return draft.fire_child(replace(child, write=None), "ended")


def _with_latest_send(child: ChildOrder, at_us: int) -> ChildOrder:
    """Move `sent_at_us` to `at_us`: the request was signed after the commit of its decision, and at the latest now, so
    proof of absence counts from here."""
    return replace(child, sent_at_us=max(child.sent_at_us, at_us))


def _drain(draft: Draft) -> None:
    """Stop sending anything but cancels; an order that is proven not to be at the exchange stays away from it."""
    if not draft.execution.draining:
        draft.update(draining=True)
    for child in draft.execution.unsent:
        draft.fire_child(child, "withdrawn")


def _apply_restored(draft: Draft, event: Restored) -> None:
    """Mark every write of the last process as unconfirmed, then apply what the listings show. Places and amends are
    looked up before anything else is done about them; `decide` sends lost cancels again. Rows of orders are applied
    before fills."""
    if draft.execution.draining:
        draft.update(draining=False)
    if event.instance is not None:
        draft.update(instance=event.instance)
    for entry in draft.execution.outbox:
        child = draft.child(entry.client_order_id)
        draft.clear_outbox(child.client_order_id, entry.kind)
        if entry.kind == "place" and child.state == "intended":
            draft.fire_child(_with_latest_send(child, event.at_us), "doubted")
        elif child.write is not None and child.write.effect_id == entry.effect_id:
            draft.put(child, write=replace(child.write, lost=True))
    if event.market == "closed":
        draft.end("market_closed", event.at_us)
    for report in event.orders:
        if report.cause == FENCE_CANCEL:
            take_over_order(draft, report)
        _apply_or_suspect(draft, report)
    if any(report.cause == FENCE_CANCEL for report in event.orders):
        drop_never_arrived(draft, frozenset(report.client_order_id for report in event.orders))
    for fill in event.fills:
        _apply_or_suspect(draft, fill)


def _apply_accepted(draft: Draft, event: OrderAccepted) -> None:
    child = _with_order_id(draft.child(event.client_order_id), event.order_id)
    if event.filled_e2 + event.remaining_e2 > child.count_e2:
        raise Implausible(f"order {child.client_order_id}: filled and remaining exceed its count {child.count_e2}")
    _check_ended_with(child, event.filled_e2)
    child = _raise_reported(child, event.filled_e2)
    draft.clear_outbox(child.client_order_id, "place")
    if child.state in BEFORE_ANSWER:
        child = draft.fire_child(child, "accepted")
    else:
        _check_not_forgotten(draft.child(event.client_order_id), True)
        child = draft.put(child)  # a fill, or a frame of the stream, came first
    if event.remaining_e2 > 0:
        _reset_refusals(draft, child)
        return
    cut_short = child.state in ENDABLE and child.time_in_force == "good_till_canceled"
    _end_order(draft, child, event.filled_e2)
    if cut_short and event.filled_e2 < child.count_e2:
        # It should rest and does not: the exchange took it off for what it would have met. The frame that says so
        # comes later, when the order has ended; uncounted, the next decision would place it again for ever.
        _count_refusal(draft, CROSS if child.post_only else "SelfTradeCancel", event)


def _reset_refusals(draft: Draft, child: ChildOrder) -> None:
    """Reset the counts of refusals and holds: the exchange has taken an order."""
    if child.is_open and (draft.execution.refusals or draft.execution.holds):
        draft.update(refusals=0, holds=0)


def _hold(draft: Draft, at_us: int) -> None:
    """Hold back new orders for a while, longer each time in a row: a pause of hours must not become thousands of
    attempts."""
    holds = draft.execution.holds + 1
    pause_us = min(HOLD_FIRST_US << min(holds - 1, 10), HOLD_MAX_US)
    draft.update(holds=holds, held_until_us=at_us + pause_us)


def _count_cross(draft: Draft, at_us: int) -> None:
    """Hold new orders back for a moment after several crosses in a row; no longer, as the closing leg may be due."""
    holds = draft.execution.holds + 1
    held_until_us = at_us + HOLD_FIRST_US if holds > CROSSES_AT_ONCE else draft.execution.held_until_us
    draft.update(holds=holds, held_until_us=held_until_us)


def _apply_refused(draft: Draft, event: OrderRefused) -> None:
    child = draft.child(event.client_order_id)
    if child.is_open and child.state != "intended":
        raise Implausible(f"order {child.client_order_id} is {child.state}, and was refused: {event.code}")
    draft.clear_outbox(child.client_order_id, "place")
    draft.fire_child(child, "refused")
    _record_refusal(draft, child, event.code, event.message)
    _count_refusal(draft, _meaning(child, event.code, event.message), event)


def _meaning(child: ChildOrder, code: str, message: str) -> str:
    """Return CROSS for the answer that says that a post-only order would cross, which has no code of its own; of any
    other its code."""
    is_cross = child.post_only and code == "invalid_order" and "post only cross" in message.lower()
    return CROSS if is_cross else code


def _record_refusal(draft: Draft, child: ChildOrder, code: str, message: str) -> None:
    """Keep the exchange's own words in a note and in `refusal`, which the API shows."""
    words = f"{code}: {message}" if message else code
    draft.note(child.client_order_id, f"refused, {words}")
    draft.update(refusal=words)


def _count_refusal(draft: Draft, code: str, event: Refusal) -> None:
    at_us = event.at_us
    if code in NOT_NOW or code == NOT_SENT:
        _hold(draft, at_us)
        return
    if code == CROSS and not (isinstance(event, TELLS_CROSS) and event.counts_cross):
        _count_cross(draft, at_us)
        return
    draft.update(refusals=draft.execution.refusals + 1)
    if (reason := REFUSAL_ENDS.get(code.lower())) is not None:
        draft.end(reason, at_us)
    elif draft.execution.reduce_only and is_about_position(code):
        end_refused(draft, code, at_us)
    elif draft.execution.refusals >= REFUSALS_MAX:
        draft.end("self_trade" if code == "SelfTradeCancel" else "rejected", at_us)


def _apply_place_unconfirmed(draft: Draft, event: PlaceUnconfirmed) -> None:
    child = draft.child(event.client_order_id)
    draft.clear_outbox(child.client_order_id, "place")
    if child.state != "intended":
        return  # the stream has already shown it
    if event.code is not None:
        if event.code in draft.execution.proven_no:  # the same answer as to an order that was proven absent
            draft.fire_child(child, "refused")
            _record_refusal(draft, child, event.code, event.why)
            _count_refusal(draft, event.code, event)
            return
        draft.note(child.client_order_id, f"an answer that is not listed as a refusal, {event.code}: {event.why}")
    draft.fire_child(_with_latest_send(replace(child, answer=event.code), event.at_us), "doubted")


def _apply_not_found(draft: Draft, event: OrderNotFound) -> None:
    child = draft.child(event.client_order_id)
    if event.as_of_us <= child.sent_at_us:
        raise IllegalEvent(f"a listing as of {event.as_of_us} proves nothing about an order sent later")
    if child.answer is not None:
        draft.update(proven_no=tuple(dict.fromkeys((*draft.execution.proven_no, child.answer))))
        child = replace(child, answer=None)
    draft.fire_child(child, "absent")


def _apply_cancelled(draft: Draft, event: CancelAnswered) -> None:
    child = _with_order_id(draft.child(event.client_order_id), event.order_id)
    if not 0 <= event.reduced_by_e2 <= child.count_e2:
        raise Implausible(f"order {child.client_order_id} of {child.count_e2} was reduced by {event.reduced_by_e2}")
    final = child.count_e2 - event.reduced_by_e2
    _check_ended_with(child, final)
    draft.clear_outbox(child.client_order_id, "cancel")
    if child.is_open and child.state != "settling":
        _end_order(draft, _raise_reported(child, final), final)


def _apply_write_unconfirmed(draft: Draft, event: WriteUnconfirmed) -> None:
    child = draft.child(event.client_order_id)
    draft.clear_effect(child.client_order_id, event.effect_id, "amend", "cancel")
    if child.write is not None and child.write.effect_id == event.effect_id and not child.write.lost:
        write = replace(child.write, lost=True)
        if event.code is not None and isinstance(write, PendingAmend):
            draft.note(child.client_order_id, f"an answer that is not listed as a refusal, {event.code}: {event.why}")
            write = replace(write, answer=event.code)
        draft.put(child, write=write)


def _apply_amended(draft: Draft, event: AmendAnswered) -> None:
    child = _with_order_id(draft.child(event.client_order_id), event.order_id)
    _check_ended_with(child, event.filled_e2 or 0)
    draft.clear_outbox(child.client_order_id, "amend")
    if not isinstance(child.write, PendingAmend) or not child.is_open:
        return
    if event.remaining_e2 == 0 and event.filled_e2 is None:
        # The order filled at the new price, or was cancelled because it would have crossed: only a look-up decides
        # which.
        draft.put(child, write=replace(child.write, lost=True))
        return
    child = _complete_amend(draft, child, event.filled_e2, event.at_us)
    if event.remaining_e2 == 0 and event.filled_e2 is not None:
        _end_order(draft, child, event.filled_e2)


def _apply_amend_refused(draft: Draft, event: AmendRefused) -> None:
    child = draft.child(event.client_order_id)
    draft.clear_effect(child.client_order_id, event.effect_id, "amend")
    if isinstance(child.write, PendingAmend) and child.write.effect_id == event.effect_id:
        draft.put(child, write=None)
        if event.code != NOT_SENT:
            _record_refusal(draft, child, event.code, event.message)
        if not is_renewal_alone(child):  # without it the order stays as it is, and ends by itself before long
            _count_refusal(draft, _meaning(child, event.code, event.message), event)


def _complete_amend(draft: Draft, child: ChildOrder, filled: CountE2 | None, at_us: int) -> ChildOrder:
    """Complete the amend in flight: the order has its price and total."""
    if not isinstance(child.write, PendingAmend):
        raise IllegalEvent(f"order {child.client_order_id} has no amend in flight")
    amended = replace(child, count_e2=child.write.total_e2, write=None)
    if isinstance(child.write, PendingRenewal):
        amended = replace(amended, expiration_s=child.write.expiration_s)
    if is_renewal_alone(child):
        return draft.put(_raise_reported(amended, filled or 0))
    return _count_walk(draft, amended, child.write.price_e4, filled, at_us)


def _count_walk(draft: Draft, child: ChildOrder, price: PriceE4, filled: CountE2 | None, at_us: int) -> ChildOrder:
    """Count a walk: the exchange has taken a new price."""
    moved = replace(child, price_e4=price, walks=child.walks + 1, moved_at_us=at_us)
    child = draft.put(_raise_reported(moved, filled or 0))
    draft.update(walks=draft.execution.walks + 1)
    _reset_refusals(draft, child)
    if draft.execution.state in ("walking", "partial"):
        draft.fire("walked")
    return child


def _apply_reported(draft: Draft, event: OrderReported) -> None:
    """Apply the exchange's statement about an order: end it, settle its write, or take over where it stands now.

    The statement may come from a frame, which can be older than what we know, or from a look-up, which was asked for
    after the doubt began. A frame that contradicts us may simply be late, so it raises Implausible and is checked by
    listings; a look-up that contradicts us raises IllegalEvent."""
    child = _with_order_id(draft.child(event.client_order_id), event.order_id)
    contradicts = IllegalEvent if event.looked_up else Implausible
    if event.outcome != draft.execution.outcome:
        raise contradicts(f"order {child.client_order_id} is for {event.outcome}")
    child, event = read_cut(draft, child, event)
    if not child.is_open:
        _check_not_forgotten(draft.child(event.client_order_id), event.status == "resting")
        _check_ended_with(child, event.filled_e2)
        return  # terminal is terminal; late fills come by themselves
    if child.state == "settling":
        _check_ended_with(child, event.filled_e2)
        return  # ended at the exchange: where it stood no longer matters, and its fills come by themselves
    if event.cause == QUARANTINE_CANCEL:
        child = replace(child, late_cancel_until_us=event.at_us + SIGNATURE_WINDOW_US + READ_LAG_US)
    # Where may the order stand without anything having been done from outside? Where it was sent; where an amend in
    # flight puts it; and where a lost amend put it before a cancel overtook it. Each is known by price and count alone,
    # because a statement does not name the amend it
    # includes.
    amend = child.write if isinstance(child.write, PendingAmend) else None
    amend_landed = amend is not None and (event.price_e4, event.count_e2) == (amend.price_e4, amend.total_e2)
    is_renewed = isinstance(amend, PendingRenewal) and event.expiration_s == amend.expiration_s
    if amend_landed and is_renewal_alone(child):
        amend_landed = is_renewed
    cancel = child.write if isinstance(child.write, PendingCancel) else None
    stands = (event.price_e4, event.count_e2)
    overtaken_landed = cancel is not None and stands == (cancel.doubtful_price_e4, child.count_e2)
    if not amend_landed and not overtaken_landed and stands != (child.price_e4, child.count_e2):
        if child.walks and not event.looked_up:
            return  # a frame from before the last amend
        if child.state in BEFORE_ANSWER:
            # Seen for the first time, and not as it was sent: then this is not our order.
            raise contradicts(
                f"order {child.client_order_id} stands at {event.price_e4} for {event.count_e2} at the exchange, "
                f"it was sent at {child.price_e4} for {child.count_e2}"
            )
        # The order was amended or decreased from outside: never fight the owner. Where it stands now is taken over,
        # unless that breaks an invariant (beyond the cap, more than the target): then the step is refused.
        child = replace(child, price_e4=event.price_e4, count_e2=event.count_e2)
        if not event.looked_up:
            _check_possible(draft, child)
        draft.end("external", event.at_us)
    if child.state in BEFORE_ANSWER:
        # The statement overtook the answer to the place, or replaces one that was lost: it proves the same.
        draft.clear_outbox(child.client_order_id, "place")
        child = draft.fire_child(child, "accepted")
        if event.status == "resting":
            _reset_refusals(draft, child)
    # Each write has one outcome: a look-up answers only for what is lost, as the answer is still to come otherwise.
    # That an order ends when only the lost write can have said so proves that write, whenever it was stated.
    proves = event.looked_up or is_renewed
    settles = event.status != "resting" or (proves and child.write is not None and child.write.lost)
    if amend_landed and settles:
        draft.clear_outbox(child.client_order_id, "amend")
        child = _complete_amend(draft, child, event.filled_e2, event.at_us)
    elif overtaken_landed and settles and cancel is not None:
        # The amend counts as a walk; the cancel that overtook it keeps waiting for its own outcome.
        known = replace(child, write=replace(cancel, doubtful_price_e4=None))
        child = _count_walk(draft, known, event.price_e4, event.filled_e2, event.at_us)
    child = draft.put(_raise_reported(child, event.filled_e2))
    if event.status != "resting":
        _end_by_exchange(draft, child, event)
        return
    if event.looked_up and child.write is not None and child.write.lost:
        if isinstance(child.write, PendingCancel):
            # The order is alive after the cancel was lost. The cancel may still arrive while its signature holds; an
            # end until then is our own doing and must not end the execution as if the owner had cancelled.
            alive = replace(
                child,
                write=_overtaken_amend(child, child.write),
                late_cancel_until_us=event.at_us + SIGNATURE_WINDOW_US + READ_LAG_US,
            )
            draft.fire_child(alive, "still_live")
        else:
            draft.put(child, write=None)  # the amend never landed: the order stands as it was
            if child.write.answer is not None:  # and the exchange had said so
                _record_refusal(draft, child, child.write.answer, "")
                if not is_renewal_alone(child):
                    _count_refusal(draft, child.write.answer, event)
    _take_expiration(draft, event)


def _take_expiration(draft: Draft, event: OrderReported) -> None:
    """Take over when an order that rests ends by itself, from a look-up, unless a write of ours is about to move it."""
    child = draft.child(event.client_order_id)
    if not event.looked_up or event.expiration_s is None or child.write is not None:
        return
    if child.expiration_s not in (None, event.expiration_s):
        draft.put(child, expiration_s=event.expiration_s)


def _check_possible(draft: Draft, child: ChildOrder) -> None:
    """Raise Implausible if a frame puts the order where it breaks an invariant of ours: a listing has to confirm
    that."""
    children = tuple(child if one.client_order_id == child.client_order_id else one for one in draft.execution.children)
    try:
        check(replace(draft.execution, children=children))
    except LocalError as error:
        raise Implausible(f"{error}") from error


def _overtaken_amend(child: ChildOrder, cancel: PendingCancel) -> PendingAmend | None:
    """Return the lost amend that a lost cancel overtook, or None: that the cancel was not done says nothing about the
    amend."""
    if cancel.doubtful_price_e4 is None:
        return None
    return PendingAmend(
        effect_id=cancel.effect_id, price_e4=cancel.doubtful_price_e4, total_e2=child.count_e2, lost=True
    )


def _end_by_exchange(draft: Draft, child: ChildOrder, event: OrderReported) -> None:
    asked = child.state == "cancelling" or event.at_us <= child.late_cancel_until_us
    was_open = child.state in ENDABLE
    _end_order(draft, child, event.filled_e2)
    if not was_open or asked or event.status == "executed" or child.time_in_force != "good_till_canceled":
        return
    expiration_s = earliest_expiration_s(child)
    has_expired = expiration_s is not None and event.at_us >= expiration_s * US_PER_S
    if event.cause in CANCEL_GOES_ON:
        if event.cause not in ("HaltCancel", FENCE_CANCEL, GROUP_CANCEL):
            _count_refusal(draft, event.cause, event)
    elif event.cause == "ExpiryCancel" or (event.cause is None and has_expired):
        # Before its execution is over an order ends by itself only because nobody put that off: it is placed again.
        if not is_leased(draft.execution, expiration_s):
            draft.end("deadline", event.at_us)
    elif event.cause is not None:
        draft.end(CANCEL_ENDS.get(event.cause, "external"), event.at_us)
    else:
        draft.end("external", event.at_us)  # the owner cancelled it from outside: never fight the owner


def _apply_filled(draft: Draft, event: FillReported) -> None:
    if draft.execution.state == "pending":
        raise IllegalEvent(f"{draft.execution.execution_id} has a fill before any order")
    take_fill(draft, event, _with_order_id(draft.child(event.client_order_id), event.order_id))


def _apply_proven(draft: Draft, event: OrderProven) -> None:
    """The listings' word stands; then the row is taken in as any that was looked up."""
    child = draft.child(event.client_order_id)
    lives = event.order is not None and event.order.status == "resting"
    if lives and not child.is_open and not event.given_up:
        raise IllegalEvent(f"order {child.client_order_id} is {child.state} here and lives at the exchange")
    child = apply_proof(draft, event)
    if not child.is_open:
        return
    if event.order is not None:
        _apply_reported(draft, event.order)
    elif child.state not in BEFORE_ANSWER:
        if draft.execution.ending is None and not draft.execution.draining:
            raise IllegalEvent(f"order {child.client_order_id} was said to be {child.order_id}, and no listing has it")
        draft.alarm(child.client_order_id, f"no listing has it, as {child.order_id} or under its name")
        _end_order(draft, child, child.reported_e2)


def _apply_disputed(draft: Draft, event: OrderDisputed) -> None:
    _suspect(draft, draft.child(event.client_order_id), event.why, event.at_us)


def _suspect(draft: Draft, child: ChildOrder, why: str, at_us: int) -> None:
    """Mark the order as suspect until listings that are late enough settle what is true of it. The first suspicion
    stays until then."""
    if child.suspicion is None:
        draft.alarm(child.client_order_id, why)
        draft.put(child, suspicion=Suspicion(why, at_us))


def _apply_or_suspect(draft: Draft, event: OrderStatement) -> None:
    """Apply what an answer, a frame or a listing says. If it contradicts us and may be wrong itself it is not believed
    and not lost either: an answer leaves its write unconfirmed, and the order is looked up until listings settle it."""
    before, changes, notes = draft.execution, len(draft.changes), len(draft.notes)
    try:
        HANDLERS[type(event)](draft, event)
    except Implausible as error:
        draft.execution = before
        del draft.changes[changes:], draft.notes[notes:]
        child = draft.child(event.client_order_id)
        if isinstance(event, OrderAccepted):
            draft.clear_outbox(child.client_order_id, "place")
            if child.state == "intended":
                child = draft.fire_child(_with_latest_send(child, event.at_us), "doubted")
        elif isinstance(event, OrderRefused):
            draft.clear_outbox(child.client_order_id, "place")
        elif isinstance(event, CancelAnswered | AmendAnswered) and child.write is not None:
            draft.clear_outbox(child.client_order_id, "amend", "cancel")
            child = draft.put(child, write=replace(child.write, lost=True))
        _suspect(draft, child, f"not believed: {error}", event.at_us)


HANDLERS: dict[type, Callable[[Draft, Any], None]] = {
    OrderAccepted: _apply_accepted,
    OrderRefused: _apply_refused,
    CancelAnswered: _apply_cancelled,
    AmendAnswered: _apply_amended,
    OrderReported: _apply_reported,
    FillReported: _apply_filled,
}
