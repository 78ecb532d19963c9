"""The markets an engine works: opened at the start or while it runs, closed when nobody needs them."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.market import MarketTerms
from fsm_exec.core.ports import Exchange, Store
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.router import Router

READ_AGAIN_MAX = 5
READ_AGAIN_S = 2


class Markets:
    """`feeds` is shared with the router, which tells each feed what the stream brings."""

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        wall: Wall,
        own: OwnOrders,
        router: Router,
        feeds: dict[str, MarketFeed],
        log: FilteringBoundLogger,
    ) -> None:
        self._exchange, self._store, self._wall, self._own = exchange, store, wall, own
        self._router, self._log = router, log
        self.feeds = feeds

    async def add(self, ticker: str) -> None:
        """Read and keep a market's terms and make its feed; the stream is the caller's. Raises VenueError, UserError
        and StoreFailed."""
        terms = await self._terms(ticker)
        await self._store.save_market(terms, self._wall.now_us())
        self.feeds[ticker] = MarketFeed(terms, self._wall, self._own, self._moved)

    async def _terms(self, ticker: str) -> MarketTerms:
        """A read that found no answer is made again, a few times: nothing is at stake yet."""
        for _ in range(READ_AGAIN_MAX):
            try:
                return await self._exchange.market_terms(ticker)
            except VenueUnavailable as error:
                self._log.warning("terms_unavailable", ticker=ticker, error=str(error))
                await trio.sleep(READ_AGAIN_S)
        return await self._exchange.market_terms(ticker)

    async def open(self, ticker: str) -> None:
        """Add a market to a stream that runs: its feed waits for a snapshot. An open one is left as it is. Raises as
        `add`."""
        if ticker in self.feeds:
            return
        await self.add(ticker)
        if self._router.is_connected:
            self.feeds[ticker].connected()
        self._exchange.watch(ticker)

    def close(self, ticker: str) -> None:
        """Forget a market: what still comes about it is nobody's."""
        self._exchange.unwatch(ticker)
        self.feeds.pop(ticker, None)

    def _moved(self, ticker: str, source: str, trigger: str, dest: str) -> None:
        self._log.info("transition", machine="market_feed", subject=ticker, source=source, trigger=trigger, dest=dest)
