"""Which executions may move, and the steps of a move in the database itself: functions of the connection that writes.

Each step is one transaction of a bounded number of rows, so that no save waits long behind it. Foreign keys are off in
it: the heads go first, and what refers to them is deleted after, perhaps in later transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec

from fsm_exec.core.account.holding import Holding
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.core.values.times import DAY_S, from_iso, to_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.store.archive.copying import Copied, fingerprint
from fsm_exec.store.archive.tables import HEADS, OF_EXECUTION, TAILS
from fsm_exec.store.reads.execution_reads import UNFINISHED

MARGIN_US: Final = DAY_S * US_PER_S  # beyond what listings reach back over what they are asked for
MAIN: Final = "main"

_QUARANTINED: Final = "quarantined: resume or cancel it"
_UNSETTLED: Final = "its market has not settled"
_CANDIDATES: Final = f"""
    SELECT e.rowid, e.execution_id, e.updated_at, e.accepted_at, CASE
        WHEN e.rowid >= :row OR e.execution_id IN (:of_newest_step, :of_newest_edge) THEN 'the newest stays'
        WHEN e.quarantine IS NOT NULL THEN '{_QUARANTINED}'
        WHEN NOT EXISTS (SELECT 1 FROM execution_metrics m WHERE m.execution_id = e.execution_id)
            THEN 'its cost is not reckoned yet'
        WHEN EXISTS (SELECT 1 FROM forecasts o WHERE o.execution_id = e.execution_id AND o.completed_at IS NULL)
            THEN 'a forecast of it is open'
        WHEN NOT EXISTS (SELECT 1 FROM fills f WHERE f.execution_id = e.execution_id) THEN NULL
        WHEN EXISTS (
            SELECT 1 FROM fills f WHERE f.execution_id = e.execution_id AND NOT EXISTS (
                SELECT 1 FROM markouts m
                WHERE m.order_id = f.order_id AND m.fill_id = f.fill_id AND m.horizon_s = 0
            )
        ) THEN '{_UNSETTLED}'
        WHEN NOT EXISTS (
            SELECT 1 FROM settlements s
            WHERE s.ticker = e.ticker AND s.value IS NOT NULL AND s.settled_at < :before
        ) THEN 'its market has not settled in the account, or only lately'
        WHEN EXISTS (SELECT 1 FROM account_openings o WHERE o.ticker = e.ticker)
            OR EXISTS (SELECT 1 FROM account_adjustments a WHERE a.ticker = e.ticker)
            THEN 'contracts of its market were taken over from the exchange'
    END
    FROM execution_state e INDEXED BY execution_state_ended
    WHERE e.state IN ('filled', 'cancelled') AND e.updated_at < :before
        AND (e.updated_at, e.rowid) > (:after, :after_row)
    ORDER BY e.updated_at, e.rowid LIMIT :at_most
"""
_NEWEST: Final = (
    "SELECT coalesce((SELECT max(rowid) FROM execution_state), 0), "
    "(SELECT execution_id FROM execution_events WHERE position = (SELECT max(position) FROM execution_events)), "
    "(SELECT execution_id FROM edges WHERE edge_id = (SELECT max(edge_id) FROM edges))"
)
_UNFINISHED: Final = f"execution_state INDEXED BY execution_state_unfinished WHERE {UNFINISHED}"
_ENDED: Final = "execution_state INDEXED BY execution_state_ended WHERE state IN ('filled', 'cancelled')"
# What a listing may still be asked for: back to the oldest execution at work, the last step, the last look.
_REACHED: Final = (
    f"SELECT min((SELECT coalesce(min(accepted_at), '9999') FROM {_UNFINISHED}), "
    f"(SELECT coalesce(max(at), '9999') FROM (SELECT max(updated_at) AS at FROM {_ENDED} "
    f"UNION ALL SELECT max(updated_at) FROM {_UNFINISHED})), "
    "coalesce((SELECT looked_at FROM account_look), '9999'))"
)
_REGISTER: Final = (
    "INSERT INTO archives (name, executions, newest_row, newest_position, newest_ended) VALUES (?, 1, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET executions = executions + 1, newest_row = max(newest_row, excluded.newest_row), "
    "newest_position = max(newest_position, excluded.newest_position), "
    "newest_ended = max(newest_ended, excluded.newest_ended)"
)
_PLACE: Final = (
    "SELECT rowid, updated_at, (SELECT max(position) FROM execution_events WHERE execution_id = :execution_id), "
    f"(SELECT key FROM submissions WHERE execution_id = :execution_id) FROM execution_state WHERE {OF_EXECUTION}"
)
_ADD_SUMS: Final = (
    "INSERT INTO archived_books (id, traded_e2, traded_e6, realized_e6, fees_e6) VALUES (1, ?, ?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET traded_e2 = traded_e2 + excluded.traded_e2, "
    "traded_e6 = traded_e6 + excluded.traded_e6, realized_e6 = realized_e6 + excluded.realized_e6, "
    "fees_e6 = fees_e6 + excluded.fees_e6"
)
_IS_OVER: Final = (
    "NOT EXISTS (SELECT 1 FROM execution_state WHERE ticker = :ticker) "
    "AND NOT EXISTS (SELECT 1 FROM account_fills WHERE ticker = :ticker)"
)
_KEEP_SETTLEMENT: Final = (
    f"INSERT OR REPLACE INTO archived_settlements SELECT * FROM settlements WHERE ticker = :ticker AND {_IS_OVER}"
)
_END_SETTLEMENT: Final = f"DELETE FROM settlements WHERE ticker = :ticker AND {_IS_OVER}"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that ended before the time asked for. `why_not` None: it may move."""

    row: int
    execution_id: str
    updated_at: str
    accepted_at: str
    why_not: str | None


