"""What a user of two machines was told is kept: each submission that was acknowledged is in the database that works at
the end, or was reported as lost by its key."""

from __future__ import annotations

import sqlite3

_KNOWN = "SELECT EXISTS (SELECT 1 FROM submissions WHERE key = :key)"
_LOST = "SELECT accepted_as FROM lost_submissions WHERE key = :key"


class PairRules:
    """Keeps what was acknowledged, by key, and what the engines at work have said is lost."""

    def __init__(self) -> None:
        self._acknowledged: dict[str, str] = {}
        self.said: list[str] = []  # lines of reports

    def acknowledge(self, key: str, execution_id: str) -> None:
        """An engine has told its user that it accepted this."""
        self._acknowledged[key] = execution_id

    def broken(self, connection: sqlite3.Connection) -> list[str]:
        """What is wrong at the end, with the database that works."""
        return [
            f"16: {name}, acknowledged for {key}, is neither known nor reported as lost"
            for key, name in self._acknowledged.items()
            if not connection.execute(_KNOWN, {"key": key}).fetchone()[0] and not self._is_reported(connection, key)
        ]

    def _is_reported(self, connection: sqlite3.Connection, key: str) -> bool:
        is_stored = connection.execute(_LOST, {"key": key}).fetchone() is not None
        return is_stored and any(repr(key) in line for line in self.said)
