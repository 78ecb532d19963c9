"""An execution's step as the rows the database keeps: text for people, decimal strings, only what changed."""

from __future__ import annotations

from fsm_exec.core.execution.advance import Advance
from fsm_exec.core.execution.events import AnyEvent, tag_of
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill
from fsm_exec.core.execution.fills import is_same_fill, is_same_time
from fsm_exec.core.execution.reservation import reserved_e6
from fsm_exec.core.journal.rows import ChildRow, EdgeFigures, ExecutionSave, FillGone, FillRow, JournalRow, PartsTotal
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION, encode_event, encode_intents, encode_step
from fsm_exec.core.market.edge import PPM_DECIMALS, Edge
from fsm_exec.core.market.orders import FillReport
from fsm_exec.core.values.units import CountE2, format_count, format_fixed, format_money, format_price

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
"""The reference design's `status` column by state; `cancelling` and `settling` are partial once something is filled."""


def save_of(before: Execution | None, event: AnyEvent, step: Advance, total: PartsTotal | None = None) -> ExecutionSave:
    """Everything one durable transition writes. `total` is that of the parts stored with `before`, as the save
    that stored it has it; None: nobody knows it."""
    after = step.execution
    encoded = encode_step(before, after, total)
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
        snapshot=encoded.snapshot,
        journal=JournalRow(
            seq=after.seq,
            at_us=event.at_us,
            event_type=tag_of(event),
            event=encode_event(event),
            intents=encode_intents(step.intents),
            steps=step.steps,
            version=SNAPSHOT_VERSION,
        ),
        children=tuple(child_row(child) for child in changed),
        fills=tuple(row for child in changed for row in fill_rows(known.get(child.client_order_id), child)),
        corrected=tuple(
            row for child in changed for row in corrected_fill_rows(known.get(child.client_order_id), child)
        ),
        gone=tuple(row for child in changed for row in gone_fill_keys(known.get(child.client_order_id), child)),
        refusal=after.refusal,
        clears_parts=encoded.clears,
        parts=encoded.parts,
        gone_parts=encoded.gone,
        parts_total=encoded.total,
        reserved=format_money(reserved_e6(after)),
    )


def edge_figures(edge: Edge | None, volume_24h_e2: CountE2 | None) -> EdgeFigures:
    """What the list of opportunities says beside the order; None is unknown."""
    return EdgeFigures(
        model_probability=None if edge is None else format_fixed(edge.probability_ppm, PPM_DECIMALS),
        expected_value=None if edge is None else format_money(edge.expected_value_e6),
        volume_24h=None if volume_24h_e2 is None else format_count(volume_24h_e2),
    )


def child_row(child: ChildOrder) -> ChildRow:
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


def fill_rows(before: ChildOrder | None, after: ChildOrder) -> list[FillRow]:
    """The rows in `fills` that are new since `before`; all of them for None."""
    if before is not None and before.fills is after.fills and before.late is after.late:
        return []
    known = set() if before is None else {_key(fill) for fill in (*before.fills, *before.late)}
    return [row for row in _rows(after) if (row.order_id, row.fill_id) not in known]


def corrected_fill_rows(before: ChildOrder | None, after: ChildOrder) -> list[FillRow]:
    """The rows in `fills` that were there at `before` and say something else now."""
    if before is None or (before.fills is after.fills and before.late is after.late):
        return []
    were = {(row.order_id, row.fill_id): row for row in _rows(before)}
    return [row for row in _rows(after) if were.get((row.order_id, row.fill_id), row) != row]


def _rows(child: ChildOrder) -> list[FillRow]:
    return [
        fill_row(fill, child.client_order_id, late=late)
        for late, fills in ((False, child.fills), (True, child.late))
        for fill in fills
    ]


def _key(fill: Fill) -> tuple[str, str]:
    return fill.order_id, fill.fill_id


def gone_fill_keys(before: ChildOrder | None, after: ChildOrder) -> list[FillGone]:
    """The keys of the rows in `fills` that were there at `before` and are no more."""
    if before is None or (before.fills is after.fills and before.late is after.late):
        return []
    kept = {_key(fill) for fill in (*after.fills, *after.late)}
    return [FillGone(*_key(fill)) for fill in (*before.fills, *before.late) if _key(fill) not in kept]


def fill_row(fill: Fill, client_order_id: str, *, late: bool) -> FillRow:
    return FillRow(
        order_id=fill.order_id,
        fill_id=fill.fill_id,
        client_order_id=client_order_id,
        price=format_price(fill.price_e4),
        quantity=format_count(fill.count_e2),
        fee=format_money(fill.fee_e6),
        is_taker=fill.is_taker,
        late=late,
        traded_at_us=fill.traded_at_us,
        trade_id=fill.trade_id,
        listed_id=fill.listed_id,
    )


def row_matches(row: FillRow, stated: FillReport) -> bool:
    """Whether a stored fill is the one that is reported, with the same content as far as a listing must agree."""
    if not is_same_fill(row, stated):
        return False
    if stated.listed_id is None:
        return True
    if not is_same_time(row.traded_at_us, stated.at_us, undated=stated.undated):
        return False
    known = (row.price, row.quantity, row.fee, row.is_taker)
    return known == (
        format_price(stated.price_e4),
        format_count(stated.count_e2),
        format_money(stated.fee_e6),
        stated.is_taker,
    )
