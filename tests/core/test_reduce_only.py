"""Executions that only close: what their orders carry, and what no method may make of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction, PlaceAction
from fsm_exec.core.execution.events import (
    OrderNotFound,
    OrderRefused,
    OrderReported,
    PlaceUnconfirmed,
    PositionRead,
    Restored,
    TimerFired,
)
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.market.orders import PlaceOrder, TimeInForce
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.kalshi.translate import create_order
from tests.core.conftest import Driver, World


def take(count_e2: int = 1_000, time_in_force: TimeInForce = "immediate_or_cancel") -> PlaceAction:
    return PlaceAction(level=1, price_e4=PriceE4(5_100), count_e2=CountE2(count_e2), time_in_force=time_in_force)


def closing(*, outcome: Outcome = "yes", closing_lead_us: int | None = None) -> Driver:
    """An execution of 10 contracts that only closes, and takes at its worst price."""
    algorithm = World.scripted()
    algorithm.closing_lead_us = closing_lead_us
    algorithm.wishes = (take(),)
    return World.drive(algorithm, replace(World.submitted(outcome=outcome), reduce_only=True))


def sent(driver: Driver) -> list[PlaceOrder]:
    return [write for write in driver.in_flight if isinstance(write, PlaceOrder)]


def test_every_order_says_that_it_only_closes() -> None:
    """The order, and the request as the exchange reads it, are reduce-only; those of any other execution are not."""
    driver = closing()
    driver.place()
    (order,) = sent(driver)
    assert order.reduce_only
    assert create_order(order).reduce_only
    other = World.drive(World.scripted())
    other.place()
    assert not sent(other)[0].reduce_only


def test_an_order_that_never_arrived_is_sent_again_as_it_was() -> None:
    """After a doubt, a restart and a proof of absence, the same order still only closes."""
    driver = closing()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.fact(Restored)
    driver.now_us += 33_000_000
    driver.fact(OrderNotFound, as_of_us=driver.now_us)
    first, again = sent(driver)
    assert (again.client_order_id, again.reduce_only) == (first.client_order_id, True)


def test_the_closing_leg_only_closes() -> None:
    """The one last order before the deadline is as all the others."""
    driver = closing(closing_lead_us=5_000_000)
    driver.script.wishes = ()
    driver.look()
    driver.now_us = driver.execution.deadline_us - 5_000_000
    driver.fact(TimerFired)
    driver.look()
    (order,) = sent(driver)
    assert (order.reduce_only, order.time_in_force) == (True, "immediate_or_cancel")


@pytest.mark.parametrize("time_in_force", ["good_till_canceled", "fill_or_kill"])
def test_an_order_that_is_not_immediate_is_refused(time_in_force: TimeInForce) -> None:
    """What only closes never rests: such a wish is the method's bug, and nothing comes of it."""
    driver = closing()
    driver.script.wishes = (take(time_in_force=time_in_force),)
    with pytest.raises(IllegalAction, match="what only closes"):
        driver.look()
    assert driver.children == ()


def test_a_new_price_is_refused() -> None:
    """An order that only closes is never amended, not even one that is under way."""
    driver = closing()
    driver.place()
    driver.script.wishes = (AmendAction(level=1, price_e4=PriceE4(5_000)),)
    with pytest.raises(IllegalAction, match="never rests"):
        driver.look()


def held(driver: Driver, position_e2: int, *, after_us: int = 11_000_000) -> None:
    """The account's position is read, so long after the last fact."""
    driver.now_us += after_us
    driver.fact(PositionRead, position_e2=CountE2(position_e2), asked_at_us=driver.now_us)


def cut(driver: Driver, filled: int = 0) -> None:
    """The newest order ended because less was held than it asked for."""
    driver.report("canceled", filled, cause="ReduceOnlyCancel")
    if filled:
        driver.fill(f"f{driver.child.attempt}", filled)
    driver.script.wishes = (take(driver.execution.free_e2),)


