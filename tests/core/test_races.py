"""What arrives late, twice, early or never: one test for each race an order can run with its own news."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction
from fsm_exec.core.errors import IllegalEvent, LocalError
from fsm_exec.core.execution.advance import Advance
from fsm_exec.core.execution.events import (
    Cancel,
    CancelAnswered,
    DropUnsent,
    OrderNotFound,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    ResendPlace,
    Restored,
    TimerFired,
    WriteUnconfirmed,
)
from fsm_exec.core.market.orders import CancelOrder, PlaceOrder
from fsm_exec.core.recovery.order_lookup import needs_lookup
from fsm_exec.core.values.units import CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

P50, P51 = PriceE4(5_000), PriceE4(5_100)


def refuses(driver: Driver, error: type[LocalError], *facts: Callable[[], object], match: str | None = None) -> None:
    """Each of the facts raises and leaves the execution as it was."""
    before = driver.execution
    for fact in facts:
        with pytest.raises(error, match=match):
            fact()
        assert driver.execution is before


# Places.


def test_a_fill_before_the_answer_to_its_place_is_counted_once(world: World) -> None:
    """The fill makes the order live; the answer that comes later, stating the same fill, adds nothing."""
    driver = world.drive()
    driver.place()
    driver.fill("f1", 400)
    assert (driver.child.state, driver.state, driver.execution.filled_e2) == ("partial", "partial", 400)
    assert driver.execution.outbox == ()
    driver.accept(filled=400)
    assert (driver.child.state, driver.execution.filled_e2, driver.execution.free_e2) == ("partial", 400, 0)


def test_an_order_filled_before_its_answer_ends_the_execution_and_the_answer_changes_nothing(world: World) -> None:
    """After the last fill nothing moves any more."""
    driver = world.drive()
    driver.place()
    driver.fill("f1", 1_000)
    assert (driver.state, driver.execution.reason, driver.child.state) == ("filled", "completed", "filled")
    assert driver.accept(filled=1_000) is None
    assert driver.report("executed", 1_000) is None


def test_an_answer_older_than_the_fills_takes_nothing_back(world: World) -> None:
    """The reported count never falls below what was counted."""
    driver = world.drive()
    driver.place()
    driver.fill("f1", 700)
    driver.accept(filled=200)
    assert (driver.child.reported_e2, driver.child.counted_e2) == (700, 700)


def test_the_same_fill_from_two_channels_counts_once(working: Driver) -> None:
    """A fill is its order id and fill id, whatever else the repeat says."""
    working.fill("f1", 300)
    assert working.fill("f1", 300) is None
    assert working.fill("f1", 100, price_e4=4_900, traded_at_us=1) is None
    assert working.execution.filled_e2 == 300
    working.fill("f2", 300)
    assert working.execution.filled_e2 == 600


def test_that_it_was_never_sent_after_the_order_was_seen_is_a_contradiction(world: World) -> None:
    """What the stream has shown is not absent, nor can it never have been sent. (A refusal may be wrong itself.)"""
    driver = world.drive()
    driver.place()
    driver.report("resting")
    refuses(
        driver,
        LocalError,
        lambda: driver.fact(OrderNotSent, why="no connection"),
        lambda: driver.fact(OrderNotFound, as_of_us=driver.now_us + 10**9),
    )


def test_a_refusal_after_a_doubt_settles_nothing(world: World) -> None:
    """A doubted order is settled by proof only."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.fact(OrderRefused, code="invalid_price", message="")
    assert (driver.child.state, driver.child.suspicion is not None) == ("unknown", True)


def test_an_immediate_order_waits_for_the_fills_its_answer_states(world: World) -> None:
    """The answer ends the order; the execution ends when every stated fill is counted."""
    driver = world.drive("market")
    driver.place()
    driver.accept(filled=600, remaining=0)
    assert (driver.child.state, driver.state) == ("settling", "split")
    assert driver.execution.free_e2 == 400, "what was stated is spoken for before it is counted"
    driver.fill("f1", 200)
    driver.fill("f2", 400)
    assert (driver.child.state, driver.state) == ("cancelled", "partial")
    driver.look()
    assert (driver.state, driver.execution.reason) == ("cancelled", "no_liquidity")


