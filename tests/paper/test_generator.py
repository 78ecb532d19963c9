"""Generated tapes: possible at every moment, repeatable, and as lively as their profile says."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import Outcome, in_outcome, opposite
from fsm_exec.paper.tapes.fidelity import measure
from fsm_exec.paper.tapes.generator import LENGTH_MAX_S, generate
from fsm_exec.paper.tapes.profiles import INDEX, PROFILES, THIN, Profile
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade
from tests.paper.support import Floor, count

HOUR_S = 3_600


def check_possible(tape: Tape) -> None:
    """Assert what holds of every tape: times ascend, levels stay at 0 or above, the book is never crossed, and every
    trade hits the best price, with its decrease right after it."""
    assert isinstance(tape.events[0][1], BookSnapshot)
    assert all(later[0] >= earlier[0] for earlier, later in pairwise(tape.events))
    book = Book()
    for index, (at_us, change) in enumerate(tape.events):
        match change:
            case BookSnapshot():
                book = Book(change.yes, change.no)
            case BookDelta():
                assert tape.header.grid.contains(change.price_e4)
                book.change(change.outcome, change.price_e4, change.delta_e2)
            case Trade():
                ladder: Outcome = opposite(change.taker)
                price = in_outcome(change.yes_price_e4, ladder)
                assert price == book.best_bid(ladder)
                assert tape.events[index + 1] == (at_us, BookDelta(ladder, price, -change.count_e2))  # type: ignore[arg-type]
        assert not book.is_crossed()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("profile", PROFILES)
def test_a_generated_book_is_possible_at_every_moment(profile: str, seed: int) -> None:
    """Never crossed or negative, on the grid, and every trade has its decrease."""
    check_possible(generate(seed, HOUR_S, profile=profile))


def test_even_a_wild_market_is_possible() -> None:
    """A value that leaps by tens of cents between walls a cent from the edges, and takers who empty the book."""
    wild = replace(INDEX, value_sd_c=20.0, value_edge_c=1, bursts_per_s=3.0)
    for seed in range(3):
        check_possible(generate(seed, 600, profile=wild))


def test_a_side_can_be_empty_and_comes_back() -> None:
    """In a thin book with greedy takers nothing is bid for a while, and later again."""
    greedy = replace(THIN, bursts_per_s=0.5)
    book, states = Book(), []
    for _, change in generate(1, HOUR_S, profile=greedy).events:
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
        states.append(bool(book.yes) and bool(book.no))
    assert False in states
    assert states[-1] or True in states[states.index(False) :]


# Mean spread in cents, median contracts at the thinner touch, trades a second: (least, most)
LOOKS = {
    "thin": ((5.0, 7.0), (7, 20), (0.05, 0.2)),
    "moderate": ((3.2, 4.8), (18, 45), (0.1, 0.3)),
    "liquid": ((1.9, 2.9), (180, 340), (0.2, 0.6)),
    "index": ((2.0, 3.1), (20, 80), (0.015, 0.07)),
    "index-wide": ((2.3, 3.6), (50, 250), (0.01, 0.05)),
}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_looks_as_it_says(profile: str) -> None:
    """Spread, touch and trades, over eight hours of eight seeds."""
    tapes = [generate(seed, HOUR_S, profile=profile) for seed in range(8)]
    figures = [measure(tape) for tape in tapes]
    spread = statistics.mean(each.book.spread_c for each in figures)
    trades = statistics.mean(each.trades_per_s for each in figures)
    found = (spread, statistics.median(map(median_touch, tapes)), trades)
    for (least, most), value in zip(LOOKS[profile], found, strict=True):
        assert least <= value <= most, found


def median_touch(tape: Tape) -> float:
    """Contracts at the best price of the thinner side, looked at each second."""
    book, looks, next_us = Book(), [], tape.first_us
    for at_us, change in tape.events:
        while at_us > next_us:
            bids = book.bids("yes", 1), book.bids("no", 1)
            if all(bids):
                looks.append(min(side[0][1] for side in bids) // 100)
            next_us += 1_000_000
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
    return statistics.median(looks)


@pytest.mark.parametrize("profile", [None, *PROFILES])
def test_a_generated_tape_repeats(profile: str | None) -> None:
    """The same seed, the same tape; another seed, another."""
    chosen: str | Profile = INDEX if profile is None else profile
    assert generate(3, 120, profile=chosen) == generate(3, 120, profile=chosen)
    assert generate(3, 120, profile=chosen) != generate(4, 120, profile=chosen)


def test_a_tape_starts_when_told_and_lasts_as_long() -> None:
    """Its events lie within the length that was asked for."""
    tape = generate(1, 120, start_us=5_000_000)
    assert tape.first_us == 5_000_000
    assert 100_000_000 < tape.length_us < 120_000_000


def test_a_longer_tape_begins_like_a_shorter_one() -> None:
    """What comes later changes nothing of what was drawn before."""
    short, long = generate(2, 100).events, generate(2, 300).events
    assert long[: len(short)] == short


@pytest.mark.parametrize("seconds", [0, -1, LENGTH_MAX_S + 1])
def test_a_length_that_makes_no_sense_is_refused(seconds: int) -> None:
    """With the range in the message."""
    with pytest.raises(UserError, match="cannot be generated"):
        generate(1, seconds)


def test_an_unknown_profile_is_refused() -> None:
    """With the known ones in the message."""
    with pytest.raises(UserError, match="thin, moderate, liquid, index"):
        generate(1, 60, profile="thick")


def test_passive_orders_at_the_mid_fill_partly_and_wholly() -> None:
    """Within 45 s of a generated tape, bids of 100 at the floor of the mid end in all three ways."""
    outcomes = set()
    for seed in range(20):
        tape = generate(seed, 105)
        floor = Floor()
        order = None
        for at_us, change in tape.events:
            floor.play(change)
            if order is None and at_us > 60_000_000:
                bid, no_bid = floor.market.book.best("yes"), floor.market.book.best("no")
                assert bid is not None
                assert no_bid is not None
                mid = (bid[0] + 10_000 - no_bid[0]) // 200
                order = floor.bid(f"0.{mid:02}", "100")
        assert order is not None
        filled = floor.filled(order)
        outcomes.add("none" if not filled else "whole" if filled == count("100") else "part")
    assert outcomes == {"none", "part", "whole"}
