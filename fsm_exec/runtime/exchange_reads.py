"""Reads of the exchange that are repeated until it answers, and listings that callers share.

A read that found no answer is worth repeating forever: nothing is lost by waiting, and nothing may be decided without
it. A definite refusal (a revoked key, a closed account) is raised for the caller to handle.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError, VenueRefused, VenueUnavailable, VenueUnreadable
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.core.trouble import Trouble

FIRST_PAUSE_S = 0.5
PAUSE_MAX_S = 15.0

PASSING_REFUSALS = frozenset({"header_timestamp_expired"})
"""Refusals that say nothing about us but that two clocks disagree: ours is put right, or theirs."""

T = TypeVar("T")


class _PendingListing:
    """One listing that has not begun, and the callers that wait for it."""

    def __init__(self) -> None:
        self.since_us: int | None = None
        self.done = trio.Event()
        self.listing: OrderListing | None = None
        self.failure: VenueError | None = None


class SharedListings:
    """Listings of a market's orders, each made once for all callers that asked before it began, one at a time per
    market. However many orders are unconfirmed, the exchange is asked as often as for one."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._locks: dict[str, trio.Lock] = {}
        self._next: dict[str, _PendingListing] = {}

    async def fetch_orders(self, ticker: str, since_us: int) -> OrderListing:
        """Fetch all orders of the market placed at or after `since_us`, as of now or later. Raises VenueError."""
        turn = self._next.get(ticker)
        if turn is None:
            turn = self._next[ticker] = _PendingListing()
            turn.since_us = since_us
            await self._fetch(ticker, turn)
        else:
            turn.since_us = since_us if turn.since_us is None else min(turn.since_us, since_us)
            await turn.done.wait()
        if turn.listing is None:
            raise turn.failure or VenueUnavailable("whoever listed the orders has left")
        return turn.listing

    async def _fetch(self, ticker: str, turn: _PendingListing) -> None:
        """Fetch the listing for all callers that share it. Its failure is theirs, too."""
        try:
            async with self._locks.setdefault(ticker, trio.Lock()):
                self._next.pop(ticker, None)  # a caller that asks from now on needs a later one
                turn.listing = await self._exchange.fetch_orders(ticker, since_us=turn.since_us)
        except VenueError as error:
            turn.failure = error
        finally:
            if self._next.get(ticker) is turn:
                del self._next[ticker]
            turn.done.set()


async def retry_until_answered(read: Callable[[], Awaitable[T]], what: str, log: FilteringBoundLogger) -> T:
    """Call `read` until it answers, with growing pauses; return its result. Raises VenueRefused."""
    pause_s = FIRST_PAUSE_S
    unreadable, silent = Trouble(log, "answer_unreadable"), Trouble(log, "exchange_does_not_answer")
    while True:
        try:
            answer = await read()
            unreadable.end()
            silent.end()
            return answer
        except (VenueUnavailable, VenueRefused) as error:
            if isinstance(error, VenueRefused) and error.code not in PASSING_REFUSALS:
                raise
            met = unreadable if isinstance(error, VenueUnreadable) else silent
            met.record(str(error), what=what, again_in_s=pause_s)
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)


async def fetch_listings(
    exchange: Exchange, since_us: int, log: FilteringBoundLogger, ticker: str | None = None, *, later_than_us: int = 0
) -> tuple[tuple[OrderListing, ...], FillListing]:
    """Fetch what shows executions accepted after `since_us` what they missed: their orders, all resting orders, and
    then the fills, so that an order listed as ended has its fills; all of them as of a time after `later_than_us`.
    Raises VenueRefused."""
    while True:
        found = await _fetch_listings(exchange, since_us, log, ticker)
        orders, fills = found
        if min(fills.as_of_us, *(listing.as_of_us for listing in orders)) > later_than_us:
            return found
        await trio.sleep(FIRST_PAUSE_S)


async def _fetch_listings(
    exchange: Exchange, since_us: int, log: FilteringBoundLogger, ticker: str | None
) -> tuple[tuple[OrderListing, ...], FillListing]:
    orders = await retry_until_answered(lambda: exchange.fetch_orders(ticker, since_us=since_us), "orders", log)
    resting = await retry_until_answered(lambda: exchange.fetch_orders(ticker, resting=True), "resting orders", log)
    fills = await retry_until_answered(lambda: exchange.fetch_fills(ticker, since_us=since_us), "fills", log)
    return (orders, resting), fills
