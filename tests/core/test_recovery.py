"""Recovery as a pure function: from what was saved and what the exchange lists to what each execution is told."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.errors import IllegalEvent, LocalError
from fsm_exec.core.execution.events import (
    AmendAnswered,
    CancelAnswered,
    DrainRequested,
    OrderNotFound,
    OrderRefused,
    PlaceUnconfirmed,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import Execution, PendingCancel
from fsm_exec.core.execution.timing import READ_LAG_US
from fsm_exec.core.market.client_order_id import OrderName, parse_order_name
from fsm_exec.core.market.orders import (
    CancelOrder,
    FillListing,
    FillReport,
    OrderListing,
    OrderReport,
    OrderStatus,
    PlaceOrder,
)
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.recovery.recovery import OVERLAP_US, RecoveryPlan, listed_since_us, plan_recovery
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from fsm_exec.core.execution.execution import ChildOrder
    from tests.core.conftest import Driver, World

INSTANCE = "aaaaaaaaaa"
S = 1_000_000
DOWN_US = 20 * S  # how long nobody worked, unless said otherwise


def order(child: ChildOrder, status: OrderStatus = "resting", filled: int = 0, **changes: object) -> OrderReport:
    """What a listing says about one of our orders, at the price and count we hold."""
    report = OrderReport(
        order_id=child.order_id or f"at-exchange-{child.client_order_id}",
        client_order_id=child.client_order_id,
        ticker="KXTEST-1",
        outcome="yes",
        status=status,
        price_e4=child.price_e4,
        count_e2=child.count_e2,
        filled_e2=CountE2(filled),
        remaining_e2=CountE2(child.count_e2 - filled if status == "resting" else 0),
        at_us=0,
    )
    return replace(report, **changes)


def fill(child: ChildOrder, number: int, count: int) -> FillReport:
    """As a listing has it: without our id."""
    return FillReport(
        fill_id=f"f{number}",
        order_id=child.order_id or f"at-exchange-{child.client_order_id}",
        client_order_id=None,
        ticker="KXTEST-1",
        outcome="yes",
        price_e4=child.price_e4,
        count_e2=CountE2(count),
        fee_e6=MoneyE6(0),
        is_taker=False,
        at_us=number,
    )


def planned(
    executions: list[Execution],
    orders: list[OrderReport],
    fills: list[FillReport] | None = None,
    *,
    market: MarketStatus | None = "open",
    now_us: int = 0,
) -> RecoveryPlan:
    listing = OrderListing(as_of_us=now_us, orders=tuple(orders))
    markets: dict[str, MarketStatus] = {} if market is None else {"KXTEST-1": market}
    made = FillListing(as_of_us=now_us, fills=tuple(fills or ()))
    return plan_recovery(executions, [listing], made, markets, INSTANCE, now_us)


def restart(
    driver: Driver,
    *orders: OrderReport,
    fills: list[FillReport] | None = None,
    market: MarketStatus | None = "open",
    down_us: int = DOWN_US,
) -> RecoveryPlan:
    """Down for a while, then told by a new process what the exchange holds."""
    driver.now_us += down_us
    found = planned([driver.execution], list(orders), fills, market=market, now_us=driver.now_us)
    ((name, event),) = found.events
    assert name == driver.execution.execution_id
    driver.in_flight.clear()
    driver.tell(event)
    return found


def states(driver: Driver) -> list[str]:
    return [child.state for child in driver.children]


# What changes nothing.


def test_an_order_that_rests_as_we_hold_it_writes_nothing(working: Driver) -> None:
    """Ten thousand idle executions restart without a row in the journal."""
    before = working.execution
    restart(working, order(working.child))
    assert working.execution is before


def test_nothing_at_all_at_the_exchange_is_no_news_of_an_order_that_rests(working: Driver) -> None:
    """A listing that does not show an order proves nothing."""
    before = working.execution
    restart(working)
    assert working.execution is before


def test_a_second_restart_changes_nothing(working: Driver) -> None:
    """Recovering twice is harmless."""
    told = order(working.child, "resting", 300), fill(working.child, 1, 300)
    restart(working, told[0], fills=[told[1]])
    before = working.execution
    assert before.filled_e2 == 300
    restart(working, told[0], fills=[told[1]])
    assert working.execution is before


def test_a_pending_execution_is_left_as_it_is(world: World) -> None:
    """Nothing was sent, nothing is outstanding."""
    driver = world.drive(world.scripted())
    before = driver.execution
    restart(driver)
    assert driver.execution is before


# The outbox.


def test_a_place_in_the_outbox_is_looked_up_first(world: World) -> None:
    """It may be at the exchange or not: unknown, and nothing is sent."""
    driver = world.drive(world.scripted())
    driver.place()
    restart(driver)
    assert states(driver) == ["unknown"]
    assert driver.execution.outbox == ()
    assert driver.in_flight == []


def test_a_place_that_is_listed_is_adopted(world: World) -> None:
    """The same order under the same id goes on."""
    driver = world.drive(world.scripted())
    child = driver.place()
    restart(driver, order(child))
    assert states(driver) == ["resting"]
    assert driver.child.order_id == f"at-exchange-{child.client_order_id}"
    assert driver.in_flight == []


def test_a_place_that_is_not_listed_waits_for_proof_from_the_restart_on(world: World) -> None:
    """A listing of the moment of the restart proves nothing; one later than window and lag does, and then the same
    request goes out again."""
    driver = world.drive(world.scripted())
    child = driver.place()
    restart(driver)
    began_us = driver.now_us
    with pytest.raises(IllegalEvent):
        driver.fact(OrderNotFound, as_of_us=began_us)
    driver.fact(OrderNotFound, as_of_us=began_us + 33 * S)
    (again,) = driver.in_flight
    assert isinstance(again, PlaceOrder)
    assert again.client_order_id == child.client_order_id


def test_a_cancel_in_the_outbox_is_sent_again(working: Driver) -> None:
    """It can do nothing twice; its order stays `cancelling` under a new effect."""
    working.stop()
    first = working.last_effect()
    restart(working, order(working.child))
    (again,) = working.in_flight
    assert isinstance(again, CancelOrder)
    assert again.effect_id != first
    assert [(e.effect_id, e.kind) for e in working.execution.outbox] == [(again.effect_id, "cancel")]
    write = working.child.write
    assert isinstance(write, PendingCancel)
    assert (write.effect_id, write.lost) == (again.effect_id, False)


def test_a_cancel_that_was_done_is_not_sent_again(working: Driver) -> None:
    """The listing shows its order ended: that is the outcome, and the reason is ours."""
    working.stop()
    restart(working, order(working.child, "canceled"))
    assert states(working) == ["cancelled"]
    assert working.in_flight == []
    assert (working.state, working.execution.reason) == ("cancelled", "user")


def test_a_cancel_lost_before_the_end_is_sent_again_too(working: Driver) -> None:
    """Its look-up ended with the process that asked."""
    working.stop()
    effect = working.last_effect()
    working.fact(WriteUnconfirmed, effect_id=effect, why="no answer")
    restart(working, order(working.child))
    assert [type(write) for write in working.in_flight] == [CancelOrder]


def test_an_amend_in_the_outbox_is_looked_up_first(working: Driver) -> None:
    """Both prices may stand: the order is left alone until a listing is late enough."""
    working.reprice(5_100)
    restart(working, order(working.child, price_e4=PriceE4(5_100)))
    assert working.child.write is not None
    assert working.child.write.lost
    assert working.in_flight == []
    assert working.execution.ending is None


@pytest.mark.parametrize("price", [5_000, 5_100])
def test_an_amend_in_the_outbox_of_an_order_that_ended_is_settled(working: Driver, price: int) -> None:
    """An end is final: wherever it stood then, the amend is over."""
    working.reprice(5_100)
    restart(
        working,
        order(working.child, "executed", 1_000, price_e4=PriceE4(price)),
        fills=[replace(fill(working.child, 1, 1_000), price_e4=PriceE4(price))],
    )
    assert (working.state, working.execution.filled_e2) == ("filled", 1_000)
    assert working.child.price_e4 == price


# What happened while we were down.


def test_fills_made_meanwhile_are_counted_once_by_their_ids(working: Driver) -> None:
    """One was counted before, is listed again, and does not count twice."""
    working.fill("f1", 200)
    restart(
        working,
        order(working.child, "resting", 500),
        fills=[fill(working.child, 2, 300), fill(working.child, 1, 200)],
    )
    assert (states(working), working.execution.filled_e2) == (["partial"], 500)


def test_an_order_listed_as_filled_waits_for_the_fills_that_are_not_listed_yet(working: Driver) -> None:
    """Reads lag: its end is known, one fill is missing, nothing is counted by totals."""
    restart(working, order(working.child, "executed", 1_000), fills=[fill(working.child, 1, 400)])
    assert (states(working), working.execution.filled_e2) == (["settling"], 400)
    working.fill("f2", 600)
    assert (working.state, working.execution.reason) == ("filled", "completed")


def test_a_fill_is_joined_by_the_listing_when_only_that_knows_the_order(world: World) -> None:
    """The order's id at the exchange was never told to us: the listing of orders has both names."""
    driver = world.drive(world.scripted())
    child = driver.place()
    restart(driver, order(child, "resting", 100), fills=[fill(child, 1, 100)])
    assert (states(driver), driver.execution.filled_e2) == (["partial"], 100)


