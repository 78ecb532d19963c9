"""The quoter with a clock: its ramp, its patience, its guards, its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.core.algorithm.algorithm import AmendAction, CancelAction, PlaceAction
from fsm_exec.core.errors import UserError
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import CountE2, PriceE4, PriceGrid, PriceRange

if TYPE_CHECKING:
    from tests.algorithms.conftest import Maker

BARE: dict[str, object] = {"patient_until_s": 100}  # the whole horizon of these desks: no patience
FINE = PriceGrid((PriceRange(PriceE4(0), PriceE4(10_000), PriceE4(10)),))


@pytest.mark.parametrize(
    ("at_s", "price"),
    [(0, 4_600), (30, 4_600), (32, 4_700), (50, 4_700), (60, 4_800), (80, 4_900), (89, 4_900), (95, 4_900)],
)
def test_the_ramp(make: Maker, at_s: int, price: int) -> None:
    """bid + (0.6 + 0.5 (t/H)^2) x (ask - bid), to the nearest tick, a tick below the ask at most."""
    desk = make.desk("deadline_walker", BARE)
    assert desk.wishes(at_s=at_s) == (
        PlaceAction(level=1, price_e4=PriceE4(price), count_e2=CountE2(1_000), post_only=True),
    )


@pytest.mark.parametrize(("at_s", "price"), [(0, 4_500), (40, 4_500), (54, 4_500), (55, 4_800), (95, 4_900)])
def test_a_wide_spread_is_waited_out_while_there_is_time(make: Maker, at_s: int, price: int) -> None:
    """More than 45 s before the deadline the ramp runs within 2 cents around the mid (0.44 to 0.46), not within 10."""
    desk = make.desk("deadline_walker")
    assert [wish.price_e4 for wish in desk.wishes(at_s=at_s) if isinstance(wish, PlaceAction)] == [price]


def test_a_spread_that_is_not_wide_leaves_nothing_to_wait_for(make: Maker) -> None:
    """At two cents the ramp is the same with and without patience."""
    for settings in ({}, BARE):
        desk = make.desk("deadline_walker", settings)
        desk.view = desk.book(make.ladder((4_400, 20)), make.ladder((4_600, 20)))
        assert desk.wishes() == (
            PlaceAction(level=1, price_e4=PriceE4(4_500), count_e2=CountE2(1_000), post_only=True),
        )


def test_it_moves_up_by_a_tick_and_down_only_by_three_when_alone(make: Maker) -> None:
    """The same price is never sent again."""
    desk = make.desk("deadline_walker", BARE)  # wants 0.46 at the start
    assert desk.wishes(make.resting(4_600)) == ()
    assert desk.wishes(make.resting(4_500)) == (AmendAction(level=1, price_e4=PriceE4(4_600)),)
    assert desk.wishes(make.resting(4_800)) == ()
    assert desk.wishes(make.resting(4_900)) == (AmendAction(level=1, price_e4=PriceE4(4_600)),)
    desk.view = desk.book(make.ladder((4_900, 20)), make.ladder((5_000, 20)))
    assert desk.wishes(make.resting(4_900)) == (), (
        "somebody else bids as much: its place in the queue is worth something"
    )


def test_a_finer_grid_needs_three_more_ticks(make: Maker) -> None:
    """A tenth of a cent more is not worth a write."""
    desk = make.desk("deadline_walker", BARE)
    desk.goal = desk.goal_of(grid=FINE)
    assert desk.wishes(make.resting(4_570)) == ()
    assert desk.wishes(make.resting(4_560)) == (AmendAction(level=1, price_e4=PriceE4(4_600)),)
    assert desk.wishes(make.resting(4_650)) == ()
    assert desk.wishes(make.resting(4_660)) == (AmendAction(level=1, price_e4=PriceE4(4_600)),)


def test_an_empty_side_is_no_reason_to_chase(make: Maker) -> None:
    """An order stays; a new one is priced by the last two-sided book, and below whatever is offered."""
    desk = make.desk("deadline_walker", BARE)
    desk.view = desk.book(make.ladder((4_000, 20)), (), mid_e5=45_000, spread_e4=1_000)
    assert desk.wishes(make.resting(4_000), at_s=90) == ()
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_600), count_e2=CountE2(1_000), post_only=True),)
    desk.view = desk.book((), make.ladder((4_300, 20)), mid_e5=45_000, spread_e4=1_000)
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_200), count_e2=CountE2(1_000), post_only=True),)


def test_a_spread_blown_apart_moves_nothing(make: Maker) -> None:
    """Above twice the arrival's and two cents; a new order is priced by the arrival. At exactly that it goes on."""
    desk = make.desk("deadline_walker", BARE)
    desk.view = desk.book(make.ladder((3_000, 20)), make.ladder((5_200, 20)))
    assert desk.wishes(make.resting(3_500)) == (AmendAction(level=1, price_e4=PriceE4(4_300)),)
    desk.view = desk.book(make.ladder((2_900, 20)), make.ladder((5_200, 20)))
    assert desk.wishes(make.resting(3_500)) == ()
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_600), count_e2=CountE2(1_000), post_only=True),)


