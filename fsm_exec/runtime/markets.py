"""The markets an engine works: opened at the start or while it runs, closed when no execution needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

import trio
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import UserError, VenueRefused, VenueUnavailable
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.terms import MarketStatus, MarketTerms
from fsm_exec.core.store_port import Store
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.exchange_reads import retry_until_answered
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.observer import Observer
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.stream_state import StreamState

READ_AGAIN_MAX = 5
READ_AGAIN_S = 2


class Markets:
    """`feeds` is shared with the stream's listener, which updates each feed from the stream."""

    def __init__(
        self,
        exchange: Exchange,
        store: Store,
        wall: WallClock,
        own: OwnOrders,
        stream: StreamState,
        feeds: dict[str, MarketFeed],
        log: FilteringBoundLogger,
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer
        self._exchange, self._store, self._wall, self._own = exchange, store, wall, own
        self._stream, self._log = stream, log
        self.feeds = feeds
        self.feed_changes: Counter[str] = Counter()  # transitions of the feeds by trigger, since the start
        self._unread: set[str] = set()  # tickers whose terms are an execution's own so far

    async def add(self, ticker: str) -> None:
        """Fetch and store a market's terms and make its feed; the caller subscribes to the stream. Raises VenueError,
        UserError and StoreFailed."""
        await self._save_and_set(ticker, await self._fetch_terms(ticker))

    async def add_all(self, tickers: Sequence[str], worked: Iterable[MarketTerms]) -> dict[str, MarketStatus]:
        """Add many markets in few calls, and those that unfinished executions work, whose terms are known. One of those
        that cannot be read any more does not stop the others: a market that is gone is closed; the trouble of another
        is logged, and nothing is placed there. Returns the status of each as far as it is known."""
        known = {terms.ticker: terms for terms in worked}
        wanted = list(dict.fromkeys([*tickers, *known]))
        found = (
            await retry_until_answered(lambda: self._exchange.fetch_markets(wanted), "markets", self._log)
            if wanted
            else {}
        )
        statuses: dict[str, MarketStatus] = {}
        for ticker in wanted:
            terms = found.get(ticker)
            if terms is None and ticker not in tickers:
                status = await self._fetch_status_of_unread(ticker)
                if status is not None:
                    statuses[ticker] = status
                await self._set_terms(ticker, replace(known[ticker], status=status or "paused"))
                continue
            if terms is None:
                terms = await retry_until_answered(
                    partial(self._exchange.fetch_market_terms, ticker), ticker, self._log
                )
            statuses[ticker] = terms.status
            await self._save_and_set(ticker, terms)
        return statuses

    async def _fetch_status_of_unread(self, ticker: str) -> MarketStatus | None:
        try:
            return (await self._fetch_terms(ticker)).status
        except VenueRefused as error:
            self._log.warning("market_unreadable", ticker=ticker, error=str(error))
            return "closed" if error.status == 404 else None
        except (VenueUnavailable, UserError) as error:
            self._log.warning("market_unreadable", ticker=ticker, error=str(error))
            return None

    async def add_provisional(self, worked: Iterable[MarketTerms]) -> None:
        """Add feeds for the markets of unfinished executions with the terms they hold, paused: nothing is placed there
        until the terms are fetched. Raises StoreFailed."""
        for terms in worked:
            if terms.ticker not in self.feeds:
                self._unread.add(terms.ticker)
                await self._add_feed(terms.ticker, replace(terms, status="paused"))

    async def _save_and_set(self, ticker: str, terms: MarketTerms) -> None:
        await self._store.save_market(terms, self._wall.now_us())
        await self._set_terms(ticker, terms)

    async def _set_terms(self, ticker: str, terms: MarketTerms) -> None:
        if ticker in self._unread:
            self._unread.discard(ticker)
            self.feeds[ticker].set_terms(terms)
        else:
            await self._add_feed(ticker, terms)

    async def _add_feed(self, ticker: str, terms: MarketTerms) -> None:
        if ticker not in self.feeds:  # another task may have been faster, and executions hold its feed
            feed = self.feeds[ticker] = MarketFeed(terms, self._wall, self._own, self._log_transition)
            if self._observer is not None:
                await self._observer.add_feed(feed)

    async def _fetch_terms(self, ticker: str) -> MarketTerms:
        """Fetch a market's terms; a read that found no answer is repeated a few times: nothing is at stake yet."""
        for _ in range(READ_AGAIN_MAX):
            try:
                return await self._exchange.fetch_market_terms(ticker)
            except VenueUnavailable as error:
                self._log.warning("terms_unavailable", ticker=ticker, error=str(error))
                await trio.sleep(READ_AGAIN_S)
        return await self._exchange.fetch_market_terms(ticker)

    async def open(self, ticker: str) -> None:
        """Add a market to a stream that runs: its feed waits for a snapshot. An open one is left as it is. Raises what
        `add` raises."""
        is_new = ticker not in self.feeds
        if is_new or ticker in self._unread:
            await self.add(ticker)
        if is_new:
            self._go_live(ticker)

    async def open_worked(self, terms: MarketTerms) -> None:
        """Open the market of an execution whose terms are known, without a read: nothing is placed there before
        `fetch_worked`. Raises StoreFailed."""
        if terms.ticker not in self.feeds:
            await self.add_provisional((terms,))
            self._go_live(terms.ticker)

    async def fetch_worked(self, terms: MarketTerms) -> None:
        """Fetch the terms of a market that `open_worked` opened; one that cannot be read stays as it is. Raises
        VenueRefused."""
        if terms.ticker in self._unread:
            await self.add_all((), (terms,))

    def close(self, ticker: str) -> None:
        """Remove a market; what still comes about it is ignored."""
        self._exchange.unwatch(ticker)
        self._unread.discard(ticker)
        self.feeds.pop(ticker, None)
        if self._observer is not None:
            self._observer.remove_feed(ticker)

    def _go_live(self, ticker: str) -> None:
        if self._stream.is_connected:
            self.feeds[ticker].mark_connected()
        self._exchange.watch(ticker)

    def _log_transition(self, ticker: str, source: str, trigger: str, dest: str) -> None:
        self.feed_changes[trigger] += 1
        self._log.info("transition", machine="market_feed", subject=ticker, source=source, trigger=trigger, dest=dest)
