"""The look-up of one execution's orders whose state at the exchange is unknown, until a listing shows it.

One question at a time per order, with a growing pause between two; what is found becomes an event in the inbox. Nothing
here decides: no timer turns an unknown order into a dead one.

What is still unconfirmed when listings are late enough to be the truth (core.recovery.proof) is corrected by them.
Listings that contradict themselves for long stop the execution for a person to look at; one whose owner has given it up
ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import trio

from fsm_exec.core.errors import IllegalEvent, VenueError
from fsm_exec.core.execution.events import AnyEvent, OrderProven
from fsm_exec.core.execution.execution import ChildOrder, Execution
from fsm_exec.core.execution.order_checks import wants_nothing_more
from fsm_exec.core.execution.timing import PROOF_US
from fsm_exec.core.market.orders import FillReport, OrderListing
from fsm_exec.core.recovery.order_lookup import (
    check_existing,
    event_from_listing,
    fill_event,
    lookup_key,
    needs_lookup,
    proof_from_us,
)
from fsm_exec.core.recovery.proof import is_overtaken, order_ids, prove, row_of, zombie_row
from fsm_exec.core.recovery.reconcile import fill_is_news
from fsm_exec.core.recovery.recovery import OVERLAP_US
from fsm_exec.core.trouble import Trouble
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.inbox import Inbox
from fsm_exec.runtime.kill_switch import cancel_order
from fsm_exec.runtime.services import Services

FIRST_PAUSE_S = 0.5  # fills and reports usually come by the stream before this
PAUSE_MAX_S = 15.0
LATE_PAUSE_MAX_S = 2.0  # after the deadline, or once a listing can settle it: within the grace of 5 s
MARGIN_US = 500_000  # reads lag by about 0.4 s: asked sooner, the listing is of before


NOTHING: frozenset[str] = frozenset()  # one for all: an empty set takes 200 bytes
NO_DOUBTS: Mapping[str, tuple[str, int]] = {}


class LookupTarget(Protocol):
    """The execution that is looked up for: `execution` is its newest state, `inbox` takes what is found; with
    `ends_regardless` it is to end whatever the listings show."""

    @property
    def execution(self) -> Execution: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def ends_regardless(self) -> bool: ...


class OrderLookup:
    """Looks up the orders of one execution, each in a task of its own."""

    __slots__ = ("_doubts", "_existing", "_feed", "_proven", "_running", "_services", "_target")

    def __init__(self, target: LookupTarget, services: Services, feed: MarketFeed) -> None:
        self._target, self._services, self._feed = target, services, feed
        self._running = NOTHING
        self._existing = NOTHING  # a restart learns it again: the order is placed under the same id, or found
        self._doubts: Mapping[str, tuple[str, int]] = NO_DOUBTS  # by order: what is unknown, and since when
        self._proven: tuple[
            tuple[OrderProven, ChildOrder], ...
        ] = ()  # proofs that wait in the inbox, and the order each was made for

    @property
    def is_needed(self) -> bool:
        """Whether any order has to be looked up."""
        return any(needs_lookup(child) for child in self._target.execution.children)

    def mark_existing(self, client_order_id: str) -> None:
        """Record that the exchange refused to place an order because one of its id exists: ours, or another under our
        name."""
        self._existing |= {client_order_id}

    def is_overtaken(self, event: AnyEvent) -> bool:
        """Return whether an event is a proof that waited in the inbox behind an event that makes it too old. The order
        is looked up again, if it still has to be."""
        before = next((child for found, child in self._proven if found is event), None)
        if before is None or not isinstance(event, OrderProven):
            return False
        self._proven = tuple(one for one in self._proven if one[0] is not event)
        now = self._target.execution.child(event.client_order_id)
        return now is not None and is_overtaken(event, before, now)

    def start_lookups(self, nursery: trio.Nursery) -> None:
        """Start looking up every order that needs it and is not looked up yet."""
        for child in self._target.execution.children:
            if not needs_lookup(child):
                continue
            name, doubt, now_us = child.client_order_id, lookup_key(child), self._services.wall.now_us()
            known = self._doubts.get(name)
            # Another question than before: a listing that was late enough for the last one proves nothing about it. A
            # question of a time in the future was asked before the clock was put back, and would stay open for as long.
            if known is None or known[0] != doubt or known[1] > now_us:
                since_us = now_us if child.suspicion is None else min(now_us, child.suspicion.since_us)
                self._doubts = {**self._doubts, name: (doubt, since_us)}
            if name not in self._running:
                self._running |= {name}
                nursery.start_soon(self._look_up, name)

    async def _look_up(self, client_order_id: str) -> None:
        try:
            await self._look_up_until_known(client_order_id)
        finally:
            self._running -= {client_order_id}

    async def _look_up_until_known(self, client_order_id: str) -> None:
        pause_s, failing = FIRST_PAUSE_S, Trouble(self._services.log, "inquiry_failed")
        while True:
            await trio.sleep(self._pause_s(client_order_id, pause_s))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
            child = self._target.execution.child(client_order_id)
            if child is None or not needs_lookup(child):
                return
            try:
                await self._look_up_once(child, self._doubts[client_order_id][1])
                failing.end()
            except VenueError as error:
                failing.record(str(error), order=client_order_id)
                await self._cancel_unlisted(child)

    async def _cancel_unlisted(self, child: ChildOrder) -> None:
        """Cancel an order that was reported ended and may rest, when nothing of it is wanted any more and no listing
        can be read: to an order that has ended a cancel does nothing."""
        execution, over = self._target.execution, child.state == "settling" or not child.is_open
        if over and child.order_id is not None and wants_nothing_more(execution):
            await cancel_order(child.client_order_id, child.order_id, execution, self._services)

    def _pause_s(self, client_order_id: str, pause_s: float) -> float:
        """Return how long to wait: not beyond the time from which a listing can settle the question, and never long
        once that time, or the deadline, has passed."""
        now_us = self._services.wall.now_us()
        child = self._target.execution.child(client_order_id)
        if child is None:
            return 0.0
        left_us = proof_from_us(child, self._doubts[client_order_id][1]) + MARGIN_US - now_us
        if left_us <= 0 or now_us >= self._target.execution.deadline_us:
            pause_s = min(pause_s, LATE_PAUSE_MAX_S)
        return pause_s if left_us <= 0 else min(pause_s, max(left_us / 1_000_000, FIRST_PAUSE_S))

    async def _look_up_once(self, child: ChildOrder, doubted_us: int) -> None:
        """List the order and its fills once, and offer what they show to the inbox. Raises VenueError."""
        exchange, wall, inbox = self._services.exchange, self._services.wall, self._target.inbox
        execution = self._target.execution
        # Late enough that no write can still arrive and no read lag hides it: then the listing is the truth, also
        # against what answers and frames said. Before that it only adds what is new.
        late = wall.now_us() > doubted_us + PROOF_US
        listing: OrderListing | None = None
        if child.state != "settling" or late or child.suspicion is not None:
            exists = child.state == "unknown" and child.client_order_id in self._existing
            if exists:  # in whatever market, however old
                listing = await exchange.fetch_orders()
            else:
                since_us = execution.begun_us - OVERLAP_US
                listing = await self._services.listings.fetch_orders(execution.terms.ticker, since_us)
            now = self._target.execution.child(child.client_order_id)
            if now is None or not needs_lookup(now) or lookup_key(now) != lookup_key(child):
                return  # the listing was slow, and the question has changed
            if child.is_open and child.state != "settling":
                answer = event_from_listing(child, listing, doubted_us, wall.now_us())
                if exists and not self._target.ends_regardless:
                    check_existing(child, execution.terms.ticker, listing, answer)
                if answer is not None and not (late and child.suspicion is not None):
                    inbox.offer(answer)
        row = None if listing is None else row_of(child, execution.terms.ticker, listing)
        ids, since_us = order_ids(child, row), execution.begun_us - OVERLAP_US
        fills = [await exchange.fetch_fills(execution.terms.ticker, name, since_us=since_us) for name in ids]
        if late and listing is not None:
            rests = row if self._target.ends_regardless else zombie_row(child, execution.terms.ticker, listing)
            if rests is not None and rests.status == "resting":
                await cancel_order(rests.client_order_id, rests.order_id, execution, self._services)
            now = self._target.execution.child(child.client_order_id)
            if now is None or lookup_key(now) != lookup_key(child):
                return
            found = prove(
                self._target.execution,
                now,
                listing,
                fills,
                doubted_us,
                wall.now_us(),
                self._mid,
                give_up=self._target.ends_regardless,
            )
            if isinstance(found, str):
                inbox.stop(IllegalEvent(found))
            elif found is not None:
                self._proven = (*self._proven, (found, now))
                inbox.offer(found)
            if found is not None:
                return
        new = [
            report
            for fill in fills
            for report in fill.fills
            if fill_is_news(execution, child.client_order_id, report)
            and (child.order_id is None or report.order_id == child.order_id)
        ]
        for report in new[: inbox.room // 2]:  # the rest is listed again
            inbox.offer(fill_event(report, child.client_order_id, self._mid(report), wall.now_us(), execution))

    def _mid(self, report: FillReport) -> int | None:
        return self._feed.mid_before(report.at_us, self._target.execution.outcome)
