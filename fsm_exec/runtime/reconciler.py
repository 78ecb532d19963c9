"""What the stream lost is read: orders and fills of the whole account, at intervals and after every reconnection.

The account's own channels carry no numbers, so a frame that never came leaves no gap to see. What a listing shows and
an execution does not know becomes an ordinary fact in its inbox, through the router; repeats change nothing. The
listings pay the client's read budget like any other request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError
from fsm_exec.core.events import OrderDisputed
from fsm_exec.core.execution import Execution
from fsm_exec.core.inquiry import shows_what_stands
from fsm_exec.core.orders import FillReport, OrderReport
from fsm_exec.core.ports import Exchange
from fsm_exec.core.reconcile import FRESH_US, dispute, fill_is_news, misnamed, order_is_news
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.confirming import Confirmer
from fsm_exec.runtime.router import Router

INTERVAL_S = 30.0
SOON_S = 1.0  # after a reconnection: the first look
AGAIN_S = 1.0 + FRESH_US / 1_000_000  # and the second, when what was fresh at the first is not any more
RETRY_S = 5.0  # after a listing that failed
OVERLAP_US = 60_000_000  # how far each listing of fills reaches back over the last one: reads lag, clocks differ
UNREAD_KEPT_US = 3_600_000_000  # how long a fill that may be ours and cannot be read is listed again
ROOM_SHARE = 2  # of an inbox: half of its room is for what the stream brings meanwhile


class Known(msgspec.Struct, frozen=True):
    """One execution as the reconciler sees it. `room` facts fit its inbox; `is_at_work` False: it has ended."""

    execution: Execution
    is_at_work: bool
    room: int


class Reconciler:
    """`find(execution_id)` is the newest durable execution; `oldest_us()` when the first of those at work, or ended
    just now, was accepted, None if none is. `strange` is told of fills of orders that nobody in memory has, `orphaned`
    of orders of ours that rest and that nobody works, seen so by two looks in a row: the first may be behind their end.
    `confirmer` looks after those that have ended."""

    def __init__(
        self,
        exchange: Exchange,
        router: Router,
        find: Callable[[str], Known | None],
        oldest_us: Callable[[], int | None],
        strange: Callable[[Sequence[FillReport]], None],
        orphaned: Callable[[Sequence[OrderReport]], None],
        wall: Wall,
        log: FilteringBoundLogger,
        confirmer: Confirmer,
    ) -> None:
        self._strange, self._orphaned = strange, orphaned
        self._suspects: frozenset[str] = frozenset()
        self._exchange, self._router, self._find, self._oldest_us = exchange, router, find, oldest_us
        self._wall, self._log = wall, log
        self._fills_since_us = wall.now_us() - OVERLAP_US
        self._reconnected = trio.Event()
        self._connections = 0
        self._room: dict[str, int] = {}
        self._confirmer = confirmer
        self.passes = 0

    def connected(self) -> None:
        """The stream has a connection; any but the first means that something may have been missed."""
        self._connections += 1
        if self._connections > 1:
            self._reconnected.set()

    async def run(self) -> NoReturn:
        while True:
            with trio.move_on_after(INTERVAL_S):
                await self._reconnected.wait()
            if self._reconnected.is_set():
                self._reconnected = trio.Event()
                await trio.sleep(SOON_S)
                await self._until_done()
                await trio.sleep(AGAIN_S - SOON_S)
            await self._until_done()

    async def reconcile(self) -> bool:
        """One look at both listings; False if inboxes had no room for all of it. Raises VenueError."""
        self._room.clear()
        told = await self._orders()
        more, everything = await self._fills()
        await self._confirmer.confirm()
        self.passes += 1
        if told + more:
            self._log.warning("reconciled", orders=told, fills=more)
        return everything

    async def _until_done(self) -> None:
        done = False
        while not done:
            try:
                done = await self.reconcile()
            except VenueError as error:
                self._log.warning("reconciliation_failed", error=str(error))
            if not done:
                await trio.sleep(RETRY_S)

    async def _orders(self) -> int:
        """What executions at work are told. Of one that has ended every order has ended: what rests all the same is
        an orphan, and what is listed under another id than it was answered with is doubted."""
        oldest_us = self._oldest_us()
        if oldest_us is None:
            listing = await self._exchange.orders(resting=True)
        else:
            listing = await self._exchange.orders(since_us=oldest_us - OVERLAP_US)
        told = 0
        unworked: list[OrderReport] = []
        listed = {(report.client_order_id, report.order_id) for report in listing.orders}
        for report in listing.orders:
            owner = self._router.owner_of(report.client_order_id)
            if owner is None:
                continue
            known = self._find(owner)
            child = None if known is None else known.execution.child(report.client_order_id)
            if report.status == "resting" and (child is None or not child.is_open):
                unworked.append(report)
            if known is None or (known.is_at_work and not self._takes_more(owner, known)):
                continue
            is_known = child is None or (child.client_order_id, child.order_id) in listed
            why = None if child is None or is_known else misnamed(child, report)
            if not known.is_at_work and why is None:
                continue
            if known.execution.terms.ticker != report.ticker:
                self._router.order(report)  # another order under a name of ours
                continue
            self._router.learned(report.client_order_id, report.order_id)
            if child is not None and order_is_news(known.execution, report, listing.as_of_us):
                self._router.order(report, looked_up=shows_what_stands(child, listing.as_of_us))
                self._room[owner] -= 1
                told += 1
            elif (why := why or dispute(known.execution, report, listing.as_of_us)) is not None:
                self._router.hand_over(
                    OrderDisputed(at_us=self._wall.now_us(), client_order_id=report.client_order_id, why=why)
                )
                self._room[owner] = self._room.get(owner, 0) - 1
                told += 1
        if orphans := [report for report in unworked if report.order_id in self._suspects]:
            self._orphaned(orphans)
        self._suspects = frozenset(report.order_id for report in unworked)
        return told

    async def _fills(self) -> tuple[int, bool]:
        reach_us = self._confirmer.reach_us()
        since_us = self._fills_since_us if reach_us is None else min(reach_us, self._fills_since_us)
        listing = await self._exchange.fills(since_us=since_us)
        told, everything = 0, True
        strangers: list[FillReport] = []
        self._confirmer.take(listing)
        for report in listing.fills:
            name = self._router.name_of(report)
            owner = None if name is None else self._router.owner_of(name)
            known = None if owner is None else self._find(owner)
            if name is None or (owner is not None and known is None):
                strangers.append(report)  # of an execution that is not in memory: the database may know it
            if name is None or owner is None or known is None or not fill_is_news(known.execution, name, report):
                continue
            if known.is_at_work and not self._takes_more(owner, known):
                everything = False
                continue
            self._router.fill(report)
            self._room[owner] = self._room.get(owner, 0) - 1
            told += 1
        if strangers:
            self._strange(strangers)
        if everything:  # otherwise the rest has to be listed again
            may_be_ours = any(row.order_id == "" or self._router.knows(row.order_id) for row in listing.unread)
            back_us = UNREAD_KEPT_US if may_be_ours else OVERLAP_US
            self._fills_since_us = max(self._fills_since_us, listing.as_of_us - back_us)
        return told, everything

    def _takes_more(self, owner: str, known: Known) -> bool:
        return self._room.setdefault(owner, known.room // ROOM_SHARE) > 0
