"""Frames of one time of receipt are one moment: the book is checked after all of them, not between them.

They may have come in any order, so one that does not fit yet waits for the others of its moment. What fits in no order
is put together, one change a level: an order that came and went inside the moment was never seen. Nor was what is
replaced by a snapshot of the same moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby, pairwise
from operator import itemgetter

from fsm_exec.core.market.book import Book, BookError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, TapeEvent, Trade

CROSSED = "the book is crossed"

Unit = list[Change]  # a change with the trades that stand before it: they stay together


class ImpossibleBook(Exception):
    """The book after a moment cannot be: below zero, or crossed."""


def order_within_moments(events: list[TapeEvent]) -> list[TapeEvent]:
    """Return the events so that after each the book is possible: nothing below zero, nothing crossed. Raises
    ImpossibleBook where it is not after a moment as a whole."""
    book = Book()
    ordered: list[TapeEvent] = []
    for at_us, moment in groupby(events, key=itemgetter(0)):
        try:
            ordered += ((at_us, change) for change in order_moment(book, [change for _, change in moment]))
        except ImpossibleBook as error:
            raise ImpossibleBook(f"at {at_us} {error}") from None
    return ordered


def order_moment(book: Book, changes: list[Change]) -> list[Change]:
    """Apply the frames of one moment, and return them in an order in which the book is possible after each. Raises
    ImpossibleBook; then the book is none."""
    try:
        return list(_in_order(book, changes))
    except BookError as error:
        raise ImpossibleBook(str(error)) from None


def _in_order(book: Book, changes: list[Change]) -> Iterator[Change]:
    starts = [place for place, change in enumerate(changes) if isinstance(change, BookSnapshot)]
    ends = [*starts, None]
    yield from _order_units(book, _units_of(changes[: ends[0]]), is_replaced=bool(starts))
    for start, end in pairwise(ends):
        assert start is not None
        snapshot, units = changes[start], _units_of(changes[start + 1 : end])
        assert isinstance(snapshot, BookSnapshot)
        fresh = Book(snapshot.yes, snapshot.no)
        book.yes, book.no = fresh.yes, fresh.no
        if not book.is_crossed():
            yield snapshot
            yield from _order_units(book, units, is_replaced=end is not None)
            continue
        if end is None:
            _put_together(book, units)
            yield BookSnapshot(tuple(sorted(book.yes.items())), tuple(sorted(book.no.items())))
        yield from _trades_of(units)


def _units_of(changes: list[Change]) -> list[Unit]:
    units: list[Unit] = []
    trades: Unit = []
    for change in changes:
        trades.append(change)
        if not isinstance(change, Trade):
            units.append(trades)
            trades = []
    return [*units, trades] if trades else units


def _order_units(book: Book, waiting: list[Unit], *, is_replaced: bool) -> Iterator[Change]:
    """Apply what lies between two snapshots of a moment. `is_replaced`: a snapshot of the same moment follows."""
    while waiting:
        later: list[Unit] = []
        for unit in waiting:
            if _try_apply(book, unit[-1]):
                yield from unit
            else:
                later.append(unit)
        if len(later) == len(waiting):
            if is_replaced:
                yield from _trades_of(later)
            else:
                yield from _put_together(book, later)
            return
        waiting = later


def _trades_of(units: list[Unit]) -> Iterator[Change]:
    return (change for unit in units for change in unit if isinstance(change, Trade))


def _try_apply(book: Book, change: Change) -> bool:
    """Apply a change if the book is possible after it; otherwise leave the book as it was."""
    if not isinstance(change, BookDelta):
        return True
    try:
        book.change(change.outcome, change.price_e4, change.delta_e2)
    except BookError:
        return False
    if change.delta_e2 > 0 and book.is_crossed():
        book.change(change.outcome, change.price_e4, CountE2(-change.delta_e2))
        return False
    return True


def _put_together(book: Book, units: list[Unit]) -> list[Change]:
    """Apply the sum of each level, what falls before what rises; the trades of a level stand before it. Raises
    ImpossibleBook or BookError."""
    sums: dict[tuple[Outcome, PriceE4], int] = {}
    trades: dict[tuple[Outcome, PriceE4], list[Change]] = {}
    loose: list[Change] = []
    for *before, last in units:
        if isinstance(last, BookDelta):
            level = last.outcome, last.price_e4
            sums[level] = sums.get(level, 0) + last.delta_e2
            trades.setdefault(level, []).extend(before)
        else:
            loose += [*before, last]
    together: list[Change] = []
    for (outcome, price_e4), delta in sorted(sums.items(), key=lambda item: item[1] > 0):
        together += trades[outcome, price_e4]
        if delta:
            book.change(outcome, price_e4, CountE2(delta))
            together.append(BookDelta(outcome, price_e4, CountE2(delta)))
    if book.is_crossed():
        raise ImpossibleBook(CROSSED)
    return together + loose
