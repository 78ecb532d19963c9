"""Executions that have ended: the newest of them in memory, all of them in the store, and the events that still come.

A repeat changes nothing; a fill after the end is stored as late, journaled, and changes what the execution cost. Only
so many stay in memory, however long the engine runs; an event about an older one loads its snapshot again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec
import trio

from fsm_exec.core.algorithm.algorithm import NoAlgorithm
from fsm_exec.core.costs.metrics import DeadlineBook
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import CorruptSnapshot, SaveRefused, ServiceFailed, StoreFailed
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import AnyEvent, OrderProven, tag_of
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.journal.to_rows import row_matches, save_of
from fsm_exec.core.market.orders import FillReport
from fsm_exec.core.recovery.order_lookup import fill_event
from fsm_exec.core.recovery.proof import is_doubted, is_too_old
from fsm_exec.runtime.actor import log_notes
from fsm_exec.runtime.cost_measurement import decode_book, remeasure
from fsm_exec.runtime.services import Services

ENDED_KEPT_MAX = 1_000
FACTS_WAITING_MAX = 4_096  # beyond it the listings show them again


class EndedExecution(msgspec.Struct, frozen=True):
    """An execution that has ended, with its metrics; `metrics` None if it was quarantined instead."""

    execution: Execution
    metrics: MetricsRow | None
    quarantine: str | None = None


class EndedExecutions:
    """`halt_for` is called with a store's failure; `forget` with the order ids of executions that leave memory."""

    def __init__(
        self,
        services: Services,
        halt_for: Callable[[StoreFailed | ServiceFailed], None],
        forget: Callable[[Sequence[str]], None],
    ) -> None:
        self.ended: dict[str, EndedExecution] = {}
        self._unconfirmed: dict[str, Execution] = {}  # in memory however many ended since, until listings confirm them
        self._books: dict[str, DeadlineBook] = {}  # those that the store cannot give back as they were
        self._services, self._halt_for, self._forget = services, halt_for, forget
        self._send, self._receive = trio.open_memory_channel[tuple[str, AnyEvent] | list[FillReport]](FACTS_WAITING_MAX)
        self._taken = self._processed = 0
        self._progress = trio.Condition()

    def add(self, ended: EndedExecution, book: DeadlineBook | None) -> None:
        """Add an execution that has ended; the oldest leaves memory."""
        name = ended.execution.execution_id
        self.ended[name] = ended
        if ended.quarantine is None:
            self.track_unconfirmed(ended.execution)
        if book is not None and not (book.bids and book.asks):  # its mid is that of an earlier book
            self._books[name] = book
        while len(self.ended) > ENDED_KEPT_MAX:
            oldest = next(iter(self.ended))
            left = self.ended.pop(oldest)
            self._books.pop(oldest, None)
            self._forget([c.order_id for c in left.execution.children if c.order_id is not None])

    def remove(self, execution_id: str) -> None:
        """Remove an execution that is at work again."""
        self.ended.pop(execution_id, None)
        self._unconfirmed.pop(execution_id, None)
        self._books.pop(execution_id, None)

    def ended_since(self, at_us: int) -> Iterator[Execution]:
        """Return those in memory that have ended since then."""
        for ended in self.ended.values():
            if ended.quarantine is None and (ended.execution.ended_at_us or 0) >= at_us:
                yield ended.execution

    def track_unconfirmed(self, execution: Execution) -> None:
        """Keep the newest state of an ended execution for as long as listings have to confirm events about it."""
        if is_doubted(execution):
            self._unconfirmed[execution.execution_id] = execution
        else:
            self._unconfirmed.pop(execution.execution_id, None)

    def unconfirmed(self) -> list[Execution]:
        """Return the executions that are kept so."""
        return list(self._unconfirmed.values())

    def mark_confirmed(self, execution: Execution) -> None:
        """Stop keeping an execution whose events listings have confirmed; one that has changed since must be confirmed
        again."""
        if self._unconfirmed.get(execution.execution_id) is execution:
            del self._unconfirmed[execution.execution_id]

    def take_late_fact(self, execution_id: str, event: AnyEvent) -> None:
        """Queue an event about an execution that no actor works. Never waits."""
        self._enqueue((execution_id, event))

    def take_unknown_fills(self, fills: Sequence[FillReport]) -> None:
        """Queue fills of orders that no execution in memory has: ours, of one that ended long ago, or another
        trader's."""
        self._enqueue(list(fills))

    def _enqueue(self, item: tuple[str, AnyEvent] | list[FillReport]) -> None:
        try:
            self._send.send_nowait(item)
            self._taken += 1
        except trio.WouldBlock:
            self._services.log.exception("late_facts_overflow", waiting=FACTS_WAITING_MAX)

    async def run(self, deliver: Callable[[str, AnyEvent], None]) -> None:
        """Process queued events forever, one after the other; `deliver` those of executions that are at work again."""
        async for item in self._receive:
            try:
                if isinstance(item, tuple):
                    await self._process_late_fact(*item)
                else:
                    await self._process_unknown_fills(item, deliver)
            except SaveRefused:
                self._services.log.exception("late_fact_refused")
            except StoreFailed as failure:
                self._halt_for(failure)
            except Exception:  # the trouble of one ended execution stays its own
                self._services.log.exception("illegal_fact_after_end")
            self._processed += 1
            async with self._progress:
                self._progress.notify_all()

    async def wait_processed(self) -> None:
        """Wait until nothing is queued: what is processed may queue more, as an unknown fill that turns out to be an
        ended execution's."""
        async with self._progress:
            while self._processed < self._taken:
                await self._progress.wait()

    async def _process_unknown_fills(self, fills: list[FillReport], deliver: Callable[[str, AnyEvent], None]) -> None:
        found = await self._services.store.load_owners(sorted({fill.order_id for fill in fills}))
        for fill in fills:
            owner = found.get(fill.order_id)
            if owner is None:
                self._services.log.info("fill_of_others", order_id=fill.order_id, fill_id=fill.fill_id)
            elif not any(row_matches(row, fill) for row in owner.fills):
                event = fill_event(fill, owner.client_order_id, None, self._services.wall.now_us())
                # An actor may work it again since the query: `deliver` looks.
                deliver(owner.execution_id, event)

    async def _process_late_fact(self, execution_id: str, event: AnyEvent) -> None:
        kept = self.ended.get(execution_id)
        execution = await self._load_execution(execution_id) if kept is None else kept.execution
        if execution is None:
            self._services.log.error("order_without_owner", execution=execution_id, kind=tag_of(event))
            return
        if not execution.is_ended:
            self._services.log.warning("fact_for_quarantined", execution=execution_id, kind=tag_of(event))
            return  # quarantined: it stays as its last save says until a person, or a restart, looks at it
        if isinstance(event, OrderProven) and is_too_old(event, execution):
            return
        # No algorithm: an execution that has ended places nothing, whatever it learns. A repeat of a known event gives
        # None.
        late = advance(execution, event, NoAlgorithm())
        self.track_unconfirmed(execution if late is None else late.execution)
        if late is None:
            return
        await self._services.store.save(save_of(execution, event, late))
        log_notes(late, self._services)
        self._services.log.error("fact_after_end", execution=execution_id, seq=late.execution.seq)
        # The cost is computed again from the same book, so that only the fill makes the difference.
        book = self._books.get(execution_id) or await self._load_deadline_book(execution)
        row = await remeasure(late.execution, book, self._services)
        if kept is not None and execution_id in self.ended:
            self.ended[execution_id] = EndedExecution(late.execution, row, kept.quarantine)

    async def _load_execution(self, execution_id: str) -> Execution | None:
        stored = await self._services.store.load_execution(execution_id)
        if stored is None:
            return None
        try:
            return decode_stored(stored)
        except CorruptSnapshot as error:
            raise CorruptSnapshot(f"{execution_id}: {error}") from error

    async def _load_deadline_book(self, execution: Execution) -> DeadlineBook | None:
        row = await self._services.store.load_deadline_book(execution.execution_id)
        if row is None:
            return None
        earlier = await self._services.store.load_metrics(execution.execution_id)
        fresh = earlier is None or "not_the_deadline_book" not in earlier.flags.split(",")
        return decode_book(row, execution.outcome, fresh=fresh)
