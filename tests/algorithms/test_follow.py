"""The baseline that re-prices: where it stands, and that it moves by the walker's rules and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.core.algorithm.algorithm import AmendAction, PlaceAction
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, PriceE4
from tests.algorithms.conftest import Maker as Desks

if TYPE_CHECKING:
    from tests.algorithms.conftest import Maker

BARE: dict[str, object] = {"patient_until_s": 100}  # the whole horizon of these desks: no patience


@pytest.mark.parametrize(
    ("share", "price"), [("0", 4_000), ("0.04", 4_000), ("0.05", 4_100), ("0.7", 4_700), ("1", 4_900)]
)
@pytest.mark.parametrize("at_s", [0, 50, 97])
def test_it_stands_at_its_share_of_the_spread_at_any_time(make: Maker, share: str, price: int, at_s: int) -> None:
    """bid + share x (ask - bid), to the nearest tick, below the ask; the clock is no matter."""
    desk = make.desk("follow", {"share": share, **BARE})
    assert desk.wishes(at_s=at_s) == (
        PlaceAction(level=1, price_e4=PriceE4(price), count_e2=CountE2(1_000), post_only=True),
    )


def test_it_follows_the_book_both_ways(make: Maker) -> None:
    """Up by a tick, down by three when alone above the others; closing leg and budget are the walker's."""
    desk = make.desk("follow", BARE)
    assert desk.wishes(make.resting(4_700)) == ()
    assert desk.wishes(make.resting(4_600)) == (AmendAction(level=1, price_e4=PriceE4(4_700)),)
    assert desk.wishes(make.resting(4_900)) == ()
    desk.view = desk.book(make.ladder((3_900, 20)), make.ladder((4_500, 20)))  # 0.39 + 0.7 x 6 c = 0.432
    assert desk.wishes(make.resting(4_700)) == (AmendAction(level=1, price_e4=PriceE4(4_300)),)
    assert desk.wishes(make.resting(4_700), writes=10) == ()
    assert desk.wishes(writes=10) == ()
    assert desk.wishes(make.resting(4_700, busy=True)) == ()
    assert desk.method.closing_lead_us == 2_000_000


@settings(max_examples=60, deadline=None)
@given(
    bid=st.integers(1, 97), spread=st.integers(1, 20), at_s=st.integers(0, 98), working=st.none() | st.integers(1, 98)
)
def test_it_is_the_walker_without_ramp(bid: int, spread: int, at_s: int, working: int | None) -> None:
    """`deadline_walker` with a0 = .7 and a1 = 0 wants the same in any book at any time."""
    make = Desks()
    ask = min(99, bid + spread)
    flat = {"a0": "0.7", "a1": "0"}
    wishes = []
    for desk in (make.desk("follow"), make.desk("deadline_walker", flat)):
        desk.view = desk.book(make.ladder((bid * 100, 20)), make.ladder((ask * 100, 20)))
        parts = () if working is None else (make.resting(working * 100),)
        wishes.append(desk.wishes(*parts, at_s=at_s))
    assert wishes[0] == wishes[1]


@pytest.mark.parametrize("share", ["-0.1", "1.1", "NaN"])
def test_a_share_is_between_nothing_and_all(share: str) -> None:
    """One line that names the key."""
    with pytest.raises(UserError, match="share"):
        SHIPPED_FAMILIES["follow"].method("mine", 1, {"share": share})