def test_a_full_immediate_order_is_filled_when_its_fills_are_here(world: World) -> None:
    """An answer alone never completes an execution."""
    driver = world.drive("market")
    driver.place()
    driver.accept(filled=1_000, remaining=0)
    assert driver.child.state == "settling"
    driver.fill("f1", 1_000)
    assert (driver.child.state, driver.state) == ("filled", "filled")


@pytest.mark.parametrize(("price_e4", "count_e2"), [(4_900, 1_000), (5_000, 900)])
def test_an_order_changed_by_somebody_else_ends_the_execution(working: Driver, price_e4: int, count_e2: int) -> None:
    """Never fight the owner: what the order has become is cancelled, its fills are kept, the reason says why."""
    working.report("resting", price_e4=PriceE4(price_e4), count_e2=CountE2(count_e2))
    assert working.child.state == "cancelling"
    working.fill("f1", 300)
    working.fact(CancelAnswered, reduced_by_e2=CountE2(working.child.count_e2 - 300))
    assert (working.state, working.execution.reason) == ("cancelled", "external")
    assert working.execution.filled_e2 == 300


@pytest.mark.parametrize(("price_e4", "count_e2"), [(6_000, 1_000), (5_000, 2_000)])
def test_a_foreign_change_beyond_cap_or_target_is_refused(working: Driver, price_e4: int, count_e2: int) -> None:
    """It breaks an invariant. A frame is not believed, and asked about; once a listing shows it, the execution is
    quarantined, and its orders are cancelled, by whoever runs it."""
    price, count = PriceE4(price_e4), CountE2(count_e2)
    working.report("resting", price_e4=price, count_e2=count)
    assert (working.child.price_e4, working.child.count_e2) == (5_000, 1_000)
    assert working.child.suspicion is not None
    refuses(working, LocalError, lambda: working.report("resting", looked_up=True, price_e4=price, count_e2=count))


def test_an_unknown_order_that_turns_out_another_is_refused(world: World) -> None:
    """An order under our id is proof only if it is the one that was sent."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    refuses(driver, IllegalEvent, lambda: driver.report("resting", price_e4=P51, looked_up=True))


def test_an_order_of_another_id_or_outcome_is_refused(working: Driver) -> None:
    """What contradicts our own request is never adopted."""
    refuses(
        working,
        IllegalEvent,
        lambda: working.report("resting", outcome="no", looked_up=True),
        lambda: working.fill("f1", 0),
        lambda: working.fill("f1", 100, fee_e6=-1),
        lambda: working.fact(CancelAnswered, client_order_id="fxaaaaaaaaaa-e1-1-9", reduced_by_e2=0),
    )


IMPLAUSIBLE: dict[str, Callable[[Driver], object]] = {
    "another id": lambda d: d.report("resting", order_id="another"),
    "a fill of another id": lambda d: d.fill("f1", 100, order_id="another"),
    "the other outcome": lambda d: d.report("resting", outcome="no"),
    "more than there is": lambda d: d.report("resting", filled=1_001),
    "more taken off than there is": lambda d: d.fact(CancelAnswered, reduced_by_e2=1_001),
    "more accepted than was sent": lambda d: d.accept(filled=500, remaining=501),
    "ended with fewer": lambda d: d.report("canceled", 300),
    "taken off with fewer": lambda d: d.fact(CancelAnswered, reduced_by_e2=CountE2(700)),
    "filled with fewer": lambda d: d.accept(filled=300, remaining=0),
}


@pytest.mark.parametrize("said", IMPLAUSIBLE)
def test_what_contradicts_and_may_be_wrong_itself_is_not_believed_and_asked_about(working: Driver, said: str) -> None:
    """One wrong message neither moves an order nor gives its execution up: it is said, and listings tell."""
    working.fill("f1", 400)
    before = working.child
    step = IMPLAUSIBLE[said](working)
    assert isinstance(step, Advance)
    assert [note.is_alarm for note in step.notes] == [True]
    after = working.child
    assert after.suspicion is not None
    assert replace(after, suspicion=None) == before
    assert needs_lookup(after)


# Doubt and proof.


def test_a_doubted_place_that_turns_up_goes_on_as_if_answered(world: World) -> None:
    """Found by a look-up, with its fills."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    assert (driver.child.state, driver.execution.free_e2) == ("unknown", 0)
    driver.report("resting", 300, looked_up=True)
    assert (driver.child.state, driver.child.reported_e2, driver.state) == ("resting", 300, "walking")


