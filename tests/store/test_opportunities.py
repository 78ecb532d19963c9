"""The list of opportunities: each once, with the save of what it became, and no more refusals than it has room for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from fsm_exec.core.errors import SaveRefused
from fsm_exec.core.journal.rows import EdgeFigures, RefusedRow, SubmissionRow
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance.integrity import check_database
from tests.golden.histories import HISTORIES
from tests.store.conftest import T0_US
from tests.store.histories import fill
from tests.store.test_killed import run_and_kill

if TYPE_CHECKING:
    from tests.store.conftest import OpenStore, Samples

T0, LATER = "2023-04-10T18:00:00.000250Z", "2023-04-10T18:00:09.000250Z"
EDGE = EdgeFigures(model_probability="0.620000", expected_value="0.030000", volume_24h="99.00")
REFUSED = RefusedRow(
    at_us=T0_US,
    key="k1",
    ticker="KXTEST-1",
    outcome="no",
    method="basic@1",
    quantity="5.00",
    target_price=None,
    edge=EDGE,
    refusal="over_limit",
)
KEPT = 100_000  # of the refused, as the migration says


def rows(database: Path, query: str = "SELECT * FROM edges ORDER BY edge_id") -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


async def test_what_is_accepted_is_there_with_its_first_save(
    open_file_store: OpenStore, database: Path, samples: Samples
) -> None:
    """The order as its execution has it, the edge and the volume as told; later saves add nothing. Without an edge, a
    key and a volume they are unknown. A save that is refused leaves no opportunity."""
    first = replace(samples.save("e1"), submission=SubmissionRow("k1", b"{}"), edge=EDGE)
    async with open_file_store() as store:
        await store.save(first)
        await store.save(samples.save("e1", seq=2))
        await store.save(samples.save("e2"))
        with pytest.raises(SaveRefused):
            await store.save(replace(samples.save("e3"), submission=SubmissionRow("k1", b"{}")))
    order = ("KXTEST-1", "yes", "simple_limit@1", "10.00", "0.5000")
    assert rows(database) == [
        (1, T0, *order, "0.620000", "0.030000", "99.00", "k1", "e1", None),
        (2, T0, *order, None, None, None, None, "e2", None),
    ]
    assert [found for found in check_database(database, every=False).findings if "edges" in found.what] == []


async def test_a_refused_one_counts_once_under_its_key(
    open_file_store: OpenStore, database: Path, samples: Samples
) -> None:
    """Asked again it is the same row, with its last word; accepted at last it is the accepted one, and nothing under
    its key is refused any more."""
    asked = ("KXTEST-1", "no", "basic@1", "5.00", None, "0.620000", "0.030000", "99.00")
    async with open_file_store() as store:
        await store.save_refused(REFUSED)
        await store.save_refused(replace(REFUSED, key="k2"))
        await store.save_refused(replace(REFUSED, at_us=T0_US + 9_000_000, refusal="exchange"))
        assert rows(database) == [
            (1, LATER, *asked, "k1", None, "exchange"),
            (2, T0, *asked, "k2", None, "over_limit"),
        ]
        await store.save(replace(samples.save("e1"), submission=SubmissionRow("k1", b"{}")))
        with pytest.raises(SaveRefused):
            await store.save_refused(REFUSED)
        await store.save(samples.save("e1", seq=2))
    assert rows(database, "SELECT edge_id, key, execution_id, refusal, outcome FROM edges ORDER BY edge_id") == [
        (1, "k1", "e1", None, "yes"),
        (2, "k2", None, "over_limit", "no"),
    ]


def test_refusals_are_bounded(database: Path, draw_instance: Callable[[], str]) -> None:
    """Of the refused those among the newest 100,000 opportunities stay, found by one step of an index; what was
    accepted stays for ever; asking again under one key uses no room up."""
    with closing(
        open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=T0_US)).connection
    ) as held:
        held.execute("PRAGMA foreign_keys = OFF")
        insert = (
            "INSERT INTO edges (edge_id, created_at, ticker, outcome, method, quantity, key, execution_id, refusal) "
            "VALUES (?, 'T', 'K', 'yes', 'm@1', '1.00', ?, ?, ?) "
            "ON CONFLICT (key) DO UPDATE SET refusal = excluded.refusal"
        )
        held.execute("BEGIN")
        held.executemany(insert, [(1, "a", "e1", None), (2, "b", None, "no"), (3, "c", None, "no")])
        for _ in range(50):
            held.execute(insert, (None, "c", None, "again"))
        held.execute(insert, (KEPT + 2, "d", None, "no"))
        held.execute("COMMIT")
        assert held.execute("SELECT edge_id FROM edges ORDER BY edge_id").fetchall() == [(1,), (3,), (KEPT + 2,)]
        held.execute(insert, (None, "e", "e2", None))
        held.execute(insert, (None, "f", None, "no"))
        assert held.execute("SELECT edge_id, key FROM edges WHERE edge_id > 3 ORDER BY edge_id").fetchall() == [
            (KEPT + 2, "d"),
            (KEPT + 3, "e"),
            (KEPT + 4, "f"),
        ]
        assert held.execute("SELECT count(*) FROM edges WHERE edge_id = 3").fetchone() == (0,)
        plan = held.execute(
            "EXPLAIN QUERY PLAN SELECT edge_id FROM edges INDEXED BY edges_refused "
            "WHERE execution_id IS NULL AND edge_id <= 5"
        ).fetchall()
        assert [step[3] for step in plan] == ["SEARCH edges USING INDEX edges_refused (edge_id<?)"]


@pytest.mark.parametrize("request_text", ['{"edge":{"expected_value":"0.03","model_probability":"0.62"}}', "not json"])
def test_what_was_accepted_before_is_an_opportunity_too(
    database: Path, draw_instance: Callable[[], str], request_text: str
) -> None:
    """A database of the schema before: its executions are listed with the edge of their request, if that can be read,
    and without a volume."""
    before = OpenRequest(path=database, draw_instance=draw_instance, at_us=T0_US, migrations=SCHEMA[:5])
    with closing(open_database(before).connection) as held:
        for name in ("e1", "e2"):
            held.execute(
                "INSERT INTO execution_state (execution_id, ticker, outcome, method, state, target_quantity, "
                "target_price, accepted_at, deadline, snapshot, snapshot_version, seq, updated_at) "
                f"VALUES ('{name}', 'KXA-1', 'yes', 'basic@1', 'pending', '5.00', NULL, '{T0}', 'D', '', 1, 1, 'U')"
            )
        held.execute("INSERT INTO submissions VALUES ('k1', 'e2', ?, 'S')", (request_text,))
        held.commit()
    open_database(OpenRequest(path=database, draw_instance=draw_instance, at_us=T0_US)).connection.close()
    told = ("0.62", "0.03") if request_text.startswith("{") else (None, None)
    order = (T0, "KXA-1", "yes", "basic@1", "5.00", None)
    assert rows(database) == [
        (1, *order, None, None, None, None, "e1", None),
        (2, *order, *told, None, "k1", "e2", None),
    ]


def test_a_check_finds_a_list_that_disagrees(database: Path) -> None:
    """A missing row, and one of another order; what is right is not mentioned."""
    fill(database)
    assert len(rows(database)) == len(HISTORIES)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM edges WHERE execution_id = 'e2'")
        connection.execute("UPDATE edges SET quantity = '11.00' WHERE execution_id = 'e3'")
        connection.execute("UPDATE edges SET key = 'mine' WHERE execution_id = 'e4'")
        connection.commit()
    assert [(found.execution_id, found.what) for found in check_database(database, every=False).findings] == [
        ("e2", "it has no row in edges, the list of opportunities"),
        ("e3", "it has a row of another order or key in edges, the list of opportunities"),
        ("e4", "it has a row of another order or key in edges, the list of opportunities"),
    ]


def test_no_execution_without_its_opportunity_after_sigkill(database: Path) -> None:
    """They are one transaction: a process killed in mid-save leaves both or neither."""
    run_and_kill("live", 37, database)
    executions = rows(database, "SELECT execution_id FROM execution_state ORDER BY rowid")
    assert executions
    assert rows(database, "SELECT execution_id FROM edges ORDER BY edge_id") == executions
