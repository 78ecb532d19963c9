"""In the live lane reads have connections and threads of their own: no save waits behind one, and none stays."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path

import pytest
import trio

from fsm_exec.core.errors import DamagedRow, StoreFailed
from fsm_exec.store import SqliteStore, open_live_store, read_threads, sqlite_store
from fsm_exec.store.aiosqlite_lane import AiosqliteLane
from fsm_exec.store.read_threads import ReadThread, ReadThreads, begin_log_anew
from fsm_exec.store.reads import api_queries, execution_reads
from fsm_exec.store.writer import Writer
from tests.store.conftest import T0_US, Samples

WITHIN_S = 20
ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class Held:
    """A read that goes on until it is let go."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    def __call__(self, connection: sqlite3.Connection, **_: object) -> list[object]:
        connection.execute("SELECT count(*) FROM execution_state").fetchone()
        self.began.set()
        assert self.may_end.wait(WITHIN_S)
        return []

    async def wait_begun(self) -> None:
        assert await trio.to_thread.run_sync(self.began.wait, WITHIN_S)


def open_store(database: Path, draw_instance: Callable[[], str]) -> AbstractAsyncContextManager[SqliteStore]:
    return open_live_store(database, draw_instance=draw_instance, at_us=T0_US)


async def names(store: SqliteStore) -> list[str]:
    return [one.execution_id for one in await store.load_executions()]


