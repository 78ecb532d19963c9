"""The lease of a resting order: it ends by itself before long, and that is put off while its host lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.algorithm.algorithm import AmendAction, CancelAction
from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    CancelAnswered,
    DecisionDue,
    OrderNotFound,
    OrderReported,
    PlaceUnconfirmed,
    Renew,
    RenewalDue,
    Restored,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import PendingRenewal
from fsm_exec.core.execution.lease import last_expiration_s, renewal_due_us
from fsm_exec.core.journal.snapshot import decode_snapshot, encode_snapshot
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, OrderReport, PlaceOrder
from fsm_exec.core.recovery.order_lookup import EARLY_CANCEL, order_event
from fsm_exec.core.values.units import US_PER_S, CountE2, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

LEASE_S = 20


@pytest.fixture
def leased(world: World) -> Driver:
    """Ten contracts resting at 0.50 under a lease of 20 s, an execution of 60 s."""
    driver = world.drive(world.scripted())
    driver.look(lease_s=LEASE_S)
    driver.accept()
    driver.script.wishes = ()
    return driver


def lost_renewal(driver: Driver) -> int:
    """A renewal of which nobody knows whether it was done; when it would have the order end."""
    driver.renew(LEASE_S)
    moved_s = driver.moved_s()
    driver.fact(WriteUnconfirmed, effect_id=driver.last_effect(), why="timeout")
    return moved_s


def test_an_order_ends_by_itself_within_the_lease(leased: Driver) -> None:
    """Never later than that after it was decided; without a lease when its execution is over."""
    place = leased.in_flight[0]
    assert isinstance(place, PlaceOrder)
    assert place.expiration_s == leased.child.expiration_s == leased.child.sent_at_us // US_PER_S + LEASE_S


@pytest.mark.parametrize("lease_s", [None, 65, 3_600])
def test_an_execution_that_is_over_before_the_lease_is_as_without_one(world: World, lease_s: int | None) -> None:
    """Its orders end with it, and nothing is renewed: not a byte of what is stored is another."""
    driver, without = world.drive(world.scripted()), world.drive(world.scripted())
    driver.look(lease_s=lease_s)
    without.look()
    driver.accept()
    without.accept()
    assert driver.child.expiration_s == last_expiration_s(driver.execution)
    assert encode_snapshot(driver.execution) == encode_snapshot(without.execution)
    assert driver.tell(RenewalDue(at_us=driver.now_us, lease_s=lease_s)) is None


def test_a_renewal_changes_nothing_but_the_end(leased: Driver) -> None:
    """The amend says the price and the count that the order has, and is no walk."""
    before = leased.child
    step = leased.renew(LEASE_S)
    assert step is not None
    (amend,) = step.effects
    assert isinstance(amend, AmendOrder)
    assert (amend.price_e4, amend.total_e2) == (before.price_e4, before.count_e2)
    assert amend.expiration_s == leased.now_us // US_PER_S + LEASE_S
    assert before.expiration_s is not None
    assert amend.not_after_us == before.expiration_s * US_PER_S, "after that it could only be looked up"
    leased.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    after = leased.child
    assert (after.expiration_s, after.write) == (amend.expiration_s, None)
    assert (after.price_e4, after.walks, after.moved_at_us, leased.execution.walks) == (before.price_e4, 0, None, 0)
    assert leased.execution.outbox == ()


def test_nothing_is_renewed_before_about_half_of_the_lease_is_over(leased: Driver) -> None:
    """And orders of other names a little earlier or later."""
    assert leased.renew(LEASE_S, left_s=LEASE_S * 3 // 5) is None
    due_us = renewal_due_us(leased.execution, leased.child, LEASE_S, leased.now_us)
    assert due_us is not None
    assert leased.child.expiration_s is not None
    left_us = leased.child.expiration_s * US_PER_S - due_us
    assert LEASE_S * 450_000 <= left_us <= LEASE_S * 550_000


def test_directly_after_a_renewal_the_next_one_is_known(leased: Driver) -> None:
    """Also in the very second to which it put the end: nobody asks again before that."""
    leased.renew(LEASE_S)
    leased.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    due_us = renewal_due_us(leased.execution, leased.child, LEASE_S, leased.now_us)
    assert due_us is not None
    assert leased.now_us < due_us < leased.now_us + LEASE_S * US_PER_S


def test_the_last_renewal_goes_to_the_end_of_the_execution(leased: Driver) -> None:
    """Then the order is like any other."""
    step = leased.tell(RenewalDue(at_us=leased.execution.deadline_us - 10 * US_PER_S, lease_s=LEASE_S))
    assert step is not None
    last_s = last_expiration_s(leased.execution)
    leased.now_us = leased.execution.deadline_us - 9 * US_PER_S
    leased.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert leased.child.expiration_s == last_s
    assert leased.tell(RenewalDue(at_us=leased.now_us, lease_s=LEASE_S)) is None


def test_a_walk_puts_the_end_off_on_its_way(leased: Driver) -> None:
    """One request does both."""
    leased.now_us += 5 * US_PER_S
    leased.script.wishes = (AmendAction(level=1, price_e4=PriceE4(5_100)),)
    step = leased.look(lease_s=LEASE_S)
    assert step is not None
    (amend,) = step.effects
    assert isinstance(amend, AmendOrder)
    assert amend.expiration_s == leased.now_us // US_PER_S + LEASE_S
    assert not amend.can_wait
    leased.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert (leased.child.price_e4, leased.child.walks, leased.child.expiration_s) == (5_100, 1, amend.expiration_s)


def test_a_renewal_is_the_last_in_the_queue_until_little_is_left(leased: Driver) -> None:
    """With a quarter of the lease left it goes like any amend."""
    leased.renew(LEASE_S)
    amend = leased.in_flight[-1]
    assert isinstance(amend, AmendOrder)
    assert amend.can_wait
    leased.fact(AmendRefused, effect_id=leased.last_effect(), code="not_sent")
    leased.renew(LEASE_S, left_s=LEASE_S // 4)
    amend = leased.in_flight[-1]
    assert isinstance(amend, AmendOrder)
    assert not amend.can_wait


@pytest.mark.parametrize("code", ["not_sent", "invalid_parameters", "insufficient_balance", "too_many_requests"])
def test_a_refused_renewal_leaves_the_order_as_it_is(leased: Driver, code: str) -> None:
    """It is no refusal of an order: nothing is held back, the execution goes on, and the renewal is decided again."""
    expiration_s = leased.child.expiration_s
    for _ in range(4):
        leased.renew(LEASE_S)
        leased.fact(AmendRefused, effect_id=leased.last_effect(), code=code)
    execution = leased.execution
    assert (execution.refusals, execution.holds, execution.ending) == (0, 0, None)
    assert (leased.child.write, leased.child.expiration_s) == (None, expiration_s)


def test_an_order_that_ended_by_itself_is_placed_again(leased: Driver) -> None:
    """While there is time: its own end is no deadline of the execution's."""
    leased.script.wishes = None
    leased.now_us += LEASE_S * US_PER_S
    leased.report("canceled", cause="ExpiryCancel")
    assert leased.execution.ending is None
    step = leased.look(lease_s=LEASE_S)
    assert step is not None
    assert isinstance(step.effects[0], PlaceOrder)


