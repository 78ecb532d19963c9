"""Fees that change while an execution works: its cap holds whenever an order fills."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction
from fsm_exec.core.execution.events import (
    AmendAnswered,
    DecisionDue,
    FeesChanged,
    OrderNotFound,
    PlaceUnconfirmed,
    RenewalDue,
    TimerFired,
)
from fsm_exec.core.execution.execution import PendingAmend
from fsm_exec.core.execution.fee_guard import fee_news, guard_due_us
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.execution.timing import FEE_LEAD_US
from fsm_exec.core.journal.snapshot import decode_snapshot, encode_snapshot
from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, PlaceOrder
from fsm_exec.core.market.terms import FeeChange, MarketTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

NONE = FeeTerms(taker_e10=0, maker_e10=0)
USUAL = FeeTerms(taker_e10=700_000_000, maker_e10=0)
S = 1_000_000
CAP = MoneyE6(505_000)  # 0.50 without fees; with them 0.48 (0.497472), as a taker
T_S = 45  # when the waiver ends; an execution here has a minute


def terms(world: World, *changes: tuple[float, FeeTerms | None], now: FeeTerms = NONE) -> MarketTerms:
    start_us = world.submitted().at_us
    later = tuple(FeeChange(start_us + round(at_s * S), fees) for at_s, fees in changes)
    return replace(world.terms(), fees=now, fee_changes=later)


def working(world: World, *changes: tuple[float, FeeTerms | None], post_only: bool = False) -> Driver:
    """Ten contracts at 0.50 with a cap that allows that without fees alone."""
    limits = Limits(PriceE4(5_000), PriceE4(5_000), CAP)
    algorithm = world.scripted()
    algorithm.post_only = post_only
    driver = world.drive(algorithm, world.submitted(limits=limits, terms=terms(world, *changes)))
    driver.place()
    driver.accept()
    return driver


def at(driver: Driver, second: float) -> int:
    driver.now_us = driver.execution.accepted_at_us + round(second * S)
    return driver.now_us


def test_an_order_beyond_tomorrows_cap_ends_before_tomorrow(world: World) -> None:
    """A waiver ends: what rests at a price that fits without fees alone is told to expire then, and is taken off as
    early as a signed request may still arrive."""
    driver = working(world, (T_S, USUAL))
    order = driver.child
    assert order.expiration_s == driver.execution.accepted_at_us // S + T_S
    due_us = guard_due_us(driver.execution, driver.now_us)
    assert due_us == driver.execution.accepted_at_us + T_S * S - FEE_LEAD_US
    driver.now_us = due_us
    step = driver.tell(TimerFired(at_us=due_us))
    assert step is not None
    assert [type(write) for write in step.effects] == [CancelOrder]
    assert guard_due_us(driver.execution, due_us) is None


def test_what_fits_by_the_coming_fees_stays(world: World) -> None:
    """As a maker it has no fee, then as now: nothing is due, and it lives until the deadline."""
    driver = working(world, (T_S, USUAL), post_only=True)
    assert driver.child.expiration_s == -(-(driver.execution.deadline_us + driver.execution.grace_us) // S)
    assert guard_due_us(driver.execution, driver.now_us) is None
    at(driver, T_S + 1)
    assert driver.tell(TimerFired(at_us=driver.now_us)) is None


def test_no_price_is_decided_that_may_arrive_too_late(world: World) -> None:
    """Within the lead of a rise a price beyond the cap of then is refused, and no request is sent after it."""
    driver = working(world, (T_S, USUAL))
    early, (write, *_) = driver.execution, driver.in_flight
    assert isinstance(write, PlaceOrder)
    place = early.goal_at(early.accepted_at_us)
    assert place.limits.worst_e4 == 5_000
    late = early.goal_at(early.accepted_at_us + T_S * S - FEE_LEAD_US)
    assert (late.limits.worst_e4, late.limits.target_e4, late.limits.cap_e6) == (4_800, 4_800, CAP)
    assert USUAL.all_in(PriceE4(4_800), taker=True) <= CAP < USUAL.all_in(PriceE4(4_900), taker=True)
    assert write.not_after_us == early.accepted_at_us + T_S * S - FEE_LEAD_US


def test_an_algorithm_that_wishes_for_too_much_is_refused(world: World) -> None:
    """The price that was right a moment ago is an illegal wish where fees are about to rise."""
    driver = working(world, (T_S, USUAL))
    driver.algorithm.wishes = (AmendAction(level=1, price_e4=PriceE4(4_900)),)  # type: ignore[attr-defined]
    now_us = at(driver, T_S - 20)
    with pytest.raises(IllegalAction):
        driver.tell(DecisionDue(at_us=now_us, view=world.view(now_us)))


def test_a_price_that_fits_is_rather_given_than_the_order_taken_off(world: World) -> None:
    """An algorithm that moves to what fits keeps its order working: one amend and no cancel."""
    driver = working(world, (T_S, USUAL))
    driver.algorithm.wishes = (AmendAction(level=1, price_e4=PriceE4(4_800)),)  # type: ignore[attr-defined]
    now_us = at(driver, T_S - 20)
    step = driver.tell(DecisionDue(at_us=now_us, view=world.view(now_us)))
    assert step is not None
    assert [type(write) for write in step.effects] == [AmendOrder]
    assert isinstance(driver.child.write, PendingAmend)


def test_fees_that_rise_unannounced_take_the_order_off_at_once(world: World) -> None:
    """A frame or a poll brings them; what is known is durable, and survives a snapshot byte for byte."""
    driver = working(world)
    now_us = at(driver, 5)
    news = fee_news(driver.execution, terms(world, (0, USUAL)), now_us)
    assert news == FeesChanged(at_us=now_us, from_us=now_us, fees=USUAL)
    step = driver.tell(news)
    assert step is not None
    assert [type(write) for write in step.effects] == [CancelOrder]
    assert driver.execution.terms.fees_at(now_us - 1) == NONE
    assert driver.execution.terms.fees_at(now_us) == USUAL
    assert decode_snapshot(encode_snapshot(driver.execution)) == driver.execution
    assert fee_news(driver.execution, terms(world, (0, USUAL)), now_us + 1) is None


def test_fees_that_allow_no_price_end_the_execution(world: World) -> None:
    """Fees of ten times the usual: not even a cent fits a cap of two; unless they are announced to fall in time."""
    limits = Limits(PriceE4(100), PriceE4(100), MoneyE6(15_000))
    dear = fee_terms("quadratic", Decimal(10))
    for later, reason in (((), "cap"), (((50, NONE),), None)):
        driver = world.drive(
            world.scripted(), world.submitted(limits=limits, target_e4=100, terms=terms(world, (1, dear), *later))
        )
        now_us = at(driver, 2)
        driver.tell(DecisionDue(at_us=now_us, view=world.view(now_us)))
        assert (driver.execution.reason, driver.children) == (reason, ())


def test_fees_without_a_formula_fit_no_cap(world: World) -> None:
    """What an order would cost then nobody knows: it ends before, and nothing is placed after."""
    driver = working(world, (T_S, None))
    assert driver.child.expiration_s == driver.execution.accepted_at_us // S + T_S
    assert driver.execution.limits_at(driver.execution.accepted_at_us + T_S * S) is None
    known = driver.execution.terms
    assert known.unpriced_from_us == driver.execution.accepted_at_us + T_S * S
    assert known.dearest_fees(0, driver.execution.deadline_us) is None


def test_terms_know_what_was_and_what_will_be(world: World) -> None:
    """Each moment has its fees; what is learned from a moment on leaves what was before."""
    known = terms(world, (10, USUAL), (20, NONE))
    start = world.submitted().at_us
    assert [known.fees_at(start + s * S) for s in (0, 9, 10, 19, 20)] == [NONE, NONE, USUAL, USUAL, NONE]
    assert known.dearest_fees(start, start + 9 * S) == NONE
    assert known.dearest_fees(start, start + 10 * S) == USUAL
    assert known.cheapest_fees(start + 10 * S, start + 25 * S) == NONE
    half = FeeTerms(taker_e10=350_000_000, maker_e10=0)
    learned = known.with_fees_from(start + 15 * S, half, (FeeChange(start + 30 * S, USUAL),))
    assert [learned.fees_at(start + s * S) for s in (0, 10, 15, 20, 30)] == [NONE, USUAL, half, half, USUAL]


def test_a_lease_puts_no_end_off_beyond_the_fees(world: World) -> None:
    """A renewal leaves the end where fees rise; what fits by the coming fees goes on to the lease's own end."""
    driver = working(world, (T_S, USUAL))
    now_us = at(driver, 5)
    assert driver.tell(RenewalDue(at_us=now_us, lease_s=90)) is None
    brought_in = driver.tell(RenewalDue(at_us=now_us, lease_s=10))
    assert brought_in is not None
    (write,) = brought_in.effects
    assert isinstance(write, AmendOrder)
    assert write.expiration_s == now_us // S + 10


