"""The stream's listener that records: it keeps each market's book, so that a new file can begin at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from fsm_exec.cli.output import say
from fsm_exec.core.market.book import Book, BookError, Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import FeeChange, MarketStatus
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome, PriceE4, PriceGrid
from fsm_exec.recordings.book_frame import book_frame
from fsm_exec.recordings.day_files import EndedBy, MarketFiles

FLUSH_S: Final = 2
AFTER_CLOSE_US: Final = 60 * US_PER_S  # a closed market's book is still taken down for a while


@dataclass
class _Market:
    """`book` is None while it is not known: before the first snapshot, and behind a gap."""

    files: MarketFiles
    book: Book | None = None
    gaps: int = 0
    closed_us: int | None = None


class Recorder:
    """Listener and tap: a frame is seen first, and written once it has been understood. `ended` hears of a market that
    is over."""

    def __init__(self, now_us: Callable[[], int], ended: Callable[[str], None]) -> None:
        self.connections = 0
        self.failed = trio.Event()
        self.failure: tuple[str, OSError] | None = None
        self._now_us, self._ended = now_us, ended
        self._markets: dict[str, _Market] = {}
        self._frame: tuple[str | bytes, int] = (b"", 0)

    def __contains__(self, ticker: str) -> bool:
        return ticker in self._markets

    @property
    def open_markets(self) -> int:
        """How many markets are not over."""
        return sum(market.closed_us is None for market in self._markets.values())

    def add(self, files: MarketFiles) -> None:
        """Record one more market."""
        self._markets[files.ticker] = _Market(files)

    def rows(self) -> list[dict[str, object]]:
        """What was recorded: a row for each file, and one for each market without any."""
        found: list[dict[str, object]] = []
        for ticker, market in self._markets.items():
            made: list[dict[str, object]] = [
                {"market": ticker, "file": str(path), "frames": row.frames, "gaps": row.gaps}
                for path, row in market.files.finished
            ]
            found += made or [{"market": ticker, "file": None, "frames": 0, "gaps": market.gaps}]
        return found

    def begin_anew(self) -> None:
        """End every file; the next frame of a market begins a new one."""
        self._end_files("rotation")

    def close(self) -> None:
        """End every file for good."""
        self._end_files("end")

    async def keep_flushing(self) -> None:
        """Hand over what was written, and end files of days and markets that are over, until cancelled."""
        while True:
            await trio.sleep(FLUSH_S)
            now_us = self._now_us()
            for ticker, market in self._markets.items():
                if market.closed_us is not None and market.files.is_open and now_us > market.closed_us + AFTER_CLOSE_US:
                    self._try(market, partial(market.files.end, "market"))
                    self._ended(ticker)
                elif market.files.day_is_over(now_us):
                    self._try(market, partial(market.files.end, "day"))
                else:
                    self._try(market, market.files.flush)

    def record_frame(self, frame: str | bytes, at_us: int) -> None:
        """Take a frame that has come and is not understood yet."""
        self._frame = frame, at_us

    def _end_files(self, ended_by: EndedBy) -> None:
        for market in self._markets.values():
            try:
                market.files.end(ended_by)
            except OSError as error:
                self._fail(market, error)

    def _try(self, market: _Market, step: Callable[[], None]) -> None:
        """Run a step on a file; keep its error for the command: raised here, the stream would only dial again."""
        if self.failure is not None:
            return
        try:
            step()
        except OSError as error:
            self._fail(market, error)

    def _fail(self, market: _Market, error: OSError) -> None:
        self.failure = self.failure or (str(error.filename or market.files.path or market.files.ticker), error)
        self.failed.set()

    def _write(self, market: _Market, *, has_book: bool) -> None:
        """Write the frame that has just come. A new file begins with the whole book as it was before."""
        frame, at_us = self._frame
        if market.files.day_is_over(at_us):
            market.files.end("day")
        if not market.files.is_open:
            if market.book is None and not has_book:
                return
            market.files.begin(at_us)
            if not has_book and market.book is not None:
                market.files.write(at_us, book_frame(market.files.ticker, market.book))
        market.files.write(at_us, frame)

    # As a listener.

    def connected(self) -> None:
        self.connections += 1

    def disconnected(self, why: str) -> None:
        say(f"fsm-exec: the connection was lost ({why}); dialling again", err=True)

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        market = self._markets.get(ticker)
        if market is not None:
            self._try(market, partial(self._write, market, has_book=True))
            market.book = Book(yes, no)

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        market = self._markets.get(ticker)
        if market is None or market.book is None:
            return
        self._try(market, partial(self._write, market, has_book=False))
        try:
            market.book.change(outcome, price, delta)
        except BookError:
            market.book = None  # the stream has found it too, and asks for a snapshot

    def book_gap(self, tickers: Sequence[str]) -> None:
        for ticker in tickers:
            if (market := self._markets.get(ticker)) is not None:
                market.gaps += 1
                market.files.note_gap()
                market.book = None

    def book_broken(self, ticker: str) -> None:
        self.book_gap([ticker])

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        market = self._markets.get(ticker)
        if market is not None:
            self._try(market, partial(self._write, market, has_book=False))

    def market_status(self, ticker: str, status: MarketStatus) -> None:
        """Not recorded: a tape is of the book. A market that is closed is over soon."""
        market = self._markets.get(ticker)
        if market is not None:
            market.closed_us = self._now_us() if status == "closed" else None

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        """Not recorded either."""

    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None:
        """Not recorded either."""

    def fill(self, report: FillReport) -> None:
        """Not recorded: it is the account's."""

    def order(self, report: OrderReport) -> None:
        """Not recorded: it is the account's."""

    def order_group(self, group_id: str, change: str) -> None:
        """Not recorded: it is the account's."""

    def heard(self) -> None:
        """A recording shows by its times when nothing came."""
