"""Polls the status, the price grid and the fees of the watched markets, because the stream may miss changes.

The lifecycle channel says what changes (wire/README.md 10.6), but not all of it: that a market opens or closes in time
has no frame (wire/README.md 7), markets of combos are on another channel, and a frame may be lost. So the markets are
polled whenever the stream may have missed something, at the moments they are to open and close, and every minute. An
answer may be 15 s old (wire/README.md 4.4): it never overrules a frame that is newer than that, and after a possible
loss a second poll shows what the first may not have shown yet. Fees cost more calls (an event, a series, and what is
announced), so they are read every five minutes, when an announced change comes, and when the stream may have missed
one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

import trio

from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.fee_plan import Stated
from fsm_exec.kalshi.listener_guard import StreamLost, call_listener
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.market_terms import STATUS_OF_WORD, grid_of
from fsm_exec.kalshi.terms_reader import TermsReader
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import client_bodies as wire

INTERVAL_S: Final = 60
POLL_DELAY_S: Final = 0.5  # requests come in crowds, one for each market that is opened: one poll answers them all
STALE_S: Final = 20  # how old an answer may be, with a margin
RETRY_S: Final = 5
FEES_INTERVAL_S: Final = 300


class MarketPoller:
    """Reports what it polls to the stream's listener. `wall_us` is the wall time in unix microseconds: markets open and
    close by it."""

    def __init__(self, terms: TermsReader, wall_us: Callable[[], int], log: Log) -> None:
        self._terms = terms
        self._wall_us = wall_us
        self._log = log
        self._unread, self._unread_fees = Trouble(log, "markets_unread"), Trouble(log, "fees_unread")
        self._wanted_soon = trio.Event()
        self._fees_due_us = wall_us() + FEES_INTERVAL_S * US_PER_S  # when they are read next
        self._had_connection = False
        self._frame_s: dict[str, float] = {}  # ticker -> when a frame last said how the market stands

    def poll_soon(self) -> None:
        """Poll at once: the stream may have missed something."""
        self._wanted_soon.set()

    def note_connection(self) -> None:
        """Poll at once: there is a connection. Terms were read before the first one; before any other a change of fees
        may have been missed."""
        if self._had_connection:
            self._fees_due_us = 0
        self._had_connection = True
        self.poll_soon()

    def read_fees_soon(self) -> None:
        """Poll at once, and read the fees too: the stream may have missed that they changed."""
        self._fees_due_us = 0
        self.poll_soon()

    def note_event_fees(self, event: str, stated: Stated) -> None:
        """Note what a frame says of an event's fees, and read those of its markets at once."""
        self._terms.fee_changes.note_event(event, stated)
        self.read_fees_soon()

    def note_frame(self, ticker: str) -> None:
        """Note that a frame has just said how a market stands: for STALE_S an answer may be older than it."""
        self._frame_s[ticker] = trio.current_time()

    async def run(self, listener: StreamListener, wanted: Mapping[str, None]) -> NoReturn:
        """Poll the `wanted` markets, which may change at any time, and report them to `listener` until cancelled."""
        wait_s: float = 0
        while True:
            with trio.move_on_after(wait_s):
                await self._wanted_soon.wait()
            await trio.sleep(POLL_DELAY_S)
            asked, self._wanted_soon = self._wanted_soon.is_set(), trio.Event()
            wait_s = await self._poll(listener, wanted)
            if asked:
                wait_s = min(wait_s, STALE_S)

    async def _poll(self, listener: StreamListener, wanted: Mapping[str, None]) -> float:
        """Poll once and report. Returns after how many seconds to poll again."""
        tickers = list(wanted)
        if not tickers:
            return INTERVAL_S
        try:
            rows = await self._terms.fetch_rows(tickers)
        except VenueError as error:
            self._unread.record(str(error)[:300])
            return RETRY_S
        self._unread.end()
        now_s, now_us = trio.current_time(), self._wall_us()
        wait_s: float = INTERVAL_S
        for ticker, row in rows.items():
            if ticker not in wanted:
                continue  # not any more
            if now_s - self._frame_s.get(ticker, -STALE_S) < STALE_S:
                wait_s = min(wait_s, STALE_S)
                continue
            wait_s = min([wait_s, *_turning_points_s(row, now_us)])
            try:
                self._report(listener, ticker, row)
            except StreamLost:
                return RETRY_S  # the listener failed, which is logged
        if now_us >= self._fees_due_us:
            await self._report_fees(listener, rows, wanted)
        wait_s = min(wait_s, max(0.0, (self._fees_due_us - self._wall_us()) / US_PER_S))
        missing = set(tickers).difference(rows)
        if missing:
            self._log.warning("markets_not_listed", tickers=sorted(missing)[:10], count=len(missing))
        return wait_s

    async def _report_fees(
        self, listener: StreamListener, rows: Mapping[str, wire.Market], wanted: Mapping[str, None]
    ) -> None:
        """Read the fees of the markets and report them. What cannot be read is read again soon."""
        now_us = self._wall_us()
        self._fees_due_us = now_us + FEES_INTERVAL_S * US_PER_S
        try:
            found = await self._terms.compose_with_news(rows)
        except VenueError as error:
            self._fees_due_us = now_us + RETRY_S * US_PER_S
            self._unread_fees.record(str(error)[:300])
            return
        self._unread_fees.end()
        for ticker, terms in found.items():
            if ticker not in wanted:
                continue  # not any more
            if terms.fee_changes:  # so that what is shown of a market changes with it
                self._fees_due_us = min(self._fees_due_us, terms.fee_changes[0].at_us)
            with suppress(StreamLost):  # the listener failed, which is logged
                call_listener(self._log, partial(listener.market_fees, ticker, terms.fees, terms.fee_changes))

    def _report(self, listener: StreamListener, ticker: str, row: wire.Market) -> None:
        # A status we do not know may well mean "not now": nothing is placed until it is one we know.
        word = row.status or ""
        status = STATUS_OF_WORD.get(word, "paused")
        if word not in STATUS_OF_WORD:
            self._log.warning("status_unknown", ticker=ticker, status=word[:40])
        call_listener(self._log, partial(listener.market_status, ticker, status))
        try:
            grid = grid_of(ticker, row.price_ranges or ())
        except Malformed as error:
            self._log.warning("grid_unreadable", ticker=ticker, error=str(error)[:300])
        else:
            call_listener(self._log, partial(listener.market_grid, ticker, grid))


def _turning_points_s(row: wire.Market, now_us: int) -> list[float]:
    """Return in how many seconds a market is to open and to close, as far as that lies ahead and can be read. A second
    is added for the exchange to do it."""
    turns: list[float] = []
    for text in (row.open_time, row.close_time):
        try:
            ahead_us = translate.time_us(text or "") - now_us
        except Malformed:
            continue
        if ahead_us > 0:
            turns.append(ahead_us / US_PER_S + 1)
    return turns
