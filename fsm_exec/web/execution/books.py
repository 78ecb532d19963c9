"""Which books a picture shows: the stored photographs, and what decisions saw where none is near. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from fsm_exec.store.reads.execution_history import StoredBook

NEAR_US: Final = 1_000_000


def merge_books(stored: Sequence[StoredBook], seen: Sequence[StoredBook]) -> list[StoredBook]:
    """Return both in the order of their times. A stored one is deeper: what was seen within a second of it is left
    out."""
    times = [book.taken_at_us for book in stored]

    def is_near(at_us: int) -> bool:
        number = bisect_right(times, at_us)
        return any(abs(time - at_us) < NEAR_US for time in times[max(0, number - 1) : number + 1])

    found = [*stored, *(book for book in seen if not is_near(book.taken_at_us))]
    return sorted(found, key=lambda book: book.taken_at_us)
