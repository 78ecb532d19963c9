"""The reference design's walker as it was written: what the mended one is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import CancelAction, PlaceAction, SliceProgress
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.algorithms.conftest import Desk, Maker


def market(make: Maker, bids: tuple[tuple[int, int], ...] = ((4_400, 30), (4_300, 60)), momentum: int = 0) -> Desk:
    """10 contracts at a target of 0.45, at most 0.60; almost nothing on offer."""
    desk = make.desk("seed_walker")
    desk.view = desk.book(make.ladder(*bids), make.ladder((5_000, 1)))
    desk.goal = desk.goal_of()
    desk.view = replace(desk.view, signals=Signals(at_us=0, seed_momentum_ppm=momentum))
    return desk


def place(level: int, price: int, contracts: int) -> PlaceAction:
    return PlaceAction(level=level, price_e4=PriceE4(price), count_e2=CountE2(contracts * 100))


def second(make: Maker, price: int) -> SliceProgress:
    return replace(make.resting(price, contracts=4), level=2)


def test_it_reads_the_bids_beside_us_and_splits_60_to_40(make: Maker) -> None:
    """However little there is to buy: the levels at or below the target are its liquidity."""
    assert market(make).wishes() == (place(1, 4_400, 6), place(2, 4_300, 4))


@pytest.mark.parametrize("bids", [((4_400, 29), (4_300, 20)), ((4_400, 500),), ((4_600, 500), (4_700, 500))])
def test_with_less_it_is_one_limit_at_the_target_for_ever(make: Maker, bids: tuple[tuple[int, int], ...]) -> None:
    """Below 50 contracts, or fewer than two levels: no walk, and nothing closes."""
    desk = market(make, bids, momentum=900_000)
    assert desk.wishes() == (place(1, 4_500, 10),)
    assert desk.wishes(make.resting(4_500), at_s=99) == ()
    assert desk.method.closing_lead_us is None


def test_growth_of_the_bids_cancels_every_part_each_four_seconds(make: Maker) -> None:
    """More than a tenth; at exactly that, or without, it waits for ever."""
    desk = market(make, momentum=100_001)
    parts = make.resting(4_400, contracts=6), second(make, 4_300)
    assert desk.wishes(*parts, at_s=3.9) == ()
    assert desk.wishes(*parts, at_s=4) == (CancelAction(level=1), CancelAction(level=2))
    for momentum in (100_000, 0, -500_000):
        assert market(make, momentum=momentum).wishes(*parts, at_s=99) == ()


def test_what_was_cancelled_is_placed_at_the_old_target_and_a_step(make: Maker) -> None:
    """Never updated: the second walk leads to the same price as the first. The remainder, charitably, not the whole."""
    desk = market(make, momentum=100_001)
    for sent in (1, 2, 5):
        again = replace(make.fresh(1, 600), sent=sent, free_e2=CountE2(400), filled_e2=CountE2(200))
        assert desk.wishes(again, second(make, 4_300), at_s=1) == (place(1, 4_500, 4),)


def test_a_walk_of_each_part_counts_and_after_ten_it_rests(make: Maker) -> None:
    """The shared counter is looked at before either part walks, so that eleven are possible."""
    desk = market(make, momentum=900_000)

    def parts(first: int, other: int) -> tuple[SliceProgress, SliceProgress]:
        return replace(make.resting(4_500, contracts=6), sent=first), replace(second(make, 4_400), sent=other)

    assert len(desk.wishes(*parts(6, 5), at_s=5)) == 2
    assert desk.wishes(*parts(6, 6), at_s=5) == ()