def test_a_doubted_place_that_turns_up_ended_is_settled(world: World) -> None:
    """An order that filled and ended while we did not know of it is counted whole."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.report("executed", 1_000, looked_up=True)
    assert driver.child.state == "settling"
    driver.fill("f1", 1_000)
    assert driver.state == "filled"


def test_a_doubt_after_the_stream_showed_the_order_is_no_doubt(world: World) -> None:
    """The place's answer is lost, its frame is not: the order is live and the outbox empty."""
    driver = world.drive()
    driver.place()
    driver.report("resting")
    driver.fact(PlaceUnconfirmed, why="timeout")
    assert (driver.child.state, driver.execution.outbox) == ("resting", ())


def test_an_absent_order_is_sent_again_with_the_same_id(world: World) -> None:
    """Proof of absence repeats the request, never makes a second one."""
    driver = world.drive()
    driver.place()
    (first,) = driver.in_flight
    driver.fact(PlaceUnconfirmed, why="timeout")
    step = driver.fact(OrderNotFound, as_of_us=driver.now_us + 33_000_000)
    assert step is not None
    assert step.intents == (ResendPlace(client_order_id=driver.child.client_order_id),)
    (again,) = step.effects
    assert isinstance(first, PlaceOrder)
    assert isinstance(again, PlaceOrder)
    assert (again.client_order_id, again.price_e4, again.count_e2, again.expiration_s) == (
        first.client_order_id,
        first.price_e4,
        first.count_e2,
        first.expiration_s,
    )
    assert again.effect_id != first.effect_id
    assert driver.child.state == "intended"
    assert len(driver.children) == 1


def test_an_absence_older_than_the_request_proves_nothing(world: World) -> None:
    """A listing from before the order was sent cannot have had it."""
    driver = world.drive()
    driver.place()
    sent_us = driver.now_us
    driver.fact(PlaceUnconfirmed, why="timeout")
    with pytest.raises(IllegalEvent):
        driver.fact(OrderNotFound, as_of_us=sent_us)
    assert driver.child.state == "unknown"


def test_an_absence_learned_at_the_deadline_ends_the_order(world: World) -> None:
    """After its deadline nothing is sent again, and nothing is left waiting for an answer that cannot come."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    step = driver.fact(OrderNotFound, as_of_us=driver.now_us + 33_000_000, at_us=world.t0_us + world.horizon_us)
    assert step is not None
    assert step.effects == ()
    assert (driver.child.state, driver.state, driver.execution.reason) == ("rejected", "cancelled", "deadline")


def test_an_absence_while_ending_rejects_the_order(world: World) -> None:
    """An execution that is ending sends nothing again."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.stop()
    assert driver.state == "split"
    driver.fact(OrderNotFound, as_of_us=driver.now_us + 33_000_000)
    assert (driver.child.state, driver.state, driver.execution.reason) == ("rejected", "cancelled", "user")


def test_an_order_proven_absent_that_turns_up_alive_is_a_contradiction(world: World) -> None:
    """It would be an orphan: the execution must not look away."""
    driver = world.drive()
    driver.place()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.stop()
    driver.fact(OrderNotFound, as_of_us=driver.now_us + 33_000_000)
    refuses(
        driver,
        IllegalEvent,
        lambda: driver.accept(),
        lambda: driver.report("resting"),
        lambda: driver.report("resting", 5),
    )


def test_a_restart_doubts_every_place_in_the_outbox_and_marks_writes_lost(world: World) -> None:
    """Whatever stood in the outbox may have been done or not: only look-ups tell."""
    script = world.scripted(500, 300, 200)
    driver = world.drive(script)
    driver.place()
    names = [child.client_order_id for child in driver.children]
    driver.fact(OrderRefused, client_order_id=names[2], code="invalid_price", message="")
    driver.accept(client_order_id=names[0], remaining=500)
    script.wishes = (AmendAction(level=1, price_e4=P51),)
    driver.look()
    driver.fact(Restored)
    first, second, third = driver.children
    assert first.write is not None
    assert (first.state, first.write.lost) == ("resting", True)
    assert (second.state, third.state) == ("unknown", "rejected")
    assert driver.execution.outbox == ()
    assert driver.fact(Restored) is None


