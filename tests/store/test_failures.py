"""Cancelled savers, and a database that fails while it is used."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from fsm_exec.core.errors import SaveRefused, StoreFailed
from fsm_exec.store.alert_rows import Quarantine
from fsm_exec.store.batch import write_batch
from fsm_exec.store.writer import BATCH_JOBS_MAX, QUEUE_REQUESTS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.conftest import OpenStore, Samples


@contextmanager
def no_file_may_grow_beyond(size_bytes: int) -> Iterator[None]:
    """Every write past this size fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def log_bytes(database: Path) -> int:
    """The size of the write-ahead log."""
    return Path(f"{database}-wal").stat().st_size


async def test_a_save_cancelled_while_it_waits_is_stored(open_store: OpenStore, samples: Samples) -> None:
    """Once queued, a save is waited for: its task learns the outcome and only then notices the cancellation."""
    outcomes: list[str] = []
    async with open_store() as store:

        async def save() -> None:
            with trio.CancelScope() as scope:
                nursery.start_soon(cancel, scope)
                await store.save(samples.save())
                outcomes.append("returned")
                await trio.lowlevel.checkpoint()
                outcomes.append("went on")

        async def cancel(scope: trio.CancelScope) -> None:
            scope.cancel()

        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(save)
        assert outcomes == ["returned"]
        assert len(await store.load_journal("e1")) == 1


async def test_a_save_cancelled_before_it_began_is_not_stored(open_store: OpenStore, samples: Samples) -> None:
    """A task that is cancelled already stores nothing and is told so by its cancellation."""
    async with open_store() as store:
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.save(samples.save())
        assert scope.cancelled_caught
        assert await store.load_executions() == []


async def test_cancelling_everything_around_the_store_loses_no_save(
    open_file_store: OpenStore, samples: Samples
) -> None:
    """When the scope around the store and its savers is cancelled, nothing hangs and every save that returned is on
    disk; the writer outlives the savers although it was opened inside the cancelled scope."""
    returned: set[str] = set()
    with trio.fail_after(20), trio.CancelScope() as everything:
        async with open_file_store() as store, trio.open_nursery() as nursery:

            async def save(number: int) -> None:
                for seq in range(1, 1_000):
                    await store.save(samples.save(f"e{number}", seq))
                    returned.add(f"e{number}-{seq}")
                    if len(returned) == 200:
                        everything.cancel()

            for number in range(50):
                nursery.start_soon(save, number)
    assert everything.cancelled_caught
    async with open_file_store() as store:
        held = {f"e{n}-{row.seq}" for n in range(50) for row in await store.load_journal(f"e{n}")}
    assert held == returned
    assert len(held) >= 200


async def test_a_full_queue_makes_savers_wait(open_store: OpenStore, samples: Samples) -> None:
    """More savers than the queue holds wait for room, and all get through."""
    async with open_store() as store:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(QUEUE_REQUESTS_MAX + 500):
                    nursery.start_soon(store.save, samples.save(f"e{number}"))
        assert store.statistics().jobs == QUEUE_REQUESTS_MAX + 500


async def test_a_failed_commit_stops_the_store(open_file_store: OpenStore, samples: Samples, database: Path) -> None:
    """When the disk is full at COMMIT every saver of the group gets StoreFailed, and so do those queued behind it
    and every later save; what is on disk stays readable and holds only what was reported as saved."""
    failed: list[int] = []

    async with open_file_store() as store:

        async def save(number: int) -> None:
            try:
                await store.save(samples.save(f"e{number}", snapshot=b"x" * 1_500))
            except SaveRefused:
                raise AssertionError("an unknown outcome was reported as a definite no") from None
            except StoreFailed:
                failed.append(number)

        await store.save(samples.save("before"))
        with no_file_may_grow_beyond(log_bytes(database) + 10_000), trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for number in range(BATCH_JOBS_MAX + 50):
                    nursery.start_soon(save, number)
        assert sorted(failed) == list(range(BATCH_JOBS_MAX + 50))
        with pytest.raises(StoreFailed):
            await store.save(samples.save("after"))
        assert [e.execution_id for e in await store.load_executions()] == ["before"]
    async with open_file_store() as store:
        assert [e.execution_id for e in await store.load_executions()] == ["before"]
        await store.save(samples.save("after"))


async def test_a_table_that_is_gone_stops_the_store(
    open_file_store: OpenStore, samples: Samples, database: Path
) -> None:
    """An error that is not about the row is no refusal: the store stops instead of blaming one execution."""
    async with open_file_store() as store:
        meddler = sqlite3.connect(database)
        meddler.execute("DROP TABLE fills")
        meddler.commit()
        meddler.close()
        with pytest.raises(StoreFailed) as caught:
            await store.save(samples.save(children=(samples.child(),), fills=(samples.fill(),)))
        assert not isinstance(caught.value, SaveRefused)
        with pytest.raises(StoreFailed):
            await store.save(samples.save("e2"))


def test_a_constraint_that_fails_at_commit_is_no_refusal() -> None:
    """An error COMMIT itself raises is an unknown outcome, whatever its class, and leaves no transaction open."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(
        """PRAGMA foreign_keys = ON;
        CREATE TABLE parent (id TEXT PRIMARY KEY);
        CREATE TABLE execution_state (
            execution_id TEXT, quarantine TEXT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO execution_state VALUES ('e1', NULL);"""
    )
    with pytest.raises(StoreFailed):
        write_batch(connection, [Quarantine("e1", "no such parent", 0)])
    assert not connection.in_transaction
    assert connection.execute("SELECT quarantine FROM execution_state").fetchall() == [(None,)]
    connection.close()