@pytest.mark.parametrize(("outcome", "gone", "left"), [("no", (0, -500), 500), ("yes", (0, 500), -500)])
def test_it_ends_when_nothing_is_held_any_more(outcome: Outcome, gone: tuple[int, ...], left: int) -> None:
    """A position of nothing, or of the other side, ends it as external, with a word for people; one that is left does
    not."""
    for position in gone:
        driver = closing(outcome=outcome)
        driver.place()
        driver.accept(remaining=0)
        held(driver, left)
        assert driver.execution.ending is None
        step = driver.now_us
        held(driver, position)
        assert (driver.state, driver.execution.reason) == ("cancelled", "external"), step
    notes = [note.what for note in driver.notes]
    assert any("the position is gone" in note for note in notes)


def test_a_position_read_too_soon_says_nothing() -> None:
    """Not of an order under way, and not within ten seconds of the last one: what it bought may be missing."""
    driver = closing()
    held(driver, 0, after_us=9_000_000)  # within the lag of its acceptance: what was bought just before may be missing
    driver.place()
    held(driver, 0)
    driver.accept(remaining=0)
    driver.fact(PositionRead, position_e2=CountE2(0), asked_at_us=driver.child.sent_at_us + 10_000_000)
    assert driver.execution.ending is None
    held(driver, 0)
    assert driver.execution.reason == "external"


def test_the_position_ends_no_other_execution() -> None:
    """One that does not only close has nothing to do with what is held."""
    driver = World.drive(World.scripted())
    driver.place()
    driver.accept()
    held(driver, 0)
    assert driver.execution.ending is None


def test_orders_that_are_cut_and_get_nothing_end_it() -> None:
    """Where nobody reads the position: the third in a row. One that got something, or was not cut, begins anew."""
    driver = closing()
    for filled in (0, 0, 100, 0, 0):
        driver.look()
        driver.accept(filled, 0)
        cut(driver, filled)
    driver.look()
    driver.accept(0, 0)  # the book was empty: nothing was cut
    assert driver.execution.ending is None
    for _ in range(3):
        assert driver.execution.ending is None
        driver.look()
        driver.accept(0, 0)
        cut(driver)
    assert (driver.state, driver.execution.reason, driver.execution.filled_e2) == ("cancelled", "external", 100)


@pytest.mark.parametrize("answer_first", [True, False])
@pytest.mark.parametrize("looked_up", [True, False])
def test_a_smaller_count_is_no_contradiction(answer_first: bool, looked_up: bool) -> None:
    """An order of 10 shown as one of 4 was cut to what is held: its fill is counted and the rest is tried again."""
    driver = closing()
    driver.place()
    if answer_first:
        driver.accept(400, 0)
    elif looked_up:
        driver.fact(PlaceUnconfirmed, why="timeout")
    driver.report("canceled", 400, count_e2=CountE2(400), looked_up=looked_up)
    driver.fill("f1", 400)
    assert (driver.child.state, driver.child.is_cut, driver.execution.filled_e2) == ("cancelled", True, 400)
    assert (driver.execution.ending, driver.execution.free_e2) == (None, 600)


def test_a_restart_finds_the_order_cut() -> None:
    """A listing at the start shows it with a smaller count: taken in, and nothing is sent twice."""
    driver = closing()
    driver.place()
    child = driver.child
    row = OrderReported(
        at_us=driver.now_us + 1_000,
        client_order_id=child.client_order_id,
        order_id="id",
        outcome="yes",
        status="executed",
        price_e4=child.price_e4,
        count_e2=CountE2(400),
        filled_e2=CountE2(400),
        remaining_e2=CountE2(0),
        cause=None,
        looked_up=True,
    )
    driver.fact(Restored, orders=(row,))
    assert (driver.child.state, driver.child.is_cut, len(sent(driver))) == ("settling", True, 1)


@pytest.mark.parametrize("code", ["reduce_only_no_position", "InsufficientPosition"])
def test_a_refusal_for_want_of_a_position_ends_it(code: str) -> None:
    """No second try: the exchange has nothing to close."""
    driver = closing()
    driver.place()
    driver.fact(OrderRefused, code=code, message="")
    assert (driver.state, driver.execution.reason) == ("cancelled", "external")
