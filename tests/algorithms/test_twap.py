"""Slices in time: what comes due, what is caught up with, and the thin book on which others stop half-way."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED_FAMILIES, Method
from fsm_exec.algorithms.toolkit import apportion
from fsm_exec.core.algorithm.algorithm import PlaceAction, TransferAction
from fsm_exec.core.market.orders import PlaceOrder
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.lab.algorithm_checks.stage import Frame, Stage, submitted

if TYPE_CHECKING:
    from tests.algorithms.conftest import Maker

S = 1_000_000
STEPS_PER_S = 4


def thin(levels: int, contracts: int, *, seconds: int, from_s: int = 0) -> list[Frame]:
    """So many offers of so many contracts from 0.50 up, filled up again each second."""
    frames = []
    for step in range((seconds + 20) * STEPS_PER_S):
        second = step // STEPS_PER_S  # a book that differs is a book that was filled up
        offers = tuple((PriceE4(5_000 + 100 * n), CountE2(contracts * 100)) for n in range(levels))
        bids = ((PriceE4(4_900), CountE2(10_000 + second)),)
        frames.append(Frame(bids, offers if second >= from_s else ()))
    return frames


def run(
    frames: list[Frame], *, horizon_s: int, contracts: int = 100, latency_steps: int = 1, slices: int = 10
) -> Stage:
    def fresh() -> Method:
        return SHIPPED_FAMILIES["twap"].method("twap", 1, {"slices": slices})

    first = submitted(contracts * 100, frames[0], horizon_us=horizon_s * S, target_e4=5_000, worst_e4=5_400)
    stage = Stage(
        first=first, frame_at=lambda step: frames[step], fresh=fresh, dice=Random(1), latency_steps=latency_steps
    )
    stage.run()
    return stage


@pytest.mark.parametrize(("levels", "contracts"), [(5, 1), (1, 4)])
@pytest.mark.parametrize("latency_steps", [0, 1, 2])
def test_a_thin_book_that_fills_up_completes_whenever_it_offers_enough(
    levels: int, contracts: int, latency_steps: int
) -> None:
    """100 contracts in 10 slices; a book that never shows more than 5 (4), in just as many seconds as it needs."""
    a_second = levels * contracts
    for horizon_s in (100 // a_second, 30, 60):
        stage = run(thin(levels, contracts, seconds=horizon_s), horizon_s=horizon_s, latency_steps=latency_steps)
        assert stage.execution.reason == "completed", horizon_s
        assert stage.execution.filled_e2 == 10_000


@pytest.mark.parametrize(("levels", "contracts"), [(5, 1), (1, 4)])
def test_a_book_that_does_not_offer_enough_is_emptied_and_it_says_so(levels: int, contracts: int) -> None:
    """15 seconds offer 75 (60): all of it is bought, and the reason is told."""
    stage = run(thin(levels, contracts, seconds=15), horizon_s=15)
    assert stage.execution.reason == "no_liquidity"
    assert stage.execution.filled_e2 == 15 * levels * contracts * 100


def test_slices_that_found_nothing_are_caught_up_with() -> None:
    """Nobody sells for 40 of 60 seconds: what came due meanwhile is one order, and nothing is lost."""
    stage = run(thin(1, 500, seconds=60, from_s=40), horizon_s=60)
    assert stage.execution.reason == "completed"
    assert max(write.count_e2 for write in stage.sent if isinstance(write, PlaceOrder)) > 5_000


@pytest.mark.parametrize("contracts", [1, 3, 7, 20, 100, 1_000])
def test_few_contracts_are_few_slices_and_every_one_is_bought(contracts: int) -> None:
    """No slice is empty, none is of a part of a contract."""
    stage = run(thin(3, 400, seconds=40), horizon_s=40, contracts=contracts, slices=8)
    assert stage.execution.reason == "completed"
    assert len(stage.execution.slices) == min(8, contracts)
    assert all(fill.count_e2 % 100 == 0 for fill in stage.execution.fills)


def test_slices_come_due_evenly_over_most_of_the_time(make: Maker) -> None:
    """100 s, a second's lead, 8 slices over 80 % of the rest: every 9.9 s. One order takes all that is due."""
    desk = make.desk("twap")
    desk.goal = desk.goal_of(contracts=80)
    assert desk.wishes() == (_take(1, 1_000),)
    parts = [make.fresh(level, 1_000) for level in range(1, 9)]
    assert desk.wishes(*parts, at_s=9.8) == (_take(1, 1_000),)
    assert desk.wishes(*parts, at_s=9.9) == (
        TransferAction(from_level=1, to_level=2, count_e2=CountE2(1_000)),
        _take(2, 2_000),
    )
    assert desk.wishes(*parts, at_s=70)[-1] == _take(8, 8_000)


def test_an_interval_is_kept_and_shortened_only_where_it_does_not_fit(make: Maker) -> None:
    """Five seconds fit; 30 would leave the last slices for after the deadline."""
    for interval_s, third_at_s in ((5, 10), (30, 19.8)):
        desk = make.desk("twap", {"interval_s": interval_s})
        desk.goal = desk.goal_of(contracts=80)
        parts = [make.fresh(level, 1_000) for level in range(1, 9)]
        assert desk.wishes(*parts, at_s=third_at_s - 0.1)[-1] == _take(2, 2_000)
        assert desk.wishes(*parts, at_s=third_at_s)[-1] == _take(3, 3_000)


def test_it_waits_for_offers_answers_and_its_own_pace(make: Maker) -> None:
    """Nothing is sent into an empty book, beside an order under way, or right after the last one."""
    desk = make.desk("twap")
    sent = replace(make.fresh(1, 1_000), sent=1, last_placed_at_us=10 * S)
    assert desk.wishes(sent, at_s=10.4) == ()
    assert desk.wishes(sent, at_s=10.5) == (_take(1, 1_000),)
    assert desk.wishes(make.resting(6_000), at_s=20) == ()
    desk.view = desk.book(make.ladder((4_000, 20)), make.ladder((6_100, 20)))
    assert desk.wishes(at_s=20) == ()


def test_orders_that_get_nothing_come_to_an_end(make: Maker) -> None:
    """After eight in a row the book is not believed, until the next slice comes due."""
    desk = make.desk("twap")
    tried = replace(make.fresh(1, 1_000), sent=8, last_placed_at_us=0, fruitless=8)
    assert desk.wishes(replace(tried, fruitless=7), at_s=5) != ()
    assert desk.wishes(tried, make.fresh(2, 1_000), at_s=5) == ()
    assert desk.wishes(tried, make.fresh(2, 1_000), at_s=60)[-1] == _take(2, 2_000)


@given(total=st.integers(1, 10**7), weights=st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any))
def test_apportioning_loses_nothing(total: int, weights: list[int]) -> None:
    """Parts add up, no weight means no part, and no part is a contract or more away from its share."""
    parts = apportion(CountE2(total), weights)
    assert sum(parts) == total
    for part, weight in zip(parts, weights, strict=True):
        assert part >= 0
        assert part == 0 or weight > 0
        assert abs(part * sum(weights) - total * weight) < 200 * sum(weights)


def _take(level: int, count_e2: int) -> PlaceAction:
    return PlaceAction(
        level=level, price_e4=PriceE4(6_000), count_e2=CountE2(count_e2), time_in_force="immediate_or_cancel"
    )
