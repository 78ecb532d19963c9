"""Checks the sets that are kept beside the tables they are of, so that no engine has to look for their members."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from fsm_exec.store.damaged_rows import DATABASE_ERRORS

_SETS: Final = {
    "unscored_executions": (
        "SELECT execution_id, 1 FROM execution_state e WHERE state IN ('filled', 'cancelled') AND NOT EXISTS "
        "(SELECT 1 FROM execution_metrics x WHERE x.execution_id = e.execution_id)",
        "SELECT execution_id, 1 FROM unscored_executions",
    ),
    "unsettled_markets": (
        "SELECT e.ticker, count(*) FROM fills f JOIN execution_state e USING (execution_id) WHERE NOT EXISTS "
        "(SELECT 1 FROM markouts m WHERE m.order_id = f.order_id AND m.fill_id = f.fill_id AND m.horizon_s = 0) "
        "GROUP BY e.ticker",
        "SELECT ticker, fills FROM unsettled_markets",
    ),
}
"""By table: what its rows must be, and what they are."""


def set_differences(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a line for each row of a set that should not be there, is missing, or counts something else."""
    for table, (right, kept) in _SETS.items():
        try:
            for first, second, what in ((right, kept, "lacks"), (kept, right, "has, and should not,")):
                for key, number in connection.execute(f"{first} EXCEPT {second}"):
                    yield f"{table} {what} {key} ({number})"
        except DATABASE_ERRORS as error:
            yield f"{table}: {error}"
