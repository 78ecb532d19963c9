"""The broadcast wakes readers when there is something new; what they read comes from the database.

`notify` is called by the store, synchronously, once a step is durable. It wakes and remembers nothing of the step, so
no watcher costs the engine more than a flag, however slowly it reads. Only the latest quarantine of each execution is
kept, because a quarantine is no row of the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from fsm_exec.control.api_errors import too_many_watchers
from fsm_exec.control.limits import WATCHERS_MAX
from fsm_exec.control.schema import QuarantineSeen
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.values.times import to_iso
from fsm_exec.store.alert_rows import Quarantine


class Watcher:
    """`is_over`: the daemon stops."""

    def __init__(self, execution_id: str | None) -> None:
        self.execution_id = execution_id
        self.is_over = False
        self._quarantines: dict[str, QuarantineSeen] = {}
        self._news = trio.Event()

    def wake(self) -> None:
        self._news.set()

    def add_quarantine(self, quarantine: QuarantineSeen) -> None:
        self._quarantines[quarantine.execution_id] = quarantine
        self.wake()

    def take_quarantines(self) -> list[QuarantineSeen]:
        """Return the quarantines that changed since the last call."""
        noted, self._quarantines = list(self._quarantines.values()), {}
        return noted

    async def wait_for_news(self) -> None:
        """Wait until something has happened since the last return."""
        await self._news.wait()
        self._news = trio.Event()


class Watchers:
    """`now_us` stamps what the store does not: a quarantine, and its end."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._all: set[Watcher] = set()
        self._is_over = False

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def watch(self, execution_id: str | None) -> Iterator[Watcher]:
        """Wake the watcher at every further step of one execution, or of all. Raises Refusal if too many watch."""
        if len(self._all) >= WATCHERS_MAX:
            raise too_many_watchers()
        watcher = Watcher(execution_id)
        watcher.is_over = self._is_over
        self._all.add(watcher)
        try:
            yield watcher
        finally:
            self._all.discard(watcher)

    def notify(self, saved: ExecutionSave | Quarantine) -> None:
        """Wake the watchers of what was saved; called by the store (`SqliteStore.listen`)."""
        concerned = [one for one in self._all if one.execution_id in (None, saved.execution_id)]
        if not concerned:
            return
        if isinstance(saved, Quarantine):
            seen = QuarantineSeen(execution_id=saved.execution_id, at=to_iso(self._now_us()), why=saved.why)
            for watcher in concerned:
                watcher.add_quarantine(seen)
            return
        for watcher in concerned:
            watcher.wake()

    def close(self) -> None:
        """Wake every watcher for the last time: the daemon stops."""
        self._is_over = True
        for watcher in self._all:
            watcher.is_over = True
            watcher.wake()
