"""What a start and the observer look for in all of history is kept as a set: the executions whose cost is not reckoned,
and the markets with fills that are not settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fsm_exec.core.costs.rows import MarkoutRow
from fsm_exec.core.journal.rows import FillGone
from fsm_exec.store import open_virtual_store
from fsm_exec.store.blocking_lane import BlockingLane
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.files.open_database import OpenRequest
from fsm_exec.store.maintenance.integrity import check_database
from fsm_exec.store.sqlite_store import SqliteStore, run_store
from tests.store.conftest import T0_US, OpenStore, Samples

BEFORE_THE_SETS = SCHEMA[:15]


def settled(fill_id: str) -> MarkoutRow:
    return MarkoutRow(order_id="o1", fill_id=fill_id, horizon_s=0, mid="1.00000", why=None)


async def two_fills(store: SqliteStore, samples: Samples, **ending: str) -> None:
    fills = (samples.fill("f1"), samples.fill("f2"))
    await store.save(samples.save(children=(samples.child(),), fills=fills, **ending))  # type: ignore[arg-type]


async def unscored(store: SqliteStore) -> list[str]:
    return [one.execution_id for one in await store.load_unscored()]


async def test_a_market_is_unsettled_until_its_last_fill_is_settled(open_store: OpenStore, samples: Samples) -> None:
    """One markout is not enough, one that is stored twice is one, and another horizon settles nothing."""
    async with open_store() as store:
        assert await store.load_unsettled_markets() == []
        await two_fills(store, samples)
        assert await store.load_unsettled_markets() == ["KXTEST-1"]
        await store.save_markouts([settled("f1")], T0_US)
        early = MarkoutRow(order_id="o1", fill_id="f2", horizon_s=5, mid="0.50000", why=None)
        await store.save_markouts([settled("f1"), early], T0_US)
        assert await store.load_unsettled_markets() == ["KXTEST-1"]
        await store.save_markouts([settled("f2")], T0_US)
        assert await store.load_unsettled_markets() == []
        await store.save(samples.save(seq=2, fills=(samples.fill("late"),)))
        assert await store.load_unsettled_markets() == ["KXTEST-1"]


async def test_fills_that_are_taken_back_do_not_hold_a_market_open(open_store: OpenStore, samples: Samples) -> None:
    """Settled or not, a fill that is gone is not waited for."""
    async with open_store() as store:
        await two_fills(store, samples)
        await store.save_markouts([settled("f1")], T0_US)
        await store.save(samples.save(seq=2, gone=(FillGone("o1", "f1"),)))
        assert await store.load_unsettled_markets() == ["KXTEST-1"]
        await store.save(samples.save(seq=3, gone=(FillGone("o1", "f2"),)))
        assert await store.load_unsettled_markets() == []


async def test_an_execution_is_unscored_from_its_end_to_its_cost(open_store: OpenStore, samples: Samples) -> None:
    """Whether it ended with its first save or a later one; a late fill of one that is scored does not undo that."""
    async with open_store() as store:
        await store.save(samples.save())
        assert await unscored(store) == []
        await store.save(samples.save(seq=2, state="cancelled", reason="user"))
        await store.save(samples.save("e2", state="cancelled", reason="user"))
        assert await unscored(store) == ["e1", "e2"]
        await store.save_metrics(samples.metrics("e1"), T0_US)
        await store.save(samples.save(seq=3, state="cancelled", reason="user"))
        assert await unscored(store) == ["e2"]


async def test_a_migration_finds_the_sets_of_what_is_there(
    database: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """A database from before the sets has them after it, as if it had always kept them."""
    opening = OpenRequest(path=database, draw_instance=draw_instance, at_us=T0_US, migrations=BEFORE_THE_SETS)
    async with run_store(BlockingLane(opening)) as old:
        await two_fills(old, samples, state="cancelled", reason="user")
        await old.save_markouts([settled("f1")], T0_US)
        await old.save(samples.save("e2", state="cancelled", reason="user"))
        await old.save_metrics(samples.metrics("e2"), T0_US)
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=T0_US) as store:
        assert await unscored(store) == ["e1"]
        assert await store.load_unsettled_markets() == ["KXTEST-1"]
        await store.save_markouts([settled("f2")], T0_US)
        assert await store.load_unsettled_markets() == []


async def test_a_set_that_lost_a_member_is_found(
    database: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """The check of a database holds each set against the tables it is of."""
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=T0_US) as store:
        await two_fills(store, samples, state="cancelled", reason="user")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("DELETE FROM unscored_executions")
        connection.execute("UPDATE unsettled_markets SET fills = 1")
    told = {finding.what for finding in check_database(database, every=False).findings}
    assert "unscored_executions lacks e1 (1)" in told
    assert "unsettled_markets lacks KXTEST-1 (2)" in told
    assert "unsettled_markets has, and should not, KXTEST-1 (1)" in told
