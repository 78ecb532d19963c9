"""An execution's step as the rows the database keeps: text for people, decimal strings, only what changed."""

from __future__ import annotations

from fsm_exec.core.advance import Advance
from fsm_exec.core.edge import PPM_DECIMALS, Edge
from fsm_exec.core.events import AnyEvent
from fsm_exec.core.execution import Child, Execution
from fsm_exec.core.ports import ChildRow, EdgeFigures, ExecutionSave, FillRow, JournalRow
from fsm_exec.core.snapshot import SNAPSHOT_VERSION, encode_event, encode_intents, encode_snapshot
from fsm_exec.core.units import CountE2, format_count, format_fixed, format_money, format_price

CHILD_STATUS = {
    "intended": "pending",
    "unknown": "pending",
    "resting": "pending",
    "partial": "partial",
    "cancelling": "pending",
    "settling": "pending",
    "filled": "filled",
    "cancelled": "cancelled",
    "rejected": "cancelled",
}
"""The seed's `status` column by state; `cancelling` and `settling` are partial once something was filled."""


def save_of(before: Execution | None, event: AnyEvent, step: Advance) -> ExecutionSave:
    """Everything one durable transition writes."""
    after = step.execution
    known = {} if before is None else {child.client_order_id: child for child in before.children}
    changed = [child for child in after.children if known.get(child.client_order_id) is not child]
    return ExecutionSave(
        execution_id=after.execution_id,
        ticker=after.terms.ticker,
        outcome=after.outcome,
        method=after.method,
        state=after.state,
        reason=after.reason,
        target_quantity=format_count(after.target_e2),
        target_price=None if after.limits is None else format_price(after.limits.target_e4),
        accepted_at_us=after.accepted_at_us,
        deadline_us=after.deadline_us,
        snapshot_version=SNAPSHOT_VERSION,
        snapshot=encode_snapshot(after),
        journal=JournalRow(
            seq=after.seq,
            at_us=event.at_us,
            event_type=type(event).__name__,
            event=encode_event(event),
            intents=encode_intents(step.intents),
            steps="; ".join(map(str, step.changes)),
            version=SNAPSHOT_VERSION,
        ),
        children=tuple(child_row(child) for child in changed),
        fills=tuple(row for child in changed for row in fill_rows(known.get(child.client_order_id), child)),
    )


def edge_figures(edge: Edge | None, volume_24h_e2: CountE2 | None) -> EdgeFigures:
    """What the list of opportunities says beside the order; None is unknown."""
    return EdgeFigures(
        model_probability=None if edge is None else format_fixed(edge.probability_ppm, PPM_DECIMALS),
        expected_value=None if edge is None else format_money(edge.expected_value_e6),
        volume_24h=None if volume_24h_e2 is None else format_count(volume_24h_e2),
    )


def child_row(child: Child) -> ChildRow:
    """The order's row in `split_orders`."""
    status = CHILD_STATUS[child.state]
    if child.state in ("cancelling", "settling") and child.counted_e2:
        status = "partial"
    return ChildRow(
        client_order_id=child.client_order_id,
        level=child.level,
        attempt=child.attempt,
        state=child.state,
        status=status,
        order_id=child.order_id,
        price=format_price(child.price_e4),
        quantity=format_count(child.count_e2),
        filled_quantity=format_count(child.filled_e2),
        time_in_force=child.time_in_force,
        walks=child.walks,
    )


def fill_rows(before: Child | None, after: Child) -> list[FillRow]:
    """The rows in `fills` that the order has gained since `before`; all of them for None."""
    counted, late = (0, 0) if before is None else (len(before.fills), len(before.late))
    new = [(fill, False) for fill in after.fills[counted:]] + [(fill, True) for fill in after.late[late:]]
    return [
        FillRow(
            order_id=fill.order_id,
            fill_id=fill.fill_id,
            client_order_id=after.client_order_id,
            price=format_price(fill.price_e4),
            quantity=format_count(fill.count_e2),
            fee=format_money(fill.fee_e6),
            is_taker=fill.is_taker,
            late=is_late,
            traded_at_us=fill.traded_at_us,
        )
        for fill, is_late in new
    ]
