"""The recorder of tapes: the frames of the markets an engine works in, as they came, for the time it works there.

It stands between the stream and the engine's listener and passes everything on first. Of each watched market it holds
the last minutes, so that a tape begins before the first execution does, where the feed was there; from the first save
of an execution on frames go to the writer's thread, until the last deadline has passed by a while: what another method
would have done is asked until then. Only what is public is kept: books and trades. Where frames were dropped, or a
file ends because it is long, the next thing in it is the whole book.

Nothing of it may hurt an execution: it never waits, and what goes wrong ends it, said once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.price_structures import structure_of
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome, PriceE4
from fsm_exec.recordings.book_frame import book_frame
from fsm_exec.recordings.format import header_of
from fsm_exec.recordings.tape_writer import Line, TapeSettings, TapeWriter
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed

BEFORE_US: Final = 240 * US_PER_S  # what is held of a market that nobody works, at least: the signals' longest memory
HELD_MAX: Final = 200_000  # frames of all markets together: some 60 MB
AFTER_US: Final = 60 * US_PER_S  # after the last deadline, and after the last save
FILE_MAX_BYTES: Final = 200_000_000  # of frames as they came; the file is a tenth of it
WRITTEN_MAX: Final = 128  # tapes at once: each is an open file, and the engine needs some for itself
LOOK_EVERY_S: Final = 1.0
CLOSE_WITHIN_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class TapeSetup:
    """What `open_tape_recorder` needs: the directory, which need not exist, and how much of the disk is for others.
    `tell` hears the one line that says why nothing is kept any more."""

    directory: Path
    settings: TapeSettings
    spare_mb: int
    tell: Callable[[str], None]


@dataclass(slots=True)
class _Market:
    """`earlier` and `recent` each begin with a whole book; together they are what is held while nothing is written."""

    earlier: list[Line] = field(default_factory=list)
    recent: list[Line] = field(default_factory=list)
    recent_since_us: int = 0
    wanted_until_us: int = 0
    is_written: bool = False
    lacks: bool = False  # frames were dropped: the whole book comes next
    written_bytes: int = 0
    is_closed: bool = False  # the last book was written


class TapeRecorder:
    """`tap` sees each frame before `listen`'s listener does. `tell` is called once, when keeping has ended for good."""

    def __init__(
        self,
        writer: TapeWriter,
        wall: WallClock,
        log: FilteringBoundLogger,
        tell: Callable[[str], None],
        *,
        before_us: int = BEFORE_US,
    ) -> None:
        self._writer, self._wall, self._log, self._tell = writer, wall, log, tell
        self._before_us = before_us
        self._inner: StreamListener | None = None
        self._feeds: Mapping[str, MarketFeed] = {}
        self._markets: dict[str, _Market] = {}
        self._passed_over: set[str] = set()  # markets that are not kept, which was said
        self._written = 0
        self._line: Line = (0, b"")
        self._has_ended = False

    def tap(self, frame: str | bytes, at_us: int) -> None:
        """Take a frame that has come and is not understood yet."""
        self._line = at_us, frame

    def listen(self, inner: StreamListener, feeds: Mapping[str, MarketFeed]) -> StreamListener:
        """Stand before `inner`, which keeps `feeds`. Returns the listener to give to the stream."""
        self._inner, self._feeds = inner, feeds
        return _PassingOn(inner, self._keep_frame)

    def on_saved(self, save: ExecutionSave) -> None:
        """Take in that an execution has moved on: its market's tape is wanted until after its deadline."""
        if self._has_ended:
            return
        with _Guard(self):
            market = self._markets.setdefault(save.ticker, _Market())
            now_us = max(save.journal.at_us, self._wall.now_us())
            market.wanted_until_us = max(market.wanted_until_us, save.deadline_us + AFTER_US, now_us + AFTER_US)
            feed = self._feeds.get(save.ticker)
            if not market.is_written and feed is not None and save.state not in EXECUTION_ENDS:
                self._begin(save.ticker, market, feed)

    async def run(self) -> None:
        """Begin and end tapes as markets come and go, until keeping has ended."""
        while not self._has_ended:
            await trio.sleep(LOOK_EVERY_S)
            with _Guard(self):
                self._look()

    def end_tapes(self) -> None:
        """End every tape that is written: the process is leaving."""
        with _Guard(self):
            for ticker, market in list(self._markets.items()):
                if market.is_written:
                    self._end_tape(ticker, market, self._wall.now_us())

    def end(self, why: str) -> None:
        """Keep nothing more, and say so."""
        if self._has_ended:
            return
        self._has_ended = True
        self._markets.clear()
        self._log.error("tapes_not_kept", why=why)
        self._tell(f"tapes of the markets are not kept any more: {why}")

    def _look(self) -> None:
        if self._writer.failure is not None:
            self.end(self._writer.failure)
            return
        now_us = self._wall.now_us()
        for ticker, feed in self._feeds.items():
            if feed.is_worked:
                market = self._markets.setdefault(ticker, _Market())
                market.wanted_until_us = max(market.wanted_until_us, now_us + AFTER_US)
                if not market.is_written:
                    self._begin(ticker, market, feed)
        for ticker, market in list(self._markets.items()):
            is_watched = ticker in self._feeds
            if market.is_written and (now_us > market.wanted_until_us or not is_watched):
                self._end_tape(ticker, market, now_us)
            if not is_watched and not market.is_written:
                del self._markets[ticker]

    def _end_tape(self, ticker: str, market: _Market, now_us: int) -> None:
        """End a tape with the book as it is: so long nothing else came. Nothing where there is no room now."""
        feed = self._feeds.get(ticker)
        if feed is not None and feed.state == "live" and not market.is_closed:
            market.is_closed = self._writer.put(ticker, (now_us, book_frame(ticker, feed.book)))
        if self._writer.end(ticker):
            self._written -= 1
            self._markets[ticker] = _Market()

    def _keep_frame(self, ticker: str, *, has_book: bool, is_trade: bool) -> None:
        """Keep the frame that the engine has just understood. `has_book`: it holds the whole book."""
        feed = self._feeds.get(ticker)
        if self._has_ended or feed is None or feed.state != "live":
            return  # while a book is not live nothing that comes can be laid onto it
        with _Guard(self):
            market = self._markets.get(ticker) or self._markets.setdefault(ticker, _Market())
            if not market.is_written:
                self._hold(ticker, market, feed, has_book=has_book, is_trade=is_trade)
            elif market.lacks and not has_book:
                self._write_book(ticker, market, feed, is_trade=is_trade)
            else:
                market.lacks = not self._writer.put(ticker, self._line)
                market.written_bytes += len(self._line[1])
                if market.written_bytes > FILE_MAX_BYTES:
                    self._begin(ticker, market, feed)

    def _write_book(self, ticker: str, market: _Market, feed: MarketFeed, *, is_trade: bool) -> None:
        """Go on after dropped frames with the whole book; a trade is not in it and comes after."""
        whole = self._line[0], book_frame(ticker, feed.book)
        if self._writer.put(ticker, whole):
            market.lacks = is_trade and not self._writer.put(ticker, self._line)

    def _hold(self, ticker: str, market: _Market, feed: MarketFeed, *, has_book: bool, is_trade: bool) -> None:
        """Hold a frame, and let go of what is too old, a generation at a time."""
        at_us = self._line[0]
        most = HELD_MAX // (2 * max(1, len(self._markets)))
        is_full = at_us - market.recent_since_us >= self._before_us or len(market.recent) >= most
        if not market.recent or is_full:
            if market.recent and not has_book and not is_trade:
                market.recent.append(self._line)  # so that the book that follows is the one these frames lead to
            market.earlier, market.recent, market.recent_since_us = market.recent, [], at_us
            if not has_book:
                market.recent.append((at_us, book_frame(ticker, feed.book)))
                if not is_trade:
                    return  # the book has it already
        market.recent.append(self._line)

    def _begin(self, ticker: str, market: _Market, feed: MarketFeed) -> None:
        """Begin a tape with what is held, or with the book as it is."""
        structure = structure_of(feed.terms.grid)
        if structure is None:
            self._pass_over(ticker, "its grid of prices has no name")
            return
        if self._written >= WRITTEN_MAX and not market.is_written:
            self._pass_over(ticker, f"{WRITTEN_MAX} tapes are being written")
            return
        now_us = self._wall.now_us()
        lines = [*market.earlier, *market.recent]
        if not lines and feed.state == "live":
            lines = [(now_us, book_frame(ticker, feed.book))]
        began_us = lines[0][0] if lines else now_us
        if self._writer.begin(header_of(feed.terms, structure), began_us, lines):
            self._written += not market.is_written
            market.earlier, market.recent = [], []
            market.is_written, market.lacks, market.written_bytes = True, False, 0

    def _pass_over(self, ticker: str, why: str) -> None:
        if ticker not in self._passed_over:
            self._passed_over.add(ticker)
            self._log.warning("tape_not_kept", ticker=ticker, why=why)


