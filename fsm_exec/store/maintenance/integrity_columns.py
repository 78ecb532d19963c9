"""Columns that repeat what an execution's journal says, held against it: what a table holds for people and for queries
must be what the engine would write today from the same history.

What is stored nowhere else is not checked: when a cost was computed, the market's volume, the book at the deadline.
Costs are computed again with the stored book, as it may have been fresh or not, and without it; the nearest counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from fsm_exec.core.algorithm.market_view import mid_of
from fsm_exec.core.costs.message_counts import count_messages
from fsm_exec.core.costs.metrics import DeadlineBook, MessageColumns, compute_child_metrics, compute_metrics
from fsm_exec.core.costs.rows import ChildMetricsRow, MetricsRow
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.reservation import reserved_e6
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.journal.rows import JournalRow
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION
from fsm_exec.core.journal.to_rows import edge_figures, step_fill_changes
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.ladder_codec import decode_ladder
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_count, format_money, format_price, parse_count
from fsm_exec.store.damaged_rows import struct_of
from fsm_exec.store.journal_steps import encode_step_fills
from fsm_exec.store.reads import execution_reads, recovery

_CHILD_METRICS: Final = (
    f"SELECT {', '.join(ChildMetricsRow.__struct_fields__)} FROM child_metrics WHERE execution_id = ?"
)


_LATER: Final = frozenset(field.name for field in msgspec.structs.fields(MetricsRow) if field.default is None)


class _Versioned(msgspec.Struct):
    version: int


def column_differences(
    connection: sqlite3.Connection, snapshot: bytes, history: Sequence[ReplayedRow]
) -> Iterator[str]:
    """A line for each column of an execution's rows that is not what its whole `history` makes it. Raises
    CorruptSnapshot."""
    folded = history[-1].advance.execution
    rows = [one.row for one in history]
    is_of_today = min(row.version for row in rows) == SNAPSHOT_VERSION
    yield from _state(connection, snapshot, folded, rows[-1])
    yield from _edge(connection, folded)
    if is_of_today:
        yield from _times_of_orders(connection, history)
    yield from _told(connection, history)
    yield from _metrics(connection, folded, rows, with_activity=is_of_today)


def _state(connection: sqlite3.Connection, snapshot: bytes, folded: Execution, last: JournalRow) -> Iterator[str]:
    limits = folded.limits
    expected: dict[str, object] = {
        "ticker": folded.terms.ticker,
        "outcome": folded.outcome,
        "method": folded.method,
        "state": folded.state,
        "reason": folded.reason,
        "target_quantity": format_count(folded.target_e2),
        "target_price": None if limits is None else format_price(limits.target_e4),
        "accepted_at": to_iso(folded.accepted_at_us),
        "deadline": to_iso(folded.deadline_us),
        "snapshot_version": msgspec.json.decode(snapshot, type=_Versioned).version,
        "seq": folded.seq,
        "updated_at": to_iso(last.at_us),
    }
    yield from _row(connection, "execution_state", folded.execution_id, expected)
    reserved = {"reserved": format_money(reserved_e6(folded))}  # NULL: last saved before there was such a column
    yield from _row(connection, "execution_state", folded.execution_id, reserved, unless_null=True)


def _edge(connection: sqlite3.Connection, folded: Execution) -> Iterator[str]:
    figures = edge_figures(folded.edge, None)
    expected = {"model_probability": figures.model_probability, "expected_value": figures.expected_value}
    # Where neither is known the edge was lost with a request of before there was such a table.
    yield from _row(connection, "edges", folded.execution_id, expected, unless_null=True)


def _row(
    connection: sqlite3.Connection,
    table: str,
    execution_id: str,
    expected: Mapping[str, object],
    *,
    unless_null: bool = False,
) -> Iterator[str]:
    row = connection.execute(
        f"SELECT {', '.join(expected)} FROM {table} WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    if row is not None and not (unless_null and set(row) == {None}):  # what is missing is found elsewhere
        yield from _unequal(table, dict(zip(expected, row, strict=True)), expected)


def _times_of_orders(connection: sqlite3.Connection, history: Sequence[ReplayedRow]) -> Iterator[str]:
    """Each order's row was written with the last step that changed the order."""
    execution_id = history[-1].advance.execution.execution_id
    written: dict[object, str] = {}
    for one in history:
        known = () if one.before is None else one.before.children
        for child in one.advance.execution.children:
            if not any(child is before for before in known):
                written[child.client_order_id] = to_iso(one.row.at_us)
    for name, at in connection.execute(
        "SELECT client_order_id, updated_at FROM split_orders WHERE execution_id = ?", (execution_id,)
    ):
        if name in written:
            yield from _unequal(f"split_orders {name}", {"updated_at": at}, {"updated_at": written[name]})


