"""Telling watchers of every durable step: bounded, and never at the engine's expense.

`tell` is called by the store, synchronously, once a step is durable. A watcher whose buffer is full has fallen behind;
it is let go with what it has, and told so, for a gap nobody knows of would be worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio

from fsm_exec.control.limits import WATCHERS_MAX
from fsm_exec.control.messages import FillSeen, Transition
from fsm_exec.control.refusals import too_many_watchers
from fsm_exec.core.ports import ExecutionSave
from fsm_exec.core.times import to_iso
from fsm_exec.store.jobs import Quarantine

BUFFER_STEPS: Final = 1_024


class Watcher:
    """`steps` ends when the watcher fell behind, or when the daemon stops."""

    def __init__(self, execution_id: str | None) -> None:
        self.execution_id = execution_id
        self._send, self.steps = trio.open_memory_channel[Transition](BUFFER_STEPS)
        self.fell_behind = False

    def tell(self, step: Transition) -> None:
        if self.execution_id not in (None, step.execution_id):
            return
        try:
            self._send.send_nowait(step)
        except trio.WouldBlock:
            self.fell_behind = True
            self.end()
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # let go already

    def end(self) -> None:
        self._send.close()


class Watchers:
    """`now_us` stamps what the store does not: a quarantine, and its end."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._all: set[Watcher] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._all)

    @contextmanager
    def watch(self, execution_id: str | None) -> Iterator[Watcher]:
        """Every step from now on of one execution, or of all. Raises Refusal if too many watch."""
        if len(self._all) >= WATCHERS_MAX:
            raise too_many_watchers()
        watcher = Watcher(execution_id)
        self._all.add(watcher)
        if self._is_closed:
            watcher.end()
        try:
            yield watcher
        finally:
            self._all.discard(watcher)
            watcher.end()

    def tell(self, saved: ExecutionSave | Quarantine) -> None:
        """For `SqliteStore.listen`."""
        if self._all:
            step = _step(saved, self._now_us())
            for watcher in self._all:
                watcher.tell(step)

    def close(self) -> None:
        """The daemon stops: nobody waits any longer."""
        self._is_closed = True
        for watcher in self._all:
            watcher.end()


def _step(saved: ExecutionSave | Quarantine, now_us: int) -> Transition:
    if isinstance(saved, Quarantine):
        return Transition(
            execution_id=saved.execution_id,
            seq=0,
            at=to_iso(now_us),
            event_type="Released" if saved.why is None else "Quarantined",
            state=None,
            reason=None,
            steps="",
            quarantine=saved.why,
        )
    return Transition(
        execution_id=saved.execution_id,
        seq=saved.journal.seq,
        at=to_iso(saved.journal.at_us),
        event_type=saved.journal.event_type,
        state=saved.state,
        reason=saved.reason,
        steps=saved.journal.steps,
        fills=[FillSeen(price=f.price, quantity=f.quantity, fee=f.fee, is_taker=f.is_taker) for f in saved.fills],
    )
