"""Executions that only close: what their orders carry, and what no method may make of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction, PlaceAction
from fsm_exec.core.execution.events import OrderNotFound, PlaceUnconfirmed, Restored, TimerFired
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.market.orders import PlaceOrder, TimeInForce
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.kalshi.translate import create_order
from tests.core.conftest import Driver, World


def take(count_e2: int = 1_000, time_in_force: TimeInForce = "immediate_or_cancel") -> PlaceAction:
    return PlaceAction(level=1, price_e4=PriceE4(5_100), count_e2=CountE2(count_e2), time_in_force=time_in_force)


def closing(*, closing_lead_us: int | None = None) -> Driver:
    """An execution of 10 contracts that only closes, and takes at its worst price."""
    algorithm = World.scripted()
    algorithm.closing_lead_us = closing_lead_us
    algorithm.wishes = (take(),)
    return World.drive(algorithm, replace(World.submitted(), reduce_only=True))


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