@pytest.mark.parametrize(("after_s", "ending"), [(LEASE_S, None), (LEASE_S - 2, "external")])
def test_a_listing_without_reason_tells_an_end_by_itself_by_its_time(
    leased: Driver, after_s: int, ending: str | None
) -> None:
    """One that ended before it was to had an owner who wanted that."""
    leased.now_us = leased.child.sent_at_us + after_s * US_PER_S
    leased.report("canceled", looked_up=True)
    found = leased.execution.ending
    assert (None if found is None else found.reason) == ending


def test_without_a_lease_an_end_by_itself_is_the_deadline(working: Driver) -> None:
    """As it always was."""
    working.report("canceled", cause="ExpiryCancel")
    assert working.execution.reason == "deadline"


@pytest.mark.parametrize("landed", [True, False])
def test_a_lost_renewal_is_settled_by_a_look_up(leased: Driver, landed: bool) -> None:
    """The price is the same either way, so it is the end that tells."""
    before_s = leased.child.expiration_s
    moved_s = lost_renewal(leased)
    now_s = moved_s if landed else before_s
    leased.report("resting", looked_up=True, expiration_s=now_s)
    assert (leased.child.write, leased.child.expiration_s, leased.child.walks) == (None, now_s, 0)


def test_a_frame_with_the_new_end_proves_a_lost_renewal(leased: Driver) -> None:
    """Nobody else can have set it; and one with the old end proves nothing."""
    moved_s = lost_renewal(leased)
    leased.report("resting", expiration_s=moved_s - LEASE_S)
    assert isinstance(leased.child.write, PendingRenewal)
    leased.report("resting", expiration_s=moved_s)
    child = leased.child
    assert (child.write, child.expiration_s) == (None, moved_s)


