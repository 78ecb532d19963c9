"""A tape: one market's background flow, in time order, in parsed integers. Recorded or generated, drawn beforehand.

Times are unix microseconds of the tape's own; the player moves them to the exchange's clock. In a tape a trade stands
immediately before the decrease it caused: that is what the overlay needs to count it once. Recordings of feeds whose
trades come late are put in this order here, matched by level and size.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.market.book import Book, BookError
from fsm_exec.core.market.book import Level as BookLevel
from fsm_exec.core.values.units import (
    CountE2,
    Outcome,
    PriceE4,
    PriceGrid,
    in_outcome,
    opposite,
    parse_change,
    parse_count,
    parse_price,
)
from fsm_exec.paper.grids import grid_of
from fsm_exec.wire import ws
from fsm_exec.wire.field_values import parse_outcome, parse_yes_price, required_text
from fsm_exec.wire.recording import read_recording
from fsm_exec.wire.rest import WireLevel

CROSSED = "the book is crossed; use another recording"
COPY = "-COPY"  # between a ticker and the number of its copy
TRADE_DELTA_GAP_MAX_US = 3_000_000  # public trades of some feeds carry whole seconds and come up to a second late


class BookSnapshot(msgspec.Struct, frozen=True):
    """Both ladders of bids, each in its own prices."""

    yes: tuple[BookLevel, ...]
    no: tuple[BookLevel, ...]


class BookDelta(msgspec.Struct, frozen=True):
    """A signed change of one bid level, in the ladder's own price."""

    outcome: Outcome
    price_e4: PriceE4
    delta_e2: CountE2


class Trade(msgspec.Struct, frozen=True):
    """A taker bought `taker` (for `no`: sold YES)."""

    taker: Outcome
    yes_price_e4: PriceE4
    count_e2: CountE2


Change: TypeAlias = BookSnapshot | BookDelta | Trade
TapeEvent: TypeAlias = tuple[int, Change]


class TapeHeader(msgspec.Struct, frozen=True, kw_only=True):
    ticker: str
    series: str
    event: str
    category: str
    title: str
    price_level_structure: str
    grid: PriceGrid
    fee_type: str = "quadratic"
    fee_multiplier: Decimal = Decimal(1)


class Tape(msgspec.Struct, frozen=True):
    """`events` ascend in time and start with a snapshot."""

    header: TapeHeader
    events: tuple[TapeEvent, ...]

    @property
    def first_us(self) -> int:
        return self.events[0][0]

    @property
    def length_us(self) -> int:
        return self.events[-1][0] - self.events[0][0]


def copies(tape: Tape, number: int) -> list[Tape]:
    """The tape and further markets that play the same: who trades in one meets nobody from another."""
    ticker = tape.header.ticker
    others = [replace(tape.header, ticker=f"{ticker}{COPY}{copy}") for copy in range(2, number + 1)]
    return [tape, *(replace(tape, header=header) for header in others)]


def ticker_of_tape(ticker: str) -> str:
    """The market that a copy of it plays; other tickers as they are."""
    original, found, number = ticker.rpartition(COPY)
    return original if found and number.isdecimal() else ticker


def tape_header(
    ticker: str, structure: str, *, category: str, title: str = "", fee_type: str = "quadratic"
) -> TapeHeader:
    """A header with series and event read off the ticker (SERIES-EVENT-MARKET)."""
    parts = ticker.split("-")
    return TapeHeader(
        ticker=ticker,
        series=parts[0],
        event="-".join(parts[:-1]) or ticker,
        category=category,
        title=title or ticker,
        price_level_structure=structure,
        grid=grid_of(structure),
        fee_type=fee_type,
    )


def read_tape(path: Path, *, category: str = "Recorded") -> Tape:
    """The whole recording as a tape. Raises UserError for a file that cannot be read or whose book is impossible."""
    header, frames = read_recording(path)
    events: list[TapeEvent] = []
    for line in frames:
        try:
            change = _change(ws.decode_message(line.frame), header.ticker)
        except (msgspec.DecodeError, UnitError) as error:
            raise UserError(
                f"recording {path}: a {line.frame.type} frame is damaged ({error}); use a whole recording"
            ) from error
        if change is not None:
            events.append((line.recv_us, change))
    if not events or not isinstance(events[0][1], BookSnapshot):
        raise UserError(f"recording {path}: it does not start with a book snapshot; use a whole recording")
    if any(later[0] < earlier[0] for earlier, later in pairwise(events)):
        raise UserError(f"recording {path}: its times run backwards; sort it by time of receipt")
    ordered = _order_within_moments(path, _move_trades_to_their_decreases(events))
    return Tape(tape_header(header.ticker, header.price_level_structure, category=category), tuple(ordered))


