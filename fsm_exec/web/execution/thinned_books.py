"""Books over time, as many as a picture can show: where there would be more, every other one is left out."""

from __future__ import annotations

from typing import Final

from fsm_exec.store.reads.execution_history import StoredBook

BOOKS_MAX: Final = 1_200


class ThinnedBooks:
    """Books in the order of their times, BOOKS_MAX at most, evenly apart; the newest is always among them."""

    def __init__(self) -> None:
        self._books: list[StoredBook] = []
        self._apart_us = 0

    def add(self, book: StoredBook) -> None:
        """Add a book that is later than those before; one of a clock that was put back is left out."""
        if self._books and book.taken_at_us < self._books[-1].taken_at_us:
            return
        if len(self._books) > 1 and book.taken_at_us - self._books[-2].taken_at_us < self._apart_us:
            self._books[-1] = book  # the newest stands in until there is room for it
            return
        self._books.append(book)
        if len(self._books) > BOOKS_MAX:
            span_us = self._books[-1].taken_at_us - self._books[0].taken_at_us
            self._apart_us = max(2 * self._apart_us, 2 * span_us // BOOKS_MAX, 1)
            self._books = _apart(self._books, self._apart_us)

    def until(self, at_us: int) -> list[StoredBook]:
        """Return those up to and at a time."""
        return [book for book in self._books if book.taken_at_us <= at_us]


def _apart(books: list[StoredBook], apart_us: int) -> list[StoredBook]:
    kept = books[:1]
    for book in books[1:-1]:
        if book.taken_at_us - kept[-1].taken_at_us >= apart_us:
            kept.append(book)
    return [*kept, books[-1]]
