"""What a listing proves about an order in doubt, and what a write that was lost may still do. Found by simulation."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import CancelAction
from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.events import (
    CancelAnswered,
    OrderAccepted,
    OrderNotFound,
    OrderReported,
    PlaceUnconfirmed,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import ChildOrder
from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.market.orders import OrderListing, OrderReport, UnreadRow
from fsm_exec.core.recovery.order_lookup import event_from_listing, lookup_key, needs_lookup
from fsm_exec.core.values.units import CountE2
from tests.core.conftest import T0_US, Driver, World


def listed(child: ChildOrder, as_of_us: int) -> OrderListing:
    """The child as it was at its first price, resting."""
    report = OrderReport(
        client_order_id=child.client_order_id,
        order_id=child.order_id or "",
        ticker="KXTEST-1-A",
        outcome="yes",
        status="resting",
        price_e4=child.price_e4,
        count_e2=child.count_e2,
        filled_e2=CountE2(0),
        remaining_e2=child.count_e2,
        reason=None,
        at_us=as_of_us,
    )
    return OrderListing(as_of_us=as_of_us, orders=(report,))


def lose_a_cancel(working: Driver) -> None:
    working.script.wishes = (CancelAction(level=1),)
    working.look()
    working.script.wishes = ()
    working.fact(WriteUnconfirmed, effect_id=working.last_effect(), why="timeout")
    assert working.child.state == "cancelling"


@pytest.mark.parametrize(("after_us", "settles"), [(-3_000_000, False), (0, False), (READ_LAG_US + 1, True)])
def test_a_listing_of_before_the_doubt_does_not_settle_it(working: Driver, after_us: int, settles: bool) -> None:
    """Reads lag behind writes: what a listing shows may be older than the write it is asked about."""
    lose_a_cancel(working)
    doubted_us = working.now_us
    answer = event_from_listing(working.child, listed(working.child, doubted_us + after_us), doubted_us, doubted_us)
    assert isinstance(answer, OrderReported)
    assert answer.looked_up == settles
    working.tell(replace(answer, at_us=working.now_us + 1))
    assert working.child.state == ("resting" if settles else "cancelling")


@pytest.mark.parametrize("after_us", [READ_LAG_US + 1, SIGNATURE_WINDOW_US + READ_LAG_US + 1, 3_600_000_000])
def test_a_cancel_answered_404_proves_nothing_and_neither_does_an_empty_listing(working: Driver, after_us: int) -> None:
    """It may be on another shard (wire/README.md 8): it is live until a listing that has it says that it ended."""
    lose_a_cancel(working)
    empty = OrderListing(as_of_us=working.now_us + after_us, orders=())
    assert event_from_listing(working.child, empty, working.now_us, empty.as_of_us) is None
    assert needs_lookup(working.child)
    assert working.execution.free_e2 == 0, "nothing is placed in its stead"
    working.report("canceled", looked_up=True)
    assert working.child.state == "cancelled"


def test_a_lost_amend_is_waited_for_longer(working: Driver) -> None:
    """It may land as long as its signature is valid."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    for after_us, settles in ((READ_LAG_US + 1, False), (SIGNATURE_WINDOW_US + READ_LAG_US + 1, True)):
        answer = event_from_listing(working.child, listed(working.child, T0_US + after_us), T0_US, T0_US)
        assert isinstance(answer, OrderReported)
        assert answer.looked_up == settles


def test_another_lost_write_is_another_doubt(working: Driver) -> None:
    """So that the time one has waited is not counted for the next."""
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    first = lookup_key(working.child)
    working.report("resting", looked_up=True)
    write = working.reprice(5_100)
    working.fact(WriteUnconfirmed, effect_id=write.effect_id, why="timeout")
    assert lookup_key(working.child) != first


@pytest.mark.parametrize(("later_us", "reason"), [(20_000_000, None), (40_000_000, "external")])
def test_a_lost_cancel_may_land_after_the_order_was_seen_alive(
    working: Driver, later_us: int, reason: str | None
) -> None:
    """Then it was ours, not a stranger's: the execution goes on. Beyond the signature's window it was somebody else."""
    lose_a_cancel(working)
    working.report("resting", looked_up=True)
    assert working.child.state == "resting"
    working.report("canceled", at_us=working.now_us + later_us)
    assert working.child.state == "cancelled"
    ending = working.execution.ending
    assert (None if ending is None else ending.reason) == reason


def test_absence_is_counted_from_the_answer_that_never_came_not_from_the_decision(world: World) -> None:
    """The request is signed when its commit is done, which may be seconds after the decision."""
    driver = world.drive()
    driver.place()
    decided_us = driver.now_us
    driver.now_us += 5_000_000  # the commit waited
    driver.fact(PlaceUnconfirmed, why="timeout")
    assert driver.child.sent_at_us == driver.now_us
    with pytest.raises(IllegalEvent):
        driver.fact(OrderNotFound, as_of_us=decided_us + 4_000_000)


@pytest.mark.parametrize(("named", "absent"), [("itself", False), ("", False), ("fxbbbbbbbbbb-e9-1-1", True)])
def test_a_row_that_cannot_be_read_hides_its_order(world: World, named: str, absent: bool) -> None:
    """Nobody is absent of whom a listing may have a row; of all others it proves what it always does."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    child = driver.child
    row = UnreadRow(client_order_id=child.client_order_id if named == "itself" else named, why="status is missing")
    late_us = child.sent_at_us + SIGNATURE_WINDOW_US + READ_LAG_US + 1
    listing = OrderListing(as_of_us=late_us, orders=(), unread=(row,))
    answer = event_from_listing(child, listing, child.sent_at_us, late_us)
    assert isinstance(answer, OrderNotFound) == absent


def end_by_frame(working: Driver, filled: int = 0) -> None:
    """A frame has the order cancelled with so much filled, before the answer to its cancel has come."""
    working.script.wishes = (CancelAction(level=1),)
    working.look()
    working.script.wishes = ()
    working.report("canceled", filled)
    assert working.child.state == ("settling" if filled else "cancelled")


@pytest.mark.parametrize("ended_with", [0, 100])
@pytest.mark.parametrize("said_by", ["cancel", "place", "frame", "listing"])
def test_more_filled_than_an_order_has_ended_with_is_doubted_whoever_says_so(
    working: Driver, said_by: str, ended_with: int
) -> None:
    """Which comes first is chance: what seems free is placed again only when listings have spoken."""
    end_by_frame(working, ended_with)
    count, three = working.child.count_e2, CountE2(300)
    match said_by:
        case "cancel":
            working.fact(CancelAnswered, reduced_by_e2=CountE2(count - three))
        case "place":
            working.fact(OrderAccepted, filled_e2=three, remaining_e2=CountE2(count - three))
        case _:
            working.report("canceled", three, looked_up=said_by == "listing")
    assert working.child.suspicion is not None
    assert needs_lookup(working.child)
    assert working.execution.free_e2 == working.execution.target_e2 - count


def test_as_much_filled_as_an_order_has_ended_with_is_no_doubt(working: Driver) -> None:
    """Answers and frames that say the same, or what was so before, change nothing."""
    end_by_frame(working)
    working.fact(CancelAnswered, reduced_by_e2=working.child.count_e2)
    working.report("resting")
    assert working.child.suspicion is None
