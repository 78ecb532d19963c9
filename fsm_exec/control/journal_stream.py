"""A stream of the journal has the rows after a place, in their order, for as long as its reader stays.

Every row is read from the database once it is durable, new rows like old ones. So a row says the same whenever it is
read, a slow reader holds nothing up, and a reader that names the last row it has goes on with the next one: after a
cut, after a restart, after years.

The engine only wakes a reader. To hand each step to a buffer of the reader's was tried: a live step said more than the
same step read back, a slow reader's buffer ended in a gap, and what was missed could not be asked for. What the stream
says of a row is stored with the row, since to derive it would mean to fold the whole journal of every execution that is
caught up with; and its position is the table's key, since an implicit rowid may change with a VACUUM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import trio

from fsm_exec.control import api_errors
from fsm_exec.control.broadcast import Watcher, Watchers
from fsm_exec.control.events import ALIVE, KEEP_ALIVE_S, Emit, encode_end, encode_place, encode_quarantine, encode_step
from fsm_exec.control.schema import QuarantineSeen
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.values.times import to_iso
from fsm_exec.store import SqliteStore

ROWS_AT_ONCE: Final = 200
GATHER_S: Final = 0.05
"""Between two looks for the rows of all executions: a busy engine writes hundreds a second, each of which wakes."""


class JournalStream:
    """The streams of all readers. `quarantined` has the reasons of the executions that are quarantined now."""

    def __init__(
        self,
        store: SqliteStore,
        watchers: Watchers,
        quarantined: Callable[[], Mapping[str, str]],
        now_us: Callable[[], int],
    ) -> None:
        self._store, self._watchers = store, watchers
        self._quarantined, self._now_us = quarantined, now_us

    async def stream_all(self, after: int | None, emit: Emit) -> None:
        """Emit the steps of all executions after position `after` (None: from now on), until the daemon stops. Raises
        Refusal if too many watch, or if there is no such position."""
        with self._watchers.watch(None) as watcher:
            newest = await self._store.load_newest_position()
            place = newest if after is None else after
            if place > newest:
                raise api_errors.ahead(
                    f"no step has position {place}, the newest is {newest}; is it another database's?"
                )
            await emit(encode_place(place))
            for execution_id, why in self._quarantined().items():
                await emit(encode_quarantine(self._quarantine_seen(execution_id, why)))

            while True:
                is_last_look = watcher.is_over
                found = await self._store.load_steps_of_all(place, ROWS_AT_ONCE)
                for step in found:
                    place = step.position
                    await emit(encode_step(place, step))
                if len(found) == ROWS_AT_ONCE:
                    continue
                if is_last_look:
                    break
                await _wait_for_news(watcher, emit)
                await trio.sleep(GATHER_S)
        await emit(encode_end("the daemon stops"))

    async def stream_one(self, execution_id: str, after: int | None, emit: Emit) -> None:
        """Emit the steps of one execution after number `after` (None: its last one), and all that follow, to its end.
        Raises Refusal if too many watch, or if there is no such execution or step."""
        with self._watchers.watch(execution_id) as watcher:
            detail = await self._store.load_detail(execution_id, 0)
            if detail is None:
                raise api_errors.unknown_execution(execution_id)
            execution = detail.execution
            seq = execution.seq - 1 if after is None else after
            if seq > execution.seq:
                raise api_errors.ahead(
                    f"{execution_id} has no step {seq}, its newest is {execution.seq}; is it another database's?"
                )
            await emit(encode_place(seq))
            if execution.quarantine is not None:
                await emit(encode_quarantine(self._quarantine_seen(execution_id, execution.quarantine)))

            state: str | None = execution.state
            while True:
                is_last_look = watcher.is_over
                found = await self._store.load_steps_of_one(execution_id, seq, ROWS_AT_ONCE)
                for step in found:
                    seq, state = step.seq, step.state or state
                    await emit(encode_step(seq, step))
                if len(found) == ROWS_AT_ONCE:
                    continue
                if state in EXECUTION_ENDS:
                    await emit(encode_end(f"{execution_id} has ended"))
                    return
                if is_last_look:
                    break
                await _wait_for_news(watcher, emit)
        await emit(encode_end("the daemon stops"))

    def _quarantine_seen(self, execution_id: str, why: str) -> QuarantineSeen:
        return QuarantineSeen(execution_id=execution_id, at=to_iso(self._now_us()), why=why)


async def _wait_for_news(watcher: Watcher, emit: Emit) -> None:
    """Wait until there is something new; emit a sign of life every KEEP_ALIVE_S seconds."""
    woken = False
    while not woken:
        with trio.move_on_after(KEEP_ALIVE_S):
            await watcher.wait_for_news()
            woken = True
        if not woken:
            await emit(ALIVE)
    for quarantine in watcher.take_quarantines():
        await emit(encode_quarantine(quarantine))
