"""The exchange as an adapter that reports the outcome of every request to `health`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import Exchange, StreamListener
from fsm_exec.core.market.account import (
    Balance,
    BudgetFacts,
    EventShape,
    MarketFacts,
    MarketSearch,
    Position,
    QueuePosition,
    Settlement,
)
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.incentives import IncentiveListing
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    CancelOrder,
    FillListing,
    NotSent,
    OrderListing,
    PlaceAnswer,
    PlaceOrder,
    Refused,
    Unknown,
)
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.group_cancels import GroupCancels
from fsm_exec.runtime.health import Health
from fsm_exec.runtime.order_groups import EpochGroups

T = TypeVar("T")
TOO_MANY = "too much is written: the engine halts"
Answer = TypeVar("Answer", PlaceAnswer, AmendAnswer, CancelAnswer)


class MonitoredExchange:
    """An exchange (`core.exchange_port.Exchange`) that passes every call to the inner one, but a place or an amend that
    `may_write` does not let out. It is not asked about a renewal, which makes nothing possible that was not. With
    `groups` every place is in an order group, or is not sent; with `group_cancels` listings tell which orders ended by
    it."""

    def __init__(self, inner: Exchange, health: Health) -> None:
        self._inner, self._health = inner, health
        self.may_write: Callable[[], bool] = lambda: True
        self.groups: EpochGroups | None = None
        self.group_cancels: GroupCancels | None = None

    async def fetch_market_terms(self, ticker: str) -> MarketTerms:
        return await self._observe_read(self._inner.fetch_market_terms(ticker), is_public=True)

    async def fetch_markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        return await self._observe_read(self._inner.fetch_markets(tickers), is_public=True)

    async def fetch_orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        asked = self._inner.fetch_orders(ticker, since_us=since_us, resting=resting)
        listing = await self._observe_read(asked, "orders")
        return listing if self.group_cancels is None else self.group_cancels.explain_listing(listing)

    async def fetch_fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        return await self._observe_read(self._inner.fetch_fills(ticker, order_id, since_us=since_us), "fills")

    async def fetch_positions(self) -> tuple[Position, ...]:
        return await self._observe_read(self._inner.fetch_positions())

    async def fetch_balance(self) -> Balance:
        return await self._observe_read(self._inner.fetch_balance())

    async def fetch_settlements(self, since_us: int | None = None) -> tuple[Settlement, ...]:
        return await self._observe_read(self._inner.fetch_settlements(since_us))

    async def fetch_event_shape(self, event: str) -> EventShape:
        return await self._observe_read(self._inner.fetch_event_shape(event), is_public=True)

    async def fetch_market_facts(self, tickers: Sequence[str]) -> dict[str, MarketFacts]:
        return await self._observe_read(self._inner.fetch_market_facts(tickers), is_public=True)

    async def search_markets(self, text: str = "", *, only_open: bool = True, limit: int = 50) -> MarketSearch:
        return await self._observe_read(
            self._inner.search_markets(text, only_open=only_open, limit=limit), is_public=True
        )

    async def fetch_order_book(self, ticker: str) -> Book:
        return await self._observe_read(self._inner.fetch_order_book(ticker), is_public=True)

    async def fetch_queue_positions(self, tickers: Sequence[str]) -> tuple[QueuePosition, ...]:
        return await self._inner.fetch_queue_positions(tickers)  # as of programmes: only who looks wants it

    async def fetch_incentives(self) -> IncentiveListing:
        return await self._inner.fetch_incentives()  # nothing depends on it: a refusal says nothing about trading

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        if not self.may_write():
            return NotSent(why=TOO_MANY)
        if self.groups is None:
            return self._observe_write(await self._inner.place(order))
        stamped = await self.groups.stamp(order)
        if isinstance(stamped, NotSent):
            return stamped
        answer = await self._inner.place(stamped)
        self.groups.check(answer)
        return self._observe_write(answer)

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        if not order.is_renewal and not self.may_write():
            return NotSent(why=TOO_MANY)
        return self._observe_write(await self._inner.amend(order))

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        return self._observe_write(await self._inner.cancel(order))

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        return await self._inner.cancel_batch(orders)

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        await self._inner.stream(listener, tickers)

    def watch(self, ticker: str) -> None:
        self._inner.watch(ticker)

    def unwatch(self, ticker: str) -> None:
        self._inner.unwatch(ticker)

    def stream_trouble(self) -> str | None:
        return self._inner.stream_trouble()

    def budget(self) -> BudgetFacts:
        return self._inner.budget()

    def volume_24h(self, ticker: str) -> CountE2 | None:
        return self._inner.volume_24h(ticker)

    async def _observe_read(self, asked: Awaitable[T], listing: str | None = None, *, is_public: bool = False) -> T:
        """Record how a read ends. That one which `is_public` is answered says nothing about our key."""
        try:
            found = await asked
        except VenueError as error:
            self._health.record_failed_read(error, listing)
            raise
        if not is_public:
            self._health.record_read(listing)
        return found

    def _observe_write(self, answer: Answer) -> Answer:
        if isinstance(answer, Refused):
            self._health.record_write(answer.code, answer.message)
        elif not isinstance(answer, NotSent | Unknown):
            self._health.record_write(None)
        return answer
