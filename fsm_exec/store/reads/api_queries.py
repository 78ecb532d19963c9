"""The queries of the control API: lists of executions, one in detail, and what was submitted under which key.

The answers are text as the tables hold it (decimal strings, ISO 8601 times), for showing and not for deciding.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from fsm_exec.core.errors import CorruptSnapshot, DamagedRow
from fsm_exec.core.execution.describe import describe_all
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.journal.snapshot import decode_entry
from fsm_exec.core.values.units import CountE2, format_count, format_money, format_price, parse_count
from fsm_exec.store.api_rows import ChildOrder, ExecutionDetail, ExecutionSummary, FillLine, JournalLine
from fsm_exec.store.damaged_rows import decode_column, decode_rows, struct_of, text_of
from fsm_exec.store.reads import execution_reads

S = TypeVar("S", bound=msgspec.Struct)

UNFINISHED = execution_reads.UNFINISHED
ENDED = "state IN ('filled', 'cancelled')"
EVER: Final = "9999"  # later than any time's text
UNREADABLE: Final = "?"
_NEVER_NULL: Final = (
    "execution_id",
    "ticker",
    "outcome",
    "method",
    "state",
    "target_quantity",
    "accepted_at",
    "deadline",
    "updated_at",
)


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which executions to list, newest first. `before` is the last execution of the page before, None for the first
    page; `unfinished`, `ended` and `quarantined` leave out all others. Of `ended` the newest is what moved last.
    `before_row` says the same as `before` by the number of the row."""

    state: str | None = None
    ticker: str | None = None
    unfinished: bool = False
    ended: bool = False
    quarantined: bool = False
    before: str | None = None
    before_row: int | None = None
    limit: int


class EarlierSubmission(msgspec.Struct, frozen=True, kw_only=True):
    execution_id: str
    request: bytes
    submitted_at: str


_SUMMARY = (
    "SELECT e.execution_id, s.key, e.ticker, e.outcome, e.method, e.state, e.reason, e.quarantine, e.refusal, e.note, "
    "e.target_quantity, e.target_price, e.accepted_at, e.deadline, e.updated_at, e.seq, "
    "CASE WHEN json_valid(e.snapshot) THEN json_extract(e.snapshot, '$.execution.limits.worst_e4') END, "
    "CASE WHEN json_valid(e.snapshot) THEN json_extract(e.snapshot, '$.execution.limits.cap_e6') END "
    "FROM execution_state e LEFT JOIN submissions s ON s.execution_id = e.execution_id"
)
_CHILDREN = (
    f"SELECT {', '.join(ChildOrder.__struct_fields__)} FROM split_orders "
    "WHERE execution_id = ? ORDER BY level, attempt, client_order_id"
)
_FILLS = f"SELECT {', '.join(FillLine.__struct_fields__)} FROM fills WHERE execution_id = ? ORDER BY traded_at, fill_id"
_JOURNAL = (
    "SELECT seq, at, event_type, steps, event, intents, version FROM execution_events "
    "WHERE execution_id = ? ORDER BY seq DESC LIMIT ?"
)


def load_listing(connection: sqlite3.Connection, wanted: Filter) -> list[ExecutionSummary]:
    """Newest first; empty if `before` is unknown."""
    conditions, values = list[str](), list[object]()
    if wanted.state is not None:
        conditions.append("state = ?")
        values.append(wanted.state)
    if wanted.ticker is not None:
        conditions.append("ticker = ?")
        values.append(wanted.ticker)
    if wanted.unfinished or _is_under_way(wanted):
        conditions.append(UNFINISHED)
    if wanted.ended or wanted.state in EXECUTION_ENDS:
        conditions.append(ENDED)
    if wanted.quarantined:
        conditions.append("quarantine IS NOT NULL")
    if wanted.before is not None:
        conditions.append("rowid < (SELECT rowid FROM execution_state WHERE execution_id = ?)")
        values.append(wanted.before)
    if wanted.before_row is not None:
        conditions.append("rowid < ?")
        values.append(wanted.before_row)
    index, order = _way_to(wanted), "rowid"
    if wanted.ended:
        order = "updated_at"
        conditions.append(f"updated_at < '{EVER}'")
    if index is None:
        conditions.append("rowid <= (SELECT max(rowid) FROM execution_state)")
    among = "execution_state" if index is None else f"execution_state INDEXED BY {index}"
    # The rows are chosen first: whole ones, with their snapshots, are read of those alone that are shown.
    chosen = f"SELECT rowid FROM {among} WHERE {' AND '.join(conditions)} ORDER BY {order} DESC LIMIT ?"
    statement = f"{_SUMMARY} WHERE e.rowid IN ({chosen}) ORDER BY e.{order} DESC"
    return _summaries(connection, statement, (*values, wanted.limit))


def _is_under_way(wanted: Filter) -> bool:
    return wanted.state is not None and wanted.state not in EXECUTION_ENDS


def _way_to(wanted: Filter) -> str | None:
    """Return the index that has the fewest rows beside those wanted; None: they are found by their number. It is named
    in the statement, since SQLite guesses without knowing how many executions have ended."""
    if wanted.ticker is not None:
        return "execution_state_by_market"
    if wanted.quarantined:
        return "execution_state_quarantined"
    if wanted.unfinished or _is_under_way(wanted):
        return "execution_state_unfinished"
    if wanted.state is not None:
        return "execution_state_ended_as"
    return "execution_state_ended" if wanted.ended else None


