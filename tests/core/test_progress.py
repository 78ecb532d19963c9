"""What an algorithm is told of its own doing, and transfers between its slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.algorithm.algorithm import (
    Action,
    AmendAction,
    PlaceAction,
    Progress,
    SliceProgress,
    TransferAction,
    Working,
)
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    CancelAnswered,
    DecisionDue,
    MakePlan,
    Place,
    Transfer,
)
from fsm_exec.core.execution.order_checks import IllegalAction, progress_of
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World


def progress(driver: Driver) -> Progress:
    return progress_of(driver.execution, driver.now_us)


def part(driver: Driver, level: int = 1) -> SliceProgress:
    return next(part for part in progress(driver).slices if part.level == level)


def order(driver: Driver) -> Working:
    working = part(driver).working
    assert working is not None
    return working


def test_when_an_order_was_placed_and_when_it_moved(working: Driver) -> None:
    """A refused amend moves nothing; a taken one counts from when it was learned."""
    placed_us = order(working).placed_at_us
    assert order(working).moved_at_us == placed_us == part(working).last_placed_at_us
    write = working.reprice(5_100)
    assert order(working).busy
    working.fact(AmendRefused, effect_id=write.effect_id, code="not_sent")
    assert (order(working).moved_at_us, order(working).walks) == (placed_us, 0)
    working.reprice(5_100)
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert (order(working).placed_at_us, order(working).moved_at_us) == (placed_us, working.now_us)
    assert (order(working).walks, progress(working).walks) == (1, 1)


def test_every_write_that_was_decided_counts(working: Driver) -> None:
    """Whatever became of it: a create, an amend that was refused, another, a cancel."""
    assert progress(working).writes == 1
    write = working.reprice(5_100)
    working.fact(AmendRefused, effect_id=write.effect_id, code="not_sent")
    working.reprice(5_100)
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert progress(working).writes == 3
    working.stop()
    assert working.execution.writes == 4


def test_no_amend_while_a_refusal_asks_for_patience(world: World, working: Driver) -> None:
    """Too many requests: the next one waits as long as a place would."""
    write = working.reprice(5_100)
    working.fact(AmendRefused, effect_id=write.effect_id, code="too_many_requests")
    working.script.wishes = (AmendAction(level=1, price_e4=PriceE4(5_100)),)
    until_us = working.execution.held_until_us
    assert until_us > working.now_us
    assert working.tell(DecisionDue(at_us=until_us - 1, view=world.view(until_us - 1))) is None
    assert working.tell(DecisionDue(at_us=until_us, view=world.view(until_us))) is not None


def test_fruitless_orders_in_a_row(world: World) -> None:
    """Those that ended without a fill, the newest first; one fill ends the row, an open order does not count."""
    driver = world.drive()
    for expected in (1, 2):
        driver.place()
        driver.accept()
        driver.report("canceled", cause="HaltCancel")
        assert part(driver).fruitless == expected
    driver.place()
    driver.accept()
    assert part(driver).fruitless == 2
    driver.fill("f1", 100)
    assert part(driver).fruitless == 0


def test_a_transfer_is_one_journaled_change_and_the_sum_stays(world: World) -> None:
    """With the order that needs it in the same step, and also as part of the plan's own."""
    script = world.scripted(600, 400)
    script.wishes = (
        TransferAction(from_level=1, to_level=2, count_e2=CountE2(600)),
        PlaceAction(level=2, price_e4=PriceE4(5_000), count_e2=CountE2(1_000)),
    )
    driver = world.drive(script)
    step = driver.look()
    assert step is not None
    assert [type(intent) for intent in step.intents] == [MakePlan, Transfer, Place]
    assert [(s.level, s.count_e2) for s in driver.execution.slices] == [(1, 0), (2, 1_000)]
    assert driver.child.count_e2 == 1_000


def test_what_was_moved_can_be_moved_back(world: World) -> None:
    """A slice that has nothing left is still one."""
    script = world.scripted(600, 400)
    driver = world.drive(script)
    script.wishes = (TransferAction(from_level=1, to_level=2, count_e2=CountE2(600)),)
    driver.look()
    script.wishes = (TransferAction(from_level=2, to_level=1, count_e2=CountE2(1_000)),)
    driver.look()
    assert [(s.level, s.count_e2) for s in driver.execution.slices] == [(1, 1_000), (2, 0)]


@pytest.mark.parametrize(
    "wishes",
    [
        (TransferAction(from_level=1, to_level=2, count_e2=CountE2(501)),),  # 100 of 600 are filled or rest
        (TransferAction(from_level=2, to_level=1, count_e2=CountE2(0)),),
        (TransferAction(from_level=2, to_level=1, count_e2=CountE2(-1)),),
        (TransferAction(from_level=2, to_level=2, count_e2=CountE2(1)),),
        (TransferAction(from_level=3, to_level=1, count_e2=CountE2(1)),),
        (TransferAction(from_level=1, to_level=3, count_e2=CountE2(1)),),
        (
            PlaceAction(level=2, price_e4=PriceE4(5_000), count_e2=CountE2(100)),
            TransferAction(from_level=2, to_level=1, count_e2=CountE2(1)),
        ),
        (
            TransferAction(from_level=2, to_level=1, count_e2=CountE2(400)),
            PlaceAction(level=2, price_e4=PriceE4(5_000), count_e2=CountE2(1)),
        ),
    ],
)
def test_only_what_is_free_can_be_moved(world: World, wishes: tuple[Action, ...]) -> None:
    """Not what an order holds, not to or from nowhere, and not after it was asked for in the same decision."""
    script = world.scripted(600, 400)
    script.wishes = (PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(100)),)
    driver = world.drive(script)
    driver.look()
    driver.accept()
    script.wishes = wishes
    before = driver.execution
    with pytest.raises(IllegalAction):
        driver.look()
    assert driver.execution is before


def test_a_cancelled_orders_contracts_are_free_again(world: World) -> None:
    """And may move."""
    script = world.scripted(600, 400)
    driver = world.drive(script)
    driver.look()
    first = driver.children[0]
    assert part(driver).free_e2 == 0
    driver.accept(client_order_id=first.client_order_id, filled=0, remaining=first.count_e2, order_id="o1")
    driver.stop()
    driver.fact(CancelAnswered, client_order_id=first.client_order_id, order_id="o1", reduced_by_e2=CountE2(500))
    driver.fill("f1", 100, client_order_id=first.client_order_id, order_id="o1")
    assert part(driver).free_e2 == 500