def test_the_deadline_passed_meanwhile(working: Driver, world: World) -> None:
    """What still rests is cancelled, nothing else is sent."""
    restart(working, order(working.child), down_us=2 * world.horizon_us)
    assert working.execution.ending is not None
    assert working.execution.ending.reason == "deadline"
    assert [type(write) for write in working.in_flight] == [CancelOrder]


def test_the_exchange_ended_the_order_after_the_deadline(working: Driver, world: World) -> None:
    """It expired there: the execution ends in the same step, for its deadline, and sends nothing."""
    restart(working, order(working.child, "canceled"), down_us=2 * world.horizon_us)
    assert (working.state, working.execution.reason) == ("cancelled", "deadline")
    assert working.in_flight == []


def test_the_market_closed_meanwhile(working: Driver) -> None:
    """The exchange took the order off without a word of why; the market tells."""
    restart(working, order(working.child, "canceled", 300), fills=[fill(working.child, 1, 300)], market="closed")
    assert (working.state, working.execution.reason, working.execution.filled_e2) == ("cancelled", "market_closed", 300)


def test_the_market_paused_meanwhile(working: Driver) -> None:
    """The order rests on; nothing is placed or cancelled for it."""
    before = working.execution
    restart(working, order(working.child), market="paused")
    assert working.execution is before