def test_a_listing_that_states_no_end_leaves_the_earlier_one(leased: Driver) -> None:
    """Then the order is renewed before that, once more than it had to be."""
    before_s = leased.child.expiration_s
    lost_renewal(leased)
    leased.report("resting", looked_up=True)
    assert (leased.child.write, leased.child.expiration_s) == (None, before_s)


def test_while_a_renewal_is_lost_both_ends_are_possible(leased: Driver) -> None:
    """An order that is gone after the earlier one ended by itself."""
    lost_renewal(leased)
    assert leased.child.expiration_s is not None
    leased.now_us = leased.child.expiration_s * US_PER_S
    leased.report("canceled", looked_up=True)
    assert leased.execution.ending is None
    assert leased.child.state == "cancelled"


def test_a_lost_renewal_may_only_be_followed_by_a_cancel(leased: Driver) -> None:
    """It may still arrive, and would put an order back that was walked meanwhile."""
    lost_renewal(leased)
    assert leased.renew(LEASE_S) is None
    leased.script.wishes = (AmendAction(level=1, price_e4=PriceE4(5_100)),)
    assert leased.look(lease_s=LEASE_S) is None
    leased.script.wishes = (CancelAction(level=1),)
    step = leased.look(lease_s=LEASE_S)
    assert step is not None
    assert isinstance(step.effects[0], CancelOrder)
    leased.fact(WriteUnconfirmed, effect_id=leased.last_effect(), why="timeout")
    leased.report("resting", looked_up=True)
    assert (leased.child.state, leased.child.walks, leased.execution.walks) == ("resting", 0, 0)


def test_a_restart_looks_a_renewal_up_and_goes_on(leased: Driver) -> None:
    """It may have been sent; the order rests on in its place."""
    leased.renew(LEASE_S)
    moved_s = leased.moved_s()
    leased.fact(Restored)
    assert leased.child.write is not None
    assert leased.child.write.lost
    leased.report("resting", looked_up=True, expiration_s=moved_s)
    assert leased.child.state == "resting"
    step = leased.renew(LEASE_S)
    assert step is not None
    assert isinstance(step.intents[0], Renew)


def test_an_absent_order_is_sent_again_under_a_new_end(leased: Driver, world: World) -> None:
    """The old one may be over by the time that its absence is proven; which lease holds, the next decision says."""
    driver = world.drive(world.scripted())
    driver.look(lease_s=LEASE_S)
    driver.script.wishes = ()
    driver.fact(PlaceUnconfirmed, why="timeout")
    driver.now_us += 33 * US_PER_S
    step = driver.fact(OrderNotFound, as_of_us=driver.now_us)
    assert step is not None
    assert step.effects == ()
    step = driver.look(lease_s=LEASE_S)
    assert step is not None
    (place,) = step.effects
    assert isinstance(place, PlaceOrder)
    assert place.expiration_s == driver.now_us // US_PER_S + LEASE_S == driver.child.expiration_s


def test_an_order_of_a_time_without_lease_is_brought_in(working: Driver) -> None:
    """The engine was started with a lease while it rested; and the other way round."""
    last_s = last_expiration_s(working.execution)
    assert working.child.expiration_s == last_s
    step = working.tell(RenewalDue(at_us=working.now_us, lease_s=LEASE_S))
    assert step is not None
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert working.child.expiration_s is not None
    assert working.child.expiration_s < last_s
    working.tell(RenewalDue(at_us=working.now_us, lease_s=None))
    working.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    assert working.child.expiration_s == last_s


def test_nothing_is_renewed_once_it_is_to_be_cancelled(leased: Driver) -> None:
    """An order that nobody wants any more may end by itself."""
    leased.stop()
    leased.fact(WriteUnconfirmed, effect_id=leased.last_effect(), why="timeout")
    assert leased.renew(LEASE_S, left_s=1) is None or isinstance(leased.in_flight[-1], CancelOrder)
    leased.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert leased.execution.reason == "user"


def test_one_write_is_in_flight_for_an_order_at_most(leased: Driver) -> None:
    """A journal that says otherwise is refused."""
    leased.renew(LEASE_S)
    from fsm_exec.core.execution.advance import apply

    again = Renew(client_order_id=leased.child.client_order_id, expiration_s=leased.moved_s())
    with pytest.raises(IllegalEvent):
        apply(leased.execution, RenewalDue(at_us=leased.now_us, lease_s=LEASE_S), (again,))


