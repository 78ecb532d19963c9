"""What a fenced engine did after the copy was made with which its successor works: adopted, never doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from fsm_exec.core.execution.events import FillReported, OrderReported, Restored
from fsm_exec.core.execution.fenced_orders import FENCE_CANCEL
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport, OrderStatus
from fsm_exec.core.recovery.recovery import plan_recovery
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

NEW = "bbbbbbbbbb"


def stated(
    driver: Driver, name: str, filled: int, *, count: int = 1_000, price: int = 5_000, status: OrderStatus = "canceled"
) -> OrderReported:
    """What a listing says of an order, once the fence stands."""
    return OrderReported(
        at_us=driver.now_us,
        client_order_id=name,
        order_id=f"at-exchange-{name}",
        outcome=driver.execution.outcome,
        status=status,
        price_e4=PriceE4(price),
        count_e2=CountE2(count),
        filled_e2=CountE2(filled),
        remaining_e2=CountE2(0),
        cause=FENCE_CANCEL,
        looked_up=True,
    )


def fill_of(driver: Driver, name: str, count: int, price: int = 5_000) -> FillReported:
    """A listed fill of an order."""
    return FillReported(
        at_us=driver.now_us,
        client_order_id=name,
        order_id=f"at-exchange-{name}",
        fill_id=f"trade-{name}",
        price_e4=PriceE4(price),
        count_e2=CountE2(count),
        fee_e6=MoneyE6(0),
        is_taker=False,
        traded_at_us=driver.now_us,
        mid_e5=None,
        trade_id=f"trade-{name}",
        listed_id=f"trade-{name}",
        outcome=driver.execution.outcome,
    )


def second_name(driver: Driver, attempt: int) -> str:
    """The name that the fenced engine gave to another attempt."""
    return driver.child.client_order_id.removesuffix("-1") + f"-{attempt}"


def test_an_order_of_the_lost_tail_is_adopted_and_what_it_bought_counts(working: Driver) -> None:
    """The first order was cancelled and a second one bought 4 of 10 before the fence: 6 are wanted still."""
    first, second = working.child.client_order_id, second_name(working, 2)
    working.fact(
        Restored,
        instance=NEW,
        orders=(stated(working, first, 0), stated(working, second, 400)),
        fills=(fill_of(working, second, 400),),
    )
    assert [child.state for child in working.children] == ["cancelled", "cancelled"]
    assert (working.execution.filled_e2, working.execution.free_e2) == (400, 600)
    assert working.execution.ending is None
    working.script.wishes = None
    working.look()
    assert (working.child.count_e2, working.child.client_order_id) == (600, f"fx{NEW}-e1-1-3")


def test_an_order_that_the_fenced_engine_moved_or_cancelled_ends_nothing(working: Driver) -> None:
    """Its price is another than the copy has, and nobody of us asked for its end here: that was our own doing."""
    name = working.child.client_order_id
    working.fact(Restored, instance=NEW, orders=(stated(working, name, 0, price=5_100),))
    assert (working.child.state, working.child.price_e4) == ("cancelled", 5_100)
    assert (working.state, working.execution.ending) == ("walking", None)


def test_an_order_in_flight_when_the_copy_was_made_may_have_been_moved_since(world: World) -> None:
    """It is heard of for the first time, at another price than it was sent with: no contradiction of a fenced one."""
    placed = world.drive(world.scripted())
    placed.place()
    name = placed.child.client_order_id
    placed.fact(Restored, instance=NEW, orders=(stated(placed, name, 0, price=4_900),))
    assert (placed.child.state, placed.execution.ending) == ("cancelled", None)


def test_what_never_arrived_leaves_room_for_what_came_after_it(world: World) -> None:
    """The order in flight is not at the exchange, and the one that the fenced engine placed next bought all: the first
    had been refused, or there would be more than the target."""
    placed = world.drive(world.scripted())
    placed.place()
    first, second = placed.child.client_order_id, second_name(placed, 2)
    placed.fact(
        Restored,
        instance=NEW,
        orders=(stated(placed, second, 1_000, status="executed"),),
        fills=(fill_of(placed, second, 1_000),),
    )
    child = placed.execution.child(first)
    assert child is not None
    assert (child.state, placed.state) == ("cancelled", "filled")


def test_a_plan_that_was_lost_is_made_anew(world: World) -> None:
    """The copy has the acceptance alone; the fenced engine had planned, placed and bought 3."""
    accepted = world.drive(world.scripted())
    name = f"fxaaaaaaaaaa-{accepted.execution.execution_id}-1-1"
    accepted.fact(Restored, instance=NEW, orders=(stated(accepted, name, 300),), fills=(fill_of(accepted, name, 300),))
    assert accepted.execution.filled_e2 == 300
    accepted.look()
    assert (sum(part.count_e2 for part in accepted.execution.slices), accepted.child.count_e2) == (1_000, 700)


def test_recovery_adopts_the_orders_of_fenced_engines_alone(working: Driver) -> None:
    """The listing has another attempt, with a fill, and a first order at another price: both are told as our doing; of
    an engine that is not fenced nothing is."""
    first, second = working.child.client_order_id, second_name(working, 2)
    report = OrderReport(
        order_id=f"at-exchange-{first}",
        client_order_id=first,
        ticker=working.execution.terms.ticker,
        outcome=working.execution.outcome,
        status="executed",
        price_e4=PriceE4(5_100),
        count_e2=CountE2(1_000),
        filled_e2=CountE2(100),
        remaining_e2=CountE2(0),
        at_us=working.now_us,
    )
    other = replace(report, order_id=f"at-exchange-{second}", client_order_id=second, status="canceled")
    fill = FillReport(
        fill_id="trade",
        order_id=other.order_id,
        client_order_id="",
        ticker=report.ticker,
        outcome=report.outcome,
        price_e4=PriceE4(5_100),
        count_e2=CountE2(100),
        fee_e6=MoneyE6(0),
        is_taker=False,
        at_us=working.now_us,
    )
    listings = (OrderListing(as_of_us=working.now_us, orders=(report, other)),)
    fills = FillListing(as_of_us=working.now_us, fills=(fill,))

    def restored(*fenced: str) -> Restored:
        plan = plan_recovery((working.execution,), listings, fills, {}, NEW, working.now_us, fenced=fenced)
        return plan.events[0][1]

    told = restored(working.execution.instance)
    assert [(each.client_order_id, each.cause) for each in told.orders] == [
        (first, FENCE_CANCEL),
        (second, FENCE_CANCEL),
    ]
    assert [each.client_order_id for each in told.fills] == [second]
    assert [(each.client_order_id, each.cause) for each in restored().orders] == [(first, None)]
    assert restored().fills == ()
