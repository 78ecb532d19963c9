"""Reads for a pair of engines: which keys are known, what was lost with the other host, and how new the database is."""

from __future__ import annotations

import sqlite3
from typing import Final

from fsm_exec.core.journal.rows import LostSubmission
from fsm_exec.store.reads.execution_reads import UNFINISHED

_LOST: Final = f"SELECT {', '.join(LostSubmission.__struct_fields__)} FROM lost_submissions"
KNOWN_KEY: Final = (
    "SELECT 1 FROM submissions WHERE key = :key UNION ALL SELECT 1 FROM archived_executions WHERE key = :key "
    "UNION ALL SELECT 1 FROM lost_submissions WHERE key = :key"
)
"""One row or more if something was accepted under the key, here or in an archive, or is reported as lost."""


def knows_key(connection: sqlite3.Connection, key: str) -> bool:
    """Whether the database knows a key."""
    return connection.execute(KNOWN_KEY, {"key": key}).fetchone() is not None


def load_lost(connection: sqlite3.Connection, key: str) -> LostSubmission | None:
    """Load what was lost under a key, if something was."""
    row = connection.execute(f"{_LOST} WHERE key = ?", (key,)).fetchone()
    return None if row is None else LostSubmission(*row)


def load_all_lost(connection: sqlite3.Connection) -> list[LostSubmission]:
    """Load all that was lost, the newest first. They are few: what was accepted in the lag of a takeover."""
    return [LostSubmission(*row) for row in connection.execute(f"{_LOST} ORDER BY reported_at DESC, key LIMIT 1000")]


def load_beat(connection: sqlite3.Connection) -> str | None:
    """Load the newest sign of life; None: there is none."""
    row = connection.execute("SELECT at FROM beats WHERE id = 1").fetchone()
    return None if row is None else str(row[0])


def load_acceptance(connection: sqlite3.Connection, execution_id: str) -> str | None:
    """Load when an execution was accepted; None: there is none of that name, or it is in an archive."""
    row = connection.execute(
        "SELECT accepted_at FROM execution_state WHERE execution_id = ?", (execution_id,)
    ).fetchone()
    return None if row is None else str(row[0])


def has_ended(connection: sqlite3.Connection, execution_id: str, accepted_at: str) -> bool:
    """Whether the execution of this id and time of acceptance is over by this database."""
    row = connection.execute(
        f"SELECT {UNFINISHED} FROM execution_state WHERE execution_id = ? AND accepted_at = ?",
        (execution_id, accepted_at),
    ).fetchone()
    return row is not None and not row[0]
