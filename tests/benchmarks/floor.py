"""The floor: what SQLite itself needs for the rows that the engine wrote, in a loop of the standard library alone.

Nothing of the engine runs here but its schema files. The statements are plain ones written for this loop, so that a
clumsy statement in the store shows as a difference; the rows are made before the clock starts.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

import fsm_exec.store
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.files.open_database import CACHE_KIB
from fsm_exec.store.journal_steps import encode_step_fills

SCHEMA = sorted((Path(fsm_exec.store.__file__).parent / "schema").glob("*.sql"))
TABLES = ("execution_state", "edges", "execution_events", "split_orders", "fills")

STATEMENTS = (
    # In the order of the references between the tables.
    "INSERT INTO execution_state (execution_id, ticker, outcome, method, target_quantity, target_price, accepted_at,"
    " deadline, state, reason, snapshot, snapshot_version, seq, updated_at, reserved)"
    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "INSERT INTO edges (created_at, ticker, outcome, method, quantity, target_price, execution_id)"
    " VALUES (?,?,?,?,?,?,?)",
    "UPDATE execution_state SET state=?, reason=?, snapshot=?, snapshot_version=?, seq=?, updated_at=?,"
    " reserved=? WHERE execution_id=?",
    "INSERT INTO execution_events (execution_id, seq, at, event_type, event, intents, steps, version, state, reason,"
    " fills) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
    "INSERT INTO split_orders (execution_id, client_order_id, level, attempt, state, status, order_id, price, quantity,"
    " filled_quantity, time_in_force, walks, updated_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "UPDATE split_orders SET state=?, status=?, order_id=?, price=?, quantity=?, filled_quantity=?, walks=?,"
    " updated_at=? WHERE execution_id=? AND client_order_id=?",
    "INSERT INTO fills VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
)
ADD_EXECUTION, ADD_EDGE, MOVE_EXECUTION, ADD_EVENT, ADD_CHILD, MOVE_CHILD, ADD_FILL = range(len(STATEMENTS))

Group = list[list[tuple[Any, ...]]]
"""For each statement the rows of one transaction."""


def run_floor(path: Path, saves: Sequence[ExecutionSave], group_size: int) -> float:
    """Write the rows of `saves` to a new database, `group_size` saves to a transaction; the seconds it took."""
    groups = _groups(saves, group_size)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for script in SCHEMA:
            connection.executescript(script.read_text(encoding="utf-8"))
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        began = time.perf_counter()
        for group in groups:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in zip(STATEMENTS, group, strict=True):
                if rows:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")
        return time.perf_counter() - began


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables that a save touches, in the order of their keys."""
    with closing(sqlite3.connect(path)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def _groups(saves: Sequence[ExecutionSave], group_size: int) -> list[Group]:
    known: set[str] = set()
    groups = []
    for first in range(0, len(saves), group_size):
        group: Group = [[] for _ in STATEMENTS]
        for save in saves[first : first + group_size]:
            _add_rows(group, save, known)
        groups.append(group)
    return groups


def _add_rows(group: Group, save: ExecutionSave, known: set[str]) -> None:
    name, journal = save.execution_id, save.journal
    at = to_iso(journal.at_us)
    moving = (save.state, save.reason, save.snapshot.decode(), save.snapshot_version, journal.seq, at, save.reserved)
    if journal.seq == 1:
        times = to_iso(save.accepted_at_us), to_iso(save.deadline_us)
        fixed = (name, save.ticker, save.outcome, save.method, save.target_quantity, save.target_price, *times)
        group[ADD_EXECUTION].append((*fixed, *moving))
        asked = save.ticker, save.outcome, save.method, save.target_quantity, save.target_price
        group[ADD_EDGE].append((times[0], *asked, name))
    else:
        group[MOVE_EXECUTION].append((*moving, name))
    entry = journal.event_type, journal.event.decode(), journal.intents.decode(), journal.steps, journal.version
    group[ADD_EVENT].append((name, journal.seq, at, *entry, save.state, save.reason, encode_step_fills(save)))
    for child in save.children:
        if child.client_order_id in known:
            moved = child.state, child.status, child.order_id, child.price, child.quantity, child.filled_quantity
            group[MOVE_CHILD].append((*moved, child.walks, at, name, child.client_order_id))
        else:
            known.add(child.client_order_id)
            group[ADD_CHILD].append((name, *msgspec.structs.astuple(child), at))
    for fill in save.fills:
        *values, traded_at_us, trade_id, listed_id = msgspec.structs.astuple(fill)
        group[ADD_FILL].append((name, *values, to_iso(traded_at_us), trade_id, listed_id))
