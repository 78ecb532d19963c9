"""The reconciler: lists orders and fills of the whole account, at intervals and after every reconnection.

The account's own channels carry no numbers, so a frame that never came leaves no gap to see. What a listing shows and
an execution does not know becomes an ordinary event in its inbox, through the stream's listener; repeats change
nothing. The listings pay the client's read budget like any other request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Protocol

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.events import AnyEvent, OrderDisputed
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.recovery.order_lookup import is_after_our_changes
from fsm_exec.core.recovery.reconcile import FRESH_US, fill_is_news, order_is_news, why_disputed, why_misnamed
from fsm_exec.core.trouble import Trouble
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.confirmer import Confirmer
from fsm_exec.runtime.stream_listener import EngineStreamListener
from fsm_exec.runtime.stream_state import StreamState

INTERVAL_S = 30.0
FIRST_LOOK_S = 1.0  # after a reconnection: the first look
SECOND_LOOK_S = 1.0 + FRESH_US / 1_000_000  # and the second, when what was fresh at the first is not any more
RETRY_S = 5.0  # after a listing that failed
OVERLAP_US = 60_000_000  # how far each listing of fills reaches back over the last one: reads lag, clocks differ
UNREAD_KEPT_US = 3_600_000_000  # how long a fill that may be ours and cannot be read is listed again
ROOM_SHARE = 2  # of an inbox: half of its room is kept for what the stream brings


class KnownExecution(msgspec.Struct, frozen=True):
    """One execution as the reconciler sees it. `room` events fit its inbox; `is_at_work` False: it has ended."""

    execution: Execution
    is_at_work: bool
    room: int


class ExecutionIndex(Protocol):
    """The executions as the reconciler looks them up, and the receiver of what it finds."""

    def known(self, execution_id: str) -> KnownExecution | None:
        """Return the newest durable execution; None for one that is not here, or is quarantined."""
        ...

    def oldest_begun_us(self) -> int | None:
        """Return when the first of those at work, or ended recently, was accepted; None if there is none."""
        ...

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Hand an event to the execution that owns it."""
        ...

    def take_unknown_fills(self, fills: Sequence[FillReport]) -> None:
        """Take fills of orders that no execution in memory has."""
        ...

    def cancel_orphans(self, orders: Sequence[OrderReport]) -> None:
        """Cancel orders of ours that rest and that no execution works."""
        ...