@pytest.mark.parametrize("read", ["short", "long"])
async def test_a_save_does_not_wait_for_a_read(
    read: str, database: Path, samples: Samples, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is durable while the read still runs, whoever reads."""
    held = Held()
    monkeypatch.setattr(execution_reads, "load_executions" if read == "long" else "load_unfinished", held)
    async with open_store(database, draw_instance) as store, trio.open_nursery() as nursery:
        nursery.start_soon(store.load_executions if read == "long" else store.load_unfinished)
        await held.wait_begun()
        with trio.fail_after(WITHIN_S):
            await store.save(samples.save())
        held.may_end.set()


async def test_what_the_engine_reads_does_not_wait_for_what_somebody_looks_at(
    database: Path, samples: Samples, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a list is read, a submission is counted, an owner found, an execution loaded."""
    held = Held()
    monkeypatch.setattr(execution_reads, "load_executions", held)
    async with open_store(database, draw_instance) as store, trio.open_nursery() as nursery:
        await store.save(samples.save(children=(samples.child(),)))
        nursery.start_soon(store.load_executions)
        await held.wait_begun()
        with trio.fail_after(WITHIN_S):
            assert await store.count_unfinished() == 1
            assert list(await store.load_owners(["o1"])) == ["o1"]
            assert await store.load_execution("e1") is not None
        held.may_end.set()


async def test_no_read_of_the_live_store_is_the_writers(
    database: Path, samples: Samples, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer's queue has nothing but saves in it."""

    async def refuse(_: Writer, function: object) -> None:
        raise AssertionError(f"the writer is asked for {function}")

    monkeypatch.setattr(Writer, "read", refuse)
    async with open_store(database, draw_instance) as store:
        await store.bind("paper")
        await store.save(samples.save())
        for asked in (store.load_start, store.load_account, store.count_unfinished, store.load_unscored):
            await asked()
        assert await store.load_detail("e1", 10) is not None
        assert len(await store.load_listing(api_queries.Filter(limit=5))) == 1


async def test_a_read_sees_every_save_that_has_returned(
    database: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """In both threads, after each of many saves."""
    async with open_store(database, draw_instance) as store:
        for number in range(1, 51):
            await store.save(samples.save(f"e{number}"))
            assert await store.count_unfinished() == number
            assert len(await names(store)) == number


async def test_a_read_is_answered_once_savers_know_of_what_it_saw(
    database: Path, samples: Samples, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading thread sees a commit before its saver hears of it: whoever keeps books of what is saved has booked
    when the answer comes."""
    committed, may_tell = trio.Event(), trio.Event()
    real = AiosqliteLane.run
    heard: list[str] = []
    answers: list[tuple[list[str], list[str]]] = []

    async def run_slowly(lane: AiosqliteLane, function: Callable[[sqlite3.Connection], object]) -> object:
        result = await real(lane, function)
        committed.set()
        await may_tell.wait()
        return result

    async with open_store(database, draw_instance) as store, trio.open_nursery() as nursery:
        store.on_saved(lambda save: heard.append(save.execution_id))
        monkeypatch.setattr(AiosqliteLane, "run", run_slowly)

        async def read_then_look() -> None:
            found = await names(store)
            answers.append((found, list(heard)))

        nursery.start_soon(store.save, samples.save())
        await committed.wait()
        nursery.start_soon(read_then_look)
        await trio.sleep(0.2)  # long enough for the read itself
        may_tell.set()
    assert answers == [(["e1"], ["e1"])]


async def test_a_read_whose_caller_is_cancelled_ends(
    database: Path, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that runs is stopped in the middle, one that waits never begins; the next is answered."""
    ran: list[str] = []

    def endless(connection: sqlite3.Connection) -> list[object]:
        ran.append("endless")
        return connection.execute(ENDLESS).fetchall()

    async with open_store(database, draw_instance) as store:
        whole = execution_reads.load_executions
        monkeypatch.setattr(execution_reads, "load_executions", endless)
        with trio.fail_after(WITHIN_S):
            with trio.move_on_after(0.1) as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(store.load_executions)
                    nursery.start_soon(store.load_executions)
            assert scope.cancelled_caught
            monkeypatch.setattr(execution_reads, "load_executions", whole)
            assert await names(store) == []
    assert ran == ["endless"]


async def test_a_read_that_takes_too_long_is_given_up(
    database: Path, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller hears so; others are answered."""
    async with open_store(database, draw_instance) as store:
        with monkeypatch.context() as patch:
            patch.setattr(read_threads, "LONG_READ_MAX_S", 0.1)
            patch.setattr(execution_reads, "load_executions", lambda c: c.execute(ENDLESS).fetchall())
            with pytest.raises(StoreFailed, match=r"took longer than 0\.1 s"):
                await store.load_executions()
        assert await names(store) == []


async def test_a_read_that_fails_in_the_middle_leaves_nothing_open(
    database: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """The next read sees what was saved since, and the log can be begun anew, though the error is still held."""

    def fail(connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT execution_id FROM execution_state")  # the error's frames hold it
        for row in rows:
            raise DamagedRow("execution_state", row[0], "state", "is damaged")

    async with open_store(database, draw_instance) as store:
        await store.save(samples.save("e1"))
        await store.save(samples.save("e2"))
        thread = ReadThread(database)
        with pytest.raises(DamagedRow) as kept:
            await thread.read(fail)
        await store.save(samples.save("e3"))
        count = await thread.read(lambda c: c.execute("SELECT count(*) FROM execution_state").fetchone()[0])
        with closing(sqlite3.connect(database)) as other:
            assert begin_log_anew(other) == 0
        await thread.aclose()
    assert isinstance(kept.value, DamagedRow)  # with all of its frames
    assert count == 3


async def test_a_reader_cannot_write(database: Path, draw_instance: Callable[[], str]) -> None:
    """Whatever a read tries, the database stays as it is."""
    async with open_store(database, draw_instance):
        thread = ReadThread(database)
        with pytest.raises(StoreFailed, match="readonly"):
            await thread.read(lambda c: c.execute("DELETE FROM meta"))
        await thread.aclose()


async def test_a_store_that_is_closed_leaves_one_file(
    database: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """The readers are closed before the writer, which cleans up when it is the last."""
    async with open_store(database, draw_instance) as store:
        await store.save(samples.save())
        await names(store)
        await store.count_unfinished()
    assert not database.with_name(f"{database.name}-wal").exists()


async def test_reads_without_a_pause_do_not_let_the_log_grow(
    database: Path, samples: Samples, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads at every moment; the log is cut all the same, again and again, while saves go on."""
    most = 400_000
    monkeypatch.setattr(read_threads, "LOG_BYTES_MAX", most)
    monkeypatch.setattr(sqlite_store, "FILE_CHECK_INTERVAL_S", 0.05)
    log = database.with_name(f"{database.name}-wal")
    grown, cut = 0, 0

    def linger(connection: sqlite3.Connection) -> list[object]:
        connection.execute("SELECT count(*) FROM execution_state").fetchone()
        time.sleep(0.01)
        return []

    monkeypatch.setattr(execution_reads, "load_executions", linger)
    async with open_store(database, draw_instance) as store, trio.open_nursery() as nursery:

        async def read_always() -> None:
            while True:
                await store.load_executions()

        nursery.start_soon(store.watch)
        nursery.start_soon(read_always)
        nursery.start_soon(read_always)
        with trio.fail_after(WITHIN_S):
            for number in range(4_000):
                before = log.stat().st_size
                await store.save(samples.save(f"e{number}", snapshot=b'{"n":"' + b"x" * 3_000 + b'"}'))
                grown += max(0, log.stat().st_size - before)
                cut += log.stat().st_size < before
                if cut == 3:
                    break
        nursery.cancel_scope.cancel()
    assert cut == 3
    assert grown > 3 * most


async def test_a_log_that_somebody_else_cut_holds_no_read_up(
    database: Path, samples: Samples, draw_instance: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long reads are held because the log is long and one still runs; then another process cuts the log: they go on."""
    monkeypatch.setattr(sqlite_store, "FILE_CHECK_INTERVAL_S", 0.05)
    held, looked = Held(), trio.Event()
    monkeypatch.setattr(execution_reads, "load_executions", held)
    async with open_store(database, draw_instance) as store, trio.open_nursery() as nursery:
        real = ReadThreads.hold

        def hold_and_say(readers: ReadThreads) -> bool:
            looked.set()
            return real(readers)

        monkeypatch.setattr(ReadThreads, "hold", hold_and_say)
        monkeypatch.setattr(read_threads, "LOG_BYTES_MAX", -1)
        nursery.start_soon(store.load_executions)
        await held.wait_begun()
        nursery.start_soon(store.watch)
        await looked.wait()
        monkeypatch.setattr(read_threads, "LOG_BYTES_MAX", 64_000_000)  # what a cut log is to the next look
        held.may_end.set()
        try:
            with trio.fail_after(WITHIN_S):
                assert await store.load_listing(api_queries.Filter(limit=5)) == []
        finally:
            nursery.cancel_scope.cancel()