@asynccontextmanager
async def open_tape_recorder(
    setup: TapeSetup, wall: WallClock, log: FilteringBoundLogger
) -> AsyncIterator[TapeRecorder]:
    """A recorder whose thread writes while the block runs, and makes its files whole at the end."""
    writer = TapeWriter(setup.directory, setup.settings, spare_mb=setup.spare_mb)
    writer.start()
    recorder = TapeRecorder(writer, wall, log, setup.tell)
    try:
        yield recorder
    finally:
        recorder.end_tapes()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(writer.close, CLOSE_WITHIN_S)


class _Guard:
    """What fails inside ends the recorder, and nothing else."""

    def __init__(self, recorder: TapeRecorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._recorder.end(f"{type(error).__name__}: {error}")
        return True


class _PassingOn:
    """A listener of the stream that passes everything to the inner one, and tells of public frames after it."""

    def __init__(self, inner: StreamListener, keep: Callable[..., None]) -> None:
        self._keep = keep
        self._inner = inner
        self.connected = inner.connected
        self.disconnected = inner.disconnected
        self.heard = inner.heard
        self.book_gap = inner.book_gap
        self.book_broken = inner.book_broken
        self.market_status = inner.market_status
        self.market_grid, self.market_fees = inner.market_grid, inner.market_fees
        self.fill = inner.fill
        self.order, self.order_group = inner.order, inner.order_group

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        self._inner.book_snapshot(ticker, yes, no, at_us)
        self._keep(ticker, has_book=True, is_trade=False)

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        self._inner.book_change(ticker, outcome, price, delta, at_us)
        self._keep(ticker, has_book=False, is_trade=False)

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        self._inner.trade(ticker, taker, yes_price, count, at_us)
        self._keep(ticker, has_book=False, is_trade=True)
