"""What a proof by listings corrects in an order: fills, counts, its id and whether it lives (see
`recovery/proof.py`)."""

from __future__ import annotations

from msgspec.structs import replace

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.draft import Draft
from fsm_exec.core.execution.events import OrderProven
from fsm_exec.core.execution.execution import ChildOrder, Fill
from fsm_exec.core.execution.fills import (
    corrected_fill,
    describe_fill,
    drop_writes_of_ended,
    fill_of,
    is_same_content,
    is_same_fill,
)
from fsm_exec.core.values.units import CountE2, format_count


def apply_proof(draft: Draft, event: OrderProven) -> ChildOrder:
    """Give the order the fills and the id that the listings prove, and the state in which they leave it before its row
    is applied; return it. Every correction is noted as an alarm."""
    child = draft.child(event.client_order_id)
    name = child.client_order_id
    found = list(event.fills)
    kept: dict[bool, list[Fill]] = {False: [], True: []}
    # First what is counted: each fill is listed (and takes the listing's content), or it never was and is taken back.
    for late, fills in ((False, child.fills), (True, child.late)):
        for fill in fills:
            stated = next((one for one in found if is_same_fill(fill, one)), None)
            if stated is None:
                draft.alarm(name, f"fill {fill.fill_id}, {describe_fill(fill)}, is not listed: it is taken back")
                continue
            found.remove(stated)
            after = fill if is_same_content(fill, stated) else corrected_fill(fill, stated)
            if describe_fill(after) != describe_fill(fill):
                draft.alarm(
                    name, f"fill {fill.fill_id} was {describe_fill(fill)}; it is listed as {describe_fill(after)}"
                )
            kept[late].append(after)
    total: int = sum(fill.count_e2 for fill in kept[False])
    # Then what is listed and not counted yet. A fill that the order has no room for, or that comes after its end, is
    # kept as a late one: the execution has bought it all the same.
    for stated in found:
        fits = child.is_open and total + stated.count_e2 <= child.count_e2
        total += stated.count_e2 if fits else 0
        kept[not fits].append(fill_of(stated))
    while total > child.count_e2:
        fill = kept[False].pop()
        total -= fill.count_e2
        kept[True].append(fill)
    if child.reported_e2 != total:
        draft.alarm(
            name,
            f"said to be filled {format_count(child.reported_e2)}, the listings say {format_count(CountE2(total))}",
        )
    order_id = child.order_id if event.order is None else event.order.order_id
    if child.order_id not in (None, order_id):
        draft.alarm(name, f"it is {order_id} at the exchange, not {child.order_id}")
    was_filled = draft.execution.filled_e2
    now = replace(
        child,
        order_id=order_id,
        fills=tuple(kept[False]),
        late=tuple(kept[True]),
        counted_e2=CountE2(total),
        reported_e2=CountE2(total),
        suspicion=None,
    )
    if now != child:
        child = draft.put(now)
    execution = draft.execution
    if execution.filled_e2 > was_filled and not execution.is_ended:
        if execution.state == "pending":
            raise IllegalEvent(f"{execution.execution_id} has a fill before any order")
        draft.fire("filled_some")
    return _move_state(draft, child, event)


def _move_state(draft: Draft, child: ChildOrder, event: OrderProven) -> ChildOrder:
    if not child.is_open:
        return child
    lives = event.order is not None and event.order.status == "resting"
    if event.given_up:
        draft.alarm(child.client_order_id, "the listings contradict themselves; it is not waited for any more")
        draft.clear_outbox(child.client_order_id, "place")
        child = draft.fire_child(child, "given_up")
    elif child.counted_e2 == child.count_e2 or (child.state == "settling" and not lives):
        draft.clear_outbox(child.client_order_id, "place")
        child = draft.fire_child(child, "corrected")
    elif child.state == "settling":
        draft.alarm(child.client_order_id, "it was said to have ended, and rests")
        child = draft.fire_child(replace(child, write=None), "still_live")
        if draft.execution.free_e2 < 0:
            raise IllegalEvent(
                f"order {child.client_order_id} was said to have ended, and rests; meanwhile others took its place"
            )
    elif child.state in ("resting", "partial") and (child.counted_e2 > 0) != (child.state == "partial"):
        child = draft.fire_child(child, "corrected")
    drop_writes_of_ended(draft, child)
    return child if child.is_open else draft.child(child.client_order_id)