def _told(connection: sqlite3.Connection, history: Sequence[ReplayedRow]) -> Iterator[str]:
    """Compare what each row tells watchers. A row of an older version may lack these columns."""
    execution_id = history[-1].advance.execution.execution_id
    rows = connection.execute(
        "SELECT state, reason, fills FROM execution_events WHERE execution_id = ? ORDER BY seq", (execution_id,)
    ).fetchall()
    for one, row in zip(history, rows, strict=True):
        if one.row.version == SNAPSHOT_VERSION:
            after = one.advance.execution
            fills = encode_step_fills(step_fill_changes(one.before, after))
            expected = {"state": after.state, "reason": after.reason, "fills": fills}
            yield from _unequal(f"row {one.row.seq} of the journal", dict(zip(expected, row, strict=True)), expected)


def _metrics(
    connection: sqlite3.Connection, folded: Execution, rows: list[JournalRow], *, with_activity: bool
) -> Iterator[str]:
    stored = execution_reads.load_metrics(connection, folded.execution_id)
    if stored is None:
        return
    if not folded.is_ended:
        yield "execution_metrics: it has a cost, and has not ended"
        return
    volume = None if stored.market_volume is None else parse_count(stored.market_volume)
    done = count_messages(folded, rows)
    skipped = frozenset(("liquidity_reward_e7", "volume_reward_e7"))  # measured of the market, not of the journal
    if stored.maker_fees is None:  # reckoned before there were such columns
        skipped |= _LATER
    elif not with_activity or stored.creates is None:
        skipped |= frozenset(MessageColumns.__annotations__) | {"unresolved"}
    if "volume_incomplete" in stored.flags.split(","):
        skipped |= {"flags"}
    found = []
    for book in (None, *_deadline_books(connection, folded)):
        expected = compute_metrics(folded, book, activity=done, market_volume=volume)
        lines = _unequal(
            "execution_metrics",
            msgspec.structs.asdict(stored),
            {name: value for name, value in msgspec.structs.asdict(expected).items() if name not in skipped},
        )
        found.append(list(lines))
    yield from min(found, key=len)
    rows_there = connection.execute(_CHILD_METRICS, (folded.execution_id,)).fetchall()
    if not rows_there:  # of before there was such a table, or it placed nothing
        return
    expected_children = {row.client_order_id: row for row in compute_child_metrics(folded)}
    for row in rows_there:
        child = struct_of(
            ChildMetricsRow, "child_metrics", f"{row[0]} {row[1]}", ChildMetricsRow.__struct_fields__, row
        )
        one = expected_children.pop(child.client_order_id, None)
        if one is None:
            yield f"child_metrics {child.client_order_id}: the journal knows no such order"
        else:
            stored_row = msgspec.structs.asdict(child)
            yield from _unequal(f"child_metrics {child.client_order_id}", stored_row, msgspec.structs.asdict(one))
    for name in expected_children:
        yield f"child_metrics {name}: the row is missing"


def _deadline_books(connection: sqlite3.Connection, folded: Execution) -> list[DeadlineBook]:
    row = recovery.load_deadline_book(connection, folded.execution_id)
    if row is None:
        return []
    book = Book(decode_ladder(row.yes_depth), decode_ladder(row.no_depth))
    bids, asks = book.bids(folded.outcome), book.asks(folded.outcome)
    mid = mid_of(bids[0][0], asks[0][0]) if bids and asks else None
    return [DeadlineBook(bids=bids, asks=asks, mid_e5=mid, fresh=fresh) for fresh in (True, False)]


def _unequal(where: str, stored: Mapping[str, object], expected: Mapping[str, object]) -> Iterator[str]:
    for name, value in expected.items():
        if stored[name] != value:
            yield f"{where}: {name} is {stored[name]}, the journal says {value}"
