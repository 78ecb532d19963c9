"""The book over time, in one outcome's terms, from what is known of it: columns that each stand for a while.

Nothing is interpolated. A stored photograph stands until the next one, HOLD_US at most, and not while no engine ran;
a recorded book stands until its next change. Where nothing is known there is no column.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fsm_exec.core.market.book import Book, Ladder
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, in_outcome
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade
from fsm_exec.store.reads.execution_history import StoredBook

HOLD_US = 11_000_000  # the books of an interval come each 10 seconds unless configured otherwise
COLUMNS_MAX = 600


class Column(NamedTuple):
    from_us: int
    until_us: int
    bids: Ladder
    asks: Ladder


class Touch(NamedTuple):
    """Best prices from then on; both None with `known` False: from then on nothing is known."""

    at_us: int
    bid_e4: PriceE4 | None
    ask_e4: PriceE4 | None
    known: bool = True


class MarketTrade(NamedTuple):
    """A public trade: its price in the own outcome."""

    at_us: int
    price_e4: PriceE4
    count_e2: CountE2


class Books(NamedTuple):
    """`width_us`: how long a column stands for where there are too many changes to draw each; None: each is drawn."""

    columns: tuple[Column, ...]
    touches: tuple[Touch, ...]
    trades: tuple[MarketTrade, ...]
    width_us: int | None


def books_from_snapshots(books: Sequence[StoredBook], absent: Iterable[tuple[int, int]], until_us: int) -> Books:
    """Return the books from stored snapshots. `absent` are the times at which no engine ran."""
    columns: list[Column] = []
    gone = sorted(absent)
    for number, book in enumerate(books):
        following_us = books[number + 1].taken_at_us if number + 1 < len(books) else until_us
        end_us = min(following_us, book.taken_at_us + HOLD_US, until_us)
        end_us = min([end_us, *(from_us for from_us, to_us in gone if from_us >= book.taken_at_us)])
        if end_us > book.taken_at_us:
            columns.append(Column(book.taken_at_us, end_us, book.bids, book.asks))
    touches: list[Touch] = []
    for number, column in enumerate(columns):
        touches.append(Touch(column.from_us, _best(column.bids), _best(column.asks)))
        if number + 1 == len(columns) or columns[number + 1].from_us > column.until_us:
            touches.append(Touch(column.until_us, None, None, known=False))
    return Books(tuple(columns), tuple(touches), (), None)


def books_from_recording(tape: Tape, outcome: Outcome, from_us: int, until_us: int) -> Books:
    """The recorded book between the two times. Between a frame and a snapshot that is not the first one nothing is
    known: frames may have been missed."""
    edges, width_us = _edges(tape, from_us, until_us)
    columns: list[Column] = []
    touches: list[Touch] = []
    trades: list[MarketTrade] = []
    book: Book | None = None
    next_edge = 0
    before_us = tape.first_us
    end_us = min(tape.first_us + tape.length_us, until_us)

    def draw(limit_us: int, known_until_us: int) -> None:
        """The columns that begin before `limit_us`, of the book as it stands, as far as it is known."""
        nonlocal next_edge
        while next_edge + 1 < len(edges) and edges[next_edge] < limit_us:
            if book is not None and edges[next_edge] < known_until_us:
                bids, asks = book.bids(outcome), book.asks(outcome)
                columns.append(Column(edges[next_edge], min(edges[next_edge + 1], known_until_us), bids, asks))
            next_edge += 1

    def touch(at_us: int) -> None:
        if book is None or at_us > until_us:
            return
        new = Touch(max(at_us, from_us), book.best_bid(outcome), book.best_ask(outcome))
        while touches and touches[-1].at_us == new.at_us:
            touches.pop()  # of one moment, or before the first: only the last counts
        if not touches or touches[-1][1:] != new[1:]:
            touches.append(new)

    for at_us, change in tape.events:
        if at_us > until_us:
            break
        match change:
            case BookSnapshot() if book is not None and change.states(book):
                draw(at_us, end_us)  # what came before led there: nothing was missed
                touch(at_us)
            case BookSnapshot():
                draw(at_us, before_us if book is not None else at_us)
                if book is not None and at_us > before_us >= from_us:
                    touches.append(Touch(before_us, None, None, known=False))
                book = Book(change.yes, change.no)
                touch(at_us)
            case BookDelta() if book is not None:
                draw(at_us, end_us)
                book.change(change.outcome, change.price_e4, change.delta_e2)
                touch(at_us)
            case Trade() if at_us >= from_us:
                trades.append(MarketTrade(at_us, in_outcome(change.yes_price_e4, outcome), change.count_e2))
        before_us = at_us
    draw(end_us, end_us)
    touches.append(Touch(end_us, None, None, known=False))
    return Books(tuple(columns), tuple(touches), tuple(trades), width_us)


def _edges(tape: Tape, from_us: int, until_us: int) -> tuple[list[int], int | None]:
    """Where columns begin and end."""
    changes = {at_us for at_us, change in tape.events if from_us < at_us < until_us and not isinstance(change, Trade)}
    if len(changes) < COLUMNS_MAX:
        return [from_us, *sorted(changes), until_us], None
    width_us = -(-(until_us - from_us) // COLUMNS_MAX)
    return [*range(from_us, until_us, width_us), until_us], width_us


def _best(ladder: Ladder) -> PriceE4 | None:
    return ladder[0][0] if ladder else None
