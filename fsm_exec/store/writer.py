"""Group commit: one task owns the connection; a caller that saves waits until the commit with its rows is durable.

* What arrives while a commit runs shares the next one, up to BATCH_JOBS_MAX.
* A save is either not begun (cancelled before it was queued) or waited for to its end: the wait cannot be cancelled,
  because letting go of a queued save would leave its caller not knowing what is on disk.
* The owner is a system task: no scope around the engine's tasks cancels it and Ctrl-C is never raised in it, so it
  outlives every task that waits for it. It ends when the store is closed, with the queue empty.
* A refused row fails its caller alone (SaveRefused). A failed transaction has an unknown outcome: all of its callers
  get StoreFailed, and so does every later save.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar, cast

import msgspec
import trio

from fsm_exec.core.errors import CorruptSnapshot, SaveRefused, StoreFailed, UserError
from fsm_exec.store.batch import JobResult, write_batch
from fsm_exec.store.files.open_database import OpenDatabase
from fsm_exec.store.jobs import Job

BATCH_JOBS_MAX = 1_024  # jobs in one commit: more gains little and makes all of them wait longer
WAIT_BOUNDS_US = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 5_000_000)
"""Bounds by which the waits of saves are counted, each inclusive."""
QUEUE_REQUESTS_MAX = 4_096  # waiting saves and reads; beyond it callers wait, cancellably, to be let in

T = TypeVar("T")


class Lane(Protocol):
    """Where the connection lives. Used by the owner task alone."""

    def surroundings(self) -> AbstractAsyncContextManager[object]:
        """Return the context that must surround all calls of this lane. It never sees an error of the database."""
        ...

    async def open(self) -> OpenDatabase:
        """Open the database. Raises UserError and LockHeld."""
        ...

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Call `function` where the connection may be used, to its end whatever is cancelled."""
        ...

    async def close(self) -> None:
        """Close what is open, if anything is."""
        ...


class WriterStatistics(msgspec.Struct, frozen=True):
    """`batch_sizes`: (jobs in one batch, number of such batches), ascending. `waits`: how many saves waited up to each
    of WAIT_BOUNDS_US and no less, and last those that waited longer; `waited_us` all of them together. `waiting` are in
    the queue now."""

    batches: int
    jobs: int
    largest_batch_jobs: int
    median_batch_jobs: int
    batch_sizes: tuple[tuple[int, int], ...]
    waits: tuple[int, ...]
    waited_us: int
    waiting: int


class _Waiting:
    """A caller's place in the queue; the owner sets `error` and wakes `task`."""

    __slots__ = ("error", "task")

    def __init__(self) -> None:
        self.task = trio.lowlevel.current_task()
        self.error: Exception | None = None


class _WaitingSave(_Waiting):
    __slots__ = ("began_s", "job")

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.began_s = trio.current_time()


class _WaitingRead(_Waiting):
    __slots__ = ("function", "result")

    def __init__(self, function: Callable[[sqlite3.Connection], object]) -> None:
        super().__init__()
        self.function = function
        self.result: object = None


class _WaitingChange(_Waiting):
    __slots__ = ("function", "result", "took_s")

    def __init__(self, function: Callable[[sqlite3.Connection], object]) -> None:
        super().__init__()
        self.function = function
        self.result: object = None
        self.took_s = 0.0


