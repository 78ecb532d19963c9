"""The closing leg: what happens at deadline - lead, and what never happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.algorithm.algorithm import CancelAction, PlaceAction
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.closing_leg import closing_at_us
from fsm_exec.core.execution.events import (
    BeginClosing,
    Cancel,
    CancelAnswered,
    DecisionDue,
    GiveUp,
    MakePlan,
    OrderNotFound,
    OrderRefused,
    Place,
    PlaceUnconfirmed,
    Restored,
    TimerFired,
    Transfer,
)
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.market.orders import CancelOrder, PlaceOrder
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

LEAD_US = 5_000_000


@pytest.fixture
def resting(world: World) -> Driver:
    """Slices of 6, 3 and 1 contracts rest at 0.50; the leg begins five seconds before the deadline."""
    driver = world.drive(world.scripted(600, 300, 100, closing_lead_us=LEAD_US))
    driver.look()
    for child in driver.children:
        driver.accept(
            client_order_id=child.client_order_id, filled=0, remaining=child.count_e2, order_id=child.client_order_id
        )
    driver.script.wishes = ()
    return driver


def strike(driver: Driver) -> None:
    """The time of the leg has come."""
    due_us = closing_at_us(driver.execution, driver.algorithm)
    assert due_us is not None
    driver.now_us = due_us
    driver.tell(TimerFired(at_us=due_us))


def cancelled(driver: Driver) -> None:
    """The exchange does all cancels."""
    for child in driver.children:
        if child.state == "cancelling":
            left = CountE2(child.count_e2 - child.reported_e2)
            driver.fact(
                CancelAnswered,
                client_order_id=child.client_order_id,
                order_id=child.order_id,
                reduced_by_e2=left,
            )


def test_the_leg_begins_at_its_time_by_cancelling_everything(resting: Driver) -> None:
    """Not a moment before; one journaled step."""
    due_us = closing_at_us(resting.execution, resting.algorithm)
    assert due_us == resting.execution.deadline_us - LEAD_US
    assert resting.tell(TimerFired(at_us=due_us - 1)) is None
    step = resting.tell(TimerFired(at_us=due_us))
    assert step is not None
    assert step.intents[0] == BeginClosing()
    assert [type(intent) for intent in step.intents[1:]] == [Cancel] * 3
    assert [type(write) for write in step.effects] == [CancelOrder] * 3
    assert closing_at_us(resting.execution, resting.algorithm) is None, "it begins once"


def test_one_order_takes_the_remainder_at_the_worst_price(resting: Driver) -> None:
    """When every other has ended; all that was free moves into its slice in the same step, and the sum stays."""
    resting.fill("f1", 40, client_order_id=resting.children[1].client_order_id)
    strike(resting)
    assert resting.look() is None, "cancels are under way"
    cancelled(resting)
    step = resting.look()
    assert step is not None
    moved, order = step.intents
    assert isinstance(moved, Transfer)
    assert [part.count_e2 for part in moved.slices] == [960, 40, 0]
    assert order == Place(
        level=1, price_e4=PriceE4(5_100), count_e2=CountE2(960), time_in_force="immediate_or_cancel",
        post_only=False, mid_e5=50_000,
    )  # fmt: skip
    resting.accept(filled=960, remaining=0)
    resting.fill("f2", 960)
    assert (resting.state, resting.execution.reason) == ("filled", "completed")


def test_what_the_last_order_does_not_get_ends_it_for_want_of_liquidity(resting: Driver) -> None:
    """At once and not at the deadline: nothing more can come."""
    strike(resting)
    cancelled(resting)
    resting.look()
    resting.accept(filled=250, remaining=0)
    assert resting.state not in ("filled", "cancelled"), "its fills are still to come"
    step = resting.fill("f1", 250)
    assert step is not None
    assert step.intents == (GiveUp(reason="no_liquidity"),)
    assert (resting.state, resting.execution.reason, resting.execution.filled_e2) == ("cancelled", "no_liquidity", 250)


def test_the_last_order_is_not_cancelled_when_its_fill_is_told_before_its_answer(resting: Driver) -> None:
    """It cannot rest, and ends by itself: which of frame and answer comes first makes no difference to what is sent.
    Only if no answer comes it is cancelled, to learn what became of it."""
    strike(resting)
    cancelled(resting)
    resting.look()
    step = resting.fill("f1", 250)
    assert step is not None
    assert step.effects == ()
    assert resting.look() is None
    step = resting.fact(PlaceUnconfirmed, why="timeout")
    assert step is not None
    assert [type(effect) for effect in step.effects] == [CancelOrder]


def test_nothing_is_sent_while_an_order_is_unknown(world: World) -> None:
    """Its fate must be proven first; it is not sent again, as it is not the leg's own."""
    driver = world.drive(world.scripted(closing_lead_us=LEAD_US))
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    strike(driver)
    assert driver.look() is None
    driver.fact(OrderNotFound, as_of_us=driver.now_us)
    assert driver.child.state == "rejected"
    driver.look()
    assert (driver.child.attempt, driver.child.time_in_force) == (2, "immediate_or_cancel")


