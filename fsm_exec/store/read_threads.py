"""Reads on connections of their own, in threads of their own: no save ever waits behind a read.

The database is in write-ahead mode, so a reader sees it as it was when its transaction began, whatever is written
meanwhile, and holds nobody up. Two threads: what the engine itself needs (a submission, a start, an owner of a fill) is
short, and never waits behind a list or a table that somebody looks at.

* A read is one transaction that begins after it was asked for, so it sees every save that has returned. It always ends:
  a reader that stayed would keep the log from ever being written back and begun anew.
* It may see a commit whose savers do not know of it yet. Its answer waits until they do (`Writer.wait_for_callers`):
  nobody finds something in the database and books it once more when its save returns.
* A caller that is cancelled stops its read within some thousand steps of SQLite, and waits until it has stopped.
* A long read that takes longer than LONG_READ_MAX_S is stopped too, and its caller gets StoreFailed.
* Where somebody always reads, the log would grow all the same: it is begun anew only at a moment when nobody needs what
  is in it. So beyond LOG_BYTES_MAX no long read begins until there was such a moment (`hold`).
* A program that copies the database as it is written (Litestream) always reads, so the log's file cannot be cut beside
  it; the log is begun anew inside of it all the same. Such a file is left as it is until it grows again.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Final, TypeVar, cast

import trio

from fsm_exec.core.errors import CorruptSnapshot, StoreFailed, UserError
from fsm_exec.store.damaged_rows import decode_damaged_text
from fsm_exec.store.files.held_file import LOG
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS

LONG_READ_MAX_S: Final = 30.0
LOG_BYTES_MAX: Final = 64_000_000
CUT_WAITS_MS: Final = 10
STEPS_BETWEEN_LOOKS: Final = 2_000  # of SQLite's machine: some 50 us

T = TypeVar("T")


class _ReadConnection(sqlite3.Connection):
    """Knows its cursors: one that is left open in the middle, as by an error, keeps the transaction open with it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # those of sqlite3.connect
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def execute(self, *arguments: object) -> sqlite3.Cursor:
        cursor = super().execute(*arguments)  # type: ignore[arg-type]
        self._cursors.add(cursor)
        return cursor

    def read_at_one_moment(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `function` reads, as of one moment; nothing of it is open afterwards, whatever it raised."""
        super().execute("BEGIN")
        try:
            return function(self)
        finally:
            for cursor in tuple(self._cursors):
                cursor.close()
            if self.in_transaction:  # an error of SQLite's may have ended it
                super().execute("ROLLBACK")


class _Read:
    """One read, from its asking to its answer. Whoever takes the `claim` decides: its thread runs it, or its caller
    gives it up."""

    def __init__(self, function: Callable[[sqlite3.Connection], object]) -> None:
        self.function = function
        self.task = trio.lowlevel.current_task()
        self.claim = [True]
        self.is_given_up = False
        self.result: object = None
        self.error: Exception | None = None

    def is_claimed(self) -> bool:
        try:
            return self.claim.pop()  # one of two threads gets it
        except IndexError:
            return False


class ReadThread:
    """Runs reads one after the other on a connection that writes nothing."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.as_uri()}?mode=ro"
        self._connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, factory=_ReadConnection
        )
        decode_damaged_text(self._connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        self._connection.execute("PRAGMA query_only = ON")
        self._connection.execute("SELECT 1 FROM meta").fetchone()  # opens the files now, while they are surely ours
        self._connection.set_progress_handler(self._is_to_stop, STEPS_BETWEEN_LOOKS)
        self._queue: SimpleQueue[_Read | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        self._running: _Read | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="fsm_exec.store.reads", daemon=True)
        self._thread.start()

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Return what `function` reads from the database, after every save that has returned. Raises what it raises of
        ours, else StoreFailed."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._is_closed:
            raise StoreFailed("the store is closed")
        one = _Read(function)
        raise_cancels: list[Callable[[], None]] = []

        def give_up(raise_cancel: Callable[[], None]) -> trio.lowlevel.Abort:
            if one.is_claimed():
                return trio.lowlevel.Abort.SUCCEEDED  # it had not begun
            raise_cancels.append(raise_cancel)
            one.is_given_up = True
            return trio.lowlevel.Abort.FAILED  # until its thread has let go of it

        self._queue.put(one)
        await trio.lowlevel.wait_task_rescheduled(give_up)
        if one.error is not None:
            if raise_cancels:
                raise_cancels[0]()
            raise one.error
        return cast("T", one.result)

    async def aclose(self) -> None:
        """End after what was asked for, and close the connection."""
        self._is_closed = True
        self._queue.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)

    def _is_to_stop(self) -> bool:
        return self._running is not None and self._running.is_given_up

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            if not one.is_claimed():
                continue
            self._running = one
            try:
                one.result = self._connection.read_at_one_moment(one.function)
            except (CorruptSnapshot, UserError) as error:  # one damaged row or archive: its caller fails, not the store
                one.error = error
            except Exception as error:
                one.error = StoreFailed(f"reading the database failed: {error}")
            self._running = None
            with suppress(trio.RunFinishedError):  # nobody is left who could wait
                self._token.run_sync_soon(trio.lowlevel.reschedule, one.task)
            del one  # or the last answer would be kept until the next question
        self._connection.close()


class ReadThreads:
    """The two threads of a database."""

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(path.name + LOG)
        self._short, self._long = ReadThread(path), ReadThread(path)
        self._may_begin = trio.Event()
        self._may_begin.set()
        self._running = trio.Lock()  # held by the long read that runs
        self._left_bytes: int | None = None  # of a file that could not be cut, and whose log is short

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read that the engine itself waits for."""
        return await self._short.read(function)

    async def read_long(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read that somebody looks at. Raises StoreFailed if it takes too long."""
        with trio.move_on_after(LONG_READ_MAX_S):
            while not self._may_begin.is_set():
                await self._may_begin.wait()
            async with self._running:
                return await self._long.read(function)
        raise StoreFailed(f"a read took longer than {LONG_READ_MAX_S:g} s and was given up; ask for less at once")

    def is_log_long(self) -> bool:
        """Return whether the log is so long that it should be begun anew."""
        size = self._log_bytes()
        return size > LOG_BYTES_MAX and (self._left_bytes is None or size > self._left_bytes)

    def note_log(self, frames_bytes: int) -> None:
        """Note how long the log is that was to be begun anew: a short one in a long file is no reason to try again."""
        self._left_bytes = self._log_bytes() if frames_bytes <= LOG_BYTES_MAX else None

    def _log_bytes(self) -> int:
        try:
            return self._log.stat().st_size
        except OSError:
            return 0

    def hold(self) -> bool:
        """Let no long read begin until `release`; return whether none runs. Short ones go on: they end at once."""
        if self._may_begin.is_set():
            self._may_begin = trio.Event()
        return not self._running.locked()

    def release(self) -> None:
        """Let long reads begin again."""
        self._may_begin.set()

    async def aclose(self) -> None:
        """Close both connections; before the writer's, which cleans up when it is the last."""
        await self._short.aclose()
        await self._long.aclose()


def begin_log_anew(connection: sqlite3.Connection) -> int:
    """Write the log back and cut it to nothing; return how many bytes of it are left, 0 if that could be done. Where
    somebody reads, it waits no longer than a save may."""
    connection.execute(f"PRAGMA busy_timeout = {CUT_WAITS_MS}")
    try:
        (is_busy, frames, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    return int(frames) * int(page_bytes) if is_busy else 0
