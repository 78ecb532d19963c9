"""What the exchange refuses, and what core refuses an algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.algorithm.algorithm import AmendAction, CancelAction, GiveUpAction, PlaceAction
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    Cancel,
    CancelAnswered,
    DecisionDue,
    GiveUp,
    MarketChanged,
    OrderAccepted,
    OrderNotFound,
    OrderRefused,
    PlaceUnconfirmed,
)
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

P50, P51 = PriceE4(5_000), PriceE4(5_100)


# Refusals.


def test_three_refusals_in_a_row_end_the_execution(world: World) -> None:
    """However many orders it had in its time; each of the three is rejected, and nothing is tried a fourth time."""
    driver = world.drive()
    for n in range(3):
        driver.place()
        driver.fact(OrderRefused, code="invalid_price", message="")
        assert driver.execution.refusals == n + 1
    assert (driver.state, driver.execution.reason) == ("cancelled", "rejected")
    assert [child.state for child in driver.children] == ["rejected"] * 3


def test_an_acceptance_between_two_refusals_and_two_more_starts_the_row_anew(world: World) -> None:
    """Four orders refused with one accepted among them end nothing; the third in a row does."""
    driver = world.drive(world.scripted(400, 600))

    def refuse(name: str) -> None:
        driver.fact(OrderRefused, client_order_id=name, code="invalid_price", message="")

    driver.look()
    for child in driver.children:
        refuse(child.client_order_id)
    driver.look()
    taken, other = driver.children[-2:]
    driver.fact(OrderAccepted, client_order_id=taken.client_order_id, filled_e2=CountE2(0), remaining_e2=taken.count_e2)
    refuse(other.client_order_id)
    refuse(driver.place().client_order_id)
    assert (driver.execution.refusals, driver.execution.ending) == (2, None)
    refuse(driver.place().client_order_id)
    assert driver.execution.ending is not None
    assert driver.execution.ending.reason == "rejected"


def test_an_acceptance_breaks_a_row_of_refusals(world: World) -> None:
    """However it is learned: by the answer, by the stream, or by an amend that went through."""
    for accepted in ("answer", "stream", "amend"):
        script = world.scripted()
        driver = world.drive(script)
        for _ in range(2):
            driver.place()
            driver.fact(OrderRefused, code="invalid_price", message="")
        driver.place()
        if accepted == "stream":
            driver.report("resting")
        else:
            driver.accept()
        if accepted == "amend":
            write = driver.reprice(5_100)
            driver.fact(AmendRefused, effect_id=write.effect_id, code="invalid_price")
            assert driver.execution.refusals == 1
            driver.reprice(5_100)
            driver.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
        assert driver.execution.refusals == 0


def test_crosses_in_a_row_hold_and_end_nothing(world: World) -> None:
    """A book that runs away is no fault of the order: two are followed at once, after each more there is a second of
    patience, and the execution goes on; what is refused besides counts alone."""
    script = world.scripted()
    script.post_only = True
    driver = world.drive(script)
    held = []
    for n in range(5):
        driver.place()
        driver.fact(OrderRefused, code="invalid_order", message="invalid order; post only cross")
        assert (driver.execution.refusals, driver.execution.holds, driver.execution.ending) == (0, n + 1, None)
        held.append(driver.execution.is_held(driver.now_us))
    assert held == [False, False, True, True, True]
    assert driver.execution.held_until_us == driver.now_us + 1_000_000
    for _ in range(2):
        driver.place()
        driver.fact(OrderRefused, code="invalid_order", message="something else is wrong")
    assert (driver.execution.refusals, driver.execution.ending) == (2, None)
    driver.place()
    driver.accept()
    assert (driver.execution.refusals, driver.execution.holds) == (0, 0)


def test_an_amend_that_was_never_sent_is_no_refusal(working: Driver) -> None:
    """The exchange said nothing at all."""
    for _ in range(4):
        write = working.reprice(5_100)
        working.fact(AmendRefused, effect_id=write.effect_id, code="not_sent")
    assert (working.execution.refusals, working.execution.ending) == (0, None)


def test_a_hold_grows_and_ends_with_the_first_order_taken(world: World) -> None:
    """After each "not now" in a row nothing is placed for 1, 2, 4 ... seconds."""
    driver = world.drive()
    pauses_us = []
    for _ in range(5):
        driver.place()
        driver.fact(OrderRefused, code="too_many_requests", message="")
        pauses_us.append(driver.execution.held_until_us - driver.now_us)
        assert driver.tell(DecisionDue(at_us=driver.now_us, view=world.view(driver.now_us))) is None, "held"
    assert pauses_us == [1_000_000, 2_000_000, 4_000_000, 8_000_000, 16_000_000]
    driver.place()
    driver.accept()
    assert driver.execution.holds == 0


@pytest.mark.parametrize(
    "code",
    [
        "trading_is_paused",
        "exchange_is_paused",
        "too_many_requests",
        "header_timestamp_expired",
        "key_not_accepted",
    ],
)
def test_a_pause_is_no_refusal(world: World, code: str) -> None:
    """It says nothing about the order."""
    driver = world.drive()
    for _ in range(4):
        driver.place()
        driver.fact(OrderRefused, code=code, message="")
    assert (driver.execution.refusals, driver.execution.ending) == (0, None)


def test_an_order_sent_again_during_a_pause_is_refused_once_and_placed_anew_when_the_market_is_open(
    world: World,
) -> None:
    """The proof that it never arrived comes during the pause: the same request is tried once, under the same id; then
    nothing until the hold is over and the market is open, and then a new attempt."""
    driver = world.drive()
    first = driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.fact(MarketChanged, status="paused")
    driver.in_flight.clear()
    driver.fact(OrderNotFound, as_of_us=driver.now_us + 1)
    assert [write.client_order_id for write in driver.in_flight] == [first.client_order_id]
    driver.fact(OrderRefused, code="trading_is_paused", message="")
    assert (driver.child.state, driver.execution.refusals, driver.execution.ending) == ("rejected", 0, None)
    driver.look(status="paused")
    assert len(driver.children) == 1
    driver.fact(MarketChanged, status="open")
    again = driver.place()
    assert (again.attempt, again.count_e2) == (first.attempt + 1, first.count_e2)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("insufficient_balance", "insufficient_balance"),
        ("user_not_found", "insufficient_balance"),
        ("market_not_found", "market_closed"),
        ("MARKET_INACTIVE", "market_closed"),
    ],
)
def test_a_refusal_that_no_attempt_can_change_ends_at_once(world: World, code: str, reason: str) -> None:
    """There is nothing to try again."""
    driver = world.drive()
    driver.place()
    driver.fact(OrderRefused, code=code, message="")
    assert (driver.state, driver.execution.reason) == ("cancelled", reason)


@pytest.mark.parametrize("frame_first", [True, False])
def test_three_orders_cancelled_for_meeting_our_own_end_the_execution(world: World, frame_first: bool) -> None:
    """Whichever comes first, the answer that nothing remains or the frame that says why: no endless placing."""
    driver = world.drive()
    for _ in range(3):
        driver.place()
        if frame_first:
            driver.report("canceled", 0, cause="SelfTradeCancel")
        driver.accept(remaining=0)
        if not frame_first:
            driver.report("canceled", 0, cause="SelfTradeCancel")
    assert (driver.state, driver.execution.reason) == ("cancelled", "self_trade")


# Wishes.


@pytest.mark.parametrize(
    "wishes",
    [
        (PlaceAction(level=1, price_e4=P50, count_e2=CountE2(100)),),  # the slice has an order
        (PlaceAction(level=9, price_e4=P50, count_e2=CountE2(100)),),
        (AmendAction(level=2, price_e4=P51),),
        (AmendAction(level=1, price_e4=PriceE4(5_200)),),  # beyond the worst price
        (AmendAction(level=1, price_e4=PriceE4(5_050)),),  # off the grid
        (AmendAction(level=1, price_e4=P51), AmendAction(level=1, price_e4=PriceE4(4_900))),
        (AmendAction(level=1, price_e4=P51), CancelAction(level=1)),
        (CancelAction(level=1), CancelAction(level=1)),
    ],
)
def test_a_wish_that_breaks_a_rule_is_refused_whole(
    working: Driver, wishes: tuple[PlaceAction | AmendAction | CancelAction, ...]
) -> None:
    """Two writes to one order, a second order in a slice, a price beyond the limits: nothing of it happens."""
    working.script.wishes = wishes
    before = working.execution
    with pytest.raises(IllegalAction):
        working.look()
    assert working.execution is before


@pytest.mark.parametrize(
    "wishes",
    [
        (PlaceAction(level=1, price_e4=P50, count_e2=CountE2(0)),),
        (PlaceAction(level=1, price_e4=P50, count_e2=CountE2(-100)),),
        (PlaceAction(level=1, price_e4=P50, count_e2=CountE2(501)),),
        (
            PlaceAction(level=1, price_e4=P50, count_e2=CountE2(500)),
            PlaceAction(level=1, price_e4=P50, count_e2=CountE2(500)),
        ),
        (PlaceAction(level=1, price_e4=PriceE4(0), count_e2=CountE2(100)),),
        (PlaceAction(level=1, price_e4=PriceE4(10_000), count_e2=CountE2(100)),),
        (PlaceAction(level=1, price_e4=PriceE4(5_200), count_e2=CountE2(100)),),
        (
            PlaceAction(
                level=1, price_e4=P50, count_e2=CountE2(100), time_in_force="immediate_or_cancel", post_only=True
            ),
        ),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_whole(world: World, wishes: tuple[PlaceAction, ...]) -> None:
    """Too much, too dear, twice, or a shape the exchange is known to refuse."""
    script = world.scripted(500, 500)
    driver = world.drive(script)
    driver.look(status="paused")  # planned, and nothing placed
    script.wishes = wishes
    before = driver.execution
    with pytest.raises(IllegalAction):
        driver.look()
    assert driver.execution is before


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ((PlaceAction(level=1, price_e4=5_000.0, count_e2=CountE2(100)),), "price_e4 5000.0 is no int"),  # type: ignore[arg-type]
        ((PlaceAction(level=1, price_e4=P50, count_e2=100.0),), "count_e2 100.0 is no int"),  # type: ignore[arg-type]
        ((PlaceAction(level=True, price_e4=P50, count_e2=CountE2(100)),), "level True is no int"),
        ((PlaceAction(level=1, price_e4=P50, count_e2=CountE2(100), post_only=1),), "post_only 1 is no bool"),  # type: ignore[arg-type]
        ((PlaceAction(level=1, price_e4=P50, count_e2=CountE2(100), time_in_force="gtc"),), "'gtc' is not one of"),  # type: ignore[arg-type]
        ((GiveUpAction(reason="bored"),), "'bored' is not one of"),  # type: ignore[arg-type]
        ([], "answered a list, not a tuple"),
        (("buy",), "answered with a str"),
    ],
)
def test_a_wish_of_the_wrong_kind_is_refused_whole(world: World, wishes: tuple[PlaceAction, ...], why: str) -> None:
    """Nothing checks a struct when it is made: what would be saved and never loaded again does not get so far."""
    script = world.scripted(500, 500)
    driver = world.drive(script)
    driver.look(status="paused")  # planned, and nothing placed
    script.wishes = wishes
    before = driver.execution
    with pytest.raises(IllegalAction, match=why):
        driver.look()
    assert driver.execution is before


def test_a_wish_for_an_order_without_an_answer_is_held(world: World) -> None:
    """The moment forbids it; the algorithm will be asked again."""
    script = world.scripted()
    driver = world.drive(script)
    driver.place()
    script.wishes = (AmendAction(level=1, price_e4=P51),)
    assert driver.look() is None
    driver.fact(PlaceUnconfirmed, why="timeout")
    assert driver.look() is None
    script.wishes = (CancelAction(level=1),)
    assert driver.look() is None


def test_our_own_order_on_the_other_outcome_is_never_reached(world: World) -> None:
    """Our bid of 0.52 for NO is an offer of YES at 0.48: we stay a tick below it, or wait."""
    driver = world.drive()
    driver.look(own_other_best_e4=9_999)
    assert driver.children == ()
    driver.look(own_other_best_e4=5_200)
    assert driver.child.price_e4 == 4_700


def test_an_immediate_order_that_stops_short_of_the_book_waits(world: World) -> None:
    """Held a tick below our own bid of 0.50 for NO it could reach nobody, and an immediate order is not repeated."""
    driver = world.drive("market")
    driver.look(own_other_best_e4=5_000)  # ours is the offer at 0.50; the others' best is 0.51
    assert driver.children == ()
    driver.look(own_other_best_e4=4_900, asks=((PriceE4(5_000), CountE2(300)),))
    assert driver.child.price_e4 == 5_000, "what stands below our own offer can be had"


def test_giving_up_cancels_and_keeps_the_reason(working: Driver) -> None:
    """The first reason stays, whatever comes after."""
    working.script.wishes = (GiveUpAction(reason="cap"),)
    step = working.look()
    assert step is not None
    assert step.intents == (GiveUp(reason="cap"), Cancel(client_order_id=working.child.client_order_id))
    working.stop()
    working.fact(MarketChanged, status="closed")
    working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert (working.state, working.execution.reason) == ("cancelled", "cap")
