"""The baselines, basic, adaptive_limit and volume_weighted, as pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction, PlaceAction
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.edge import Edge, make_edge
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.algorithms.conftest import Maker


@pytest.mark.parametrize(
    ("name", "price"),
    [("passive_mid", 4_500), ("join_bid", 4_000), ("marketable", 5_000), ("static_fraction", 4_700)],
)
def test_a_baseline_is_one_limit_priced_by_the_arrival(make: Maker, name: str, price: int) -> None:
    """Whatever the book does afterwards; and it has no closing leg unless it is asked for one."""
    desk = make.desk(name)
    expected = (PlaceAction(level=1, price_e4=PriceE4(price), count_e2=CountE2(1_000)),)
    assert desk.wishes() == expected
    desk.view = desk.book(make.ladder((1_000, 5)), make.ladder((2_000, 5)))
    assert desk.wishes() == expected
    assert desk.wishes(make.resting(price), at_s=99) == ()
    assert desk.method.closing_lead_us is None
    assert make.desk(name, {"closing_lead_s": 3}).method.closing_lead_us == 3_000_000


@pytest.mark.parametrize("name", ["passive_mid", "join_bid", "marketable", "static_fraction"])
def test_a_baseline_never_pays_more_than_the_worst_price(make: Maker, name: str) -> None:
    """The cap counts first; a mid between two prices of the grid is rounded down."""
    desk = make.desk(name)
    desk.goal = desk.goal_of(target=3_000, worst=3_000)
    (wish,) = desk.wishes()
    assert isinstance(wish, PlaceAction)
    assert wish.price_e4 == 3_000
    desk = make.desk(name)
    desk.goal = desk.goal_of(arrival=desk.book(make.ladder((4_000, 1)), make.ladder((4_100, 1))))
    (wish,) = desk.wishes()
    assert isinstance(wish, PlaceAction)
    assert wish.price_e4 == (4_100 if name in ("marketable", "static_fraction") else 4_000)


@pytest.mark.parametrize(
    ("name", "price"), [("passive_mid", 4_500), ("join_bid", 4_500), ("marketable", 6_000), ("static_fraction", 4_500)]
)
def test_without_any_book_the_limits_decide(make: Maker, name: str, price: int) -> None:
    """And of a one-sided book the last two-sided one does."""
    desk = make.desk(name)
    desk.goal = desk.goal_of(arrival=desk.book((), make.ladder((5_000, 1))))
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(price), count_e2=CountE2(1_000)),)
    with_book = make.desk(name)
    remembered = with_book.book((), make.ladder((9_000, 1)), mid_e5=45_000, spread_e4=1_000)
    with_book.goal = with_book.goal_of(arrival=remembered)
    assert with_book.wishes() == make.desk(name).wishes()


def test_basic_takes_a_large_edge_and_rests_on_a_small_one(make: Maker) -> None:
    """Above 15 cents: one immediate order at the worst price. Otherwise, or without an edge: a limit at the target."""
    desk = make.desk("basic")
    rest = (PlaceAction(level=1, price_e4=PriceE4(4_500), count_e2=CountE2(1_000)),)
    assert desk.wishes() == rest
    for value, takes in ((150_000, False), (150_001, True)):
        desk.goal = replace(desk.goal, edge=Edge(probability_ppm=700_000, expected_value_e6=MoneyE6(value)))
        take = PlaceAction(
            level=1, price_e4=PriceE4(6_000), count_e2=CountE2(1_000), time_in_force="immediate_or_cancel"
        )
        assert desk.wishes() == ((take,) if takes else rest)


def test_basic_takes_once_and_only_what_is_offered_within_the_limit(make: Maker) -> None:
    """What it did not get rests; with nothing on offer an immediate order would only be used up."""
    desk = make.desk("basic")
    desk.goal = replace(desk.goal, edge=Edge(probability_ppm=700_000, expected_value_e6=MoneyE6(200_000)))
    after = replace(make.fresh(1, 1_000), sent=1, free_e2=CountE2(300), filled_e2=CountE2(700), last_placed_at_us=0)
    assert desk.wishes(after) == (PlaceAction(level=1, price_e4=PriceE4(4_500), count_e2=CountE2(300)),)
    desk.view = desk.book(make.ladder((4_000, 20)), make.ladder((6_100, 20)))
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_500), count_e2=CountE2(1_000)),)


@pytest.mark.parametrize(("probability", "value"), [(-1, 0), (1_000_001, 0), (0, 1_000_001), (0, -1_000_001)])
def test_an_edge_that_cannot_be_is_the_users_error(probability: int, value: int) -> None:
    """A probability is between 0 and 1, and a contract is worth a dollar at most."""
    with pytest.raises(UserError, match="is not between"):
        make_edge(probability, MoneyE6(value))


def test_adaptive_limit_gives_way_a_step_at_a_time(make: Maker) -> None:
    """Half a cent, a tick on this grid, after 30 s at a price and not before; five times."""
    desk = make.desk("adaptive_limit")
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_500), count_e2=CountE2(1_000)),)
    assert desk.wishes(make.resting(4_500), at_s=29.9) == ()
    assert desk.wishes(make.resting(4_500), at_s=30) == (AmendAction(level=1, price_e4=PriceE4(4_600)),)
    assert desk.wishes(make.resting(4_600, since_s=31, walks=1), at_s=60, walks=1) == ()
    assert desk.wishes(make.resting(4_600, since_s=31, walks=1), at_s=61, walks=1) == (
        AmendAction(level=1, price_e4=PriceE4(4_700)),
    )
    assert desk.wishes(make.resting(4_500, busy=True), at_s=90) == ()
    assert desk.wishes(make.resting(5_000, walks=5), at_s=99, walks=5) == ()


def test_adaptive_limit_takes_up_its_steps_after_losing_its_order(make: Maker) -> None:
    """A new order stands where the old one did: what the exchange has taken counts, not what was wished."""
    desk = make.desk("adaptive_limit")
    assert desk.wishes(make.fresh(1, 1_000), at_s=70, walks=2) == (
        PlaceAction(level=1, price_e4=PriceE4(4_700), count_e2=CountE2(1_000)),
    )


def test_adaptive_limit_stops_at_the_worst_price(make: Maker) -> None:
    """A step beyond it ends on it, and then there is no further one."""
    desk = make.desk("adaptive_limit", {"step_e4": 300})
    desk.goal = desk.goal_of(worst=4_700)
    assert desk.wishes(make.resting(4_500), at_s=30) == (AmendAction(level=1, price_e4=PriceE4(4_700)),)
    assert desk.wishes(make.resting(4_700, walks=1), at_s=90, walks=1) == ()


def test_volume_weighted_follows_what_is_offered_on_arrival(make: Maker) -> None:
    """Ten contracts over offers of 30, 10 and 10 within the limit: 6, 2 and 2, each at its price."""
    desk = make.desk("volume_weighted")
    asks = make.ladder((5_000, 30), (5_100, 10), (6_000, 10), (6_100, 500))
    desk.goal = desk.goal_of(arrival=desk.book(make.ladder((4_000, 20)), asks))
    assert [(wish.price_e4, wish.count_e2) for wish in desk.wishes() if isinstance(wish, PlaceAction)] == [
        (5_000, 600),
        (5_100, 200),
        (6_000, 200),
    ]


def test_volume_weighted_with_fewer_contracts_than_offers_drops_the_empty_parts(make: Maker) -> None:
    """One contract goes to the largest offer, at that offer's price; with no offers it rests at the target."""
    desk = make.desk("volume_weighted")
    asks = make.ladder((5_000, 1), (5_100, 40), (5_200, 2))
    desk.goal = desk.goal_of(contracts=1, arrival=desk.book(make.ladder((4_000, 20)), asks))
    assert desk.wishes() == (PlaceAction(level=2, price_e4=PriceE4(5_100), count_e2=CountE2(100)),)
    desk.goal = desk.goal_of(arrival=desk.book(make.ladder((4_000, 20)), make.ladder((6_100, 40))))
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_500), count_e2=CountE2(1_000)),)
