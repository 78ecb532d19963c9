"""What a tape is, in figures reckoned by hand."""

from __future__ import annotations

from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.paper.tapes.description import describe_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade, tape_header

HEADER = tape_header("KXA-B-C", "linear_cent", category="Testing")


def book(yes: int, no: int, count: int) -> BookSnapshot:
    return BookSnapshot(((PriceE4(yes), CountE2(count)),), ((PriceE4(no), CountE2(60_00)),))


def change(outcome: Outcome, price: int, delta: int) -> BookDelta:
    return BookDelta(outcome, PriceE4(price), CountE2(delta))


def test_spread_and_thin_are_of_the_time_that_the_book_is_known_and_has_two_sides() -> None:
    """10 s at 4 c with 50 contracts, 5 s at 4 c with 49.99 (thin), 20 s one-sided, 5 s before a snapshot unknown, 15 s
    at 1 c: 4 x 15 + 1 x 15 over 30 s."""
    events: list[tuple[int, Change]] = [
        (0, book(4_600, 5_000, 50_00)),
        (2, Trade("yes", PriceE4(5_000), CountE2(1))),
        (10, change("yes", 4_600, -1)),
        (15, change("yes", 4_600, -49_99)),
        (35, change("yes", 4_600, 100)),
        (40, book(4_900, 5_000, 50_00)),
        (55, change("yes", 4_900, 100)),
    ]
    found = describe_tape(Tape(HEADER, tuple(events)))
    assert found == (4, 1, 0, 1, 250, 1_667)


def test_of_a_book_that_never_has_two_sides_no_spread_is_said() -> None:
    """Nor a share of no time."""
    found = describe_tape(Tape(HEADER, ((0, BookSnapshot((), ())), (9, change("yes", 4_000, 1)))))
    assert (found.spread_e4, found.thin_bp, found.gaps) == (None, None, 0)
