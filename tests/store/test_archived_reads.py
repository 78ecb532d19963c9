"""The store of a running engine answers for what has moved as it did before."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from fsm_exec.core.account.profit import ProfitLine, line_of
from fsm_exec.core.account.rows import StoredAccount
from fsm_exec.core.errors import UserError
from fsm_exec.store import SqliteStore, open_live_store, open_virtual_store
from fsm_exec.store.api_rows import ExecutionSummary, Transition
from fsm_exec.store.archive.archive_files import archive_directory
from fsm_exec.store.reads.api_queries import Filter
from fsm_exec.web.database import open_reader
from fsm_exec.web.execution.looking import Looking
from tests.store.histories import INSTANCE, fill
from tests.store.moved_database import LATER_US, archive, settle

NAMES = ("filled", "walking", "cancelled_late", "filled", "filled", "cancelled_late", "walking")
IDS = tuple(f"e{number}" for number in range(1, len(NAMES) + 1))
FILTERS = (
    Filter(limit=2),
    Filter(limit=3, state="filled"),
    Filter(limit=2, ticker="OTHER"),
    Filter(limit=2, unfinished=True),
    Filter(limit=100, ended=True),
    Filter(limit=100, quarantined=True),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "engine.db"
    fill(path, NAMES)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE execution_state SET ticker = 'OTHER' WHERE execution_id IN ('e1', 'e4')")
        settle(connection)
    return path


@pytest.fixture
def copy(made: Path, database: Path) -> Path:
    shutil.copy(made, database)
    return database


async def pages(store: SqliteStore, wanted: Filter) -> list[ExecutionSummary]:
    found: list[ExecutionSummary] = []
    while page := await store.load_listing(replace(wanted, before=found[-1].execution_id if found else None)):
        found += page
        if wanted.ended:  # its order is another: the page asks for one list
            break
    return found


async def steps(store: SqliteStore) -> list[Transition]:
    found: list[Transition] = []
    while more := await store.load_steps_of_all(found[-1].position if found else 0, 3):
        found += more
    return found


def total_of(account: StoredAccount) -> ProfitLine:
    total = line_of("account", account.archived, None)
    for market in account.markets:
        total = total.plus(line_of(market.ticker, market.holding, None))
    return total


async def seen_by(store: SqliteStore) -> dict[str, object]:
    """Everything the store says of executions."""
    seen: dict[str, object] = {str(wanted): await pages(store, wanted) for wanted in FILTERS}
    seen["steps"] = await steps(store)
    damage: list[str] = []
    account = await store.load_account()
    seen["profit"] = await store.load_profit([one.ticker for one in account.markets], {}, "America/New_York", damage)
    assert damage == []
    seen["account"] = total_of(account)
    for one in IDS:
        seen[one] = (
            await store.load_detail(one, 5),
            await store.load_execution(one),
            await store.load_journal(one),
            await store.load_metrics(one),
            await store.load_steps_of_one(one, 1, 100),
            await store.load_submission(f"key-{one}"),
        )
    return seen


@pytest.mark.parametrize("open_store", [open_live_store, open_virtual_store])
async def test_nothing_is_told_otherwise(copy: Path, open_store: object) -> None:
    """Every list, page by page, every execution, step and key: the same before and after the move."""
    opening = open_live_store if open_store is open_live_store else open_virtual_store
    async with opening(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        before = await seen_by(store)
        start = await store.load_start()
    assert sum(archive(copy).moved.values()) == 5
    async with opening(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        after = await seen_by(store)
        for name, said in before.items():
            assert after[name] == said, name
        assert after == before
        assert await store.load_start() == start


async def test_the_profit_needs_no_archive(copy: Path) -> None:
    """Without the archives the total is what it was, the market of what has moved is settled as it was, and the
    divisions say what they lack."""
    async with open_virtual_store(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        total, books = total_of(await store.load_account()), await store.load_books("OTHER")
        assert total.realized_e6 != 0
    archive(copy)
    shutil.rmtree(archive_directory(copy))
    async with open_virtual_store(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        account = await store.load_account()
        assert total_of(account) == total
        assert "OTHER" not in {market.ticker for market in account.markets}
        assert replace(await store.load_books("OTHER"), entries=books.entries) == books
        damage: list[str] = []
        profit = await store.load_profit([one.ticker for one in account.markets], {}, "UTC", damage)
        assert (len(damage), profit.total != total) == (1, True)


async def test_the_newest_page_opens_no_archive(copy: Path) -> None:
    """What is newer than everything in the archives is listed without them, though they are gone."""
    archive(copy)
    shutil.rmtree(archive_directory(copy))
    async with open_virtual_store(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        damage: list[str] = []
        assert [one.execution_id for one in await store.load_listing(Filter(limit=1), damage)] == ["e7"]
        assert damage == []
        newest = await store.load_newest_position()
        assert await store.load_steps_of_all(newest - 1, 5) != []


async def test_a_missing_archive_is_said_to_whoever_needs_it(copy: Path) -> None:
    """A list names it and has the rest; an execution, a key or a step in it cannot be answered for, and the store goes
    on."""
    archive(copy)
    shutil.rmtree(archive_directory(copy))
    async with open_virtual_store(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        damage: list[str] = []
        assert [one.execution_id for one in await store.load_listing(Filter(limit=9), damage)] == ["e7", "e2"]
        assert len(damage) == 1
        for ask in (store.load_detail("e1", 0), store.load_submission("key-e1"), store.load_steps_of_all(0, 5)):
            with pytest.raises(UserError, match="is not there; put it back"):
                await ask
        assert await store.load_submission("another") is None
        assert await store.find_unknown_orders(["fxaaaaaaaaaa-e1-1-1"]) == []
        await store.save_halt(LATER_US, "it goes on")


async def test_the_page_shows_what_has_moved(copy: Path) -> None:
    """An execution in an archive is drawn as it was before it moved."""
    with open_reader(copy, is_own_engines=False) as reader:
        before = await Looking(reader, lambda: LATER_US, None).look("e1")
    archive(copy)
    with open_reader(copy, is_own_engines=False) as reader:
        after = await Looking(reader, lambda: LATER_US, None).look("e1")
    assert before is not None
    assert after is not None
    assert (after.detail, after.journal, after.picture) == (before.detail, before.journal, before.picture)


async def test_a_list_has_nothing_that_did_not_move_from_this_database(copy: Path) -> None:
    """Of an archive that has more than this database moved there, as after an older backup was put back: no page shows
    it, and none is the shorter for it."""
    archive(copy)
    with closing(sqlite3.connect(copy)) as connection:
        moved = [key for (key,) in connection.execute("SELECT execution_id FROM archived_executions ORDER BY 1 DESC")]
        connection.execute("DELETE FROM archived_executions WHERE execution_id = ?", moved[:1])
        connection.execute("UPDATE archives SET executions = executions - 1")
        connection.commit()
    async with open_virtual_store(copy, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
        found = [one.execution_id for one in await pages(store, Filter(limit=2))]
    assert found == sorted(set(IDS) - {moved[0]}, reverse=True)