def test_a_price_that_will_be_too_dear_brings_its_end_with_it(world: World) -> None:
    """A walk up to what fits without fees alone: the order is told to expire when they begin; one back down is not."""
    driver = working(world, (T_S, USUAL))
    driver.algorithm.wishes = (AmendAction(level=1, price_e4=PriceE4(4_800)),)  # type: ignore[attr-defined]
    last_s = -(-(driver.execution.deadline_us + driver.execution.grace_us) // S)
    for second, price, expires_s in ((2, 4_800, last_s), (4, 5_000, driver.execution.accepted_at_us // S + T_S)):
        driver.algorithm.wishes = (AmendAction(level=1, price_e4=PriceE4(price)),)  # type: ignore[attr-defined]
        now_us = at(driver, second)
        step = driver.tell(DecisionDue(at_us=now_us, view=world.view(now_us)))
        assert step is not None
        (write,) = step.effects
        assert isinstance(write, AmendOrder)
        assert write.expiration_s == expires_s
        driver.fact(AmendAnswered, filled_e2=CountE2(0), remaining_e2=CountE2(1_000))
        assert driver.child.expiration_s == expires_s


def test_an_order_proven_absent_is_not_sent_again_where_it_became_too_dear(world: World) -> None:
    """Its place got lost; by the time it is known fees are about to rise: nothing is wanted of it any more."""
    limits = Limits(PriceE4(5_000), PriceE4(5_000), CAP)
    driver = world.drive(world.scripted(), world.submitted(limits=limits, terms=terms(world, (T_S, USUAL))))
    driver.place()
    driver.fact(PlaceUnconfirmed, why="lost")
    now_us = at(driver, T_S - 5)
    step = driver.tell(OrderNotFound(at_us=now_us, client_order_id=driver.child.client_order_id, as_of_us=now_us))
    assert step is not None
    assert step.effects == ()
    assert (driver.child.state, driver.child.order_id) == ("cancelled", None)