def _change(message: ws.Message, ticker: str) -> Change | None:
    match message:
        case ws.BookSnapshot() if message.market_ticker == ticker:
            return BookSnapshot(_levels(message.yes_dollars_fp), _levels(message.no_dollars_fp))
        case ws.BookDelta() if message.market_ticker == ticker:
            return BookDelta(message.side, parse_price(message.price_dollars), parse_change(message.delta_fp))
        case ws.Trade() if message.market_ticker == ticker:
            taker = parse_outcome(message.taker_outcome_side, message.taker_book_side, bought=message.taker_side)
            price = parse_yes_price(
                message.yes_price_dollars, None if message.yes_price_dollars else message.no_price_dollars
            )
            return Trade(taker, price, parse_count(required_text(message.count_fp, "count_fp")))
        case _:
            return None


def _levels(levels: list[WireLevel] | None) -> tuple[BookLevel, ...]:
    return tuple((parse_price(price), parse_count(count)) for price, count in levels or ())


def _move_trades_to_their_decreases(events: list[TapeEvent]) -> list[TapeEvent]:
    """Move each trade to just before the nearest decrease of its level by its size, if one is near in time.

    A decrease belongs to one trade at most; a trade without one stays where it is.
    """
    decreases: dict[tuple[Outcome, PriceE4, int], list[int]] = {}
    for index, (_, change) in enumerate(events):
        if isinstance(change, BookDelta) and change.delta_e2 < 0:
            decreases.setdefault((change.outcome, change.price_e4, -change.delta_e2), []).append(index)
    moved: dict[int, list[Trade]] = {}
    stays: set[int] = set()
    for index, (at_us, change) in enumerate(events):
        if not isinstance(change, Trade):
            continue
        ladder = opposite(change.taker)
        candidates = decreases.get((ladder, in_outcome(change.yes_price_e4, ladder), change.count_e2), [])
        low = bisect_left(candidates, at_us - TRADE_DELTA_GAP_MAX_US, key=lambda i: events[i][0])
        high = bisect_right(candidates, at_us + TRADE_DELTA_GAP_MAX_US, key=lambda i: events[i][0])
        nearest = min(candidates[low:high], key=lambda i: (abs(events[i][0] - at_us), abs(i - index)), default=None)
        if nearest is None:
            stays.add(index)
        else:
            candidates.remove(nearest)
            moved.setdefault(nearest, []).append(change)
    ordered: list[TapeEvent] = []
    for index, (at_us, change) in enumerate(events):
        if isinstance(change, Trade) and index not in stays:
            continue
        ordered += ((at_us, trade) for trade in moved.get(index, ()))
        ordered.append((at_us, change))
    return ordered


def _order_within_moments(path: Path, events: list[TapeEvent]) -> list[TapeEvent]:
    """The events so that after each the book is possible: nothing below zero, nothing crossed. Frames of one moment of
    receipt may have come in any order, so one that does not fit yet waits for the others of its moment; a trade stays
    with the change it stands before. Raises UserError for what fits in no order."""
    book = Book()
    ordered: list[TapeEvent] = []
    for at_us, moment in _split_moments(events):
        waiting = moment
        while waiting:
            later: list[list[Change]] = []
            why = ""
            for unit in waiting:
                refused = _try_apply(book, unit[-1])
                if refused:
                    later.append(unit)
                    why = why or refused
                else:
                    ordered += ((at_us, change) for change in unit)
            if len(later) == len(waiting):
                raise UserError(f"recording {path}: at {at_us} {why}")
            waiting = later
    return ordered


def _split_moments(events: list[TapeEvent]) -> Iterator[tuple[int, list[list[Change]]]]:
    """What was received at one time, each change with the trades that stand before it. A snapshot is a moment of its
    own: what came before it is not to come after it."""
    moment: list[list[Change]] = []
    trades: list[Change] = []
    for index, (at_us, change) in enumerate(events):
        trades.append(change)
        next_us, following = events[index + 1] if index + 1 < len(events) else (None, None)
        is_last = next_us != at_us or isinstance(change, BookSnapshot) or isinstance(following, BookSnapshot)
        if is_last or not isinstance(change, Trade):
            moment.append(trades)
            trades = []
        if is_last:
            yield at_us, moment
            moment = []


def _try_apply(book: Book, change: Change) -> str:
    """Apply a change if the book is possible after it; otherwise why not, and the book is as it was."""
    match change:
        case BookSnapshot():
            fresh = Book(change.yes, change.no)
            book.yes, book.no = fresh.yes, fresh.no
            return CROSSED if book.is_crossed() else ""
        case BookDelta():
            try:
                book.change(change.outcome, change.price_e4, change.delta_e2)
            except BookError as error:
                return f"{error}; use a whole recording"
            if book.is_crossed():
                book.change(change.outcome, change.price_e4, CountE2(-change.delta_e2))
                return CROSSED
        case Trade():
            pass
    return ""
