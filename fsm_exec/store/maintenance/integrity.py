"""Whether a database can be trusted: its pages, its references, its snapshots, and each execution against its journal.

Reads only, and goes on after each thing that is wrong: one bad execution must not hide another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.journal.consistency import journal_differences, row_differences, snapshot_differences
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.text import one_line
from fsm_exec.store.archive.archive_checks import check_archives, is_left_by_move
from fsm_exec.store.archive.archive_reads import load_archives
from fsm_exec.store.damaged_rows import DATABASE_ERRORS
from fsm_exec.store.files.migrations import migrate
from fsm_exec.store.maintenance.integrity_columns import column_differences
from fsm_exec.store.maintenance.integrity_sets import set_differences
from fsm_exec.store.maintenance.integrity_values import unreadable_values
from fsm_exec.store.maintenance.read_only import How, open_read_only
from fsm_exec.store.reads import account_reads, alert_reads, epoch_reads, execution_reads

ADDS_UP = (
    "shortfall_e7 IS NULL OR COALESCE("
    "shortfall_e7 = delay_e7 + spread_e7 + drift_e7 + fees_e7 + opportunity_e7 + over_fill_e7, 0)"
)
DISAGREES = (
    "SELECT e.execution_id, o.execution_id IS NULL FROM execution_state e LEFT JOIN edges o USING (execution_id) "
    "LEFT JOIN submissions s USING (execution_id) WHERE o.execution_id IS NULL OR "
    "(o.created_at, o.ticker, o.outcome, o.method, o.quantity) != "
    "(e.accepted_at, e.ticker, e.outcome, e.method, e.target_quantity) "
    "OR o.target_price IS NOT e.target_price OR o.key IS NOT s.key ORDER BY e.rowid"
)
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_IOERR", "SQLITE_ERROR")  # the last: a schema that says something else
EVERY = -1  # as a LIMIT
FINDINGS_MAX = 20  # of SQLite's own checks; a broken page can have thousands


class Finding(msgspec.Struct, frozen=True):
    """`execution_id` is None for what is wrong with the database as a whole. `what` is one line that prints."""

    execution_id: str | None
    what: str


class IntegrityReport(msgspec.Struct, frozen=True, kw_only=True):
    """`snapshots` counts executions by the version of their snapshot; `folded` those held against their journal.
    `archives`: how many executions moved into each, all of them beside those counted here."""

    schema_version: int
    instance: str | None
    read: How
    executions: int
    snapshots: dict[int, int]
    folded: int
    findings: list[Finding]
    archives: dict[str, int] = {}


def check_database(path: Path, *, every: bool, with_archives: bool = True) -> IntegrityReport:
    """Look at everything, also in its archives; with `every`, fold the finished executions too. Raises UserError for
    what cannot be opened as a database of ours at all."""
    with open_read_only(path) as looked:
        report = _check(looked.connection, every=every)
        findings = list(report.findings)
        try:
            archives = load_archives(looked.connection)
            if with_archives:
                found = check_archives(path, looked.connection, archives, lambda one: _check(one, every=every).findings)
                findings += [Finding(*finding) for finding in found]
        except DATABASE_ERRORS as error:
            archives = []
            findings.append(Finding(None, f"archives: {error}"))
        return replace(
            report,
            schema_version=looked.schema_version,
            read=looked.how,
            findings=[Finding(found.execution_id, one_line(found.what)) for found in findings],
            archives={one.name: one.executions for one in archives},
        )


def _check(connection: sqlite3.Connection, *, every: bool) -> IntegrityReport:
    findings = [
        *_schema(connection),
        *_pages(connection),
        *_references(connection),
        *_metrics(connection),
        *_edges(connection),
        *_account(connection),
        *_alerts(connection),
        *_epochs(connection),
        *(Finding(None, what) for what in set_differences(connection)),
    ]
    findings += [Finding(one.execution_id, one.what) for one in unreadable_values(connection)]
    stored: list[StoredExecution] = []
    instance = None
    try:
        (instance,) = connection.execute("SELECT instance FROM meta").fetchone() or (None,)
        stored = execution_reads.load_executions(connection)
    except (*DATABASE_ERRORS, ValueError) as error:
        findings.append(Finding(None, f"the executions cannot be listed: {error}"))
    snapshots: dict[int, int] = {}
    folded = 0
    for one in stored:
        snapshots[one.snapshot_version] = snapshots.get(one.snapshot_version, 0) + 1
        fold = every or one.state not in EXECUTION_ENDS
        folded += fold
        findings += [Finding(one.execution_id, what) for what in _execution(connection, one, fold=fold)]
    return IntegrityReport(
        schema_version=0,
        instance=instance,
        read="in place",
        executions=len(stored),
        snapshots=dict(sorted(snapshots.items())),
        folded=folded,
        findings=findings,
    )


def _schema(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Check that every table, index, view and trigger is listed under its kind and name: SQLite itself goes by the
    statement that made it, so a table that is listed as something else is read, and never checked."""
    names = "SELECT type, name FROM sqlite_schema"
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh, None)
        expected = fresh.execute(names).fetchall()
    try:
        listed = set(connection.execute(names))
    except DATABASE_ERRORS as error:
        yield Finding(None, f"schema: {error}")
        return
    for kind, name in expected:
        if (kind, name) not in listed:
            yield Finding(None, f"schema: the {kind} {name} is missing")


