"""No algorithm is restless: with the market standing still, it soon has nothing left to wish for."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.lab.algorithm_checks.properties import StillBook, check_comes_to_rest


@pytest.mark.parametrize("name", sorted(set(SHIPPED_FAMILIES) - {"seed_walker"}))
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bid=st.integers(5, 80),
    spread=st.integers(1, 12),
    target=st.integers(-8, 8),
    room=st.integers(0, 10),
    contracts=st.sampled_from([1, 3, 7, 20, 100]),
)
def test_in_a_book_that_stands_still_no_two_states_alternate(
    name: str, seed: int, bid: int, spread: int, target: int, room: int, contracts: int
) -> None:
    """Few writes in a minute; an order's price never turns back, and none is cancelled only to come again."""
    book = StillBook(seed=seed, bid_c=bid, spread_c=spread, target_c=target, room_c=room, contracts=contracts)
    check_comes_to_rest(SHIPPED_FAMILIES[name], book)
