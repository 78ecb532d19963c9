"""An execution out of a restored backup: its orders keep their names, its new ones never get one of the original's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsm_exec.core.algorithm.algorithm import PlaceAction
from fsm_exec.core.execution.events import CancelAnswered, DropUnsent, OrderNotFound, Restored
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.core.recovery.recovery import plan_recovery
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

NEW = "bbbbbbbbbb"
NOTHING = (OrderListing(as_of_us=0, orders=()),), FillListing(as_of_us=0, fills=())


def test_a_new_order_is_named_by_the_new_instance(working: Driver) -> None:
    """The order at work is cancelled under its old name; the next attempt has the new instance in its name, although
    the original may have used the old name's next number since."""
    old = working.child.client_order_id
    working.fact(Restored, instance=NEW)
    working.fact(CancelAnswered, client_order_id=old, reduced_by_e2=CountE2(1_000))
    wish = PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(1_000))
    working.script.wishes = (wish,)
    working.look()
    assert [child.client_order_id for child in working.children] == [old, f"fx{NEW}-e1-1-2"]
    assert working.execution.instance == NEW


def test_recovery_tells_an_execution_its_database_is_another(working: Driver) -> None:
    """Only if it is: an ordinary restart says nothing of it, and journals nothing for it."""
    execution = working.execution
    for instance, told in ((NEW, NEW), (execution.instance, None)):
        ((_, event),) = plan_recovery((execution,), *NOTHING, {}, instance, working.now_us).events
        assert event.instance == told


def test_an_order_of_the_original_that_never_arrived_is_not_sent_again_under_its_name(world: World) -> None:
    """An engine of the original that still lives would take it for its own; what it was to buy gets another name."""
    driver = world.drive()
    driver.place()
    driver.fact(Restored, instance=NEW)
    step = driver.fact(OrderNotFound, as_of_us=driver.now_us + 33_000_000)
    assert step is not None
    assert step.intents == (DropUnsent(client_order_id=driver.child.client_order_id),)
    assert step.effects == ()