def test_an_order_never_sent_frees_its_quantity(world: World) -> None:
    """It is placed again as a new attempt."""
    driver = world.drive()
    first = driver.place()
    driver.fact(OrderNotSent, why="no connection")
    assert (driver.child.state, driver.execution.free_e2) == ("cancelled", 1_000)
    driver.look()
    assert driver.child.client_order_id != first.client_order_id
    assert (driver.child.level, driver.child.attempt) == (1, 2)


# Cancels.


def test_a_fill_that_beats_the_cancel_is_counted(working: Driver) -> None:
    """The cancel's answer states what is final; the fill may come before or after it."""
    working.stop()
    assert working.child.state == "cancelling"
    working.fill("f1", 300)
    working.fact(CancelAnswered, reduced_by_e2=CountE2(500))
    assert working.child.state == "settling"
    working.fill("f2", 200)
    assert (working.child.state, working.state, working.execution.filled_e2) == ("cancelled", "cancelled", 500)


def test_a_fill_that_completes_during_the_cancel_fills(working: Driver) -> None:
    """The cancel finds nothing; its refusal is no longer a question."""
    working.stop()
    lost = working.last_effect()
    working.fill("f1", 1_000)
    assert (working.child.state, working.state, working.execution.reason) == ("filled", "filled", "completed")
    assert working.fact(WriteUnconfirmed, effect_id=lost, why="404") is None


def test_a_cancels_answer_after_the_streams_end_changes_nothing(working: Driver) -> None:
    """Two channels tell of one end."""
    working.stop()
    working.report("canceled", 0)
    assert working.state == "cancelled"
    assert working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000)) is None
    assert working.report("canceled", 0) is None


def test_a_lost_cancel_is_looked_up_and_sent_again(working: Driver) -> None:
    """Only a look-up says that the order lives; then the ending execution cancels it again, in the same step."""
    working.stop()
    working.fact(WriteUnconfirmed, effect_id=working.last_effect(), why="timeout")
    assert working.child.state == "cancelling"
    assert working.report("resting") is None, "a frame may be older than the cancel"
    step = working.report("resting", looked_up=True)
    assert step is not None
    (again,) = step.effects
    assert isinstance(again, CancelOrder)
    assert working.child.state == "cancelling"
    working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert working.state == "cancelled"


def test_a_lost_cancel_of_an_order_that_ended_is_settled_by_the_look_up(working: Driver) -> None:
    """Filled in the meantime: the fills are asked for."""
    working.stop()
    working.fact(WriteUnconfirmed, effect_id=working.last_effect(), why="404")
    working.report("executed", 1_000, looked_up=True)
    assert working.child.state == "settling"
    working.fill("f1", 1_000)
    assert working.state == "filled"


def test_a_stop_before_the_answer_to_a_place_cancels_once_the_order_is_known(world: World) -> None:
    """Nothing can be cancelled without an id; the answer brings it."""
    driver = world.drive()
    driver.place()
    step = driver.stop()
    assert step is not None
    assert step.effects == ()
    step = driver.accept()
    assert step is not None
    assert step.intents == (Cancel(client_order_id=driver.child.client_order_id),)


def test_the_exchanges_own_cancel_ends_the_execution_with_its_reason(world: World) -> None:
    """What the exchange cancels unasked is not fought."""
    for cause, reason in (
        ("ExpiryCancel", "deadline"),
        ("CloseCancel", "market_closed"),
        ("MarginCancel", "insufficient_balance"),
        ("Decrease", "external"),
        (None, "external"),
    ):
        driver = world.drive()
        driver.place()
        driver.accept()
        driver.report("canceled", 0, cause=cause)
        assert (driver.state, driver.execution.reason) == ("cancelled", reason)


def test_a_halt_of_trading_lets_the_execution_place_again(working: Driver) -> None:
    """A pause takes the order off the book and nothing else."""
    working.report("canceled", 0, cause="HaltCancel")
    assert (working.child.state, working.state) == ("cancelled", "walking")
    working.script.wishes = None
    working.look(status="paused")
    assert working.child.state == "cancelled"
    working.look(feed="stale")
    assert working.child.state == "cancelled"
    working.look()
    assert (working.child.state, working.child.attempt) == ("intended", 2)


