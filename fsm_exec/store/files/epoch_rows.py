"""The rows of epochs: what an opening writes of itself before anything else is done with the database."""

from __future__ import annotations

import sqlite3
from typing import Final

from fsm_exec.core.epochs import first_number_of_copy
from fsm_exec.store.files.acknowledged import load_counts

EPOCHS_KEPT: Final = 100  # beyond them, those of which nothing is at the exchange any more are deleted

_DELETE_OLD: Final = (
    "DELETE FROM epochs WHERE state = 'closed' AND number <= ? "
    "AND NOT EXISTS (SELECT 1 FROM epoch_groups WHERE epoch = number AND epoch_groups.state <> 'deleted')"
)


def skip_numbers(connection: sqlite3.Connection, instance: str) -> None:
    """Have a copy leave out the numbers of executions that the original may have given since."""
    if not has_epochs(connection):
        return
    (known,) = connection.execute("SELECT numbers_from FROM meta").fetchone()
    known = max(known, load_counts(connection).number)
    connection.execute("UPDATE meta SET numbers_from = ?", (first_number_of_copy(known, instance),))


def record_opening(
    connection: sqlite3.Connection, instance: str, epoch: str, now: str, host: str, *, takeover: bool
) -> int:
    """Record this opening and return its number. The lock says that the engine of the one before is gone; with
    `takeover` nothing does, and those before are to be fenced."""
    if not has_epochs(connection):
        return 0
    if takeover:
        connection.execute("UPDATE epochs SET state = 'fencing' WHERE state <> 'fenced'")
    else:
        connection.execute("UPDATE epochs SET state = 'closed' WHERE state = 'open' AND instance = ?", (instance,))
    added = connection.execute(
        "INSERT INTO epochs (instance, epoch, opened_at, host, kind, state) VALUES (?, ?, ?, ?, ?, 'open')",
        (instance, epoch, now, host, "takeover" if takeover else "start"),
    )
    number = added.lastrowid or 0
    connection.execute(_DELETE_OLD, (number - EPOCHS_KEPT,))
    return number


def has_epochs(connection: sqlite3.Connection) -> bool:
    """Whether the schema of this database knows epochs."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'epochs'").fetchone() is not None
