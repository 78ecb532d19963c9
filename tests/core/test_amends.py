"""New prices: accepted, lost, overtaken by a cancel, or seen by two channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.algorithm.algorithm import AmendAction, CancelAction
from fsm_exec.core.execution.events import AmendAnswered, AmendRefused, CancelAnswered, Restored, WriteUnconfirmed
from fsm_exec.core.execution.execution import PendingAmend
from fsm_exec.core.market.orders import CancelOrder
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver

P50, P51 = PriceE4(5_000), PriceE4(5_100)


def test_an_amend_is_a_walk_once_the_exchange_accepts_it(working: Driver) -> None:
    """Until then both prices stand."""
    write = working.reprice(5_100)
    assert (working.child.price_e4, write.price_e4, working.child.walks) == (P50, P51, 0)
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert (working.child.price_e4, working.child.walks, working.execution.walks) == (P51, 1, 1)
    assert (working.child.write, working.execution.outbox) == (None, ())


def test_a_frame_from_before_the_amend_is_ignored_after_it(working: Driver) -> None:
    """The stream may be behind the answers."""
    working.reprice(5_100)
    working.report("resting", price_e4=P51)
    assert working.child.walks == 0, "a frame is no answer"
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert working.report("resting", price_e4=P50) is None
    working.report("resting", 300, price_e4=P51)
    assert working.child.reported_e2 == 300


def test_a_lost_amend_may_only_be_followed_by_a_cancel(working: Driver) -> None:
    """Neither a second amend nor a new order."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    working.script.wishes = (AmendAction(level=1, price_e4=PriceE4(4_900)),)
    assert working.look() is None
    working.script.wishes = (CancelAction(level=1),)
    step = working.look()
    assert step is not None
    assert isinstance(step.effects[0], CancelOrder)


@pytest.mark.parametrize(("price", "walks"), [(P50, 0), (P51, 1)])
def test_a_lost_amend_is_settled_by_the_look_up(working: Driver, price: PriceE4, walks: int) -> None:
    """It landed or it did not; either way the order can be changed again."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    working.report("resting", price_e4=price, looked_up=True)
    assert (working.child.price_e4, working.child.walks, working.child.write) == (price, walks, None)


def test_an_amend_that_landed_under_a_lost_cancel_is_adopted(working: Driver) -> None:
    """The order lives at the price of the amend nobody answered: from then on that is its price."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    working.stop()
    working.fact(WriteUnconfirmed, effect_id=working.last_effect(), why="timeout")
    step = working.report("resting", price_e4=P51, looked_up=True)
    assert step is not None
    assert isinstance(step.effects[0], CancelOrder)
    assert (working.child.price_e4, working.child.walks, working.execution.walks) == (P51, 1, 1)
    working.report("canceled", 0, price_e4=P51)
    assert (working.state, working.execution.reason) == ("cancelled", "user")


def test_a_listing_asked_for_another_doubt_does_not_answer_for_an_amend_in_flight(working: Driver) -> None:
    """Each write has one answer: a second one for the same amend would be taken for the next amend's."""
    working.reprice(5_100)
    working.report("resting", price_e4=P51, looked_up=True)
    assert isinstance(working.child.write, PendingAmend)
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert (working.child.price_e4, working.child.walks) == (P51, 1)


@pytest.mark.parametrize("answer", [WriteUnconfirmed, AmendRefused])
def test_the_outcome_of_one_write_leaves_another_in_the_outbox(
    working: Driver, answer: type[WriteUnconfirmed | AmendRefused]
) -> None:
    """A write that is still in flight must be doubted after a restart."""
    write = working.reprice(5_100)
    other = {"why": "late"} if answer is WriteUnconfirmed else {"code": "late"}
    assert working.fact(answer, effect_id="e1:2:1", **other) is None
    assert [entry.effect_id for entry in working.execution.outbox] == [write.effect_id]
    working.fact(Restored)
    assert working.child.write is not None
    assert working.child.write.lost


def test_an_amend_that_ends_the_order_without_saying_how_is_looked_up(working: Driver) -> None:
    """Nothing remains: filled at the new price, or cancelled for crossing our own. Only a look-up can tell."""
    working.reprice(5_100)
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=CountE2(0))
    assert working.child.write is not None
    assert (working.child.state, working.child.write.lost, working.execution.free_e2) == ("resting", True, 0)
    working.report("executed", 1_000, price_e4=P51, looked_up=True)
    working.fill("f1", 1_000)
    assert (working.state, working.execution.walks) == ("filled", 1)


def test_an_amend_that_trades_the_whole_order_ends_it(working: Driver) -> None:
    """An amend may cross."""
    working.reprice(5_100)
    working.fact(AmendAnswered, filled_e2=CountE2(1_000), remaining_e2=CountE2(0))
    assert working.child.state == "settling"
    working.fill("f1", 1_000)
    assert working.state == "filled"


def test_a_stop_while_an_amend_is_in_flight_waits_for_its_answer(working: Driver) -> None:
    """One write in flight per order; the cancel follows the answer in the same step."""
    write = working.reprice(5_100)
    step = working.stop()
    assert step is not None
    assert step.effects == ()
    step = working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    assert step is not None
    assert isinstance(step.effects[0], CancelOrder)


def test_an_answer_about_another_kind_of_write_or_another_order_leaves_the_outbox(working: Driver) -> None:
    """Otherwise a restart would not doubt the write, nobody would ask, and the execution would wait for ever."""
    working.stop()
    cancel = working.last_effect()
    assert working.fact(AmendRefused, effect_id=cancel, code="late") is None
    assert [entry.effect_id for entry in working.execution.outbox] == [cancel]


def test_a_frame_about_an_order_that_has_ended_is_not_judged(working: Driver) -> None:
    """The cancel ended it; that it stood at the price of a lost amend, as its last frame says, harms nobody."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    working.stop()
    working.fact(CancelAnswered, reduced_by_e2=CountE2(900))
    assert working.child.state == "settling"
    assert working.report("canceled", 100, price_e4=P51) is None
    working.fill("f1", 100, price_e4=P51)
    assert (working.state, working.execution.filled_e2) == ("cancelled", 100)


def test_a_lost_cancel_does_not_settle_the_lost_amend_it_overtook(working: Driver) -> None:
    """The look-up finds the order live at the old price; the amend may still arrive, and does."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    working.script.wishes = (CancelAction(level=1),)
    working.look()
    working.script.wishes = ()
    working.fact(WriteUnconfirmed, effect_id=working.last_effect(), why="timeout")
    working.report("resting", looked_up=True)
    assert working.child.state == "resting"
    assert isinstance(working.child.write, PendingAmend)
    assert (working.child.write.price_e4, working.child.write.lost) == (P51, True)
    working.report("resting", price_e4=P51)
    working.report("resting", price_e4=P51, looked_up=True)
    settled = working.child
    assert (settled.price_e4, settled.walks, settled.write) == (P51, 1, None)
