"""Copies executions into their archive, byte for byte, by SQLite itself: the first step of a move."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from fsm_exec.core.account.holding import Holding
from fsm_exec.core.errors import DamagedRow, UserError
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import Outcome, parse_count, parse_money, parse_price
from fsm_exec.store.archive.tables import COPIED, MOVED, MovedTable
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_column, decode_damaged_text
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS

LIVE: Final = "live"  # the schema name of the database in the archive's connection

# What of an execution that has ended may change, and what tells that it did: a step has its number, the rest is counted
# and has times.
_FINGERPRINT: Final = (
    "SELECT e.seq, e.state, e.updated_at, e.quarantine, e.note, m.computed_at, s.value, "
    "(SELECT count(*) || ' ' || coalesce(max(k.taken_at), '') FROM {db}.fills f JOIN {db}.markouts k "
    "USING (order_id, fill_id) WHERE f.execution_id = e.execution_id), "
    "(SELECT count(*) || ' ' || coalesce(max(completed_at), '') || ' ' || count(completed_at) FROM {db}.forecasts o "
    "WHERE o.execution_id = e.execution_id), "
    "(SELECT count(*) || ' ' || coalesce(max(updated_at), '') FROM {db}.execution_rewards r "
    "WHERE r.execution_id = e.execution_id), "
    "(SELECT count(*) FROM {db}.order_book_snapshots b WHERE b.execution_id = e.execution_id), "
    "(SELECT count(*) FROM {db}.edges g WHERE g.execution_id = e.execution_id) "
    "FROM {db}.execution_state e LEFT JOIN {db}.execution_metrics m USING (execution_id) "
    "LEFT JOIN {db}.settlements s USING (ticker) WHERE e.execution_id = :execution_id"
)
_FILLS: Final = (
    "SELECT f.order_id || ' ' || f.fill_id, e.outcome, s.value, f.price, f.quantity, f.fee FROM {db}.fills f "
    "JOIN {db}.execution_state e USING (execution_id) LEFT JOIN {db}.settlements s USING (ticker) "
    "WHERE f.execution_id = :execution_id"
)
_SAME: Final = (
    "SELECT (SELECT accepted_at || ' ' || ticker || ' ' || target_quantity FROM main.execution_state "
    "WHERE execution_id = :execution_id) IS NOT (SELECT accepted_at || ' ' || ticker || ' ' || target_quantity "
    "FROM live.execution_state WHERE execution_id = :execution_id) "
    "AND EXISTS (SELECT 1 FROM main.execution_state WHERE execution_id = :execution_id)"
)

_IS_OURS: Final = (
    "SELECT EXISTS (SELECT 1 FROM main.meta WHERE instance IN "
    "(SELECT instance FROM live.meta UNION ALL SELECT instance FROM live.meta_history))"
)

Fingerprint = tuple[Any, ...]


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that stands in the archive `name` as it was when its `fingerprint` was taken. `brought` is
    what its fills came to."""

    execution_id: str
    name: str
    ticker: str
    fingerprint: Fingerprint
    brought: Holding


class CopyResult(msgspec.Struct, frozen=True):
    """`refused`: why others were not copied, by execution."""

    copied: tuple[Copied, ...]
    refused: dict[str, str]


def fingerprint(connection: sqlite3.Connection, db: str, execution_id: str) -> Fingerprint | None:
    """Return what tells whether anything of an execution that has ended has changed; None: it is not there."""
    row = connection.execute(_FINGERPRINT.format(db=db), {"execution_id": execution_id}).fetchone()
    return None if row is None else tuple(row)


@contextmanager
def open_copier(database: Path, archive: Path) -> Iterator[sqlite3.Connection]:
    """Open the archive to write it, with the database beside it, which is only read. Raises UserError for an archive of
    another database, as one leaves it whose place this one took; also for an error of SQLite's inside the block."""
    try:
        uri = f"{archive.as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)) as connection:
            decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA synchronous = EXTRA")  # the journal's end is flushed too: then nothing undoes it
            connection.execute(f"ATTACH ? AS {LIVE}", (f"{database.absolute().as_uri()}?mode=ro",))
            (is_ours,) = connection.execute(_IS_OURS).fetchone()
            if not is_ours:
                raise UserError(
                    f"the archive {archive} is not of this database; move it away, and what moves goes into a new one"
                )
            yield connection
    except DATABASE_ERRORS as error:
        raise copy_error(database, archive, error) from error


