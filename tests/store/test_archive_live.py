"""A running engine moves what is over by itself, between its saves, and its account stays what it was."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.errors import UserError
from fsm_exec.core.journal import crashpoints
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.store import open_live_store, open_virtual_store
from fsm_exec.store.aiosqlite_lane import AiosqliteLane
from fsm_exec.store.archive import live_mover, moving
from fsm_exec.store.archive.archive_files import archive_directory
from tests.store.histories import INSTANCE, saves_of
from tests.store.moved_database import LATER_US, make_database, rows_of, run_and_die
from tests.store.test_archive import as_read, everything, findings


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "engine.db"
    make_database(path)
    return path


@pytest.fixture
def copy(made: Path, database: Path) -> Path:
    shutil.copy(made, database)
    return database


def move_with_an_engine(path: Path) -> None:
    async def main() -> None:
        async with open_virtual_store(path, draw_instance=lambda: INSTANCE, at_us=LATER_US) as store:
            await store.move_ended(LATER_US, LATER_US)

    trio.run(main)


async def test_it_moves_between_saves(copy: Path, draw_instance: Callable[[], str]) -> None:
    """While another execution is saved step by step: all that is over moves, no step is refused, and nothing is there
    twice."""
    before = everything(copy)
    saves, _ = saves_of("filled", "e9")
    async with open_live_store(copy, draw_instance=draw_instance, at_us=LATER_US) as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.move_ended, LATER_US, LATER_US)
            for save in saves:
                await store.save(msgspec.structs.replace(save, accepted_at_us=LATER_US))
        assert await store.move_ended(LATER_US, LATER_US) == (0, {})
    assert len(rows_of(copy, "archived_executions")) == 3
    for name, rows in everything(copy).items():
        assert [row for row in rows if "e9" not in repr(row)] == before[name]


async def test_the_account_of_a_running_engine_stays_what_it_was(copy: Path, draw_instance: Callable[[], str]) -> None:
    """What fills and settlements explain of the balance is the same before the move, after it in memory, and at the
    next start: no difference is found, no brake moves."""
    async with open_live_store(copy, draw_instance=draw_instance, at_us=LATER_US) as store:
        ledger = Ledger(RiskLimits())
        ledger.begin(await store.load_account())
        store.on_moved(ledger.take_move)
        explained = ledger.explained_e6()
        assert explained != 0
        assert (await store.move_ended(LATER_US, LATER_US))[0] == 3
        assert ledger.explained_e6() == explained
        assert ledger.archived.traded_e2 > 0
        again = Ledger(RiskLimits())
        again.begin(await store.load_account())
        assert (again.explained_e6(), again.archived) == (explained, ledger.archived)
        ledger.stale.update(ledger.markets)
        await ledger.reload_stale(store)
        assert ledger.explained_e6() == explained


async def test_books_that_are_read_during_a_move_lose_what_moved_once(
    copy: Path, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading thread sees a move before the ledger hears of it: books that are read in between lack what moved, and
    it is not taken from them once more."""
    moved, may_tell = trio.Event(), trio.Event()
    real = AiosqliteLane.run

    async def run_slowly(lane: AiosqliteLane, function: Callable[[sqlite3.Connection], object]) -> object:
        result = await real(lane, function)
        if getattr(function, "func", None) is moving.move_executions:
            moved.set()
            await may_tell.wait()
        return result

    monkeypatch.setattr(AiosqliteLane, "run", run_slowly)
    async with open_live_store(copy, draw_instance=draw_instance, at_us=LATER_US) as store:
        ledger = Ledger(RiskLimits())
        ledger.begin(await store.load_account())
        store.on_moved(ledger.take_move)
        explained = ledger.explained_e6()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.move_ended, LATER_US, LATER_US)
            await moved.wait()
            ledger.stale.update(ledger.markets)
            nursery.start_soon(ledger.reload_stale, store)
            await trio.sleep(0.3)  # long enough for the reads to be answered
            may_tell.set()
        assert ledger.explained_e6() == explained != 0


async def test_an_archive_that_cannot_be_written_stops_nothing(copy: Path, draw_instance: Callable[[], str]) -> None:
    """Its error is the mover's alone: saves go on, and the database is what it was."""
    archive_directory(copy).write_text("in the way")
    before = as_read(copy)
    async with open_live_store(copy, draw_instance=draw_instance, at_us=LATER_US) as store:
        with pytest.raises(UserError, match="cannot write the archive"):
            await store.move_ended(LATER_US, LATER_US)
        await store.save_halt(LATER_US, "it goes on")
    assert as_read(copy) == before


@pytest.mark.parametrize("point", crashpoints.MOVE_NAMES)
def test_a_kill_of_the_engine_loses_nothing(copy: Path, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each point of a move made by an engine, with a few rows at once."""
    monkeypatch.setattr(live_mover, "ROWS_AT_FIRST", 5)
    monkeypatch.setattr(live_mover, "ROWS_MAX", 20)
    read, rows, wrong = as_read(copy), everything(copy), findings(copy)
    assert run_and_die(partial(move_with_an_engine, copy), point, 1)
    assert as_read(copy) == read
    assert findings(copy) == wrong
    move_with_an_engine(copy)
    assert everything(copy) == rows
    assert as_read(copy) == read