def load_detail(connection: sqlite3.Connection, execution_id: str, journal_lines: int) -> ExecutionDetail | None:
    """None for an unknown execution."""
    found = _summaries(connection, f"{_SUMMARY} WHERE e.execution_id = ?", (execution_id,))
    if not found:
        return None
    (execution,) = found
    damage: list[str] = []

    def rows_of(kind: type[S], table: str, statement: str) -> list[S]:
        rows = connection.execute(statement, (execution_id,))
        return list(decode_rows(rows, partial(_struct, kind, table, execution_id), damage))

    try:
        measured = execution_reads.load_metrics(connection, execution_id)
    except DamagedRow as damaged:
        measured = None
        damage.append(str(damaged))
    return ExecutionDetail(
        execution=execution,
        orders=rows_of(ChildOrder, "split_orders", _CHILDREN),
        fills=rows_of(FillLine, "fills", _FILLS),
        metrics=measured,
        journal=_journal(connection, execution_id, journal_lines, damage),
        damage=damage,
    )


def _journal(connection: sqlite3.Connection, execution_id: str, lines: int, damage: list[str]) -> list[JournalLine]:
    newest_first = connection.execute(_JOURNAL, (execution_id, lines)).fetchall()
    decode = partial(_journal_line, execution_id)
    return list(decode_rows(reversed(newest_first), decode, damage))


def _journal_line(execution_id: str, row: tuple[object, ...]) -> JournalLine:
    *shown, event, intents, version = row
    key = f"{execution_id} {row[0]}"
    try:
        _, decided = decode_entry(str(event).encode(), str(intents).encode(), int(str(version)))
    except (CorruptSnapshot, ValueError) as error:
        raise DamagedRow("execution_events", key, "intents", str(error)) from error
    row = (*shown, "; ".join(describe_all(decided)))
    return struct_of(JournalLine, "execution_events", key, JournalLine.__struct_fields__, row)


def load_submission(connection: sqlite3.Connection, key: str) -> EarlierSubmission | None:
    """Load what was accepted under this key, if anything was."""
    row = connection.execute(
        "SELECT execution_id, request, submitted_at FROM submissions WHERE key = ?", (key,)
    ).fetchone()
    if row is None:
        return None
    execution_id, request, submitted_at = row
    key = f"of key {key}"
    return EarlierSubmission(
        execution_id=text_of("submissions", key, "execution_id", execution_id),
        request=text_of("submissions", key, "request", request).encode(),
        submitted_at=text_of("submissions", key, "submitted_at", submitted_at),
    )


def count_unfinished(connection: sqlite3.Connection) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM execution_state WHERE {UNFINISHED}").fetchone()
    return int(count)


def load_environment(connection: sqlite3.Connection) -> str | None:
    """Load the exchange the database is bound to; None: it is not bound yet, or its `meta` is lost."""
    row = connection.execute("SELECT environment FROM meta").fetchone()
    return None if row is None or row[0] is None else str(row[0])


def load_halted_at(connection: sqlite3.Connection) -> str | None:
    """Since when the engine is halted; None: it is not."""
    (at,) = connection.execute("SELECT halted_at FROM meta").fetchone()
    return None if at is None else str(at)


def _summaries(connection: sqlite3.Connection, statement: str, values: tuple[object, ...]) -> list[ExecutionSummary]:
    columns = [name for name in ExecutionSummary.__struct_fields__ if name != "filled_quantity"]
    return [_summary(connection, columns, row) for row in connection.execute(statement, values)]


def _summary(connection: sqlite3.Connection, columns: list[str], row: tuple[Any, ...]) -> ExecutionSummary:
    """One that is damaged is in the list too, with what can be read of it, and says what is wrong."""
    key = row[0]
    row = (*row[:-2], _dollars(row[-2], format_price), _dollars(row[-1], format_money))
    try:
        filled = _filled(connection, text_of("execution_state", key, "execution_id", key))
        return struct_of(ExecutionSummary, "execution_state", key, (*columns, "filled_quantity"), (*row, filled))
    except DamagedRow as damaged:
        shown = {name: None if value is None else str(value) for name, value in zip(columns, row, strict=True)}
        shown |= {name: shown[name] or UNREADABLE for name in _NEVER_NULL}
        seq = row[columns.index("seq")]
        return ExecutionSummary(
            **shown | {"quarantine": str(damaged), "seq": seq if isinstance(seq, int) else 0},  # type: ignore[arg-type]
            filled_quantity=UNREADABLE,
        )


def _dollars(value: object, as_text: Callable[[Any], str]) -> str | None:
    """Return a price of the snapshot as text; None for what is none, which the snapshot's own checks find."""
    return as_text(value) if isinstance(value, int) else None


def _filled(connection: sqlite3.Connection, execution_id: str) -> str:
    """Text is summed here: SQLite would make a float of it."""
    counts = connection.execute("SELECT filled_quantity FROM split_orders WHERE execution_id = ?", (execution_id,))
    every = [decode_column("split_orders", execution_id, "filled_quantity", parse_count, count) for (count,) in counts]
    return format_count(CountE2(sum(every)))


def _struct(kind: type[S], table: str, execution_id: str, row: tuple[object, ...]) -> S:
    return struct_of(kind, table, f"{execution_id} {row[0]}", kind.__struct_fields__, row)