class Reconciler:
    """Lists and compares. An order counts as an orphan when two looks in a row have shown it so: the first may be
    behind its end. `confirmer` looks up the executions that have ended."""

    def __init__(
        self,
        exchange: Exchange,
        listener: EngineStreamListener,
        stream: StreamState,
        executions: ExecutionIndex,
        confirmer: Confirmer,
        wall: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self._exchange, self._listener, self._names, self._stream = exchange, listener, listener.names, stream
        self._executions, self._confirmer = executions, confirmer
        self._wall, self._log = wall, log
        self._suspects: frozenset[str] = frozenset()
        self._fills_since_us = wall.now_us() - OVERLAP_US
        self._room: dict[str, int] = {}
        self._failing = Trouble(log, "reconciliation_failed")
        self.passes = 0

    async def run(self) -> NoReturn:
        """Reconcile at the interval, and twice after each reconnection, forever."""
        while True:
            with trio.move_on_after(INTERVAL_S):
                await self._stream.reconnected.wait()
            if self._stream.reconnected.is_set():
                self._stream.reconnected = trio.Event()
                await trio.sleep(FIRST_LOOK_S)
                await self._reconcile_until_complete()
                await trio.sleep(SECOND_LOOK_S - FIRST_LOOK_S)
            await self._reconcile_until_complete()

    async def reconcile(self) -> bool:
        """Compare both listings once; return False if inboxes had no room for all of it. Raises VenueError."""
        self._room.clear()
        orders = await self._reconcile_orders()
        fills, everything = await self._reconcile_fills()
        await self._confirmer.confirm()
        self.passes += 1
        if orders + fills:
            self._log.warning("reconciled", orders=orders, fills=fills)
        return everything

    async def _reconcile_until_complete(self) -> None:
        done = False
        while not done:
            try:
                done = await self.reconcile()
                self._failing.end()
            except VenueError as error:
                self._failing.record(str(error))
            if not done:
                await trio.sleep(RETRY_S)

    async def _reconcile_orders(self) -> int:
        """List orders and deliver what is news to executions at work; return how many events. Every order of an ended
        execution has ended: one that rests all the same is an orphan, and one that is listed under another id than it
        was answered with is disputed."""
        oldest_us = self._executions.oldest_begun_us()
        # From the oldest execution on, so that an order which has ended is listed with its end. With none at work only
        # what rests can matter: it would be an orphan.
        if oldest_us is None:
            listing = await self._exchange.fetch_orders(resting=True)
        else:
            listing = await self._exchange.fetch_orders(since_us=oldest_us - OVERLAP_US)
        news = 0
        unworked: list[OrderReport] = []
        listed = {(report.client_order_id, report.order_id) for report in listing.orders}
        for report in listing.orders:
            owner = self._names.owner_of(report.client_order_id)
            if owner is None:
                continue
            known = self._executions.known(owner)
            child = None if known is None else known.execution.child(report.client_order_id)
            if report.status == "resting" and (child is None or not child.is_open):
                unworked.append(report)
            # An inbox without room is served by the next pass: one event too many would stop its execution.
            if known is None or (known.is_at_work and not self._has_room(owner, known)):
                continue
            is_known = child is None or (child.client_order_id, child.order_id) in listed
            why = None if child is None or is_known else why_misnamed(child, report)
            if not known.is_at_work and why is None:
                continue
            if known.execution.terms.ticker != report.ticker:
                self._listener.order(report)  # another order under a name of ours
                continue
            self._names.learn(report.client_order_id, report.order_id)
            if child is not None and order_is_news(known.execution, report, listing.as_of_us):
                self._listener.order(report, looked_up=is_after_our_changes(child, listing.as_of_us))
                self._room[owner] -= 1
                news += 1
            elif (why := why or why_disputed(known.execution, report, listing.as_of_us)) is not None:
                name = report.client_order_id
                self._executions.deliver(owner, OrderDisputed(at_us=self._wall.now_us(), client_order_id=name, why=why))
                self._room[owner] = self._room.get(owner, 0) - 1
                news += 1
        # Seen twice: the first look may be older than the frame that ended the order.
        if orphans := [report for report in unworked if report.order_id in self._suspects]:
            self._executions.cancel_orphans(orphans)
        self._suspects = frozenset(report.order_id for report in unworked)
        return news

    async def _reconcile_fills(self) -> tuple[int, bool]:
        reach_us = self._confirmer.listing_since_us()
        since_us = self._fills_since_us if reach_us is None else min(reach_us, self._fills_since_us)
        listing = await self._exchange.fetch_fills(since_us=since_us)
        news, everything = 0, True
        unknown: list[FillReport] = []
        self._confirmer.record_listing(listing)
        for report in listing.fills:
            name = self._names.name_of(report)
            owner = None if name is None else self._names.owner_of(name)
            known = None if owner is None else self._executions.known(owner)
            if name is None or (owner is not None and known is None):
                unknown.append(report)  # of an execution that is not in memory: the database may know it
            if name is None or owner is None or known is None or not fill_is_news(known.execution, name, report):
                continue
            if known.is_at_work and not self._has_room(owner, known):
                everything = False
                continue
            self._listener.fill(report)
            self._room[owner] = self._room.get(owner, 0) - 1
            news += 1
        if unknown:
            self._executions.take_unknown_fills(unknown)
        # The window moves on only when every event found room; otherwise the rest has to be listed again. It stays back
        # for rows that could not be read and may be ours.
        if everything:
            may_be_ours = any(row.order_id == "" or self._names.knows(row.order_id) for row in listing.unread)
            back_us = UNREAD_KEPT_US if may_be_ours else OVERLAP_US
            self._fills_since_us = max(self._fills_since_us, listing.as_of_us - back_us)
        return news, everything

    def _has_room(self, owner: str, known: KnownExecution) -> bool:
        return self._room.setdefault(owner, known.room // ROOM_SHARE) > 0
