"""Orders of an engine that this one has fenced.

It went on for a moment after the copy was made with which this one works: it may have placed orders that the copy does
not know, moved and cancelled others. All of that was our own doing. When it is heard of, nothing of it lives any more
and nothing of it can still arrive, since the exchange has ended the groups of its orders; so where an order stood in
the end is taken over as it is, one that is not known is adopted, and what it bought counts.
"""

from __future__ import annotations

from typing import Final

from fsm_exec.core.execution.draft import Draft
from fsm_exec.core.execution.events import OrderReported
from fsm_exec.core.execution.execution import ChildOrder, PendingAmend, PendingCancel
from fsm_exec.core.market.client_order_id import parse_order_name

FENCE_CANCEL: Final = "FenceCancel"
"""The cause in a statement about an order of a fenced engine: whatever ended it was its or our own doing."""


def take_over_order(draft: Draft, event: OrderReported) -> None:
    """Have the draft know the order of `event` as it stood in the end, before the event itself is applied. One that
    bears no name of this execution is left for the event to be refused."""
    child = draft.execution.child(event.client_order_id)
    if child is None:
        _adopt(draft, event)
    elif child.is_open and child.state != "settling" and not _may_stand(child, event):
        walks = child.walks + (event.price_e4 != child.price_e4)
        draft.put(child, price_e4=event.price_e4, count_e2=event.count_e2, walks=walks)


def drop_never_arrived(draft: Draft, stated: frozenset[str]) -> None:
    """End orders without an answer that the exchange has not `stated`, where what is adopted leaves no room for them:
    the fenced engine knew that they had never arrived, or it would not have placed what came after."""
    if draft.execution.free_e2 >= 0:
        return
    for child in draft.execution.children:
        if child.state == "unknown" and child.client_order_id not in stated:
            draft.note(child.client_order_id, "it never arrived: the fenced engine went on without it")
            absent = draft.fire_child(child, "absent")
            if absent.is_open:
                draft.fire_child(absent, "withdrawn")


def _adopt(draft: Draft, event: OrderReported) -> None:
    execution, named = draft.execution, parse_order_name(event.client_order_id)
    if named is None or named.execution_id != execution.execution_id or execution.limits is None:
        return
    as_taker = execution.terms.fees.all_in(event.price_e4, taker=True) <= execution.limits.cap_e6
    draft.note(event.client_order_id, "adopted: the fenced engine placed it after the copy was made")
    draft.put(
        ChildOrder(
            client_order_id=event.client_order_id,
            level=named.level,
            attempt=named.attempt,
            price_e4=event.price_e4,
            count_e2=event.count_e2,
            time_in_force="immediate_or_cancel" if execution.reduce_only else "good_till_canceled",
            post_only=not as_taker,  # else it would never have been sent
            expiration_s=None,
            sent_at_us=event.at_us,
        )
    )
    if execution.first_write_at_us is None:
        draft.update(first_write_at_us=event.at_us)
    if execution.state == "pending":
        draft.fire("planned")  # that plan is lost: it is made anew at the next decision


def _may_stand(child: ChildOrder, event: OrderReported) -> bool:
    """Whether the order may stand there by what is known of it."""
    stands, write = (event.price_e4, event.count_e2), child.write
    if isinstance(write, PendingAmend) and stands == (write.price_e4, write.total_e2):
        return True
    if isinstance(write, PendingCancel) and stands == (write.doubtful_price_e4, child.count_e2):
        return True
    return stands == (child.price_e4, child.count_e2)
