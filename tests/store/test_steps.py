"""The journal as watchers are told it: every row, in the order of the commits, the same for a database of before."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from fsm_exec.core.journal.rows import FillRow
from fsm_exec.store.api_rows import FillSeen, Transition
from fsm_exec.store.files.migrations import SCHEMA, migrate
from fsm_exec.store.journal_steps import load_newest_position, load_steps_of_all, load_steps_of_one
from tests.golden.histories import HISTORIES
from tests.store.histories import fill, saves_of

BEFORE = next(n for n, migration in enumerate(SCHEMA) if "what a row of the journal tells" in migration.sql.lower())


def test_a_row_tells_what_its_save_did(tmp_path: Path) -> None:
    """State, reason and fills of every step of every history, by execution and among all of them."""
    database = tmp_path / "engine.sqlite"
    fill(database)
    with closing(sqlite3.connect(database)) as connection:
        every = load_steps_of_all(connection, 0, 10_000)
        assert [step.position for step in every] == list(range(1, load_newest_position(connection) + 1))
        for number, name in enumerate(HISTORIES, start=1):
            saves, _ = saves_of(name, f"e{number}")
            told = load_steps_of_one(connection, f"e{number}", 0, 10_000)
            assert told == [step for step in every if step.execution_id == f"e{number}"]
            assert [(step.seq, step.state, step.reason) for step in told] == [
                (save.journal.seq, save.state, save.reason) for save in saves
            ]
            for step, save in zip(told, saves, strict=True):
                assert _named(step.fills) == _named(save.fills)
                assert _named(step.corrected) == _named(save.corrected)
                assert step.gone == list(save.gone)
            assert load_steps_of_one(connection, f"e{number}", 1, 2) == told[1:3]
        assert any(step.fills for step in every)
        assert any(step.corrected for step in every)


def test_a_database_of_before_tells_the_same_fills(tmp_path: Path) -> None:
    """Migrated: same rows in the same order, with their fills; only the state of old steps is not known."""
    new, old = tmp_path / "new.sqlite", tmp_path / "old.sqlite"
    corrected = ("corrected", "long_lived")  # before, no fill ever was
    fill(new, [name for name in HISTORIES if name not in corrected])
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        migrate(connection, None, SCHEMA[:BEFORE])
        connection.execute("ATTACH DATABASE ? AS new", (str(new),))
        for table in ("execution_state", "execution_events", "split_orders", "fills"):
            columns = ", ".join(name for _, name, *_ in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table} ORDER BY rowid")
        connection.execute("DETACH DATABASE new")
        migrate(connection, None)
        told = load_steps_of_all(connection, 0, 10_000)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    with closing(sqlite3.connect(new)) as connection:
        expected = [_of_before(step) for step in load_steps_of_all(connection, 0, 10_000)]
    assert told == expected
    assert msgspec.json.encode(told) == msgspec.json.encode(expected)


def test_a_damaged_row_is_told_as_that(tmp_path: Path) -> None:
    """By its place, with what is wrong; the rows after it are told as ever."""
    database = tmp_path / "engine.sqlite"
    fill(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        every = load_steps_of_all(connection, 0, 10_000)
        number, bad = next((n, step) for n, step in enumerate(every) if step.fills)
        for fills in ("{", '{"fills": [{}]}', '{"fills": 3}', "\\xff"):
            connection.execute("UPDATE execution_events SET fills = ? WHERE position = ?", (fills, bad.position))
            told = load_steps_of_all(connection, 0, 10_000)
            assert told[:number] + told[number + 1 :] == every[:number] + every[number + 1 :]
            damaged = told[number]
            assert (damaged.position, damaged.execution_id, damaged.seq) == (bad.position, bad.execution_id, bad.seq)
            assert damaged.event_type == "Damaged"
            assert f"row {bad.position} of execution_events is damaged" in damaged.steps
            assert damaged in load_steps_of_one(connection, bad.execution_id, 0, 10_000)


def _named(fills: Sequence[FillSeen | FillRow]) -> list[tuple[str, str, str, str, str, bool]]:
    return [(f.order_id, f.fill_id, f.price, f.quantity, f.fee, f.is_taker) for f in fills]


def _of_before(step: Transition) -> Transition:
    return msgspec.structs.replace(step, state=None, reason=None)