def test_a_market_that_could_not_be_read_ends_nothing(working: Driver) -> None:
    """None is not closed."""
    before = working.execution
    restart(working, order(working.child), market=None)
    assert working.execution is before


def test_somebody_else_cancelled_the_order_meanwhile(working: Driver) -> None:
    """Never fight the owner."""
    restart(working, order(working.child, "canceled"))
    assert (working.state, working.execution.reason) == ("cancelled", "external")


def test_somebody_else_amended_the_order_meanwhile(working: Driver) -> None:
    """Where it stands is taken over, and the execution ends: its order is cancelled."""
    restart(working, order(working.child, price_e4=PriceE4(4_900)))
    assert working.child.price_e4 == 4_900
    assert working.execution.ending is not None
    assert working.execution.ending.reason == "external"
    assert [type(write) for write in working.in_flight] == [CancelOrder]


@pytest.mark.parametrize("status", ["resting", "canceled"])
def test_somebody_else_amended_an_order_that_has_walked(working: Driver, status: OrderStatus) -> None:
    """A frame from before our last amend would look the same; a listing later than that amend is no such frame."""
    working.reprice(5_100)
    working.fact(AmendAnswered, filled_e2=CountE2(0), remaining_e2=working.child.count_e2)
    assert (working.child.walks, working.child.price_e4) == (1, 5_100)
    before = working.execution
    restart(working, order(working.child, price_e4=PriceE4(4_900)), down_us=READ_LAG_US)
    assert working.execution is before, "the listing may be of before the amend"
    restart(working, order(working.child, status, price_e4=PriceE4(4_900)))
    assert working.child.price_e4 == 4_900
    assert working.execution.ending is not None
    assert working.execution.ending.reason == "external"


