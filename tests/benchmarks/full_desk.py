"""A database of many executions that have ended behind those at work: what a full desk is made of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

_COLUMNS: Final = "PRAGMA table_info({table})"
_ENDED: Final = {
    "state": "'filled'",
    "reason": "'completed'",
    "reserved": "'0.000000'",
    "updated_at": "strftime('%Y-%m-%dT%H:%M:%S', '2026-01-01', '+' || n || ' seconds') || '.000000Z'",
}
"""What is otherwise in a copy that has ended, in SQL; `n` is its number."""


def add_ended(database: Path, at_work: int, count: int) -> None:
    """Add `count` executions that have ended, each with a cost, numbered on behind the `at_work` there are: copies of
    the first one with their whole snapshots, so that the table is as large as a real one."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        names = [row[1] for row in connection.execute(_COLUMNS.format(table="execution_state"))]
        values = ", ".join("name" if name == "execution_id" else _ENDED.get(name, name) for name in names)
        numbers = (
            f"WITH RECURSIVE numbers (n) AS (SELECT {at_work + 1} UNION ALL SELECT n + 1 FROM numbers "
            f"WHERE n < {at_work + count}), named AS (SELECT n, printf('e%06d', n) AS name FROM numbers)"
        )
        connection.execute(
            f"{numbers} INSERT INTO execution_state ({', '.join(names)}) "
            f"SELECT {values} FROM named, execution_state e WHERE e.execution_id = 'e000001'"
        )
        connection.execute(
            f"{numbers} INSERT INTO execution_metrics (execution_id, target_quantity, filled_quantity, fill_rate, "
            "walks_executed, splits_used, fees, shortfall, fees_e7, flags, computed_at) "
            "SELECT name, '10.00', '10.00', '1.000000', 0, 1, '0.000000', '0.012300', 0, '', "
            "'2026-01-01T00:00:00.000000Z' FROM named"
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
