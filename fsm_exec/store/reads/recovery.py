"""Reading what a start needs beside the executions themselves, and what facts about ended ones need."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from fsm_exec.core.costs.rows import BookRow
from fsm_exec.core.journal.rows import FillRow, OrderOwner, StartPoint
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.values.times import from_iso
from fsm_exec.store.files.acknowledged import load_counts
from fsm_exec.store.reads.execution_reads import UNFINISHED, fill_rows
from fsm_exec.store.reads.observations import book_of

IDS_AT_ONCE = 500  # SQLite takes some thousands of parameters

_BOOK = (
    "SELECT id, ticker, execution_id, taken_at, why, yes_depth, no_depth FROM order_book_snapshots "
    "WHERE execution_id = ? AND why = 'deadline' ORDER BY taken_at DESC LIMIT 1"
)


_LAST = (
    "SELECT (SELECT max(at) FROM (SELECT max(updated_at) AS at FROM execution_state INDEXED BY execution_state_ended "
    "WHERE state IN ('filled', 'cancelled') UNION ALL SELECT max(updated_at) FROM execution_state "
    f"INDEXED BY execution_state_unfinished WHERE {UNFINISHED})), (SELECT created_at FROM meta)"
)
_KNOWN = (
    "SELECT 1 FROM split_orders WHERE execution_id = :execution_id AND client_order_id = :name "
    "UNION ALL SELECT 1 FROM archived_executions WHERE execution_id = :execution_id"
)


def load_start(connection: sqlite3.Connection) -> StartPoint:
    """A time that is damaged is none: what is older is listed too then, which costs a moment."""
    (last, created) = connection.execute(_LAST).fetchone()
    (skipped,) = connection.execute("SELECT numbers_from FROM meta").fetchone()
    number = max(load_counts(connection).number, skipped)
    for at in (last, created):
        with suppress(ValueError, TypeError):
            return StartPoint(number, from_iso(at))
    return StartPoint(number, 0)


def find_unknown_orders(connection: sqlite3.Connection, names: Sequence[str]) -> list[str]:
    """Those client order ids of ours under which no order was ever saved here."""
    found = []
    for name in names:
        named = parse_order_name(name)
        if named is None:
            continue
        if connection.execute(_KNOWN, {"execution_id": named.execution_id, "name": name}).fetchone() is None:
            found.append(name)
    return found


def load_owners(connection: sqlite3.Connection, order_ids: Sequence[str]) -> dict[str, OrderOwner]:
    """Load the owners of those of `order_ids` that an execution here has, by the exchange's order id."""
    found: dict[str, OrderOwner] = {}
    for begin in range(0, len(order_ids), IDS_AT_ONCE):
        ids = order_ids[begin : begin + IDS_AT_ONCE]
        among = f"order_id IN ({', '.join('?' * len(ids))})"
        fills: dict[str, list[FillRow]] = defaultdict(list)
        for row in fill_rows(connection, f"WHERE {among}", ids, []):
            fills[row.order_id].append(row)
        rows = connection.execute(
            f"SELECT order_id, execution_id, client_order_id FROM split_orders WHERE {among}", ids
        )
        for order_id, execution_id, client_order_id in rows:
            if isinstance(execution_id, str) and isinstance(client_order_id, str):  # else the row is damaged
                found[order_id] = OrderOwner(execution_id, client_order_id, tuple(fills[order_id]))
    return found


def load_deadline_book(connection: sqlite3.Connection, execution_id: str) -> BookRow | None:
    """Load the newest book that an execution was priced by. Raises DamagedRow."""
    row = connection.execute(_BOOK, (execution_id,)).fetchone()
    if row is None:
        return None
    return book_of(row)