def test_an_order_in_doubt_that_was_taken_off_at_once_counts_as_a_refusal(world: World) -> None:
    """It never rested, so nobody cancelled it: it would have met something. The execution goes on."""
    driver = world.drive(world.scripted())
    child = driver.place()
    restart(driver, order(child, "canceled"))
    assert states(driver) == ["cancelled"]
    assert driver.execution.ending is None
    assert driver.execution.refusals == 1


def test_a_clock_moved_back_makes_no_listing_late_enough_too_soon(world: World) -> None:
    """What counts is the latest moment at which the request can have been signed, on whichever clock."""
    driver = world.drive(world.scripted())
    driver.place()
    sent_us = driver.child.sent_at_us
    restart(driver, down_us=-3_600 * S)
    assert driver.child.sent_at_us == sent_us


def test_a_clock_moved_forward_past_the_deadline_ends_the_execution(working: Driver) -> None:
    """The wall is the only clock there is."""
    restart(working, order(working.child), down_us=3_600 * S)
    assert working.execution.ending is not None
    assert working.execution.ending.reason == "deadline"


# Contradictions come to light.


def test_an_order_of_our_name_with_another_price_is_not_adopted(world: World) -> None:
    """A repeated id proves an order only if it is the same order."""
    driver = world.drive(world.scripted())
    child = driver.place()
    with pytest.raises(IllegalEvent, match="stands at"):
        restart(driver, order(child, price_e4=PriceE4(4_700)))


def test_an_order_known_under_another_id_is_not_adopted(working: Driver) -> None:
    """Two orders of one name cannot be: later listings tell which is ours."""
    restart(working, order(working.child, "executed", 1_000, order_id="another"))
    assert (working.child.state, working.child.reported_e2) == ("resting", 0)
    assert working.child.suspicion is not None
    assert "at the exchange, not" in working.child.suspicion.why


def test_an_order_rejected_here_and_alive_there_comes_to_light(world: World) -> None:
    """It was never seen at the exchange: that it lives is a contradiction, not an orphan."""
    driver = world.drive(world.scripted())
    child = driver.place()
    driver.fact(OrderRefused, code="invalid_order", message="no")
    with pytest.raises(LocalError, match="lives at the exchange"):
        restart(driver, order(child))


def test_a_fill_of_an_execution_that_had_placed_nothing_comes_to_light(world: World) -> None:
    """A restored backup knows less than the exchange: its order is an orphan, its fill nobody's here."""
    driver = world.drive(world.scripted())
    later = world.drive(world.scripted())
    child = later.place()
    found = restart(driver, order(child, "resting", 100), fills=[fill(child, 1, 100)])
    assert [report.client_order_id for report in found.orphans] == [child.client_order_id]
    assert [report.fill_id for report in found.unknown_fills] == ["f1"]


# Whose an order is.


def test_what_rests_and_nobody_works_is_told_apart(working: Driver) -> None:
    """Orphans of this database, orders of another of ours, and anybody else's."""
    mine = working.child
    found = planned(
        [working.execution],
        [
            order(mine),
            order(mine, client_order_id=f"fx{INSTANCE}-e9-1-1", order_id="o9"),
            order(mine, client_order_id="fxbbbbbbbbbb-e1-1-1", order_id="ob"),
            order(mine, client_order_id="fxbbbbbbbbbb-e1-1-2", order_id="oc", status="canceled"),
            order(mine, client_order_id="somebody", order_id="od"),
            order(mine, client_order_id="", order_id="oe"),
        ],
    )
    assert [report.order_id for report in found.orphans] == ["o9"]
    assert {name: [r.order_id for r in reports] for name, reports in found.of_other_instances.items()} == {
        "bbbbbbbbbb": ["ob"]
    }
    assert found.foreign_count == 2


