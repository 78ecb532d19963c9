"""What a tape is, in a line: how long, how much came, how wide and thin its book was."""

from __future__ import annotations

from typing import Final, NamedTuple

from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, in_outcome, opposite
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade

THIN_E2: Final = CountE2(50_00)


class Description(NamedTuple):
    """`spread_e4` is the mean over the time both sides are there, None if they never are; `thin_bp` the share of that
    time, in ten-thousandths, in which the thinner of the two best levels holds less than 50 contracts. `gaps` counts
    later snapshots of another book than there was: the feed was down before each, and that time is in no mean.
    `matched_trades`: those whose level has a decrease of their size within 3 s."""

    book_events: int
    trades: int
    matched_trades: int
    gaps: int
    spread_e4: int | None
    thin_bp: int | None


class _Sums:
    """Of the times in which both sides were there."""

    def __init__(self) -> None:
        self.two_sided_us = self.spread_us = self.thin_us = 0

    def add(self, book: Book, lasted_us: int) -> None:
        yes, no = book.best_bid("yes"), book.best_bid("no")
        if yes is not None and no is not None:
            self.two_sided_us += lasted_us
            self.spread_us += lasted_us * (ONE_DOLLAR_E4 - yes - no)
            self.thin_us += lasted_us * (min(book.yes[yes], book.no[no]) < THIN_E2)


def describe_tape(tape: Tape) -> Description:
    """Go through a tape once."""
    book, sums = Book(), _Sums()
    trades = matched = snapshots = gaps = 0
    before: list[Trade] = []
    since_us = tape.first_us
    for at_us, change in tape.events:
        if at_us > since_us:
            if not isinstance(change, BookSnapshot) or change.states(book):
                sums.add(book, at_us - since_us)
            since_us = at_us
        match change:
            case Trade():
                trades += 1
                before.append(change)
            case BookSnapshot():
                gaps += snapshots > 0 and not change.states(book)
                snapshots += 1
                book = Book(change.yes, change.no)
            case BookDelta():
                matched += any(_is_decrease_of(change, trade) for trade in before)
                before.clear()
                book.change(change.outcome, change.price_e4, change.delta_e2)
    known_us = sums.two_sided_us
    return Description(
        book_events=len(tape.events) - trades - snapshots,
        trades=trades,
        matched_trades=matched,
        gaps=gaps,
        spread_e4=round_half_up(sums.spread_us, known_us) if known_us else None,
        thin_bp=round_half_up(sums.thin_us * 10_000, known_us) if known_us else None,
    )


def _is_decrease_of(change: BookDelta, trade: Trade) -> bool:
    ladder = opposite(trade.taker)
    level = ladder, in_outcome(trade.yes_price_e4, ladder)
    return (change.outcome, change.price_e4) == level and change.delta_e2 == -trade.count_e2


def round_half_up(part: int, whole: int) -> int:
    """Divide, to the nearest whole number. Both must not be negative, `whole` above zero."""
    return (2 * part + whole) // (2 * whole)
