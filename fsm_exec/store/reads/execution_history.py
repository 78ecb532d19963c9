"""Loads one execution for its picture: journal, cost, method, and the books between acceptance and end."""

from __future__ import annotations

import sqlite3

import msgspec

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.journal.rows import JournalRow, MethodRow, StoredExecution
from fsm_exec.core.market.book import Book, Ladder
from fsm_exec.core.market.ladder_codec import decode_ladder
from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import Outcome, parse_fixed
from fsm_exec.store.reads import execution_reads
from fsm_exec.store.reads.observations import load_methods

_BOOKS = (
    "SELECT taken_at, yes_depth, no_depth FROM order_book_snapshots "
    "WHERE ticker = ? AND taken_at >= ? AND taken_at <= ? ORDER BY taken_at, id"
)
_MARKOUTS = (
    "SELECT m.order_id, m.fill_id, m.horizon_s, m.mid FROM markouts m JOIN fills f USING (order_id, fill_id) "
    "WHERE f.execution_id = ? ORDER BY m.horizon_s"
)
IDS_SHOWN = 8


class StoredHistory(msgspec.Struct, frozen=True):
    """What the database has of one execution. `method` None: its database does not have it."""

    stored: StoredExecution
    journal: list[JournalRow]
    metrics: MetricsRow | None
    method: MethodRow | None
    markouts: dict[tuple[str, str], dict[int, int | None]]
    """Markouts by order id and fill id, then by horizon in seconds (0 is the settlement): the mid in the own outcome,
    in 10^-5 dollars; None was missed."""


class StoredBook(msgspec.Struct, frozen=True):
    """A photograph of a book in one outcome's terms, own size removed, best first."""

    taken_at_us: int
    bids: Ladder
    asks: Ladder


def load_history(connection: sqlite3.Connection, execution_id: str) -> StoredHistory:
    """Raises UserError for an execution that is not there, CorruptSnapshot for rows that no fsm-exec wrote."""
    stored = execution_reads.load_execution(connection, execution_id)
    if stored is None:
        raise UserError(f"there is no execution {execution_id}; {_known(connection)}")
    if stored.damage is not None:
        raise CorruptSnapshot(stored.damage)
    (method,) = connection.execute(
        "SELECT method FROM execution_state WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    found: dict[tuple[str, str], dict[int, int | None]] = {}
    try:
        for order_id, fill_id, horizon_s, mid in connection.execute(_MARKOUTS, (execution_id,)):
            found.setdefault((order_id, fill_id), {})[horizon_s] = None if mid is None else parse_fixed(mid, 5)
        return StoredHistory(
            stored,
            execution_reads.load_journal(connection, execution_id),
            execution_reads.load_metrics(connection, execution_id),
            next((row for row in load_methods(connection) if f"{row.name}@{row.version}" == method), None),
            found,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise _unreadable(error) from error


def load_books(
    connection: sqlite3.Connection, ticker: str, outcome: Outcome, since_us: int, until_us: int
) -> list[StoredBook]:
    """Those of one market taken in that time, both ends included, oldest first. Raises UserError for rows that no
    fsm-exec wrote."""
    rows = connection.execute(_BOOKS, (ticker, to_iso(since_us), to_iso(until_us)))
    try:
        return [
            _seen_from(outcome, from_iso(taken_at), decode_ladder(yes.encode()), decode_ladder(no.encode()))
            for taken_at, yes, no in rows
        ]
    except (ValueError, TypeError, AttributeError, msgspec.DecodeError, UserError) as error:
        raise _unreadable(error) from error


def _seen_from(outcome: Outcome, taken_at_us: int, yes: Ladder, no: Ladder) -> StoredBook:
    book = Book(yes, no)
    return StoredBook(taken_at_us, book.bids(outcome), book.asks(outcome))


def _known(connection: sqlite3.Connection) -> str:
    ids = [one.execution_id for one in execution_reads.load_executions(connection)]
    if not ids:
        return "the database has none"
    more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
    return f"the database has {', '.join(ids[:IDS_SHOWN])}{more}"


def _unreadable(error: Exception) -> UserError:
    return UserError(f"the database holds a row that cannot be read ({error}); see: fsm-exec db check")
