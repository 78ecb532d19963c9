"""What a bulk listing adds to an execution: the facts whose frames were lost. Pure.

A listing is behind what was answered since (wire/README.md 6.6) and gives no reasons, so it never overrules: an order
with a write under way is left to that write's answer, an unconfirmed one to its look-up, and one that has just changed
to the stream, which also says why.
"""

from __future__ import annotations

from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.execution.fills import is_same_content, known_fill
from fsm_exec.core.execution.timing import READ_LAG_US
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.recovery.order_lookup import fill_event, needs_lookup
from fsm_exec.core.values.units import CountE2, format_count

FRESH_US = 3_000_000
"""A change listed this soon after it was made is left to the stream."""


def order_is_news(execution: Execution, report: OrderReport, as_of_us: int) -> bool:
    """Whether `execution` does not know yet that its order stands as `report` says, listed as of `as_of_us`."""
    child = execution.child(report.client_order_id)
    if child is None or not child.is_open or child.state == "intended" or child.write is not None:
        return False
    if needs_lookup(child):
        return False
    if report.changed_at_us is not None and as_of_us - report.changed_at_us < FRESH_US:
        return False
    stands = (child.price_e4, child.count_e2)
    return (
        report.status != "resting"
        or report.filled_e2 > child.reported_e2
        or (report.price_e4, report.count_e2) != stands
        or child.order_id is None
    )


def fill_is_news(execution: Execution, client_order_id: str, report: FillReport) -> bool:
    """Whether `execution` has not counted this fill of its order yet, or not as it is listed."""
    child: ChildOrder | None = execution.child(client_order_id)
    if child is None:
        return False
    known = known_fill(child, report)
    return known is None or not is_same_content(
        known, fill_event(report, client_order_id, None, report.at_us, execution)
    )


def why_misnamed(child: ChildOrder, report: OrderReport) -> str | None:
    """Return why an ended order is not listed under the id of its answer; None if it is, or may be. A
    fill is joined by that id, so it must be right, also of an order that came to nothing."""
    if child.is_open or child.suspicion is not None or child.order_id in (None, report.order_id):
        return None
    return f"it is {report.order_id} at the exchange, not {child.order_id}"


def why_disputed(execution: Execution, report: OrderReport, as_of_us: int) -> str | None:
    """Return why a listing contradicts what `execution` holds of an order, although it is later than that; None if it
    does not. An order with a write under way, or a doubt, is left to that write or look-up."""
    child = execution.child(report.client_order_id)
    if child is None or child.suspicion is not None or needs_lookup(child) or child.write is not None:
        return None
    if report.changed_at_us is not None and as_of_us - report.changed_at_us < FRESH_US:
        return None
    heard_us = [fill.heard_at_us for fill in (*child.fills, *child.late) if fill.heard_at_us is not None]
    if max(heard_us, default=child.sent_at_us) + READ_LAG_US >= as_of_us:
        return None
    known = CountE2(child.filled_e2 if not child.is_open else max(child.filled_e2, child.reported_e2))
    if report.filled_e2 < known:
        return f"it was said to be filled {format_count(known)}, and is listed with {format_count(report.filled_e2)}"
    if report.filled_e2 > known and not child.is_open:
        return f"it ended with {format_count(known)} filled, and is listed with {format_count(report.filled_e2)}"
    return None
