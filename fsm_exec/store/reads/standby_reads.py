"""Reads for a pair of engines: which keys are known, and what was lost with the other host."""

from __future__ import annotations

import sqlite3
from typing import Final

from fsm_exec.core.journal.rows import LostSubmission

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