def test_a_snapshot_keeps_a_renewal_in_flight(leased: Driver) -> None:
    """With the end that it moves to."""
    leased.renew(LEASE_S)
    assert decode_snapshot(encode_snapshot(leased.execution)) == leased.execution


def test_what_is_stored_without_a_lease_says_nothing_of_it(working: Driver) -> None:
    """Not a byte more than before there were leases."""
    working.reprice(5_100)
    text = encode_snapshot(working.execution) + b"".join(event + intents for event, intents in working.journal)
    assert b"lease" not in text
    assert b"expires" not in text
    assert DecisionDue.__struct_config__.omit_defaults


@pytest.mark.parametrize(("before_s", "cause"), [(1, EARLY_CANCEL), (0, None)])
def test_a_cancel_by_hand_that_is_seen_late_is_told_from_an_end_by_itself(
    leased: Driver, before_s: int, cause: str | None
) -> None:
    """The listing says when the order changed: before it was to end by itself its owner wanted it so, and nothing is
    placed again."""
    event = ended_after(leased, seen_s=10, changed_s=-before_s, here_s=10)
    assert event.cause == cause
    leased.tell(event)
    assert leased.execution.reason == ("external" if before_s else None)


def ended_after(
    leased: Driver, *, seen_s: int, changed_s: int | None, here_s: int, listed: bool = True, is_end_stated: bool = True
) -> OrderReported:
    """The statement, without a reason, that the leased order has ended. Seconds from when its end was due: when the
    exchange states it, when it says that the order changed, and when it is taken in by our clock."""
    child = leased.child
    assert child.expiration_s is not None
    due_s = child.expiration_s
    report = OrderReport(
        order_id=str(child.order_id),
        client_order_id=child.client_order_id,
        ticker=leased.execution.terms.ticker,
        outcome="yes",
        status="canceled",
        price_e4=child.price_e4,
        count_e2=child.count_e2,
        filled_e2=CountE2(0),
        remaining_e2=CountE2(0),
        at_us=(due_s + seen_s) * US_PER_S,
        changed_at_us=None if changed_s is None else (due_s + changed_s) * US_PER_S,
        expiration_s=due_s if is_end_stated else None,
    )
    return order_event(report, (due_s + here_s) * US_PER_S, looked_up=True, child=child, listed=listed)


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize(
    ("seen_s", "changed_s", "here_s", "cause"),
    [
        (1, 0, -7, "ExpiryCancel"),  # our clock is slow
        (1, None, -7, "ExpiryCancel"),  # and it is not said when the order changed
        (1, -3, -7, EARLY_CANCEL),  # it was cancelled from outside before that
        (-2, -3, 6, EARLY_CANCEL),  # our clock is fast: it was cancelled from outside all the same
        (1, 0, 9, None),
        (-2, None, 6, None),  # a listing shows more than it promises: it may have ended by itself
    ],
)
def test_an_end_by_itself_is_told_by_the_exchanges_time_whatever_our_clock_says(
    leased: Driver, listed: bool, seen_s: int, changed_s: int | None, here_s: int, cause: str | None
) -> None:
    """An order that its lease ended ends no execution though our clock is slow; one that its owner cancelled does
    though it is fast."""
    event = ended_after(leased, seen_s=seen_s, changed_s=changed_s, here_s=here_s, listed=listed)
    assert event.cause == cause
    leased.tell(event)
    by_hand = changed_s is not None and changed_s < 0
    assert leased.execution.reason == ("external" if by_hand else None)


def test_where_the_exchange_does_not_say_when_an_order_ends_a_change_of_that_under_way_counts(leased: Driver) -> None:
    """Its end was to be brought in, and nobody knows whether that was done: an end from then on is no cancel."""
    due_s = leased.child.expiration_s
    leased.renew(5, left_s=14)
    brought_in_s = leased.moved_s()
    assert due_s is not None
    assert brought_in_s < due_s
    leased.fact(WriteUnconfirmed, effect_id=leased.last_effect(), why="timeout")
    after_s = brought_in_s - due_s
    event = ended_after(leased, seen_s=1, changed_s=after_s, here_s=after_s - 3, is_end_stated=False)
    assert event.cause == "ExpiryCancel"
    leased.tell(event)
    assert leased.execution.reason is None