def test_a_restart_while_nothing_is_unfinished_finds_orphans_too(working: Driver) -> None:
    """The shortest recovery: no execution, one order of ours that rests."""
    found = planned([], [order(working.child)])
    assert (found.events, [r.client_order_id for r in found.orphans]) == ((), [working.child.client_order_id])


def test_an_order_that_ended_here_and_rests_there_is_cancelled_as_an_orphan(working: Driver) -> None:
    """The listing may be behind: a second cancel tells, and changes nothing in the execution."""
    working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert states(working) == ["cancelled"]
    found = planned([working.execution], [order(working.child)])
    assert len(found.orphans) == 1
    assert found.events[0][1].orders == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fxaaaaaaaaaa-e000001-1-2", OrderName("aaaaaaaaaa", "e000001", 1, 2)),
        ("fxaaaaaaaaa1-e000001-1-2", None),
        ("fxaaaaaaaaa-e000001-1-2", None),
        ("fxaaaaaaaaaa-e000001-1", None),
        ("xfxaaaaaaaaaa-e000001-1-2", None),
        ("", None),
    ],
)
def test_an_order_is_ours_by_its_whole_name(text: str, name: OrderName | None) -> None:
    """Somebody else's prefix is not enough."""
    assert parse_order_name(text) == name


def test_listings_reach_back_to_the_oldest_execution_or_the_last_save(working: Driver, world: World) -> None:
    """Whichever is earlier: a fill of an order that had ended may have come after the last save."""
    accepted = working.execution.accepted_at_us
    assert listed_since_us([world.drive().execution], None, accepted) == accepted - OVERLAP_US, "it has no order yet"
    assert listed_since_us([working.execution], accepted + 5 * S, accepted + 9 * S) == accepted - OVERLAP_US
    assert listed_since_us([], accepted - 5 * S, accepted) == accepted - 5 * S - OVERLAP_US
    assert listed_since_us([], None, accepted) == accepted - OVERLAP_US


# Leaving.


def test_a_drain_cancels_what_is_live_and_the_next_start_places_anew(working: Driver) -> None:
    """No execution ends; the order's place is a new attempt."""
    working.fact(DrainRequested)
    assert [type(write) for write in working.in_flight][-1:] == [CancelOrder]
    working.report("canceled")
    assert (working.execution.is_ended, working.execution.ending) == (False, None)
    working.script.wishes = None
    working.look()
    assert len(working.children) == 1, "placed while draining"
    restart(working, order(working.child, "canceled"))
    working.look()
    assert [child.attempt for child in working.children] == [1, 2]


def test_an_unknown_order_proven_absent_while_draining_is_not_sent_again(world: World) -> None:
    """It is over; the next start places anew."""
    driver = world.drive(world.scripted())
    driver.place()
    driver.fact(PlaceUnconfirmed, why="no answer")
    driver.fact(DrainRequested)
    driver.now_us += 60 * S
    driver.fact(OrderNotFound, as_of_us=driver.now_us)
    assert states(driver) == ["rejected"]
    assert len(driver.in_flight) == 1


def test_the_deadline_outranks_a_drain(working: Driver, world: World) -> None:
    """Ending goes on while leaving."""
    working.fact(DrainRequested)
    working.now_us += world.horizon_us
    working.report("canceled")
    assert (working.state, working.execution.reason) == ("cancelled", "deadline")


# The order of lists means nothing.


