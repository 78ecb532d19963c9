"""Markouts: the mid 1, 5, 30 and 300 seconds after each fill, measured when its time has come, and the settlement.

A fill comes from the store once it is durable, so a markout never stands before its fill. After a restart the earlier
fills whose time is yet to come go on; those that came due while no engine ran are stored as missed. A settlement waits
for as long as it takes, through restarts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.costs.rows import MarkoutDue, MarkoutRow
from fsm_exec.core.errors import SaveRefused, VenueError
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.store_port import ObservationStore
from fsm_exec.core.values.units import Outcome, format_fixed
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.timer_queue import TimerQueue

HORIZONS_S: Final = (1, 5, 30, 300)
LAG_US: Final = 1_000_000  # how long the book's frames may be on their way
LOOK_BACK_US: Final = 86_400_000_000
DOLLAR_E5: Final = 100_000
MISSED_OFFLINE: Final = "nobody was there"


SETTLED: Final = 0  # the horizon under which a settlement is stored
SETTLE_EVERY_S: Final = 300.0
RESULTS_BATCH: Final = 50
Results: TypeAlias = Callable[[Sequence[str]], Awaitable[Mapping[str, Outcome]]]
"""The outcomes of those of these markets that are settled. Raises VenueError."""


class Markouts:
    """Schedules and stores the markouts of all fills."""

    def __init__(
        self, store: ObservationStore, feeds: Mapping[str, MarketFeed], wall: WallClock, log: FilteringBoundLogger
    ) -> None:
        self._store, self._feeds, self._wall, self._log = store, feeds, wall, log
        self._timers: TimerQueue[tuple[MarkoutDue, int]] = TimerQueue(wall)

    def on_saved(self, save: ExecutionSave) -> None:
        """Schedule the new fills of a durable step, and drop those that it took back."""
        if save.gone:  # taken back
            gone = {(row.order_id, row.fill_id) for row in save.gone}
            self._timers.discard(lambda item: (item[0].order_id, item[0].fill_id) in gone)
        for fill in save.fills:
            due = MarkoutDue(save.ticker, save.outcome, fill.order_id, fill.fill_id, fill.traded_at_us, frozenset())
            self._schedule(due)

    def _schedule(self, due: MarkoutDue) -> None:
        for horizon in HORIZONS_S:
            if horizon not in due.known:
                self._timers.push(due.traded_at_us + horizon * 1_000_000, (due, horizon))

    async def load_pending(self) -> None:
        """Load what an earlier process left unmeasured, before any execution moves."""
        now_us = self._wall.now_us()
        missed: list[MarkoutRow] = []
        for due in await self._store.load_due_markouts(now_us - LOOK_BACK_US):
            past = {h for h in HORIZONS_S if due.traded_at_us + h * 1_000_000 <= now_us} - due.known
            missed += [_row(due, horizon, None, MISSED_OFFLINE) for horizon in sorted(past)]
            self._schedule(
                MarkoutDue(due.ticker, due.outcome, due.order_id, due.fill_id, due.traded_at_us, due.known | past)
            )
        if missed:
            await self._store.save_markouts(missed, now_us)

    async def run(self) -> None:
        """Measure and store due markouts, forever."""
        while True:
            rows = [self._measure(due, horizon, at_us) for at_us, (due, horizon) in await self._timers.wait_due(LAG_US)]
            try:
                await self._store.save_markouts(rows, self._wall.now_us())
            except SaveRefused:
                self._log.exception("markouts_refused", rows=len(rows))

    async def record_settlements(self, results: Results) -> None:
        """Store what fills of closed markets were worth in the end, forever."""
        while True:
            await trio.sleep(SETTLE_EVERY_S)
            closed = [ticker for ticker in await self._store.load_unsettled_markets() if self._may_be_settled(ticker)]
            for asked in batches_of(closed, RESULTS_BATCH):
                try:
                    found = await results(asked)
                except VenueError as error:
                    self._log.warning("results_unavailable", markets=len(asked), error=str(error))
                    break
                for ticker, result in found.items():
                    await self._settle(ticker, result)

    def _may_be_settled(self, ticker: str) -> bool:
        feed = self._feeds.get(ticker)
        return feed is None or feed.status == "closed"

    async def _settle(self, ticker: str, result: Outcome) -> None:
        fills = await self._store.load_unsettled_fills(ticker)
        rows = [_row(fill, SETTLED, DOLLAR_E5 if fill.outcome == result else 0, None) for fill in fills]
        await self._store.save_markouts(rows, self._wall.now_us())

    def _measure(self, due: MarkoutDue, horizon: int, at_us: int) -> MarkoutRow:
        feed = self._feeds.get(due.ticker)
        if feed is None:
            return _row(due, horizon, None, "not watched any more")
        if feed.whole_since_us is None or feed.whole_since_us > at_us:
            return _row(due, horizon, None, "the feed had a gap")
        mid = feed.mid_before(at_us + 1, due.outcome)
        return _row(due, horizon, mid, None if mid is not None else "no two-sided book")


def _row(due: MarkoutDue, horizon: int, mid_e5: int | None, why: str | None) -> MarkoutRow:
    mid = None if mid_e5 is None else format_fixed(mid_e5, 5)
    return MarkoutRow(order_id=due.order_id, fill_id=due.fill_id, horizon_s=horizon, mid=mid, why=why)


def batches_of(tickers: Sequence[str], at_once: int) -> Iterator[Sequence[str]]:
    return (tickers[begin : begin + at_once] for begin in range(0, len(tickers), at_once))