class Cursor(msgspec.Struct, frozen=True):
    """After which candidate to go on."""

    updated_at: str = ""
    row: int = 0


class MoveResult(msgspec.Struct, frozen=True, kw_only=True):
    """`moved` are in their archive now, `changed` are not what was copied any more and stay. The rest of what was asked
    for is still to be moved."""

    moved: tuple[Copied, ...]
    changed: tuple[Copied, ...]


def bounded_before(connection: sqlite3.Connection, before_us: int) -> str:
    """Return the time before which an execution must have ended to move: the one asked for, or an earlier one, as
    listings of the exchange may still reach back to later ones."""
    (reached,) = connection.execute(_REACHED).fetchone()
    try:
        reached_us = from_iso(reached) - MARGIN_US
    except ValueError:  # nothing was ever done here, or a time is damaged
        reached_us = before_us if reached == "9999" else 0
    return to_iso(max(0, min(before_us, reached_us)))


def load_candidates(connection: sqlite3.Connection, before: str, after: Cursor, at_most: int) -> list[Candidate]:
    """Load the executions that ended before then, the oldest first, after the last one of an earlier call."""
    newest_row, of_newest_step, of_newest_edge = connection.execute(_NEWEST).fetchone()
    found = connection.execute(
        _CANDIDATES,
        {
            "before": before,
            "after": after.updated_at,
            "after_row": after.row,
            "at_most": at_most,
            "row": newest_row,
            "of_newest_step": of_newest_step,
            "of_newest_edge": of_newest_edge,
        },
    )
    return [
        Candidate(row=row, execution_id=execution_id, updated_at=updated_at, accepted_at=accepted_at, why_not=why_not)
        for row, execution_id, updated_at, accepted_at, why_not in found
    ]


def move_executions(connection: sqlite3.Connection, copied: Sequence[Copied], rows_max: int) -> MoveResult:
    """Move what was copied, in one transaction that ends after about `rows_max` rows: the first of them always, if it
    is still as it was copied. Raises sqlite3.Error."""
    moved: list[Copied] = []
    changed: list[Copied] = []
    with _transaction(connection):
        left = rows_max
        for one in copied:
            if left <= 0:
                break
            if fingerprint(connection, MAIN, one.execution_id) != one.fingerprint:
                changed.append(one)
                continue
            left -= _move(connection, one, left)
            moved.append(one)
        crashpoint("move.before")
    crashpoint("move.after")
    return MoveResult(moved=tuple(moved), changed=tuple(changed))


def _move(connection: sqlite3.Connection, one: Copied, rows_max: int) -> int:
    """Move one; return how many rows that took."""
    key = {"execution_id": one.execution_id}
    row, updated_at, position, submitted_as = connection.execute(_PLACE, key).fetchone()
    connection.execute(_REGISTER, (one.name, row, position or 0, updated_at))
    connection.execute(_ADD_SUMS, _amounts(one.brought))
    for table in HEADS:
        connection.execute(f"DELETE FROM {table.name} WHERE {table.where.format(db=MAIN)}", key)
    deleted, is_cleared = _clear(connection, one.execution_id, rows_max)
    connection.execute(
        "INSERT OR REPLACE INTO archived_executions (execution_id, archive, key, is_cleared) VALUES (?, ?, ?, ?)",
        (one.execution_id, one.name, submitted_as, int(is_cleared)),
    )
    connection.execute(_KEEP_SETTLEMENT, {"ticker": one.ticker})
    connection.execute(_END_SETTLEMENT, {"ticker": one.ticker})
    return deleted + len(HEADS)


def _amounts(brought: Holding) -> tuple[int, ...]:
    return brought.traded_e2, brought.traded_e6, brought.realized_e6, brought.fees_e6


def clear_moved(connection: sqlite3.Connection, rows_max: int) -> bool:
    """Delete rows that are left of executions that have moved, in one transaction of about `rows_max`; return whether
    any was there. Raises sqlite3.Error."""
    found = connection.execute("SELECT execution_id FROM archived_executions WHERE is_cleared = 0 LIMIT 1").fetchone()
    if found is None:
        return False
    with _transaction(connection):
        _, is_cleared = _clear(connection, found[0], rows_max)
        if is_cleared:
            connection.execute("UPDATE archived_executions SET is_cleared = 1 WHERE execution_id = ?", found)
        crashpoint("clear.before")
    crashpoint("clear.after")
    return True


def _clear(connection: sqlite3.Connection, execution_id: str, rows_max: int) -> tuple[int, bool]:
    """Delete up to so many rows of what is left of an execution; return how many, and whether nothing is left."""
    deleted = 0
    for table in TAILS:
        where = table.where.format(db=MAIN)
        deleted += connection.execute(
            f"DELETE FROM {table.name} WHERE rowid IN (SELECT rowid FROM {table.name} WHERE {where} LIMIT :left)",
            {"execution_id": execution_id, "left": max(0, rows_max - deleted)},
        ).rowcount
        if deleted >= rows_max:
            return deleted, False
    return deleted, True


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("PRAGMA foreign_keys = OFF")  # only ever outside of a transaction
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    finally:
        connection.execute("PRAGMA foreign_keys = ON")