# Late fills.


def test_a_fill_after_the_end_is_kept_as_late_and_moves_nothing(working: Driver) -> None:
    """The truth is counted; no state moves."""
    working.stop()
    working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert working.state == "cancelled"
    step = working.fill("late", 200)
    assert step is not None
    assert step.changes == ()
    assert (working.state, working.child.state, working.execution.filled_e2) == ("cancelled", "cancelled", 200)
    assert [fill.fill_id for fill in working.child.late] == ["late"]
    assert working.fill("late", 200) is None


def test_a_late_fill_leaves_each_slice_only_what_is_free_in_all(world: World) -> None:
    """An algorithm that places what it is told is free never asks for more than the target."""
    script = world.scripted(500, 300, 200)
    driver = world.drive(script)
    driver.place()
    for child in driver.children:
        driver.accept(client_order_id=child.client_order_id, remaining=child.count_e2)
    for child in driver.children:
        driver.fact(
            CancelAnswered, client_order_id=child.client_order_id, reduced_by_e2=child.count_e2
        )  # three orders, all cancelled by a hand we asked
    first = driver.children[0]
    driver.fill("late", 700, client_order_id=first.client_order_id)
    assert driver.execution.free_e2 == 300
    driver.look()
    assert script.progress is not None
    assert [part.free_e2 for part in script.progress.slices] == [0, 300, 0]
    assert driver.execution.free_e2 == 0


def test_an_absent_order_that_a_late_fill_leaves_no_room_for_is_given_up(world: World) -> None:
    """It is not sent again, and does not stand in the way of what is still wanted, nor of the end."""
    driver = world.drive(world.scripted(500, 500))
    driver.place()
    first, second = driver.children
    driver.accept(client_order_id=first.client_order_id, remaining=first.count_e2)
    driver.fact(CancelAnswered, client_order_id=first.client_order_id, reduced_by_e2=first.count_e2)
    driver.fact(PlaceUnconfirmed, client_order_id=second.client_order_id, why="timeout")
    driver.fill("late", 700, client_order_id=first.client_order_id)
    assert driver.execution.free_e2 == -200
    step = driver.fact(OrderNotFound, client_order_id=second.client_order_id, as_of_us=driver.now_us + 33_000_000)
    assert step is not None
    assert (step.intents, step.effects) == ((DropUnsent(client_order_id=second.client_order_id),), ())
    assert [child.state for child in driver.children] == ["cancelled", "cancelled"]
    assert (driver.execution.free_e2, driver.execution.unsent) == (300, ())
    driver.stop()
    assert (driver.state, driver.execution.filled_e2) == ("cancelled", 700)


# The end.


def test_the_deadline_ends_an_execution_in_every_state(world: World) -> None:
    """Before planning, after it, with an order unanswered, unknown or live: from the deadline on only cancels."""
    deadline_us = world.t0_us + world.horizon_us
    for at_work in ("pending", "split", "intended", "unknown", "resting", "partial"):
        driver = world.drive()
        if at_work == "split":
            driver.look(feed="stale")
        elif at_work != "pending":
            driver.place()
        if at_work == "unknown":
            driver.fact(PlaceUnconfirmed, why="timeout")
        elif at_work in ("resting", "partial"):
            driver.accept()
        if at_work == "partial":
            driver.fill("f1", 100)
        assert driver.fact(TimerFired, at_us=deadline_us - 1) is None
        step = driver.fact(TimerFired, at_us=deadline_us)
        assert step is not None
        assert all(isinstance(effect, CancelOrder) for effect in step.effects)
        assert len(step.effects) == (at_work in ("resting", "partial"))
        assert driver.execution.is_ended == (at_work in ("pending", "split"))


def test_nothing_is_placed_from_the_deadline_on(world: World) -> None:
    """A decision that comes late is no decision."""
    driver = world.drive()
    driver.look(feed="gapped")
    deadline_us = world.t0_us + world.horizon_us
    driver.now_us = deadline_us
    step = driver.look()
    assert step is not None
    assert step.effects == ()
    assert (driver.state, driver.execution.reason) == ("cancelled", "deadline")