def _pages(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Pages, indexes, types and NOT NULL. Not CHECK: SQLite forgets those of a database it may only read."""
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({FINDINGS_MAX})"):
            if line != "ok":
                yield Finding(None, f"integrity: {line}")
    except DATABASE_ERRORS as error:
        yield Finding(None, f"integrity: {error}")


def _metrics(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Check that each cost is the sum of its parts: the one rule no other check covers."""
    try:
        for (execution_id,) in connection.execute(f"SELECT execution_id FROM execution_metrics WHERE NOT ({ADDS_UP})"):
            yield Finding(execution_id, "its metrics do not add up: the parts of the shortfall are not its sum")
    except DATABASE_ERRORS as error:
        yield Finding(None, f"metrics: {error}")


def _edges(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Every execution was an opportunity once, of the very same order and key."""
    try:
        for execution_id, is_missing in connection.execute(DISAGREES):
            what = "has no row" if is_missing else "has a row of another order or key"
            yield Finding(execution_id, f"it {what} in edges, the list of opportunities")
    except DATABASE_ERRORS as error:
        yield Finding(None, f"edges: {error}")


def _account(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Check that every row about the account can be read for what it is: amounts, counts, times, words."""
    damage: list[str] = []
    try:
        damage += account_reads.load_account(connection).damage
        account_reads.load_differences(connection, damage)
        account_reads.load_risk_log(connection, None, damage)
    except (*DATABASE_ERRORS, ValueError) as error:
        yield Finding(None, f"account: {error}")
    yield from (Finding(None, what) for what in dict.fromkeys(damage) if " of fills " not in what)  # said of its owner


def _epochs(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Check that every epoch and order group can be read for what it is."""
    try:
        damage = epoch_reads.load_epochs(connection).damage
    except (*DATABASE_ERRORS, ValueError) as error:
        yield Finding(None, f"epochs: {error}")
        return
    yield from (Finding(None, what) for what in damage)


def _alerts(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Check that every alert, and how it fared with each channel, can be read for what it is."""
    damage: list[str] = []
    try:
        alert_reads.load_alerts(connection, EVERY, damage)
        alert_reads.load_deliveries(connection, None, damage)
    except (*DATABASE_ERRORS, ValueError) as error:
        yield Finding(None, f"alerts: {error}")
    yield from (Finding(None, what) for what in damage)


def _references(connection: sqlite3.Connection) -> Iterator[Finding]:
    try:
        number = 0
        for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check"):
            if is_left_by_move(connection, table, row):
                continue
            if number == FINDINGS_MAX:
                yield Finding(None, "references: and more")
                return
            number += 1
            yield Finding(None, f"references: row {row} of {table} refers to a row of {parent} that is not there")
    except DATABASE_ERRORS as error:
        yield Finding(None, f"references: {error}")


def _execution(connection: sqlite3.Connection, stored: StoredExecution, *, fold: bool) -> Iterator[str]:
    if stored.damage is not None:
        yield stored.damage
        return
    try:
        execution = decode_stored(stored)
        if (execution.execution_id, execution.state) != (stored.execution_id, stored.state):
            yield (
                f"the snapshot is of {execution.execution_id} ({execution.state}), its row of "
                f"{stored.execution_id} ({stored.state})"
            )
    except CorruptSnapshot as error:
        yield str(error)
    if not fold:
        return
    try:
        rows = execution_reads.load_journal(connection, stored.execution_id)
        history: list[ReplayedRow] = []
        for one in replay_rows(rows):
            history.append(one)
            yield from journal_differences(one)
        if not history:
            yield "the journal is empty"
            return
        folded = history[-1].advance.execution
        yield from row_differences(
            folded,
            execution_reads.load_children(connection, stored.execution_id),
            execution_reads.load_fills(connection, stored.execution_id),
        )
        yield from snapshot_differences(stored.snapshot, folded, min(row.version for row in rows), parts=stored.parts)
        yield from column_differences(connection, stored.snapshot, history)
    except CorruptSnapshot as error:
        yield str(error)
    except (*DATABASE_ERRORS, ValueError, UserError) as error:
        yield f"its rows cannot be read: {error}"


def is_damage(error: UserError) -> bool:
    """Return whether the database could not be opened because it is damaged, not because of its path."""
    if isinstance(error.__cause__, UnicodeDecodeError):
        return True
    return getattr(error.__cause__, "sqlite_errorname", "").startswith(_DAMAGE)
