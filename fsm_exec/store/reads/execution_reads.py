"""Reading: the queries and row decoding of the store, and a read-only way in for tests and tools.

The read-only functions may be used while another process writes, or after it was killed: SQLite reads the write-ahead
log as it stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import DamagedRow, UserError
from fsm_exec.core.journal.rows import ChildRow, FillRow, JournalRow, SnapshotPart, StoredExecution
from fsm_exec.core.values.times import from_iso
from fsm_exec.store.damaged_rows import (
    DATABASE_ERRORS,
    decode_column,
    decode_damaged_text,
    decode_rows,
    struct_of,
    text_of,
)
from fsm_exec.store.files.migrations import identify
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS, unusable_error
from fsm_exec.store.reads.one_moment import at_one_moment

_EXECUTIONS = (
    "SELECT execution_id, state, quarantine, snapshot_version, snapshot, EXISTS "
    "(SELECT 1 FROM snapshot_parts WHERE snapshot_parts.execution_id = execution_state.execution_id) "
    "FROM execution_state"
)
_PARTS = "SELECT name, body, checksum FROM snapshot_parts WHERE execution_id = ?"
UNFINISHED = "state IS NOT 'filled' AND state IS NOT 'cancelled'"  # a damaged state too: the index has it
_UNFINISHED = f"INDEXED BY execution_state_unfinished WHERE {UNFINISHED}"
# Their states last: by an index of states SQLite would go through all that have ended.
_UNSCORED = "WHERE execution_id IN (SELECT execution_id FROM unscored_executions) AND +state IN ('filled', 'cancelled')"
FILLS_LATELY = 1_000
_LATELY_FILLED = (
    "WHERE execution_id IN (SELECT execution_id FROM fills WHERE rowid <= (SELECT max(rowid) FROM fills) "
    f"ORDER BY rowid DESC LIMIT {FILLS_LATELY}) AND +state IN ('filled', 'cancelled')"
)
_BY_ACCEPTANCE = "ORDER BY accepted_at, execution_id"
_JOURNAL = (
    "SELECT seq, at, event_type, event, intents, steps, version FROM execution_events "
    "WHERE execution_id = ? AND seq > ? AND seq <= ? ORDER BY seq"
)
_LAST_SEQ = 2**63 - 1
_CHILDREN = f"SELECT {', '.join(ChildRow.__struct_fields__)} FROM split_orders WHERE execution_id = ?"
_FILLS = (
    "SELECT order_id, fill_id, client_order_id, price, quantity, fee, is_taker, late, traded_at, trade_id, listed_id "
    "FROM fills "
)
_METRICS = f"SELECT {', '.join(MetricsRow.__struct_fields__)} FROM execution_metrics WHERE execution_id = ?"


def load_executions(connection: sqlite3.Connection) -> list[StoredExecution]:
    """All, in the order of their acceptance."""
    return _load_executions(connection, f"{_EXECUTIONS} {_BY_ACCEPTANCE}")


def load_unfinished(connection: sqlite3.Connection) -> list[StoredExecution]:
    """Those in no terminal state, the quarantined among them, in the order of their acceptance."""
    return _load_executions(connection, f"{_EXECUTIONS} {_UNFINISHED} {_BY_ACCEPTANCE}")


def load_unscored(connection: sqlite3.Connection) -> list[StoredExecution]:
    """Those that have ended and have no row of metrics, in the order of their acceptance."""
    return _load_executions(connection, f"{_EXECUTIONS} {_UNSCORED} {_BY_ACCEPTANCE}")


def load_lately_filled(connection: sqlite3.Connection) -> list[StoredExecution]:
    """Those that have ended and have one of the newest FILLS_LATELY fills, in the order of their acceptance."""
    return _load_executions(connection, f"{_EXECUTIONS} {_LATELY_FILLED} {_BY_ACCEPTANCE}")


def load_journal(connection: sqlite3.Connection, execution_id: str) -> list[JournalRow]:
    """Every step of one execution, first to last; empty for an unknown one. Raises DamagedRow."""
    return list(iterate_journal(connection, execution_id))


def iterate_journal(
    connection: sqlite3.Connection, execution_id: str, after: int = 0, until: int = _LAST_SEQ
) -> Iterator[JournalRow]:
    """Yield the steps of one execution that follow `after`, `until` included. Raises DamagedRow at the first that
    cannot be read."""
    for row in connection.execute(_JOURNAL, (execution_id, after, until)):
        yield _journal_row(execution_id, *row)


def _journal_row(execution_id: str, seq: object, at: object, *columns: object) -> JournalRow:
    table, key = "execution_events", f"{execution_id} {seq}"
    event_type, event, intents, steps, version = columns
    found = {
        "seq": seq,
        "at_us": decode_column(table, key, "at", from_iso, at),
        "event_type": event_type,
        "event": text_of(table, key, "event", event).encode(),
        "intents": text_of(table, key, "intents", intents).encode(),
        "steps": steps,
        "version": version,
    }
    return struct_of(JournalRow, table, key, tuple(found), tuple(found.values()))


def load_execution(connection: sqlite3.Connection, execution_id: str) -> StoredExecution | None:
    """One, or None for an unknown id."""
    found = _load_executions(connection, f"{_EXECUTIONS} WHERE execution_id = ?", (execution_id,))
    return found[0] if found else None


def load_children(connection: sqlite3.Connection, execution_id: str) -> list[ChildRow]:
    """Load the rows of `split_orders` of one execution. Raises DamagedRow."""
    names = ChildRow.__struct_fields__
    rows = connection.execute(_CHILDREN, (execution_id,))
    return [struct_of(ChildRow, "split_orders", f"{execution_id} {row[0]}", names, row) for row in rows]


def load_fills(connection: sqlite3.Connection, execution_id: str) -> list[FillRow]:
    """Load the rows of `fills` of one execution. Raises DamagedRow."""
    return fill_rows(connection, "WHERE execution_id = ?", (execution_id,))


def fill_rows(
    connection: sqlite3.Connection, where: str, values: Sequence[object], damage: list[str] | None = None
) -> list[FillRow]:
    """Load the rows of `fills` that match `where`. One that is damaged is named in `damage`; without it the first
    raises DamagedRow."""
    return list(decode_rows(connection.execute(f"{_FILLS}{where}", values), _fill_row, damage))


def _fill_row(row: tuple[object, ...]) -> FillRow:
    key = f"{row[0]} {row[1]}"
    columns = FillRow.__struct_fields__
    time = columns.index("traded_at_us")
    traded_at = decode_column("fills", key, "traded_at", from_iso, row[time])
    return struct_of(FillRow, "fills", key, columns, (*row[:time], traded_at, *row[time + 1 :]))


def load_metrics(connection: sqlite3.Connection, execution_id: str) -> MetricsRow | None:
    """Raises DamagedRow."""
    row = connection.execute(_METRICS, (execution_id,)).fetchone()
    if row is None:
        return None
    return struct_of(MetricsRow, "execution_metrics", execution_id, MetricsRow.__struct_fields__, row)


def read_executions(path: Path) -> list[StoredExecution]:
    """Read all executions of a database that this process has not open. Raises UserError for a file that is no database
    of ours."""
    with _open_for_reading(path) as connection:
        return load_executions(connection)


def read_journal(path: Path, execution_id: str) -> list[JournalRow]:
    """Read the journal of an execution in a database that this process has not open. Raises UserError for a file that
    is no database of ours."""
    with _open_for_reading(path) as connection:
        return load_journal(connection, execution_id)


@contextmanager
def _open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            if identify(connection, path) == 0:
                raise UserError(f"{path} is empty; give the path of an fsm-exec database")
            yield connection
    except DATABASE_ERRORS as error:
        raise unusable_error(path, error) from error


def _load_executions(
    connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()
) -> list[StoredExecution]:
    with at_one_moment(connection):
        return [_stored(connection, *row) for row in connection.execute(query, values)]


def load_parts(connection: sqlite3.Connection, execution_id: str) -> tuple[SnapshotPart, ...]:
    """Load the parts of a snapshot. Raises DamagedRow."""
    return tuple(
        struct_of(
            SnapshotPart,
            "snapshot_parts",
            f"{execution_id} {name}",
            SnapshotPart.__struct_fields__,
            (name, text_of("snapshot_parts", f"{execution_id} {name}", "body", body).encode(), checksum),
        )
        for name, body, checksum in connection.execute(_PARTS, (execution_id,))
    )


def _stored(connection: sqlite3.Connection, execution_id: object, *columns: object) -> StoredExecution:
    """Return the stored execution of a row; one that cannot be read carries the reason, since a list needs all of
    them."""
    state, quarantine, version, snapshot, has_parts = columns
    table = "execution_state"
    try:
        found = {
            "execution_id": text_of(table, execution_id, "execution_id", execution_id),
            "state": state,
            "quarantine": quarantine,
            "snapshot_version": version,
            "snapshot": text_of(table, execution_id, "snapshot", snapshot).encode(),
            "parts": load_parts(connection, str(execution_id)) if has_parts else (),
        }
        return struct_of(StoredExecution, table, execution_id, tuple(found), tuple(found.values()))
    except DamagedRow as damaged:
        return StoredExecution(
            execution_id=str(execution_id),
            state=str(state),
            quarantine=None if quarantine is None else str(quarantine),
            snapshot_version=0,
            snapshot=b"",
            damage=str(damaged),
        )
