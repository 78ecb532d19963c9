"""The live lane's own: the worker thread, and the private function it leans on."""

from __future__ import annotations

import inspect
import sqlite3
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import aiosqlite
import msgspec
import trio
import trio.testing

from fsm_exec.store import open_live_store
from fsm_exec.store.aiosqlite_lane import AiosqliteLane
from fsm_exec.store.files.open_database import OpenRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.conftest import Samples


def test_the_private_hook_is_as_we_know_it() -> None:
    """`Connection._execute(function, *arguments)` exists: a release that moves it must fail here, not while trading."""
    assert list(inspect.signature(aiosqlite.Connection).parameters)[:2] == ["connector", "iter_chunk_size"]
    assert list(inspect.signature(aiosqlite.Connection._execute).parameters) == ["self", "fn", "args", "kwargs"]
    assert inspect.iscoroutinefunction(aiosqlite.Connection._execute)


async def test_a_function_runs_whole_in_the_worker_thread(database: Path, draw_instance: Callable[[], str]) -> None:
    """One crossing runs a synchronous function with the raw connection, in a thread that is not trio's, while trio
    goes on; the thread is gone when the lane is closed."""
    lane = AiosqliteLane(OpenRequest(path=database, draw_instance=draw_instance, at_us=0))
    entered, leave = threading.Event(), threading.Event()

    def function(connection: sqlite3.Connection) -> tuple[int, int]:
        entered.set()
        assert leave.wait(10)
        (one,) = connection.execute("SELECT 1").fetchone()
        return threading.get_ident(), one

    async def let_go() -> None:
        while not entered.is_set():
            await trio.lowlevel.checkpoint()
        leave.set()

    before = threading.active_count()
    async with lane.surroundings():
        await lane.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(let_go)
            ident, one = await lane.run(function)
        await lane.close()
    assert one == 1
    assert ident != threading.get_ident()
    with trio.fail_after(10):  # it has been told to end, and does as soon as it is scheduled
        while threading.active_count() > before:  # noqa: ASYNC110 - no event marks the end of a thread
            await trio.sleep(0.01)


async def test_what_was_saved_is_held_no_longer(
    database: Path, draw_instance: Callable[[], str], samples: Samples
) -> None:
    """The worker's thread holds the function it was last given: the batch in it, which may be thousands of snapshots,
    is let go all the same."""
    async with open_live_store(database, draw_instance=draw_instance, at_us=0) as store:
        book = msgspec.structs.replace(samples.book(), execution_id=None)
        before = sys.getrefcount(book)
        await store.save_book(book)
        await trio.testing.wait_all_tasks_blocked()
        assert sys.getrefcount(book) == before