def test_an_order_proven_absent_as_the_leg_begins_is_not_sent_again(world: World) -> None:
    """The proof and the hour come with the same event."""
    driver = world.drive(world.scripted(closing_lead_us=LEAD_US))
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.now_us = driver.execution.deadline_us - LEAD_US
    step = driver.fact(OrderNotFound, as_of_us=driver.now_us)
    assert step is not None
    assert (step.intents, step.effects) == ((BeginClosing(),), ())
    assert driver.child.state == "cancelled"


@pytest.mark.parametrize(
    "held", [{"feed": "gapped"}, {"status": "paused"}, {"own_other_best_e4": 5_200, "asks": ((5_100, 100),)}]
)
def test_the_last_order_waits_for_a_moment_that_allows_it(resting: Driver, held: dict[str, object]) -> None:
    """A live feed, an open market, and nobody of our own to meet; the slices do not move before either."""
    strike(resting)
    cancelled(resting)
    assert resting.look(None, **held) is None
    assert resting.look() is not None


def test_an_order_that_never_reached_the_exchange_is_placed_again(resting: Driver) -> None:
    """Refused for the moment, or proven absent: nothing was taken. Once it has reached it, never again."""
    strike(resting)
    cancelled(resting)
    resting.look()
    resting.fact(OrderRefused, code="too_many_requests", message="")
    step = resting.look()
    assert step is not None
    assert [type(write) for write in step.effects] == [PlaceOrder]
    resting.fact(PlaceUnconfirmed, why="timeout")
    step = resting.fact(OrderNotFound, as_of_us=resting.now_us + 500)
    assert step is not None
    assert step.effects[0].client_order_id == resting.child.client_order_id, "the same request with the same id"


def test_nothing_is_placed_at_the_deadline(resting: Driver) -> None:
    """The leg that could not place in time leaves the end to the deadline."""
    strike(resting)
    cancelled(resting)
    resting.now_us = resting.execution.deadline_us
    resting.tell(DecisionDue(at_us=resting.now_us, view=resting.execution.arrival))
    assert (resting.state, resting.execution.reason) == ("cancelled", "deadline")


def test_a_deadline_nearer_than_the_lead_leaves_the_last_order_only(world: World) -> None:
    """It is planned, closes in the same step, and its one order follows."""
    driver = world.drive(world.scripted(500, 500, closing_lead_us=world.horizon_us))
    step = driver.look()
    assert step is not None
    assert [type(intent) for intent in step.intents] == [MakePlan, BeginClosing]
    driver.look()
    assert (len(driver.children), driver.child.count_e2, driver.child.time_in_force) == (
        1,
        1_000,
        "immediate_or_cancel",
    )


def test_the_algorithm_is_not_asked_any_more(resting: Driver) -> None:
    """Whatever it would wish for."""
    strike(resting)
    cancelled(resting)
    resting.script.wishes = (PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(600)),)
    resting.script.progress = None
    resting.look()
    assert resting.script.progress is None


def test_a_restart_inside_the_window_goes_on_where_it_was(resting: Driver, world: World) -> None:
    """Folded without any algorithm; the cancels are asked about, then the one order follows."""
    strike(resting)
    folded = fold(decode_entry(*entry) for entry in resting.journal)
    assert encode_snapshot(folded) == encode_snapshot(resting.execution)
    resting.fact(Restored)
    for child in resting.children:
        resting.fact(
            CancelAnswered,
            client_order_id=child.client_order_id,
            order_id=child.order_id,
            reduced_by_e2=child.count_e2,
        )
    resting.look()
    assert resting.child.time_in_force == "immediate_or_cancel"
    assert resting.child.count_e2 == 1_000


def test_without_a_lead_there_is_no_leg(working: Driver) -> None:
    """The deadline cancels what rests."""
    assert closing_at_us(working.execution, working.algorithm) is None
    working.now_us = working.execution.deadline_us
    working.tell(TimerFired(at_us=working.now_us))
    assert working.execution.closing is None
    assert working.child.state == "cancelling"


def test_the_leg_begins_although_more_may_be_bought_than_is_wanted(world: World) -> None:
    """An order that was said to have ended is told of again while another has its place. The time of the leg moves the
    execution on all the same: what is due and changes nothing would be due again at once, for ever."""
    driver = world.drive(world.scripted(closing_lead_us=LEAD_US))
    driver.place()
    driver.accept()
    first = driver.child
    driver.script.wishes = (CancelAction(level=1),)
    driver.look()
    driver.fact(CancelAnswered, reduced_by_e2=first.count_e2)
    driver.script.wishes = None
    driver.look()
    driver.accept()
    driver.frame("T", 50_000, client_order_id=first.client_order_id, order_id=first.order_id)
    assert driver.execution.free_e2 < 0
    assert driver.child.state == "cancelling"
    strike(driver)
    assert driver.execution.closing is not None
    assert closing_at_us(driver.execution, driver.algorithm) is None
