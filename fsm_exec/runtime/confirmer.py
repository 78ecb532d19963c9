"""The confirmer: looks up executions that have ended with events that no listing has confirmed.

A fill that only a frame has shown is in the listings once they are late enough, or was never made. What the account's
listing has is confirmed by it; it reaches back as far as what was not looked for yet, so that a thousand fills of an
earlier process cost no more than one. Only an order with a fill that the listing lacks is asked about by itself: what
its row and its fills prove together (core.recovery.proof) is the truth. For executions at work order_lookup does the
same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.events import AnyEvent, OrderProven
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill
from fsm_exec.core.execution.fills import FillNames, names_of
from fsm_exec.core.execution.timing import PROOF_US
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.core.recovery.proof import frame_only_fills, order_ids, prove, row_of, unlisted_fills
from fsm_exec.core.recovery.recovery import OVERLAP_US
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.order_names import OrderNames

LISTED_KEPT_US = 3_600_000_000  # how long it is known that a listing had a fill, of one that may still end
LOOKUPS_MAX_S = 10.0  # for ended executions, at each look: those at work must not wait for theirs


class UnconfirmedOrder(msgspec.Struct, frozen=True):
    """An order of an ended execution, and since when an event about it is unconfirmed."""

    execution: Execution
    child: ChildOrder
    since_us: int


class EndedIndex(Protocol):
    """The executions that have ended, and the receiver of events about them."""

    def unconfirmed(self) -> Iterable[Execution]:
        """Return the executions that have ended with anything unconfirmed."""
        ...

    def mark_confirmed(self, execution: Execution) -> None:
        """Record that nothing of one of them is unconfirmed any more."""
        ...

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Hand an event to the execution that owns it."""
        ...


class Confirmer:
    """Looks up the unconfirmed orders of ended executions, until none is left."""

    def __init__(
        self,
        exchange: Exchange,
        ended: EndedIndex,
        names: OrderNames,
        wall: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self._exchange, self._ended, self._names = exchange, ended, names
        self._wall, self._log = wall, log
        self._listed: dict[tuple[str, str], int] = {}  # fills that listings have had, and as of when the last one
        self._as_of_us = 0
        self._seen_us: dict[str, int] = {}  # orders in doubt, by client order id: when they were first seen here
        self._looked_up: dict[
            str, tuple[int, str]
        ] = {}  # the same: when they were last asked about, and what was wrong
        self._back_us: int | None = None  # what was taken back is looked for once more

    def listing_since_us(self) -> int | None:
        """Return from when on the account's fills must be listed to have all that was not looked for yet; None if there
        is nothing."""
        heard = [
            fill.heard_at_us or 0
            for execution in self._ended.unconfirmed()
            for child in execution.children
            if child.client_order_id not in self._looked_up
            for fill in self._unlisted_fills(child)
        ]
        back_us, self._back_us = self._back_us, None
        since_us = min((*heard, *(() if back_us is None else (back_us,))), default=None)
        return None if since_us is None else since_us - OVERLAP_US

    def record_listing(self, listing: FillListing) -> None:
        """Record which fills a listing of the account has."""
        self._as_of_us = listing.as_of_us
        self._listed.update((key, listing.as_of_us) for report in listing.fills for key in _keys(report))

    async def confirm(self) -> None:
        """Look up what the last listing should have had and did not; orders asked about longest ago come first, and
        only so much time is spent."""
        doubts = list(self._unconfirmed_orders())
        doubts.sort(key=lambda doubt: self._looked_up.get(doubt.child.client_order_id, (0, ""))[0])
        due = [doubt for doubt in doubts if self._as_of_us > doubt.since_us + PROOF_US]
        orders: dict[str, OrderListing] = {}
        until_s = trio.current_time() + LOOKUPS_MAX_S
        for doubt in due:
            if trio.current_time() > until_s:
                self._log.warning("doubts_wait", orders=len(due))
                break
            try:
                why = await self._check_order(doubt, due, orders)
            except VenueError as error:
                why = str(error)
            name = doubt.child.client_order_id
            if why and self._looked_up.get(name, (0, ""))[1] != why:
                self._log.error("listings_contradict", order=name, why=why)
            self._looked_up[name] = (self._as_of_us, why)

    def _unconfirmed_orders(self) -> Iterable[UnconfirmedOrder]:
        """Return the orders that are unconfirmed now, and forget what is known of others."""
        found: list[UnconfirmedOrder] = []
        needed = set[tuple[str, str]]()
        for execution in self._ended.unconfirmed():
            is_settled = True
            for child in execution.children:
                needed |= {key for fill in frame_only_fills(child) for key in _keys(fill)}
                since = [fill.heard_at_us or 0 for fill in self._unlisted_fills(child)]
                if child.suspicion is not None:
                    since.append(child.suspicion.since_us)
                if since:
                    is_settled = False
                    found.append(UnconfirmedOrder(execution, child, self._since_us(child, max(since))))
            if is_settled:
                self._ended.mark_confirmed(execution)
        kept_us = self._as_of_us - LISTED_KEPT_US
        self._listed = {key: at for key, at in self._listed.items() if key in needed or at > kept_us}
        names = {doubt.child.client_order_id for doubt in found}
        self._seen_us = {name: at for name, at in self._seen_us.items() if name in names}
        self._looked_up = {name: asked for name, asked in self._looked_up.items() if name in names}
        return found

    def _since_us(self, child: ChildOrder, since_us: int) -> int:
        """Return when an order became unconfirmed. A time in the future is of before the clock was put back."""
        now_us = self._wall.now_us()
        return since_us if since_us <= now_us else self._seen_us.setdefault(child.client_order_id, now_us)

    def _unlisted_fills(self, child: ChildOrder) -> list[Fill]:
        return [fill for fill in frame_only_fills(child) if self._listed.keys().isdisjoint(_keys(fill))]

    async def _check_order(
        self, doubt: UnconfirmedOrder, due: Sequence[UnconfirmedOrder], listed: dict[str, OrderListing]
    ) -> str:
        """Deliver what listings of this order alone prove; return the contradiction in them, or an empty text. `listed`
        has the orders of each market, which serve for all that are `due`. Raises VenueError."""
        execution, child = doubt.execution, doubt.child
        ticker = execution.terms.ticker
        if ticker not in listed:
            begun_us = min(one.execution.begun_us for one in due if one.execution.terms.ticker == ticker)
            listed[ticker] = await self._exchange.fetch_orders(ticker, since_us=begun_us - OVERLAP_US)
        orders = listed[ticker]
        row = row_of(child, ticker, orders)
        ids = dict.fromkeys((*order_ids(child, row), *self._names.ids_of(child.client_order_id)))
        since_us = execution.begun_us - OVERLAP_US
        fills = [await self._exchange.fetch_fills(ticker, order_id, since_us=since_us) for order_id in ids]
        found = prove(execution, child, orders, fills, doubt.since_us, self._wall.now_us(), lambda _: None)
        if not isinstance(found, OrderProven):
            return found or ""
        self._listed.update((key, found.as_of_us) for fill in found.fills for key in _keys(fill))
        for fill in unlisted_fills(child, found.fills):  # should this listing be what is wrong, the next has it
            at_us = fill.heard_at_us or fill.traded_at_us
            self._back_us = at_us if self._back_us is None else min(at_us, self._back_us)
        self._ended.deliver(execution.execution_id, found)
        return ""


class _OfOrder(FillNames, Protocol):
    @property
    def order_id(self) -> str: ...


def _keys(fill: _OfOrder) -> set[tuple[str, str]]:
    return {(fill.order_id, name) for name in names_of(fill)}
