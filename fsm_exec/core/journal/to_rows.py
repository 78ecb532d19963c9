"""An execution's step as the rows the database keeps: text for people, decimal strings, only what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

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
    changed = _changed_orders(before, after)
    told = _joined([fill_changes(was, child) for was, child in changed])
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
        children=tuple(child_row(child) for _, child in changed),
        fills=told.fills,
        corrected=told.corrected,
        gone=told.gone,
        refusal=after.refusal,
        clears_parts=encoded.clears,
        parts=encoded.parts,
        gone_parts=encoded.gone,
        parts_total=encoded.total,
        reserved=format_money(reserved_e6(after)),
    )


def step_fill_changes(before: Execution | None, after: Execution) -> FillChanges:
    """What became of the rows in `fills` in a step."""
    return _joined([fill_changes(was, child) for was, child in _changed_orders(before, after)])


def _joined(changes: Sequence[FillChanges]) -> FillChanges:
    return FillChanges(
        tuple(row for one in changes for row in one.fills),
        tuple(row for one in changes for row in one.corrected),
        tuple(key for one in changes for key in one.gone),
    )


def _changed_orders(before: Execution | None, after: Execution) -> list[tuple[ChildOrder | None, ChildOrder]]:
    """The orders that are new or others than before, each with what it was. An order keeps its place for ever."""
    known = () if before is None else before.children
    changed: list[tuple[ChildOrder | None, ChildOrder]] = [
        (was, child) for was, child in zip(known, after.children, strict=False) if child is not was
    ]
    return [*changed, *((None, child) for child in after.children[len(known) :])]


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


class FillChanges(msgspec.Struct, frozen=True, gc=False):
    """What became of the rows in `fills` of an order: `fills` are new, `corrected` were there and say something else
    now, `gone` were taken back."""

    fills: tuple[FillRow, ...] = ()
    corrected: tuple[FillRow, ...] = ()
    gone: tuple[FillGone, ...] = ()


NO_CHANGES = FillChanges()


def fill_changes(before: ChildOrder | None, after: ChildOrder) -> FillChanges:
    """What became of the rows in `fills` of an order; all of them are new for None."""
    if before is None:
        return FillChanges(fills=tuple(_rows(after, 0, 0)))
    if before.fills is after.fills and before.late is after.late:
        return NO_CHANGES
    fills, late = len(before.fills), len(before.late)
    if after.fills[:fills] == before.fills and after.late[:late] == before.late:  # nothing but new ones, of thousands
        new = tuple(_rows(after, fills, late))
        keys = {(row.order_id, row.fill_id) for row in new}
        if not any((fill.order_id, fill.fill_id) in keys for fill in (*before.fills, *before.late)):
            return FillChanges(fills=new)
    were = {(row.order_id, row.fill_id): row for row in _rows(before, 0, 0)}
    rows = tuple(_rows(after, 0, 0))
    kept = {(row.order_id, row.fill_id) for row in rows}
    return FillChanges(
        fills=tuple(row for row in rows if (row.order_id, row.fill_id) not in were),
        corrected=tuple(row for row in rows if were.get((row.order_id, row.fill_id), row) != row),
        gone=tuple(FillGone(*key) for key in were if key not in kept),
    )


def fill_rows(child: ChildOrder) -> list[FillRow]:
    """Every row in `fills` of an order."""
    return list(_rows(child, 0, 0))


def _rows(child: ChildOrder, fills: int, late: int) -> Iterator[FillRow]:
    """Yield the rows of the fills from the given ones on."""
    for fill in child.fills[fills:]:
        yield fill_row(fill, child.client_order_id, late=False)
    for fill in child.late[late:]:
        yield fill_row(fill, child.client_order_id, late=True)


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
