"""Looks an execution up in the database and keeps its history, so that the next look reads only what is new."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import trio
from markupsafe import Markup

from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.fork.kept_market import load_kept_market
from fsm_exec.lab.report.execution_books import Books, books_from_recording, books_from_snapshots
from fsm_exec.lab.report.execution_frame import MARGIN_SHARE, Frame, frame_of, window_of
from fsm_exec.lab.report.timeline import Timeline
from fsm_exec.store.api_rows import ExecutionDetail
from fsm_exec.store.archive.archive_reads import read_one
from fsm_exec.store.reads.api_queries import load_detail
from fsm_exec.store.reads.execution_history import StoredBook, load_books
from fsm_exec.web.database import DatabaseReader
from fsm_exec.web.execution.books import merge_books
from fsm_exec.web.execution.header import Header, header_of
from fsm_exec.web.execution.history import History
from fsm_exec.web.execution.past import books_until, story_until
from fsm_exec.web.execution.picture import Scene, draw_picture
from fsm_exec.web.execution.tables import with_places
from fsm_exec.web.execution.thinned_books import ThinnedBooks
from fsm_exec.web.execution.view import JournalLine, RowView, journal_line, view_row

HISTORIES_KEPT: Final = 24
ROWS_KEPT: Final = 100_000
"""Of all histories that are kept: some 500 bytes each."""
LOOK_AHEAD_US: Final = 60_000_000
KEPT_FRAMES_MAX: Final = 10_000  # of a tape: some tenths of a second, once; more is for `fsm-exec report`
ROWS_BEFORE, ROWS_AFTER = 60, 20


@dataclass(frozen=True)
class Looked:
    """What a page shows. `row` None: nothing of its journal can be read; `detail` is what its tables say."""

    header: Header
    detail: ExecutionDetail
    row: RowView | None
    journal: list[JournalLine]
    picture: Markup

    @property
    def rests(self) -> bool:
        """Whether it shows now, and an order that rests."""
        return self.row is not None and self.row.is_last and any(line.kind == "live" for line in self.row.orders)

    def with_places(self, places: Mapping[str, CountE2]) -> Looked:
        """Return the same, with how much stands before each resting order, by the exchange's id."""
        if self.row is None or not self.rests:
            return self
        return replace(self, row=replace(self.row, orders=with_places(self.row.orders, places)))


class _Whole(NamedTuple):
    """The whole execution as it is drawn, whatever row is shown."""

    key: tuple[object, ...]
    story: Timeline
    stored: list[StoredBook]
    books: Books
    frame: Frame


