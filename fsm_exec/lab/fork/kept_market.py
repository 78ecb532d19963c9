"""The market of an execution as its engine kept it, without the doings of its account."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.execution import CHILD_LIVE, Execution
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.journal.rows import FillRow
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import MAKER_SHARE, FeeTerms, fee_terms
from fsm_exec.core.market.price_structures import structure_of
from fsm_exec.core.values.units import US_PER_S, parse_count, parse_price
from fsm_exec.lab.fork.kept_frames import KeptFrames, load_kept_frames
from fsm_exec.lab.fork.net_tape import NEAR_US, Level, OwnFill, OwnOrders, net_events
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, TapeEvent, TapeHeader
from fsm_exec.store.reads.market_doings import MarketDoings, load_market_doings

BEFORE_US: Final = 1_200 * US_PER_S  # of the acceptance: ten times the signals' longest mean
RATE_OF_ONE_E10: Final = Decimal(7 * 10**8)  # the taker's rate at a multiplier of one


class KeptMarket(NamedTuple):
    """`frames` as they came; `tape` without our own doings, by the time they came."""

    frames: KeptFrames
    tape: Tape
    doings: MarketDoings


def load_kept_market(
    connection: sqlite3.Connection,
    directory: Path,
    history: Sequence[ReplayedRow],
    until_us: int,
    *,
    most: int | None = None,
) -> KeptMarket:
    """Load what was kept around an execution, of which `history` is the journal, or the end of it. Raises UserError as
    `load_kept_frames`."""
    execution = history[-1].advance.execution
    doings = load_market_doings(connection, execution.terms.ticker)
    frames = load_kept_frames(directory, execution.terms.ticker, execution.accepted_at_us, until_us, most=most)
    events = net_events(frames.changes, _own_orders(doings, history, frames))
    tape = Tape(_header(execution), tuple(_since(events, execution.accepted_at_us - BEFORE_US)))
    return KeptMarket(frames, tape, doings)


def _header(execution: Execution) -> TapeHeader:
    """Raises UserError for fees that no series has."""
    terms = execution.terms
    fee_type, multiplier = _fees(terms.fees)
    return TapeHeader(
        ticker=terms.ticker,
        series=terms.series,
        event=terms.event,
        category=terms.category,
        title=terms.ticker,
        price_level_structure=structure_of(terms.grid) or "linear_cent",
        grid=terms.grid,
        fee_type=fee_type,
        fee_multiplier=multiplier,
    )


def _own_orders(doings: MarketDoings, history: Sequence[ReplayedRow], frames: KeptFrames) -> OwnOrders:
    execution = history[-1].advance.execution
    forked = frozenset(child.client_order_id for child in execution.children)
    first_us, last_us = frames.changes[0].at_us - NEAR_US, frames.changes[-1].at_us + NEAR_US
    fills = [_own_fill(row, doings, forked) for row in doings.fills if first_us <= row.traded_at_us <= last_us]
    resting: dict[Level, int] = defaultdict(int)
    before = [one for one in history if one.row.at_us <= frames.changes[0].at_us]
    for child in before[-1].advance.execution.children if before else ():
        if child.state in CHILD_LIVE:
            resting[execution.outcome, child.price_e4] += child.count_e2 - max(child.counted_e2, child.reported_e2)
    return OwnOrders(doings.outcomes, forked, fills, resting)


def _own_fill(row: FillRow, doings: MarketDoings, forked: frozenset[str]) -> OwnFill:
    return OwnFill(
        outcome=doings.outcomes[row.client_order_id],
        price_e4=parse_price(row.price),
        count_e2=parse_count(row.quantity),
        is_taker=row.is_taker,
        traded_at_us=row.traded_at_us,
        trade_id=row.trade_id,
        is_forked=row.client_order_id in forked,
    )


def _since(events: Sequence[TapeEvent], from_us: int) -> list[TapeEvent]:
    """The events from then on, behind the book of then."""
    first = next((number for number, event in enumerate(events) if event[0] >= from_us), len(events))
    if not first:
        return list(events)
    book = Book()
    for _, change in events[:first]:
        match change:
            case BookSnapshot():
                book = Book(change.yes, change.no)
            case BookDelta():
                book.change(change.outcome, change.price_e4, change.delta_e2)
            case _:
                pass
    opening = BookSnapshot(tuple(sorted(book.yes.items())), tuple(sorted(book.no.items())))
    return [(max(from_us, events[first - 1][0]), opening), *events[first:]]


def _fees(fees: FeeTerms) -> tuple[str, Decimal]:
    """What a series must say to have these fees. Raises UserError."""
    multiplier = Decimal(fees.taker_e10) / RATE_OF_ONE_E10
    for fee_type in MAKER_SHARE:
        if fee_terms(fee_type, multiplier) == fees:
            return fee_type, multiplier
    rates = f"{fees.taker_e10} and {fees.maker_e10} (10^-10)"
    raise UserError(f"fees of {rates} are those of no series; this execution cannot be tried again")