@pytest.mark.parametrize("trouble", [{"feed": "stale"}, {"feed": "gapped"}, {"status": "paused"}])
def test_a_book_that_cannot_be_trusted_moves_nothing(make: Maker, trouble: dict[str, str]) -> None:
    """It is asked again when it can."""
    desk = make.desk("deadline_walker")
    desk.view = replace(desk.view, **trouble)
    assert desk.wishes(make.resting(4_000)) == ()


def test_the_budget_keeps_the_closing_legs_writes(make: Maker) -> None:
    """Of twelve writes the last two are a cancel and the last order: after ten it rests."""
    desk = make.desk("deadline_walker")
    assert desk.wishes(make.resting(4_000), writes=9) != ()
    assert desk.wishes(make.resting(4_000), writes=10) == ()
    assert desk.wishes(writes=10) == ()


def test_short_of_tokens_it_becomes_a_static_order(make: Maker) -> None:
    """Placing goes on, moving does not."""
    desk = make.desk("deadline_walker")
    desk.view = replace(desk.view, write_tokens_left=19)
    assert desk.wishes(make.resting(4_000)) == ()
    assert len(desk.wishes()) == 1
    desk.view = replace(desk.view, write_tokens_left=20)
    assert len(desk.wishes(make.resting(4_000))) == 1


def test_it_never_bids_above_the_worst_price_nor_where_it_would_take(make: Maker) -> None:
    """With an offer at the grid's lowest price there is nowhere to rest."""
    desk = make.desk("deadline_walker")
    desk.goal = desk.goal_of(target=4_100, worst=4_200)
    assert desk.wishes() == (PlaceAction(level=1, price_e4=PriceE4(4_200), count_e2=CountE2(1_000), post_only=True),)
    desk.view = desk.book((), make.ladder((100, 20)))
    assert desk.wishes() == ()


def test_signals_move_the_price_only_where_they_are_given_weight(make: Maker) -> None:
    """Imbalance 0.9 with weight 0.5 adds 0.2 of the spread, order flow of 2 with weight -0.1 takes 0.2 away."""
    view = make.desk("deadline_walker").view
    pressing = replace(view, signals=Signals(at_us=0, imbalance_ppm=900_000, ofi_z_ppm=2_000_000))
    for settings, price in (
        ({}, 4_600),
        ({"imbalance_weight": "0.5"}, 4_800),
        ({"flow_weight": "-0.1"}, 4_400),
        ({"imbalance_weight": "0.5", "flow_weight": "-0.1"}, 4_600),
        ({"flow_weight": "10"}, 4_900),
        ({"flow_weight": "-10"}, 4_000),
    ):
        desk = make.desk("deadline_walker", BARE | settings)
        desk.view = pressing
        assert [wish.price_e4 for wish in desk.wishes() if isinstance(wish, PlaceAction)] == [price]
        desk.view = replace(view, signals=Signals(at_us=0))
        assert [wish.price_e4 for wish in desk.wishes() if isinstance(wish, PlaceAction)] == [4_600], "nothing known"


def test_the_taker_leg_is_off_unless_switched_on(make: Maker) -> None:
    """Ten contracts, a flow of 0.05 a second: at 20 s six will not fill in time, and the ask is cheap enough."""
    cheap = {"taker_leg": True, "flow_e2_per_s": 5, "taker_start_e4": 1_000, "taker_slope_e4": 0}
    off, on = make.desk("deadline_walker"), make.desk("deadline_walker", cheap)
    assert all(isinstance(wish, AmendAction | PlaceAction) for wish in off.wishes(make.resting(4_000), at_s=20))
    assert on.wishes(make.resting(4_000), at_s=20) == (CancelAction(level=1),)
    part = replace(make.fresh(1, 1_000), last_placed_at_us=0, sent=1)
    assert on.wishes(part, at_s=20) == (
        PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(600), time_in_force="immediate_or_cancel"),
    )
    just_taken = replace(part, last_placed_at_us=19_000_000)
    (quote,) = on.wishes(just_taken, at_s=20)
    assert isinstance(quote, PlaceAction)
    assert quote.post_only, "the quote comes back before the next taking"


def test_the_taker_leg_takes_the_touch_at_most_and_never_a_dear_one(make: Maker) -> None:
    """Dearer is allowed as time goes by: arrival mid - 2 c + 3 c x t / H by default."""
    desk = make.desk("deadline_walker", {"taker_leg": True, "flow_e2_per_s": 0, "taker_start_e4": 300})
    desk.view = desk.book(make.ladder((4_000, 20)), make.ladder((5_000, 2), (5_100, 50)))
    part = make.fresh(1, 1_000)
    (quote,) = desk.wishes(part, at_s=60)
    assert isinstance(quote, PlaceAction)
    assert quote.post_only, "0.50 is above 0.45 + 0.03 + 0.018"
    (take,) = desk.wishes(part, at_s=67)
    assert isinstance(take, PlaceAction)
    assert (take.time_in_force, take.count_e2) == ("immediate_or_cancel", 200)


@pytest.mark.parametrize(
    "settings",
    [{"a0": "NaN"}, {"a0": "-0.1"}, {"a1": 11}, {"g": 0}, {"write_budget": 2}, {"ticks": 1}, {"up_ticks": 0}],
)
def test_a_configuration_out_of_bounds_is_refused(settings: dict[str, object]) -> None:
    """One line that names the key."""
    with pytest.raises(UserError, match=next(iter(settings))):
        SHIPPED_FAMILIES["deadline_walker"].method("mine", 1, settings)