class _Kept:
    """One execution's history and its market's stored books, both read on at each look."""

    def __init__(self, execution_id: str, tapes: Path | None) -> None:
        self.lock = trio.Lock()
        self._tapes = tapes
        self._begin(execution_id)

    def _begin(self, execution_id: str) -> None:
        self.history = History(execution_id)
        self._mark: list[tuple[object, ...]] = []
        self._stored = ThinnedBooks()
        self._stored_us = 0
        self._whole: _Whole | None = None

    def look(self, connection: sqlite3.Connection, seq: int | None, now_us: int, is_running: bool) -> Looked | None:
        """Look at row `seq` (None: the last one; one that is not there: the nearest). None: there is no such
        execution."""
        if self.history.mark(connection) != self._mark:
            self._begin(self.history.execution_id)  # the file was replaced by another one
        try:
            return self._look(connection, seq, now_us, is_running)
        except CorruptSnapshot:  # what was folded cannot be folded again: by another file too, damaged further up
            self._begin(self.history.execution_id)
            return self._look(connection, seq, now_us, is_running)

    def _look(self, connection: sqlite3.Connection, seq: int | None, now_us: int, is_running: bool) -> Looked | None:
        history = self.history
        detail = load_detail(connection, history.execution_id, 0)
        if detail is None:
            return None
        history.read_on(connection)
        self._mark = history.mark(connection)
        execution = history.execution if history.seq else None
        header = header_of(detail.execution, execution, history.broken, now_us)
        if execution is None:
            return Looked(header, detail, None, [], Markup(""))
        self._read_books(connection, execution)
        whole = self._draw_whole(connection, execution, now_us if is_running and not execution.is_ended else None)
        seq = history.seq if seq is None else min(max(seq, 1), history.seq)
        last = min(history.seq, seq + ROWS_AFTER)
        rows = history.rows(connection, max(1, seq - ROWS_BEFORE), last)
        one = next(row for row in rows if row.row.seq == seq)
        is_past = seq < history.seq
        at_us = max(one.row.at_us, whole.story.from_us)
        known = [*whole.stored, *history.seen.until(at_us)] if is_past else [*whole.stored, *history.seen.until(now_us)]
        book = max((b for b in known if not is_past or b.taken_at_us <= at_us), key=_taken_at_us, default=None)
        view = view_row(one, history.seq, history.steps_until(seq), book, detail.metrics)
        scene = Scene(whole.story, whole.books, whole.frame, whole.story.until_us, is_past=False)
        if is_past:
            past = one.advance.execution
            scene = Scene(
                story_until(whole.story, past, at_us), books_until(whole.books, at_us), whole.frame, at_us, is_past=True
            )
        lines = [journal_line(row) for row in reversed(rows)]
        return Looked(header, detail, view, lines, draw_picture(scene, _told(view)))

    def add_live_book(self, live_book: LiveBook) -> None:
        """Remember the book of now, if it is still at work."""
        execution = self.history.execution
        if not execution.is_ended:
            book = live_book(execution.terms, execution.outcome)
            if book is not None:
                self.history.seen.add(book)

    def _read_books(self, connection: sqlite3.Connection, execution: Execution) -> None:
        """Read what is stored of its market around its time, beyond what was read."""
        first_us = execution.accepted_at_us - LOOK_AHEAD_US
        last_us = max(execution.ended_at_us or self.history.last_us, execution.deadline_us) + LOOK_AHEAD_US
        last_us += (last_us - execution.accepted_at_us) // MARGIN_SHARE
        since_us = max(first_us, self._stored_us + 1)
        if since_us > last_us:
            return
        try:
            found = load_books(connection, execution.terms.ticker, execution.outcome, since_us, last_us)
        except UserError:
            return  # a damaged photograph is no reason to show nothing: the picture is drawn of the others
        for book in found:
            self._stored.add(book)
            self._stored_us = book.taken_at_us

    def _draw_whole(self, connection: sqlite3.Connection, execution: Execution, now_us: int | None) -> _Whole:
        key = (self.history.seq, self._stored_us, now_us)
        if self._whole is not None and self._whole.key == key:
            return self._whole
        stored = self._stored.until(now_us or 2**63)
        signs = [book.taken_at_us for book in stored]
        story = self.history.timeline.build(signs if now_us is None else [*signs, now_us])
        from_us, until_us = window_of(story)
        every = [
            book
            for book in merge_books(stored, self.history.seen.until(until_us))
            if from_us <= book.taken_at_us < until_us
        ]
        drawn_until_us = until_us if now_us is None else min(until_us, now_us)
        books = self._kept_books(connection, execution, from_us, until_us)
        if books is None:
            books = books_from_snapshots(every, story.outages, drawn_until_us)
        self._whole = _Whole(key, story, stored, books, frame_of(story, books))
        return self._whole

    def _kept_books(
        self, connection: sqlite3.Connection, execution: Execution, from_us: int, until_us: int
    ) -> Books | None:
        """The book at every change from the tape that was kept of an execution that has ended; None: there is none, or
        none that is read in a moment."""
        if self._tapes is None or not execution.is_ended:
            return None
        last = self.history.rows(connection, self.history.seq, self.history.seq)
        try:
            tape = load_kept_market(connection, self._tapes, last, until_us, most=KEPT_FRAMES_MAX).tape
        except (UserError, OSError):
            return None
        return books_from_recording(tape, execution.outcome, from_us, until_us)


LiveBook: TypeAlias = Callable[[MarketTerms, Outcome], StoredBook | None]


class Looking:
    """Looks at executions of one database. `now_us` is the wall clock, `live_book` a market's book as the running
    engine has it; None: no engine works on them. `tapes` is where the engine keeps tapes."""

    def __init__(
        self,
        reader: DatabaseReader,
        now_us: Callable[[], int],
        live_book: LiveBook | None,
        tapes: Path | None = None,
    ) -> None:
        self._tapes = tapes
        self._reader, self._now_us, self._live_book = reader, now_us, live_book
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def look(self, execution_id: str, seq: int | None = None) -> Looked | None:
        """Look at an execution as it was at row `seq`; None: as it is. Returns None for one that there is not."""
        kept = self._kept.get(execution_id) or _Kept(execution_id, self._tapes)
        async with kept.lock:
            if self._live_book is not None and kept.history.seq:
                kept.add_live_book(self._live_book)
            look = partial(kept.look, seq=seq, now_us=self._now_us(), is_running=self._live_book is not None)
            found = await self._reader.read(
                partial(read_one, database=self._reader.path, execution_id=execution_id, read=look)
            )
        if found is not None:
            self._kept[execution_id] = kept
            self._kept.move_to_end(execution_id)
            self._forget()
        return found

    def _forget(self) -> None:
        """Forget what was looked at longest ago, while there is too much; the newest is kept."""
        rows = sum(kept.history.seq for kept in self._kept.values())
        while len(self._kept) > HISTORIES_KEPT or (rows > ROWS_KEPT and len(self._kept) > 1):
            _, oldest = self._kept.popitem(last=False)
            rows -= oldest.history.seq


def _taken_at_us(book: StoredBook) -> int:
    return book.taken_at_us


def _told(view: RowView) -> str:
    return (
        f"The book over time with our orders, walks and fills, the states of the execution and its orders, and what "
        f"is filled: {view.filled} of {view.target} after row {view.seq}, {view.live}"
    )
