"""The reference design's walker, mended: how it splits, when and where it walks, what brings an end forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.core.algorithm.algorithm import Action, AmendAction, CloseAction, PlaceAction, SliceProgress
from fsm_exec.core.errors import UserError
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import CountE2, PriceE4, PriceGrid, PriceRange

if TYPE_CHECKING:
    from tests.algorithms.conftest import Desk, Maker

FINE = PriceGrid((PriceRange(PriceE4(0), PriceE4(10_000), PriceE4(10)),))
NAME = "dynamic_depth_walker"
BIDS = ((4_400, 30), (4_300, 60), (4_200, 10), (4_100, 500))
ASKS = ((5_000, 40), (5_100, 40), (6_100, 900))


def market(make: Maker, settings: dict[str, object] | None = None, **signals: int) -> Desk:
    """10 contracts at a target of 0.45, at most 0.60; a book of several levels, 80 on offer within the limit."""
    desk = make.desk(NAME, settings)
    desk.view = desk.book(make.ladder(*BIDS), make.ladder(*ASKS))
    desk.goal = desk.goal_of()
    if signals:
        show(desk, **signals)
    return desk


def show(desk: Desk, **signals: int) -> None:
    desk.view = replace(desk.view, signals=replace(Signals(at_us=0), **signals))


def place(level: int, price: int, contracts: int) -> PlaceAction:
    return PlaceAction(level=level, price_e4=PriceE4(price), count_e2=CountE2(contracts * 100), post_only=True)


def to(price: int, level: int = 1) -> tuple[Action, ...]:
    return (AmendAction(level=level, price_e4=PriceE4(price)),)


@pytest.mark.parametrize(
    ("settings", "contracts", "placed"),
    [
        ({}, 10, ((4_400, 6), (4_300, 4))),
        ({}, 7, ((4_400, 4), (4_300, 3))),
        ({}, 3, ((4_400, 2), (4_300, 1))),
        ({}, 1, ((4_400, 1),)),
        ({"splits": "proportional"}, 9, ((4_400, 3), (4_300, 6))),
        ({"splits": "proportional", "levels": 3}, 10, ((4_400, 3), (4_300, 6), (4_200, 1))),
        ({"splits": "proportional", "levels": 3}, 2, ((4_400, 1), (4_300, 1))),
    ],
)
def test_the_target_is_split_over_the_best_bids(
    make: Maker, settings: dict[str, object], contracts: int, placed: tuple[tuple[int, int], ...]
) -> None:
    """Whole contracts, none lost, no empty slice; each rests at its level, nearest the touch first."""
    desk = market(make, settings)
    desk.goal = desk.goal_of(contracts=contracts)
    assert desk.wishes() == tuple(place(n, price, count) for n, (price, count) in enumerate(placed, start=1))


def test_only_bids_up_to_the_target_are_joined(make: Maker) -> None:
    """A bid above it is somebody who pays more than we want to begin with."""
    desk = market(make)
    desk.goal = desk.goal_of(target=4_300)
    assert desk.wishes() == (place(1, 4_300, 6), place(2, 4_200, 4))


@pytest.mark.parametrize(("offered", "slices"), [(49, 1), (50, 2)])
def test_below_the_threshold_it_is_one_limit_at_the_target(make: Maker, offered: int, slices: int) -> None:
    """What counts is what can be bought within the limit, however much is bid or asked beyond."""
    desk = market(make)
    desk.view = desk.book(make.ladder(*BIDS), make.ladder((5_000, offered), (6_100, 9_000)))
    desk.goal = desk.goal_of()
    assert len(desk.wishes()) == slices
    if slices == 1:
        assert desk.wishes() == (place(1, 4_500, 10),)


def test_with_one_level_to_join_it_is_one_limit_too(make: Maker) -> None:
    """Forty per cent at a level nobody stands at would only wait."""
    desk = market(make)
    desk.goal = desk.goal_of(target=4_100)
    assert desk.wishes() == (place(1, 4_100, 10),)
    desk.goal = desk.goal_of(target=4_000)
    assert desk.wishes() == (place(1, 4_000, 10),)


def test_nothing_is_placed_where_it_would_take(make: Maker) -> None:
    """A tick below the best offer at most; it waits where the book leaves no such price."""
    desk = market(make)
    desk.view = desk.book(make.ladder(), make.ladder((4_200, 100)))
    assert desk.wishes() == (place(1, 4_100, 6), place(2, 4_100, 4))
    desk.view = desk.book(make.ladder(), make.ladder((100, 100)))
    assert desk.wishes() == ()


WALKS = [
    # signals, at second, walks so far, price after
    ({}, 3.9, 0, None),
    ({}, 4, 0, 4_500),
    ({}, 10, 1, None),  # no momentum, and one walk of ten at a tenth of the time is in time
    ({}, 10.1, 1, 4_500),
    ({"seed_momentum_ppm": 100_000}, 5, 1, None),
    ({"seed_momentum_ppm": 100_001}, 3.9, 1, None),
    ({"seed_momentum_ppm": 100_001}, 4, 1, 4_500),
    ({"seed_momentum_ppm": 200_001}, 4, 1, 4_500),
    ({"seed_momentum_ppm": 200_001, "ofi_z_ppm": 1}, 4, 1, 4_500),
    ({"seed_momentum_ppm": 200_001, "ofi_z_ppm": -1}, 4, 1, None),
    ({"seed_momentum_ppm": -500_000}, 4, 1, None),
    ({"seed_momentum_ppm": 900_000, "ofi_z_ppm": -1_000_001}, 99, 1, None),
    ({"ofi_z_ppm": -1_000_001}, 50, 1, None),  # late, but the price is coming to us
    ({"ofi_z_ppm": -1_000_000}, 50, 1, 4_500),
    ({"seed_momentum_ppm": 100_001, "ema_slippage_ppm": 20_000}, 2, 1, None),
    ({"seed_momentum_ppm": 100_001, "ema_slippage_ppm": 20_001}, 2, 1, 4_500),
]


@pytest.mark.parametrize(("signals", "at_s", "walks", "price"), WALKS)
def test_when_it_walks_from_the_best_bid(
    make: Maker, signals: dict[str, int], at_s: float, walks: int, price: int | None
) -> None:
    """After its interval (half of it, when sweeping gets dear), with growth and without flow against us, or when more
    of the time has gone than of the walks."""
    desk = market(make, None, **signals)
    assert desk.wishes(make.resting(4_400), at_s=at_s, walks=walks) == (to(price) if price else ())


@pytest.mark.parametrize(("momentum", "price"), [(100_001, 4_450), (200_001, 4_500)])
def test_a_step_is_half_a_cent_or_a_cent(make: Maker, momentum: int, price: int) -> None:
    """On a grid that has them; with `momentum_threshold_ppm` as the reference design has it."""
    desk = market(make, seed_momentum_ppm=momentum)
    desk.view = replace(desk.view, grid=FINE)
    desk.goal = desk.goal_of(grid=FINE)
    assert desk.wishes(make.resting(4_400), at_s=4) == to(price)


def test_no_step_passes_the_worst_price_or_the_best_offer(make: Maker) -> None:
    """And one that would lead nowhere is no step: the same price is never sent again."""
    desk = market(make, seed_momentum_ppm=900_000)
    assert desk.wishes(make.resting(4_800), at_s=50) == to(4_900)
    assert desk.wishes(make.resting(4_900), at_s=50) == ()
    desk.goal = desk.goal_of(target=4_400, worst=4_500)
    desk.view = replace(desk.view, asks=make.ladder((4_500, 60)))
    assert desk.wishes(make.resting(4_400), at_s=50) == (), "the best offer is in the way"
    desk.view = replace(desk.view, asks=make.ladder((4_400, 60), (4_800, 60)), bids=make.ladder((4_200, 60)))
    desk.goal = desk.goal_of(target=4_300, worst=4_400)
    assert desk.wishes(make.resting(4_200), at_s=50) == to(4_300)
    desk.view = replace(desk.view, asks=make.ladder((4_450, 60)))
    desk.goal = desk.goal_of(target=4_300, worst=4_300)
    assert desk.wishes(make.resting(4_300), at_s=50) == (), "nobody offers within the limit"


def test_it_steps_down_only_when_alone_and_the_flow_is_against_us(make: Maker) -> None:
    """A tick, and never below the best bid of others."""
    desk = market(make, ofi_z_ppm=-1_000_001)
    assert desk.wishes(make.resting(4_600), at_s=4) == to(4_500)
    assert desk.wishes(make.resting(4_500), at_s=4) == to(4_400)
    assert desk.wishes(make.resting(4_400), at_s=4) == ()
    show(desk, ofi_z_ppm=-1_000_000)
    assert desk.wishes(make.resting(4_600), at_s=4, walks=1) == ()


@pytest.mark.parametrize("flow", range(-3_000_000, 3_000_001, 500_000))
@pytest.mark.parametrize("momentum", [-500_000, 0, 150_000, 900_000])
def test_without_a_new_fact_no_two_prices_alternate(make: Maker, flow: int, momentum: int) -> None:
    """On a book that stands still its walks lead one way only, whatever the hour."""
    desk = market(make, ofi_z_ppm=flow, seed_momentum_ppm=momentum)
    price, went = 4_600, []
    for walk in range(10):
        wishes = desk.wishes(make.resting(price), at_s=10 * walk + 5, walks=0)
        if wishes:
            (wish,) = wishes
            assert isinstance(wish, AmendAction)
            went.append(wish.price_e4 - price)
            price = wish.price_e4
    assert all(step > 0 for step in went) or all(step < 0 for step in went)


def test_the_walks_are_one_budget_for_all_slices(make: Maker) -> None:
    """An amend that is still unanswered counts as one; the slice nearest the touch goes first."""
    desk = market(make, seed_momentum_ppm=150_000)
    near, far = make.resting(4_400, contracts=6), second(make, 4_300)
    assert desk.wishes(near, far, at_s=5, walks=8) == (*to(4_500), *to(4_400, 2))
    assert desk.wishes(near, far, at_s=5, walks=9) == to(4_500)
    assert desk.wishes(near, far, at_s=5, walks=10) == ()
    busy = make.resting(4_400, contracts=6, busy=True)
    assert desk.wishes(busy, far, at_s=5, walks=8) == to(4_400, 2)
    assert desk.wishes(busy, far, at_s=5, walks=9) == ()


def test_no_market_is_chased_that_cannot_be_seen(make: Maker) -> None:
    """A feed that is not live, a pause, an empty side, less on offer than the threshold: what rests stays."""
    desk = market(make, seed_momentum_ppm=900_000)
    order = make.resting(4_400)
    for change in (
        {"feed": "stale"},
        {"feed": "gapped"},
        {"status": "paused"},
        {"bids": ()},
        {"asks": ()},
        {"asks": make.ladder((5_000, 49))},
    ):
        view, desk.view = desk.view, replace(desk.view, **change)
        assert desk.wishes(order, at_s=50) == (), change
        desk.view = view
    assert desk.wishes(order, at_s=50) == to(4_500)


def test_what_an_order_left_is_placed_again(make: Maker) -> None:
    """The remainder and no more, where its slice rests now."""
    desk = market(make)
    left = replace(make.fresh(2, 400), filled_e2=CountE2(300), free_e2=CountE2(100), sent=1)
    assert desk.wishes(make.resting(4_400, contracts=6), left) == (place(2, 4_300, 1),)


@pytest.mark.parametrize(
    ("risk", "offered", "closes"), [(800_000, 80, False), (800_001, 80, True), (800_001, 10, True), (800_001, 9, False)]
)
def test_offers_that_dry_up_bring_the_closing_leg_forward(make: Maker, risk: int, offered: int, closes: bool) -> None:
    """While they hold all that is left: what never held it does not dry up, and to close would give up the rest."""
    desk = market(make, dry_up_ppm=risk)
    desk.view = replace(desk.view, asks=make.ladder((5_000, offered), (6_100, 500)))
    assert (desk.wishes(make.resting(4_400)) == (CloseAction(),)) is closes
    desk.view = replace(desk.view, bids=())
    assert desk.wishes(make.resting(4_400)) == (), "an empty side is no forecast"


def test_filled_contracts_need_no_offers(make: Maker) -> None:
    """Nine of ten are bought, one is offered, and it is about to go."""
    desk = market(make, dry_up_ppm=900_000)
    desk.view = replace(desk.view, asks=make.ladder((5_000, 1)))
    part = replace(make.resting(4_400), filled_e2=CountE2(900))
    assert desk.wishes(part) == (CloseAction(),)


@pytest.mark.parametrize(
    "settings",
    [
        {"momentum_threshold_ppm": 200_001},
        {"splits": "60_40", "levels": 3},
        {"splits": "50_50"},
        {"levels": 4},
        {"walk_interval_s": 0},
        {"max_walks": -1},
        {"step_e4": 0},
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object]) -> None:
    """One line, before anything runs."""
    with pytest.raises(UserError, match=NAME):
        SHIPPED_FAMILIES[NAME].method("mine", 1, settings)


def second(make: Maker, price: int) -> SliceProgress:
    """Slice 2 with its order of four contracts."""
    return replace(make.resting(price, contracts=4), level=2)
