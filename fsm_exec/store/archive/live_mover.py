"""Moves executions of a database that an engine is working on, a little at a time.

What is copied is read by a connection of its own, in a thread of its own; only the moves go through the writer's queue,
each in a transaction that ends within a few milliseconds: how many rows that are is learned from how long the last ones
took.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

from fsm_exec.core.account.holding import Holding
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.archive.archive_files import archive_directory, archive_name, create_archive
from fsm_exec.store.archive.copying import Copied, CopyResult, copy_error, copy_executions, open_copier
from fsm_exec.store.archive.moving import (
    Candidate,
    Cursor,
    bounded_before,
    clear_moved,
    load_candidates,
    move_executions,
)
from fsm_exec.store.archive.offline import ArchiveReport
from fsm_exec.store.damaged_rows import DATABASE_ERRORS

T = TypeVar("T")

AT_ONCE: Final = 50  # executions that are copied in one transaction of their archive
ROWS_AT_FIRST, ROWS_MIN, ROWS_MAX = 100, 20, 2_000
STEP_S: Final = 0.015  # a move aims at: a save waits 50 ms at most behind it, on a disk that is three times as slow
PAUSE_S: Final = 0.01  # between two moves: whoever waits to save is let in before


class Change(Protocol):
    """The writer's queue."""

    async def __call__(self, function: Callable[[sqlite3.Connection], T], /) -> tuple[T, float]:
        """Run `function`, which makes transactions of its own, between two batches of saves; return what it returns and
        how many seconds it took. Raises StoreFailed."""
        ...


class Read(Protocol):
    """Reads that no save waits for."""

    async def __call__(self, function: Callable[[sqlite3.Connection], T], /) -> T:
        """Return what `function` reads."""
        ...


class LiveMover:
    """`tell` hears of every move once it is durable: the market, and what the fills came to. Not for a virtual clock,
    which would run on while the thread works."""

    def __init__(
        self,
        change: Change,
        read: Read,
        database: Path,
        instance: str,
        tell: Callable[[str, Holding], None],
    ) -> None:
        self._change, self._read = change, read
        self._database, self._instance = database, instance
        self._tell = tell
        self._rows = ROWS_AT_FIRST
        self.longest_s = 0.0
        """The longest that a transaction of a move took."""

    async def move_ended(self, before_us: int, at_us: int) -> ArchiveReport:
        """Move every execution that ended before then and may move. Raises UserError for an archive that cannot be
        written, StoreFailed for the database."""
        await self._clear()
        moved: Counter[str] = Counter()
        stayed: Counter[str] = Counter()
        refused: dict[str, str] = {}
        before = await self._read(partial(bounded_before, before_us=before_us))
        after = Cursor()
        while found := await self._read(partial(load_candidates, before=before, after=after, at_most=AT_ONCE)):
            after = Cursor(found[-1].updated_at, found[-1].row)
            stayed.update(one.why_not for one in found if one.why_not is not None)
            for name, execution_ids in _by_archive(found).items():
                copy = partial(_copy, self._database, name, self._instance, to_iso(at_us), execution_ids)
                result = await trio.to_thread.run_sync(copy)
                refused |= result.refused
                moved[name] += await self._move(result)
            await trio.sleep(PAUSE_S)
        return ArchiveReport(before=before, moved=dict(sorted(moved.items())), stayed=dict(stayed), refused=refused)

    async def _move(self, result: CopyResult) -> int:
        left, count = list(result.copied), 0
        while left:
            done, took_s = await self._change(partial(move_executions, copied=left, rows_max=self._rows))
            self._learn(took_s)
            for one in done.moved:
                self._tell(one.ticker, one.brought)
            count += len(done.moved)
            left = _without(left, len(done.moved) + len(done.changed))
            await self._clear()
            await trio.sleep(PAUSE_S)
        return count

    async def _clear(self) -> None:
        while True:
            is_some, took_s = await self._change(partial(clear_moved, rows_max=self._rows))
            if not is_some:
                return
            self._learn(took_s)
            await trio.sleep(PAUSE_S)

    def _learn(self, took_s: float) -> None:
        """Take fewer rows at once after a step that took long, a few more after a short one."""
        self.longest_s = max(self.longest_s, took_s)
        wanted = self._rows // 2 if took_s > STEP_S else self._rows + self._rows // 8
        self._rows = min(max(wanted, ROWS_MIN), ROWS_MAX)


def _without(copied: list[Copied], first: int) -> list[Copied]:
    return copied[first:]


def _by_archive(found: list[Candidate]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for one in found:
        if one.why_not is None:
            names[archive_name(one.accepted_at)].append(one.execution_id)
    return names


def _copy(database: Path, name: str, instance: str, at: str, execution_ids: list[str]) -> CopyResult:
    try:
        archive = create_archive(database, name, instance, at)
    except DATABASE_ERRORS as error:
        raise copy_error(database, archive_directory(database) / name, error) from error
    with open_copier(database, archive) as copier:
        return copy_executions(copier, name, execution_ids)
