"""Recordings from raw logs: a file a market, of what is sound in a log.

The numbers (`seq`) of a subscription are followed through the whole log; behind a hole, a new subscription, and a book
that cannot be, a market's changes are left out up to its next snapshot, as a client would have. Frames are written as
they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from fsm_exec.core.errors import UnitError
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import PriceE4
from fsm_exec.paper.tapes.moments import ImpossibleBook, order_moment
from fsm_exec.paper.tapes.raw_log import Layout, LogCounts, exchange_time_us, read_frames
from fsm_exec.paper.tapes.reading import change_of
from fsm_exec.paper.tapes.tape import BookSnapshot, Change, Trade
from fsm_exec.recordings.writer import RecordingWriter
from fsm_exec.wire import ws


class MarketFrame(NamedTuple):
    """A frame of one market. `at_us`: when it was received, or what stands for it."""

    at_us: int
    ticker: str
    sid: int | None
    change: Change
    raw: bytes


class LogFindings(msgspec.Struct, kw_only=True):
    """What a log had besides frames of markets. `holes`: numbers missing in a subscription. `set_back`: frames whose
    time is before an earlier one's. `damaged`: frames of markets that say nothing possible."""

    counts: LogCounts = msgspec.field(default_factory=LogCounts)
    of_no_market: int = 0
    holes: int = 0
    set_back: int = 0
    damaged: int = 0


class MarketFindings(msgspec.Struct, kw_only=True):
    """One market in a log: its prices, what was kept of it, what not. `gaps`: how often its book was lost, `impossible`
    how often because it fell below zero or crossed."""

    prices: set[PriceE4] = msgspec.field(default_factory=set)
    kept: int = 0
    left_out: int = 0
    gaps: int = 0
    impossible: int = 0


def follow_logs(
    logs: Sequence[tuple[Path, int]],
    layouts: dict[Path, Layout],
    findings: LogFindings,
    lose: Callable[[int | None], None],
) -> Iterator[MarketFrame]:
    """The frames of markets in several logs, one after the other. `lose` is called with a subscription of which frames
    are missing: its books are unknown then. Raises UserError."""
    numbers: dict[int, int] = {}
    now_us = 0
    for path, first_us in logs:
        if now_us == 0:
            now_us = first_us
        layout = layouts[path]
        for at_us, raw, envelope in read_frames(path, layout, findings.counts):
            if envelope.sid is not None and envelope.seq is not None:
                if envelope.seq != numbers.get(envelope.sid, envelope.seq):
                    findings.holes += 1
                    lose(envelope.sid)
                numbers[envelope.sid] = envelope.seq + 1
            try:
                message = ws.decode_message(envelope)
                if isinstance(message, ws.Subscribed) and numbers.pop(message.sid, None) is not None:
                    lose(message.sid)  # on another connection: what was missed in between is not known
                ticker = getattr(message, "market_ticker", None)
                change = change_of(message, ticker) if ticker else None
            except (msgspec.DecodeError, UnitError):
                findings.damaged += 1
                lose(envelope.sid)
                continue
            if change is None or ticker is None:
                findings.of_no_market += 1
                continue
            found_us = at_us if layout.time is not None else exchange_time_us(envelope, message)
            if found_us is not None:
                findings.set_back += found_us < now_us
                now_us = max(now_us, found_us)
            yield MarketFrame(now_us, ticker, envelope.sid, change, raw)


class MarketImport:
    """Takes one market's frames, keeps those of moments after which its book is possible. Without a writer it only
    counts."""

    def __init__(self, writer: RecordingWriter | None = None) -> None:
        self.findings = MarketFindings()
        self._writer = writer
        self._book = Book()
        self._is_known = False
        self._sid: int | None = None
        self._moment: list[MarketFrame] = []

    def take(self, frame: MarketFrame) -> None:
        """Take the next frame."""
        if self._moment and frame.at_us != self._moment[0].at_us:
            self.end_moment()
        if isinstance(frame.change, BookSnapshot):
            self._is_known = True
            self._sid = frame.sid
        elif not self._is_known:
            self.findings.left_out += 1
            return
        self._moment.append(frame)

    def lose(self, sid: int | None) -> None:
        """Frames of a subscription are missing: if the book is of it, it is not known up to the next snapshot."""
        if sid is not None and sid != self._sid:
            return
        self.end_moment()
        self.findings.gaps += self._is_known
        self._is_known = False

    def end_moment(self) -> None:
        """Keep the frames of the last time of receipt, if the book is possible after them."""
        moment, self._moment = self._moment, []
        if not moment:
            return
        try:
            order_moment(self._book, [frame.change for frame in moment])
        except ImpossibleBook:
            self.findings.impossible += 1
            self.findings.gaps += 1
            self.findings.left_out += len(moment)
            self._is_known = False
            return
        self.findings.kept += len(moment)
        for frame in moment:
            self._note_prices(frame.change)
            if self._writer is not None:
                self._writer.write(frame.at_us, frame.raw)

    def _note_prices(self, change: Change) -> None:
        match change:
            case BookSnapshot():
                self.findings.prices.update(price for levels in (change.yes, change.no) for price, _ in levels)
            case Trade():
                self.findings.prices.add(change.yes_price_e4)
            case _:
                self.findings.prices.add(change.price_e4)
