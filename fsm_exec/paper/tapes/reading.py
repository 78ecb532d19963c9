"""Reads recordings as tapes: each trade before the decrease it caused, each moment's frames in an order that can be."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.market.book import Level as BookLevel
from fsm_exec.core.market.fees import parse_fee_words
from fsm_exec.core.values.units import Outcome, PriceE4, in_outcome, opposite, parse_change, parse_count, parse_price
from fsm_exec.paper.tapes.moments import ImpossibleBook, order_within_moments
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, TapeEvent, Trade, tape_header
from fsm_exec.wire import ws
from fsm_exec.wire.field_values import parse_outcome, parse_yes_price, required_text
from fsm_exec.wire.recording import read_recording
from fsm_exec.wire.rest import WireLevel

TRADE_DELTA_GAP_MAX_US = 3_000_000  # public trades of some feeds carry whole seconds and come up to a second late


def read_tape(path: Path, *, category: str = "Recorded") -> Tape:
    """Read a recording as a tape. Raises UserError for a file that cannot be read or whose book is impossible; one that
    a crash cut off is read to its last whole line."""
    header, frames = read_recording(path)
    events: list[TapeEvent] = []
    for line in frames:
        try:
            change = change_of(ws.decode_message(line.frame), header.ticker)
        except (msgspec.DecodeError, UnitError) as error:
            raise UserError(
                f"recording {path}: a {line.frame.type} frame is damaged ({error}); use a whole recording"
            ) from error
        if change is not None:
            events.append((line.recv_us, change))
    if not events and frames.cut_off:
        raise UserError(f"recording {path}: it was cut off before its first book snapshot; use another")
    if not events or not isinstance(events[0][1], BookSnapshot):
        raise UserError(f"recording {path}: it does not start with a book snapshot; use a whole recording")
    if any(later[0] < earlier[0] for earlier, later in pairwise(events)):
        raise UserError(f"recording {path}: its times run backwards; sort it by time of receipt")
    try:
        ordered = order_within_moments(move_trades_to_their_decreases(events))
    except ImpossibleBook as error:
        raise UserError(f"recording {path}: {error}; use another recording") from error
    tape_of = tape_header(header.ticker, header.price_level_structure, category=category)
    if header.fee_type is not None:
        try:
            parse_fee_words(header.fee_type, header.fee_multiplier or "1")
        except (UnitError, UserError) as error:
            raise UserError(f"recording {path}: its header states fees that cannot be: {error}") from error
        tape_of = replace(tape_of, fee_type=header.fee_type, fee_multiplier=Decimal(header.fee_multiplier or "1"))
    return Tape(tape_of, tuple(ordered), frames.cut_off)


def change_of(message: ws.Message, ticker: str) -> Change | None:
    """What a message says of this market's book and trades; None: nothing. Raises UnitError."""
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


def move_trades_to_their_decreases(events: list[TapeEvent]) -> list[TapeEvent]:
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
