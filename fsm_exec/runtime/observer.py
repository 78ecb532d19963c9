"""The observers of the markets beside the executions: books, forecasts and markouts.

They never hold up a decision: what is to be stored is queued at once and stored later, and when the queue is full it is
dropped and logged. The caller that opens an engine may give it an observer, or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.rows import BookRow
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.signals.forecasts import Forecast
from fsm_exec.core.store_port import ObservationStore
from fsm_exec.runtime.book_recorder import BookRecorder, DepthSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.forecast_recorder import ForecastRecorder
from fsm_exec.runtime.markouts import Markouts, Results

WAITING_MAX: Final = 1_024
DEFAULT: Final = DepthSettings()


class Observer:
    """`results` returns the outcomes of settled markets; without it no settlement is recorded."""

    def __init__(
        self,
        store: ObservationStore,
        wall: WallClock,
        log: FilteringBoundLogger,
        settings: DepthSettings = DEFAULT,
        results: Results | None = None,
    ) -> None:
        self._results = results
        self._feeds: dict[str, MarketFeed] = {}
        feeds: Mapping[str, MarketFeed] = self._feeds
        self._log = log
        self.depth = BookRecorder(store, feeds, wall, log, settings)
        self.markouts = Markouts(store, feeds, wall, log)
        self.forecasting = ForecastRecorder(store, feeds, wall, log)
        self._send, self._receive = trio.open_memory_channel[tuple[BookRow | None, Execution | None, list[Forecast]]](
            WAITING_MAX
        )
        store.on_saved(self._on_saved)

    async def load_pending(self) -> None:
        """Load what an earlier process left to be measured. Raises StoreFailed."""
        await self.markouts.load_pending()
        await self.forecasting.load_pending()

    async def add_feed(self, feed: MarketFeed) -> None:
        """Observe a market, beginning with the books stored of it. Raises StoreFailed."""
        self._feeds[feed.terms.ticker] = feed
        feed.on_acted = self._on_acted
        await self.depth.warm_up(feed)

    def remove_feed(self, ticker: str) -> None:
        """Observe a market no more."""
        self._feeds.pop(ticker, None)

    async def run(self) -> None:
        """Store what is queued, and run the periodic observers, forever. Raises StoreFailed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.depth.record_periodically)
            nursery.start_soon(self.depth.delete_expired)
            nursery.start_soon(self.markouts.run)
            nursery.start_soon(self.forecasting.run)
            if self._results is not None:
                nursery.start_soon(self.markouts.record_settlements, self._results)
            async for book, execution, forecasts in self._receive:
                if book is not None:
                    await self.depth.save(book)
                if execution is not None and forecasts:
                    await self.forecasting.save(execution, forecasts)

    def _on_saved(self, save: ExecutionSave) -> None:
        self.markouts.on_saved(save)
        self.forecasting.on_saved(save)
        if save.journal.seq == 1 and (feed := self._feeds.get(save.ticker)) is not None:
            self._enqueue(self.depth.snapshot_row(feed, "arrival", save.execution_id), None, [])

    def _on_acted(self, execution: Execution, view: MarketView) -> None:
        feed = self._feeds.get(execution.terms.ticker)
        if feed is not None:
            book = self.depth.snapshot_row(feed, "decision", execution.execution_id)
            self._enqueue(book, execution, self.forecasting.forecasts_of(execution, view))

    def _enqueue(self, book: BookRow | None, execution: Execution | None, forecasts: list[Forecast]) -> None:
        if book is None and not forecasts:
            return
        try:
            self._send.send_nowait((book, execution, forecasts))
        except trio.WouldBlock:
            self._log.error("observations_dropped", waiting=WAITING_MAX)