class Writer:
    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._saves: deque[_WaitingSave] = deque()
        self._reads: deque[_WaitingRead] = deque()
        self._changes: deque[_WaitingChange] = deque()
        self._idle = trio.lowlevel.ParkingLot()  # the owner, with nothing to do
        self._room = trio.lowlevel.ParkingLot()  # callers, with the queue full
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._running: trio.Event | None = None  # while a batch or a change is at work: set once its callers are told
        self._database: OpenDatabase | None = None
        self._opening_error: Exception | None = None
        self._closing = False
        self._refusal: StoreFailed | None = None  # why no save is taken any more
        self._failed = trio.Event()  # that is for a failure
        self._batch_sizes: Counter[int] = Counter()
        self._waits = [0] * (len(WAIT_BOUNDS_US) + 1)
        self._waited_us = 0

    async def start(self) -> OpenDatabase:
        """Open the database. Raises UserError and LockHeld."""
        trio.lowlevel.spawn_system_task(self._run_owner, name="fsm_exec.store.writer")
        with trio.CancelScope(shield=True):
            await self._opened.wait()
        if self._opening_error is not None:
            raise self._opening_error
        assert self._database is not None
        return self._database

    async def aclose(self) -> None:
        """Finish what is queued, then close the database. Not cancellable."""
        self._closing = True
        self._refusal = self._refusal or StoreFailed("the store is closed")
        self._idle.unpark_all()
        self._room.unpark_all()
        with trio.CancelScope(shield=True):
            await self._ended.wait()

    def fail(self, failure: StoreFailed) -> None:
        """Refuse all saves from now on, the waiting ones included: the file they would be stored in will not be read
        again."""
        self._refuse_for(failure, [])

    async def wait_failure(self) -> StoreFailed:
        """Wait until no save is taken any more because one failed, whoever's it was; return why."""
        await self._failed.wait()
        assert self._refusal is not None
        return _copy_of(self._refusal)

    def _refuse_for(self, failure: StoreFailed, batch: Sequence[_WaitingSave]) -> None:
        self._refusal = self._refusal or failure
        self._failed.set()
        self._fail_waiting([*batch, *self._saves], self._refusal)
        self._saves.clear()

    async def save(self, job: Job) -> None:
        """Return when `job` is durable. Raises SaveRefused or StoreFailed."""
        await self._wait_for_room()
        if self._refusal is not None:
            raise _copy_of(self._refusal)
        waiting = _WaitingSave(job)
        self._saves.append(waiting)
        await self._wait(waiting)

    async def change(self, function: Callable[[sqlite3.Connection], T]) -> tuple[T, float]:
        """Run `function`, which makes short transactions of its own, between two batches; return what it returns and
        how many seconds it took. Saves that wait go first. Raises StoreFailed."""
        await self._wait_for_room()
        if self._refusal is not None:
            raise _copy_of(self._refusal)
        waiting = _WaitingChange(function)
        self._changes.append(waiting)
        await self._wait(waiting)
        return cast("T", waiting.result), waiting.took_s

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `function` reads from the database, after every save that has returned."""
        await self._wait_for_room()
        if self._closing:
            raise StoreFailed("the store is closed")
        waiting = _WaitingRead(function)
        self._reads.append(waiting)
        await self._wait(waiting)
        return cast("T", waiting.result)

    async def wait_for_callers(self) -> None:
        """Wait until the callers know of every commit that is on disk by now: a connection of another thread sees it a
        little before they do, and what is read must not be ahead of what they have booked."""
        if self._running is not None:
            await self._running.wait()
        await trio.lowlevel.checkpoint()  # callers that were woken in the same moment act first

    def statistics(self) -> WriterStatistics:
        sizes = sorted(self._batch_sizes.items())
        batches = self._batch_sizes.total()
        median, seen = 0, 0
        for size, times in sizes:
            seen += times
            if 2 * seen >= batches:
                median = size
                break
        return WriterStatistics(
            batches=batches,
            jobs=sum(size * times for size, times in sizes),
            largest_batch_jobs=sizes[-1][0] if sizes else 0,
            median_batch_jobs=median,
            batch_sizes=tuple(sizes),
            waits=tuple(self._waits),
            waited_us=self._waited_us,
            waiting=len(self._saves),
        )

    async def _wait_for_room(self) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        while len(self._saves) + len(self._reads) >= QUEUE_REQUESTS_MAX and not self._closing:
            await self._room.park()

    async def _wait(self, waiting: _Waiting) -> None:
        if self._idle:  # only the first of a batch finds the owner asleep
            self._idle.unpark_all()
        await trio.lowlevel.wait_task_rescheduled(_not_cancellable)
        if waiting.error is not None:
            raise waiting.error

    async def _run_owner(self) -> None:
        try:
            async with self._lane.surroundings():
                try:
                    if await self._open():
                        await self._serve()
                finally:
                    with trio.CancelScope(shield=True):  # trio cancels system tasks when a run ends early
                        await self._lane.close()
        finally:
            # No caller may be left waiting for a task that is gone.
            self._end_run()
            self._closing = True
            self._refusal = self._refusal or StoreFailed("the store has stopped")
            self._fail_waiting([*self._saves, *self._reads, *self._changes], self._refusal)
            self._room.unpark_all()
            self._opened.set()
            self._ended.set()

    async def _open(self) -> bool:
        try:
            self._database = await self._lane.open()
        except Exception as error:
            self._opening_error = error  # raised by `start`, in the task that opens the store
        self._opened.set()
        return self._opening_error is None

    async def _serve(self) -> None:
        while True:
            if not self._saves and not self._reads and not self._changes:
                if self._closing:
                    return
                await self._idle.park()
                # One turn of the scheduler: every task that is about to save in it shares the commit.
                await trio.lowlevel.checkpoint()
            if self._saves:
                self._running = trio.Event()
                await self._commit([self._saves.popleft() for _ in range(min(len(self._saves), BATCH_JOBS_MAX))])
                self._end_run()
            if self._reads:
                await self._run_read(self._reads.popleft())
            elif self._changes:
                self._running = trio.Event()
                await self._run_change(self._changes.popleft())
                self._end_run()

    def _end_run(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.set()

    async def _commit(self, batch: list[_WaitingSave]) -> None:
        self._room.unpark(count=len(batch))
        jobs = [waiting.job for waiting in batch]
        try:
            results = await self._lane.run(lambda connection: self._write_and_mark(connection, jobs))
        except Exception as error:
            # Whatever failed, what is on disk is unknown now: the commit may have happened or not. So no save is taken
            # any more; the engine stops, and the next start reads what is really there.
            failure = error if isinstance(error, StoreFailed) else StoreFailed(f"the database failed: {error!r}")
            self._refuse_for(failure, batch)
            return
        jobs.clear()  # aiosqlite's thread keeps the last function it was given, and so this list, until the next
        self._batch_sizes[len(batch)] += 1
        self._count_waits(batch)
        # Callers wake only here, after the commit: one that returns from `save` may act on its step.
        for waiting, refused in zip(batch, results, strict=True):
            if refused is not None:
                waiting.error = SaveRefused(refused)
            trio.lowlevel.reschedule(waiting.task)

    def _count_waits(self, batch: list[_WaitingSave]) -> None:
        now_s = trio.current_time()
        for waiting in batch:
            waited_us = round((now_s - waiting.began_s) * 1_000_000)
            self._waited_us += waited_us
            self._waits[bisect_left(WAIT_BOUNDS_US, waited_us)] += 1

    def _write_and_mark(self, connection: sqlite3.Connection, jobs: list[Job]) -> list[JobResult]:
        results = write_batch(connection, jobs)
        if self._database is not None and self._database.mark is not None:
            self._database.mark.update(connection)
        return results

    async def _run_change(self, waiting: _WaitingChange) -> None:
        began_s = trio.current_time()
        try:
            waiting.result = await self._lane.run(waiting.function)
        except Exception as error:
            failure = StoreFailed(f"the database failed: {error!r}")
            self._refuse_for(failure, [])
            waiting.error = _copy_of(self._refusal or failure)
        waiting.took_s = trio.current_time() - began_s
        trio.lowlevel.reschedule(waiting.task)

    async def _run_read(self, waiting: _WaitingRead) -> None:
        self._room.unpark()
        try:
            waiting.result = await self._lane.run(waiting.function)
        except (CorruptSnapshot, UserError) as error:  # a damaged row, a missing archive: its caller fails, no other
            waiting.error = error
        except Exception as error:
            waiting.error = StoreFailed(f"reading the database failed: {error}")
        trio.lowlevel.reschedule(waiting.task)

    def _fail_waiting(self, abandoned: Iterable[_Waiting], why: StoreFailed) -> None:
        for waiting in abandoned:
            waiting.error = _copy_of(why)
            trio.lowlevel.reschedule(waiting.task)


def _copy_of(failure: StoreFailed) -> StoreFailed:
    """Return a copy of the error for one more caller: one that is raised twice collects the tracebacks of both."""
    return type(failure)(str(failure))


def _not_cancellable(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
