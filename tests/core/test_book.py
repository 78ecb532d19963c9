"""The book: what a naive model says, from either outcome, with our own size taken out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.market.book import Book, BookError, sweep
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, complement

PRICES = st.integers(1, 9_999).map(PriceE4)
OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(["yes", "no"])
CHANGES = st.lists(st.tuples(OUTCOMES, st.integers(1, 12), st.integers(-300, 300)), max_size=60)
LADDERS = st.dictionaries(st.integers(1, 9_999), st.integers(1, 10**6), max_size=12)


@given(CHANGES)
def test_the_book_equals_a_naive_model(changes: list[tuple[Outcome, int, int]]) -> None:
    """A level is the sum of its changes; one below zero is refused and changes nothing; an empty one is gone."""
    book, model = Book(), {"yes": Counter[int](), "no": Counter[int]()}
    for outcome, price, delta in changes:
        side = model[outcome]
        if side[price] + delta < 0:
            with pytest.raises(BookError):
                book.change(outcome, PriceE4(price), CountE2(delta))
        else:
            side[price] += delta
            assert book.change(outcome, PriceE4(price), CountE2(delta)) == side[price]
        for name, other in (("yes", "no"), ("no", "yes")):
            mine: Outcome = "yes" if name == "yes" else "no"
            bids = sorted(((p, c) for p, c in model[name].items() if c), reverse=True)
            asks = sorted((10_000 - p, c) for p, c in model[other].items() if c)
            assert list(book.bids(mine)) == bids
            assert list(book.asks(mine)) == asks
            assert book.bids(mine, 2) == tuple(bids[:2])
            assert book.asks(mine, 2) == tuple(asks[:2])
            assert book.best_bid(mine) == (bids[0][0] if bids else None)
            assert book.best_ask(mine) == (asks[0][0] if asks else None)


@given(LADDERS, LADDERS)
def test_a_snapshot_is_taken_as_it_is(yes: dict[int, int], no: dict[int, int]) -> None:
    """In any order, without empty levels; crossed if somebody would buy what another sells no dearer."""
    book = Book(
        [(PriceE4(p), CountE2(c)) for p, c in yes.items()] + [(PriceE4(5), CountE2(0))] * (5 not in yes),
        [(PriceE4(p), CountE2(c)) for p, c in no.items()],
    )
    assert (book.yes, book.no) == (yes, no)
    assert book.is_crossed() == (bool(yes and no) and max(yes) >= 10_000 - max(no))


@given(LADDERS, LADDERS)
def test_our_own_size_is_taken_out(side: dict[int, int], own: dict[int, int]) -> None:
    """A level that is only ours is gone, and does not count as depth; a size we wrongly believe in hides no more."""
    book = Book([(PriceE4(p), CountE2(c)) for p, c in side.items()])
    mine = {PriceE4(p): CountE2(c) for p, c in own.items()}
    left = sorted(((p, c - own.get(p, 0)) for p, c in side.items() if c > own.get(p, 0)), reverse=True)
    assert list(book.bids("yes", own=mine)) == left
    assert list(book.bids("yes", 3, own=mine)) == left[:3]
    assert list(book.asks("no", own=mine)) == [(complement(PriceE4(p)), c) for p, c in left]


@given(LADDERS, st.integers(0, 10**7))
def test_a_sweep_takes_the_best_first(levels: dict[int, int], count: int) -> None:
    """All that is there up to what is wanted, each level before the next."""
    asks = tuple((PriceE4(p), CountE2(c)) for p, c in sorted(levels.items()))
    takes, left = sweep(asks, CountE2(count))
    taken = sum(c for _, c in takes)
    assert taken + left == count
    assert left == max(0, count - sum(levels.values()))
    assert [p for p, _ in takes] == [p for p, _ in asks][: len(takes)]
    assert all(take == levels[price] for price, take in takes[:-1])
    assert all(take > 0 for _, take in takes)