def _rows(driver: Driver) -> tuple[list[OrderReport], list[FillReport]]:
    one, two, three = driver.children
    return (
        [order(one, "executed", 300), order(two, "resting", 100), order(three, "canceled", 0)],
        [fill(one, 1, 100), fill(one, 2, 200), fill(two, 3, 100)],
    )


def _three(world: World) -> Driver:
    driver = world.drive(world.scripted(300, 300, 400))
    driver.look()
    return driver


def test_a_plan_does_not_depend_on_the_order_of_any_list(world: World) -> None:
    """Orders and fills are joined by their ids, whichever way they are listed."""
    driver = _three(world)
    orders, fills = _rows(driver)
    seen = {
        repr(planned([driver.execution], list(o), list(f)).events[0][1])
        for o in permutations(orders)
        for f in permutations(fills)
    }
    assert len(seen) == 1


def test_several_orders_are_each_told_their_own(world: World) -> None:
    """One was filled, one rests with a part, one was taken off before it ever rested."""
    driver = _three(world)
    orders, fills = _rows(driver)
    restart(driver, *orders, fills=fills)
    assert states(driver) == ["filled", "partial", "cancelled"]
    assert driver.execution.filled_e2 == 400
    assert driver.in_flight == []


@given(data=st.data())
def test_any_truth_told_at_any_moment_keeps_the_invariants(world: World, data: st.DataObject) -> None:
    """Wherever three orders stand at the exchange, and however much of it a lagging listing shows: a restart takes it
    in, nothing is placed beyond the target, and a later restart with all of it counts every fill once."""
    driver = _three(world)
    if data.draw(st.booleans(), "answered"):
        for child in driver.children:
            driver.accept(client_order_id=child.client_order_id, remaining=child.count_e2)
    if data.draw(st.booleans(), "stopped"):
        driver.stop()
    truth: list[OrderReport] = []
    fills: list[FillReport] = []
    for child in driver.children:
        made = [data.draw(st.integers(0, child.count_e2 // 200)) * 100 for _ in range(2)]
        there = child.order_id is not None or data.draw(st.booleans(), "arrived")
        if not there:
            continue
        new = [fill(child, len(fills) + n, count) for n, count in enumerate(made, 1) if count]
        total = sum(f.count_e2 for f in new)
        full = total == child.count_e2
        ended = full or data.draw(st.booleans(), "ended")
        truth.append(order(child, "executed" if full else "canceled" if ended else "resting", total))
        fills += new
    shown = [report for report in truth if data.draw(st.booleans(), "listed")]
    restart(driver, *shown, fills=[f for f in fills if data.draw(st.booleans(), "fill listed")])
    committed = sum(child.committed_e2 for child in driver.children)
    assert committed <= driver.execution.target_e2
    restart(driver, *truth, fills=fills)
    restart(driver, *reversed(truth), fills=list(reversed(fills)))
    assert driver.execution.filled_e2 == sum(f.count_e2 for f in fills)


def test_an_order_of_our_name_in_another_market_is_not_ours(world: World) -> None:
    """Nothing of it is told; of an execution whose own order nobody has seen it is said that its name is taken."""
    driver = world.drive(world.scripted())
    driver.place()
    name, elsewhere = driver.execution.execution_id, order(driver.child, ticker="KXTEST-2")
    filled_there = [replace(fill(driver.child, 1, 500), ticker="KXTEST-2")]
    found = planned([driver.execution], [elsewhere], filled_there, now_us=driver.now_us)
    ((_, event),) = found.events
    assert (event.orders, event.fills, len(found.unknown_fills)) == ((), (), 1)
    assert "KXTEST-2, not KXTEST-1" in found.conflicts[name]
    driver.accept()
    ours = order(driver.child, filled=200)
    for listed in ([ours, replace(elsewhere, order_id="another")], [replace(elsewhere, order_id="another"), ours]):
        found = planned([driver.execution], listed, now_us=driver.now_us)
        ((_, event),) = found.events
        assert ([told.order_id for told in event.orders], dict(found.conflicts)) == ([ours.order_id], {})
