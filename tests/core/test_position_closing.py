"""What closes a position: outcome, quantity and limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.position_closing import close_terms, closing_outcome
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, PriceE4, PriceGrid, PriceRange
from tests.core.conftest import World, ladder

OFFERS = ladder((4_000, 3_000), (4_200, 10_000))
TAPERED = PriceGrid(
    (
        PriceRange(PriceE4(0), PriceE4(1_000), PriceE4(10)),
        PriceRange(PriceE4(1_000), PriceE4(9_000), PriceE4(100)),
        PriceRange(PriceE4(9_000), PriceE4(10_000), PriceE4(10)),
    )
)


@pytest.mark.parametrize(("position", "held", "outcome"), [(5_000, "yes", "no"), (-5_000, "no", "yes")])
def test_to_close_is_to_buy_the_other_outcome(position: int, held: str, outcome: str) -> None:
    """A position is closed by buying the other outcome, all of it; two ticks beyond the price that takes all."""
    terms = close_terms(World.terms(), position, OFFERS)
    assert (terms.held, terms.outcome, terms.quantity_e2) == (held, outcome, 5_000)
    assert closing_outcome(position) == outcome
    assert (terms.limits.worst_e4, terms.limits.target_e4) == (4_400, 4_400)
    assert terms.least_e4 == 5_600
    assert terms.limits.cap_e6 == World.fees.all_in(PriceE4(4_400), taker=True)
    assert terms.least_net_e6 == MoneyE6(1_000_000 - terms.limits.cap_e6)
    assert terms.on_offer_e2 == 5_000


def test_never_more_than_the_position() -> None:
    """What is asked beyond the position is left out; less than it is closed in part, at that part's price."""
    assert close_terms(World.terms(), 1_000, OFFERS, asked_e2=CountE2(9_999)).quantity_e2 == 1_000
    part = close_terms(World.terms(), 9_000, OFFERS, asked_e2=CountE2(3_000))
    assert (part.quantity_e2, part.limits.worst_e4) == (3_000, 4_200)


def test_a_limit_is_the_least_received_for_what_is_held() -> None:
    """A limit of 0.59 for YES is at most 0.41 for NO; what the book has within it is said."""
    terms = close_terms(World.terms(), 5_000, OFFERS, least_e4=PriceE4(5_900))
    assert (terms.limits.worst_e4, terms.least_e4, terms.on_offer_e2) == (4_100, 5_900, 3_000)
    assert close_terms(World.terms(), 5_000, (), least_e4=PriceE4(5_900)).on_offer_e2 == 0


@pytest.mark.parametrize(
    ("position", "offers", "given_", "says"),
    [
        (0, OFFERS, {}, "nothing is held"),
        (100, OFFERS, {"asked_e2": 0}, "above 0"),
        (100, (), {}, "nobody bids for yes now"),
        (-20_000, OFFERS, {}, "bids for 130.00 no now, and 200.00"),
        (100, OFFERS, {"least_e4": 10_000}, "not on the market's grid"),
        (100, OFFERS, {"least_e4": 0}, "not on the market's grid"),
        (100, OFFERS, {"least_e4": 5_550}, "not on the market's grid"),
    ],
)
def test_what_cannot_be_closed_is_one_line(position: int, offers: object, given_: dict[str, int], says: str) -> None:
    """Nothing held, no bids, too few of them and prices that are none are one line each."""
    with pytest.raises(UserError, match=says) as refused:
        close_terms(World.terms(), position, offers, **given_)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


@given(
    position=st.integers(-100_000, 100_000).filter(bool),
    asked=st.none() | st.integers(1, 200_000),
    levels=st.lists(st.tuples(st.integers(1, 99), st.integers(1, 50_000)), max_size=8),
    tapered=st.booleans(),
)
def test_terms_are_within_the_book_and_the_grid(
    position: int, asked: int | None, levels: list[tuple[int, int]], tapered: bool
) -> None:
    """Whatever the book: at most the position, a limit on the grid, below a dollar with its fee."""
    grid = TAPERED if tapered else LINEAR_CENT
    offers = tuple(sorted((PriceE4(price * 100), CountE2(count)) for price, count in dict(levels).items()))
    try:
        terms = close_terms(World.terms(grid), position, offers, asked_e2=None if asked is None else CountE2(asked))
    except UserError:
        assert sum(count for _, count in offers) < min(abs(position), asked or abs(position))
        return
    assert terms.quantity_e2 == min(abs(position), asked or abs(position))
    assert terms.on_offer_e2 == terms.quantity_e2
    assert grid.seen_from(terms.outcome).contains(terms.limits.worst_e4)
    assert terms.limits.cap_e6 <= 1_000_000
    assert terms.least_net_e6 >= 0