def copy_error(database: Path, archive: Path, error: Exception) -> UserError:
    """Return an error of one line. Which of the two files it comes from SQLite does not say; the check does."""
    return UserError(
        f"cannot copy into the archive {archive}: {one_line(str(error))}; nothing of it has moved, nothing is lost: "
        f"make room, or see what is wrong: fsm-exec db check --db {database}; of a damaged archive put back a copy, or "
        "move it away if the check does not miss it"
    )


def copy_executions(connection: sqlite3.Connection, name: str, execution_ids: Sequence[str]) -> CopyResult:
    """Copy executions into the archive `name`, all in one transaction; return once that is flushed. Raises
    sqlite3.Error."""
    copied: list[Copied] = []
    refused: dict[str, str] = {}
    connection.execute("BEGIN IMMEDIATE")
    try:
        for execution_id in execution_ids:
            connection.execute("SAVEPOINT one")
            try:
                found = _copy(connection, name, execution_id)
            except (DamagedRow, UserError, sqlite3.IntegrityError) as error:  # a damaged row: it stays where it is
                connection.execute("ROLLBACK TO one")
                refused[execution_id] = one_line(str(error))
            else:
                if found is not None:
                    copied.append(found)
            connection.execute("RELEASE one")
        crashpoint("copy.before")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    crashpoint("copy.after")
    return CopyResult(tuple(copied), refused)


def _copy(connection: sqlite3.Connection, name: str, execution_id: str) -> Copied | None:
    key = {"execution_id": execution_id}
    (is_another,) = connection.execute(_SAME, key).fetchone()
    if is_another:
        raise UserError(
            f"the archive {name} has another execution of this name, from before this database was put back; it stays"
        )
    taken = fingerprint(connection, LIVE, execution_id)
    if taken is None:
        return None
    statement = f"SELECT ticker FROM {LIVE}.execution_state WHERE execution_id = :execution_id"
    (ticker,) = connection.execute(statement, key).fetchone()
    brought = _brought(connection, execution_id)
    for table, where in COPIED.items():
        columns = ", ".join(_columns(connection, table))
        connection.execute(
            f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM {LIVE}.{table} "
            f"WHERE {where.format(db=LIVE)}",
            key,
        )
    for one in MOVED:
        connection.execute(f"DELETE FROM main.{one.name} WHERE {one.where.format(db='main')}", key)
    for one in reversed(MOVED):
        columns = ", ".join(_moved_columns(connection, one))
        connection.execute(
            f"INSERT INTO main.{one.name} ({columns}) SELECT {columns} FROM {LIVE}.{one.name} "
            f"WHERE {one.where.format(db=LIVE)} ORDER BY rowid",
            key,
        )
    return Copied(execution_id=execution_id, name=name, ticker=str(ticker), fingerprint=taken, brought=brought)


def _brought(connection: sqlite3.Connection, execution_id: str) -> Holding:
    """Reckon what the fills of an execution came to at the settlement of its market: in a settled market that is what
    each brought by itself, whatever the exchange netted. Raises DamagedRow."""
    brought = Holding()
    for key, outcome, value, price, quantity, fee in connection.execute(
        _FILLS.format(db=LIVE), {"execution_id": execution_id}
    ):
        value_e4 = decode_column("settlements", key, "value", parse_price, value)
        count_e2 = decode_column("fills", key, "quantity", parse_count, quantity)
        price_e4 = decode_column("fills", key, "price", parse_price, price)
        fee_e6 = decode_column("fills", key, "fee", parse_money, fee)
        if outcome not in get_args(Outcome):
            raise DamagedRow("execution_state", execution_id, "outcome", f"is {outcome!r}")
        bought = Holding().bought(outcome, price_e4, count_e2, fee_e6)
        brought = brought.plus(bought.paid_out(bought.value_e6(value_e4)))
    return brought


def _moved_columns(connection: sqlite3.Connection, table: MovedTable) -> list[str]:
    columns = [name for name in _columns(connection, table.name) if name != table.renumbered]
    return ["rowid", *columns] if table.keeps_rowid else columns


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [str(row[1]) for row in connection.execute(f"PRAGMA main.table_info({table})")]
