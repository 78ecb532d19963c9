"""One step of an execution: apply the event, decide, carry the decision out on the draft.

`advance(execution, event, algorithm)` = `apply(execution, event, decide(execution, event, algorithm))`. The journal
keeps event and intents, so the fold uses `apply` alone and survives changes of an algorithm.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import msgspec
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import CorruptSnapshot, IllegalEvent
from fsm_exec.core.execution.apply_event import apply_event, begin
from fsm_exec.core.execution.decide import decide
from fsm_exec.core.execution.draft import Draft, Note, StateChange
from fsm_exec.core.execution.events import (
    Amend,
    AnyEvent,
    AnyIntent,
    BeginClosing,
    Cancel,
    DropUnsent,
    GiveUp,
    MakePlan,
    Place,
    Renew,
    ResendCancel,
    ResendPlace,
    Submitted,
    Transfer,
    tag_of,
)
from fsm_exec.core.execution.execution import (
    ChildOrder,
    Closing,
    Execution,
    OutboxEntry,
    PendingAmend,
    PendingCancel,
    PendingRenewal,
)
from fsm_exec.core.execution.fee_guard import send_until_us
from fsm_exec.core.execution.invariants import check
from fsm_exec.core.execution.lease import can_wait, last_expiration_s
from fsm_exec.core.market.client_order_id import client_order_id
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, PlaceOrder, Write
from fsm_exec.core.values.units import US_PER_S, PriceE4


class Advance(msgspec.Struct, frozen=True, gc=False):
    """The next execution, the writes to send once it is durable, the state changes on the way, and the notes for
    people."""

    execution: Execution
    intents: tuple[AnyIntent, ...]
    effects: tuple[Write, ...]
    changes: tuple[StateChange, ...]
    notes: tuple[Note, ...] = ()

    @property
    def steps(self) -> str:
        """What happened, on one line for people."""
        return "; ".join(map(str, (*self.changes, *self.notes)))


def decide_at(execution: Execution | None, event: AnyEvent, algorithm: Algorithm) -> tuple[AnyIntent, ...]:
    """Return the intents for `event`. `execution` is None before the first event. Raises LocalError."""
    draft = _draft_after(execution, event)
    draft.settle(event.at_us)
    return decide(draft.execution, event, algorithm)


def apply(execution: Execution | None, event: AnyEvent, intents: tuple[AnyIntent, ...]) -> Advance | None:
    """`execution` after `event` and its intents; None if nothing changed. Raises LocalError."""
    draft = _draft_after(execution, event)
    draft.settle(event.at_us)
    return _carry_out(execution, draft, event, intents)


def advance(execution: Execution | None, event: AnyEvent, algorithm: Algorithm) -> Advance | None:
    """`apply` of `decide_at`, with the event applied only once. Raises LocalError; `execution` is then as it was."""
    draft = _draft_after(execution, event)
    draft.settle(event.at_us)
    return _carry_out(execution, draft, event, decide(draft.execution, event, algorithm))


def fold(journal: Iterable[tuple[AnyEvent, tuple[AnyIntent, ...]]]) -> Execution:
    """The execution that its journal describes. Raises CorruptSnapshot for a journal without effect or beginning."""
    execution: Execution | None = None
    for event, intents in journal:
        step = apply(execution, event, intents)
        if step is None:
            raise CorruptSnapshot(f"a journaled {tag_of(event)} changes nothing")
        execution = step.execution
    if execution is None:
        raise CorruptSnapshot("the journal is empty")
    return execution


def _draft_after(execution: Execution | None, event: AnyEvent) -> Draft:
    if execution is not None:
        return apply_event(execution, event)
    if not isinstance(event, Submitted):
        raise IllegalEvent(f"the first event is {tag_of(event)}, not Submitted")
    return begin(event)


def _carry_out(
    execution: Execution | None, draft: Draft, event: AnyEvent, intents: tuple[AnyIntent, ...]
) -> Advance | None:
    if draft.execution is execution and not intents:
        return None
    seq = draft.execution.seq + 1
    effects: list[Write] = []
    for n, intent in enumerate(intents, start=1):
        effect_id = f"{draft.execution.execution_id}:{seq}:{n}"
        match intent:
            case MakePlan():
                draft.update(slices=intent.slices)
                if draft.execution.state == "pending":
                    draft.fire("planned")
            case Transfer():
                draft.update(slices=intent.slices)
            case BeginClosing():
                _begin_closing(draft, event.at_us)
            case Place():
                effects.append(_place(draft, intent, effect_id, event.at_us))
            case ResendPlace():
                effects.append(_place_again(draft, intent, effect_id, event.at_us))
            case Amend():
                child = draft.child(intent.client_order_id)
                price, expires_s = intent.price_e4, intent.expires_s
                effects.append(_amend_write(draft, child, price, expires_s, effect_id, event.at_us))
            case Renew():
                effects.append(_renew_write(draft, draft.child(intent.client_order_id), intent, effect_id, event.at_us))
            case Cancel():
                effects.append(_cancel_write(draft, draft.child(intent.client_order_id), effect_id))
            case ResendCancel():
                effects.append(_resend_cancel_write(draft, draft.child(intent.client_order_id), effect_id))
            case DropUnsent():
                draft.fire_child(draft.child(intent.client_order_id), "withdrawn")
            case GiveUp():
                draft.end(intent.reason, event.at_us)
            case _:
                assert_never(intent)
    draft.settle(event.at_us)
    draft.update(seq=seq, writes=draft.execution.writes + len(effects))
    check(draft.execution, execution)
    return Advance(draft.execution, intents, tuple(effects), tuple(draft.changes), tuple(draft.notes))


def _begin_closing(draft: Draft, at_us: int) -> None:
    draft.update(closing=Closing(at_us=at_us))
    for child in draft.execution.unsent:
        draft.fire_child(child, "withdrawn")  # proven not to be at the exchange, and not sent again


def _place(draft: Draft, intent: Place, effect_id: str, at_us: int) -> PlaceOrder:
    execution = draft.execution
    attempt = 1 + sum(child.level == intent.level for child in execution.children)
    rests = intent.time_in_force == "good_till_canceled"
    last_s = last_expiration_s(execution) if intent.expires_s is None else intent.expires_s
    child = ChildOrder(
        client_order_id=client_order_id(execution.instance, execution.execution_id, intent.level, attempt),
        level=intent.level,
        attempt=attempt,
        price_e4=intent.price_e4,
        count_e2=intent.count_e2,
        time_in_force=intent.time_in_force,
        post_only=intent.post_only,
        # So that the exchange ends what we cannot: it does so even if this process never comes back.
        expiration_s=last_s if rests else None,
        sent_at_us=at_us,
    )
    draft.put(child)
    if execution.closing is not None:
        draft.update(closing=replace(execution.closing, order=child.client_order_id))
    if execution.first_write_at_us is None:
        draft.update(first_write_at_us=at_us, first_write_mid_e5=intent.mid_e5)
    return _place_write(draft, child, effect_id)


def _place_again(draft: Draft, intent: ResendPlace, effect_id: str, at_us: int) -> PlaceOrder:
    child = draft.child(intent.client_order_id)
    expiration_s = child.expiration_s if intent.expires_s is None else intent.expires_s
    return _place_write(draft, draft.put(child, sent_at_us=at_us, expiration_s=expiration_s), effect_id)


def _place_write(draft: Draft, child: ChildOrder, effect_id: str) -> PlaceOrder:
    draft.update(outbox=(*draft.execution.outbox, OutboxEntry(effect_id, "place", child.client_order_id)))
    return PlaceOrder(
        effect_id=effect_id,
        client_order_id=child.client_order_id,
        ticker=draft.execution.terms.ticker,
        outcome=draft.execution.outcome,
        price_e4=child.price_e4,
        count_e2=child.count_e2,
        time_in_force=child.time_in_force,
        post_only=child.post_only,
        expiration_s=child.expiration_s,
        reduce_only=draft.execution.reduce_only,
        # It may have to wait for its turn.
        not_after_us=send_until_us(draft.execution, child.price_e4, child.sent_at_us, taker=not child.post_only),
    )


def _amend_write(
    draft: Draft, child: ChildOrder, price: PriceE4, expiration_s: int | None, effect_id: str, at_us: int
) -> AmendOrder:
    order_id = _known_order_id(child)
    write = PendingAmend(effect_id=effect_id, price_e4=price, total_e2=child.count_e2)
    if expiration_s is not None:
        write = PendingRenewal(effect_id=effect_id, price_e4=price, total_e2=child.count_e2, expiration_s=expiration_s)
    draft.put(child, write=write)
    draft.update(outbox=(*draft.execution.outbox, OutboxEntry(effect_id, "amend", child.client_order_id)))
    return AmendOrder(
        effect_id=effect_id,
        client_order_id=child.client_order_id,
        order_id=order_id,
        ticker=draft.execution.terms.ticker,
        outcome=draft.execution.outcome,
        price_e4=price,
        total_e2=child.count_e2,
        not_after_us=send_until_us(draft.execution, price, at_us, taker=True),
        expiration_s=expiration_s,
    )


def _renew_write(draft: Draft, child: ChildOrder, intent: Renew, effect_id: str, at_us: int) -> AmendOrder:
    if child.write is not None:
        raise IllegalEvent(f"order {child.client_order_id} has a write in flight and cannot be renewed")
    write = _amend_write(draft, child, child.price_e4, intent.expiration_s, effect_id, at_us)
    # Once the order has ended by itself the request can do nothing but be looked up.
    last_us = draft.execution.deadline_us
    if child.expiration_s is not None:
        last_us = min(last_us, child.expiration_s * US_PER_S)
    waits = can_wait(child, intent.expiration_s, at_us)
    return replace(write, not_after_us=last_us, is_renewal=True, can_wait=waits)


def _cancel_write(draft: Draft, child: ChildOrder, effect_id: str) -> CancelOrder:
    order_id = _known_order_id(child)
    # A lost amend is overtaken here: its total is the child's own count (totals never change), its price is kept.
    doubtful = child.write.price_e4 if isinstance(child.write, PendingAmend) else None
    if doubtful == child.price_e4:  # it only moved the end by itself
        doubtful = None
    child = draft.put(child, write=PendingCancel(effect_id=effect_id, doubtful_price_e4=doubtful))
    draft.fire_child(child, "cancel_sent")
    return _cancel_order(draft, child, order_id, effect_id)


def _resend_cancel_write(draft: Draft, child: ChildOrder, effect_id: str) -> CancelOrder:
    order_id = _known_order_id(child)
    if child.state != "cancelling" or not isinstance(child.write, PendingCancel):
        raise IllegalEvent(f"order {child.client_order_id} has no cancel to be sent again")
    child = draft.put(child, write=replace(child.write, effect_id=effect_id, lost=False))
    return _cancel_order(draft, child, order_id, effect_id)


def _cancel_order(draft: Draft, child: ChildOrder, order_id: str, effect_id: str) -> CancelOrder:
    draft.update(outbox=(*draft.execution.outbox, OutboxEntry(effect_id, "cancel", child.client_order_id)))
    return CancelOrder(
        effect_id=effect_id,
        client_order_id=child.client_order_id,
        order_id=order_id,
        ticker=draft.execution.terms.ticker,
    )


def _known_order_id(child: ChildOrder) -> str:
    if child.order_id is None:
        raise IllegalEvent(f"order {child.client_order_id} has no id at the exchange yet")
    return child.order_id
