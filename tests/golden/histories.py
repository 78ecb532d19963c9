"""Histories of executions in every kind of state, made by core itself: what golden files are written from."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import AmendAction, CancelAction, PlaceAction
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    CancelAnswered,
    MarketChanged,
    OrderNotFound,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    PositionRead,
    Restored,
    TimerFired,
    WriteUnconfirmed,
)
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4
from tests.core.conftest import Driver, World

LEASE_S = 20


def pending() -> Driver:
    """Accepted, nothing planned."""
    return World.drive(World.scripted())


def no_book() -> Driver:
    """Ended at once: no price could be formed."""
    return World.drive(World.scripted(), replace(World.submitted(), limits=None))


def split() -> Driver:
    """Planned; two orders decided, nothing heard of them."""
    driver = World.drive(World.scripted(600, 400), World.submitted(outcome="no", arrival=World.view(own_other=4_000)))
    driver.place()
    return driver


def walking() -> Driver:
    """Three orders of ours: one rests, one is unknown after a restart, one is being cancelled."""
    driver = World.drive(World.scripted(300, 300, 400))
    driver.place()
    one, two, three = (child.client_order_id for child in driver.children)
    driver.accept(client_order_id=one, remaining=300)
    driver.accept(client_order_id=three, remaining=400)
    driver.fact(PlaceUnconfirmed, client_order_id=two, why='timeout "\u00fc\u2603"\n')
    driver.script.wishes = (CancelAction(level=3),)
    driver.look()
    return driver


def restored() -> Driver:
    """A place in the outbox when the process died: absent, sent again, doubted again."""
    driver = World.drive(World.scripted())
    driver.place()
    driver.fact(Restored)
    driver.now_us += 60_000
    driver.fact(OrderNotFound, as_of_us=driver.now_us + 33_000_000)
    driver.fact(Restored)
    return driver


def partial_amending() -> Driver:
    """Filled in part, walked once, the next amend in flight."""
    driver = _working()
    driver.reprice(5_100)
    driver.fact(AmendAnswered, filled_e2=CountE2(0), remaining_e2=CountE2(1_000))
    driver.fill("f1", 100, price_e4=PriceE4(5_000), fee_e6=17_500)
    driver.report("resting", 250)
    driver.reprice(5_000)
    return driver


def overtaken_amend() -> Driver:
    """An amend got lost, and a cancel after it too; a look-up then finds the order alive where the amend put it."""
    driver = _working()
    amend = driver.reprice(5_100)
    driver.fact(WriteUnconfirmed, effect_id=amend.effect_id, why="connection lost")
    driver.stop()
    driver.fact(WriteUnconfirmed, effect_id=driver.last_effect(), why="timeout")
    driver.report("resting", price_e4=PriceE4(5_100), looked_up=True)
    return driver


def settling() -> Driver:
    """The exchange has ended the order and states more fills than have come."""
    driver = _working()
    driver.fill("f1", 300)
    driver.report("resting", 500)
    driver.stop()
    driver.fact(CancelAnswered, reduced_by_e2=CountE2(500))
    return driver


def filled() -> Driver:
    """Completed by a rest, an immediate order and a maker's fill without a mid."""
    driver = World.drive(World.scripted(400, 600))
    driver.place()
    one, two = (child.client_order_id for child in driver.children)
    driver.fact(OrderNotSent, client_order_id=one, why="no tokens left")
    driver.accept(client_order_id=two, remaining=600)
    driver.fill("f1", 600, client_order_id=two, is_taker=True, fee_e6=105_000)
    driver.script.wishes = (
        PlaceAction(level=1, price_e4=PriceE4(5_100), count_e2=CountE2(400), time_in_force="immediate_or_cancel"),
    )
    driver.look()
    driver.accept(filled=400, remaining=0)
    driver.fill("f2", 250, mid_e5=None)
    driver.fill("f3", 150)
    return driver


def cancelled_late() -> Driver:
    """Stopped by its user, then two fills after the order's end, one heard of twice."""
    driver = _working()
    driver.fill("f1", 300)
    driver.stop()
    driver.fact(CancelAnswered, reduced_by_e2=CountE2(700))
    driver.fill("late-1", 100)
    driver.fill("late-1", 100)
    driver.fill("late-2", 50)
    return driver


def rejected() -> Driver:
    """Three refusals in a row."""
    driver = World.drive(World.scripted())
    for _ in range(3):
        driver.look()
        driver.fact(OrderRefused, code="invalid_price", message='"quoted" \\ and more')
    return driver


def crosses() -> Driver:
    """A post-only order that would cross, in each of the ways in which the exchange says so: no refusal, it goes on."""
    algorithm = World.scripted()
    algorithm.post_only = True
    driver = World.drive(algorithm)
    driver.place()
    driver.accept(remaining=0)
    driver.place()
    driver.accept()
    driver.reprice(5_100)
    says = {"code": "invalid_order", "message": "invalid order; post only cross"}
    driver.fact(AmendRefused, effect_id=driver.last_effect(), **says)
    driver.report("canceled", cause="PostOnlyCrossCancel")
    algorithm.wishes = None
    driver.look()
    driver.fact(OrderRefused, **says)
    return driver


def market_closed() -> Driver:
    """The market closed while an order rested; the exchange cancelled it."""
    driver = _working()
    driver.fact(MarketChanged, status="paused")
    driver.fact(MarketChanged, status="closed")
    driver.report("canceled", cause="CloseCancel")
    return driver


def deadline() -> Driver:
    """The deadline came with an order at work; its cancel is in flight."""
    driver = _working()
    driver.now_us = driver.execution.deadline_us
    driver.fact(TimerFired)
    return driver


def closing() -> Driver:
    """With an edge, of two slices: the closing leg has cancelled both, and its own order is on its way."""
    edge = Edge(probability_ppm=560_000, expected_value_e6=MoneyE6(42_500))
    algorithm = World.scripted(600, 400)
    algorithm.closing_lead_us = 5_000_000
    driver = World.drive(algorithm, replace(World.submitted(), edge=edge))
    driver.place()
    one, two = (child.client_order_id for child in driver.children)
    driver.accept(client_order_id=one, remaining=600)
    driver.accept(client_order_id=two, remaining=400)
    driver.now_us = driver.execution.deadline_us - 5_000_000
    driver.fact(TimerFired)
    driver.fact(CancelAnswered, client_order_id=one, reduced_by_e2=CountE2(600))
    driver.fact(CancelAnswered, client_order_id=two, reduced_by_e2=CountE2(400))
    driver.look(write_tokens_left=90)
    return driver


def suspected() -> Driver:
    """A frame cannot be true; an answer that is not listed as a refusal, a proof of absence, and the same answer."""
    driver = World.drive(World.scripted(600, 400))
    driver.place()
    one, two = (child.client_order_id for child in driver.children)
    driver.script.wishes = ()
    answer = {"client_order_id": one, "why": "Size exceeds the limit", "code": "order_size_exceeds_limit"}
    driver.fact(PlaceUnconfirmed, **answer)
    driver.now_us += 33_000_000
    driver.fact(OrderNotFound, client_order_id=one, as_of_us=driver.now_us)
    driver.fact(PlaceUnconfirmed, **answer)
    driver.accept(client_order_id=two, remaining=400)
    driver.frame("T1", 50_000, client_order_id=two)
    return driver


def corrected() -> Driver:
    """Fills of frames: one is listed otherwise and under another name, one is not listed and taken back."""
    driver = _working()
    driver.frame("T1", 300, fee_e6=MoneyE6(17_500), is_taker=True)
    driver.frame("T2", 200)
    driver.listed("T1", 250, listed_id="L1", fee_e6=MoneyE6(0), traded_at_us=driver.now_us - 1_234_567)
    driver.prove("resting", ("T1", 250), order_id="another")
    return driver


def reduce_only() -> Driver:
    """Only closes: an order was cut to what was held, a refusal, and then the account holds nothing more."""
    algorithm = World.scripted()
    take = PlaceAction(level=1, price_e4=PriceE4(5_100), count_e2=CountE2(1_000), time_in_force="immediate_or_cancel")
    algorithm.wishes = (take,)
    driver = World.drive(algorithm, replace(World.submitted(outcome="no"), reduce_only=True))
    driver.place()
    driver.report("canceled", 400, cause="ReduceOnlyCancel")
    driver.fill("f1", 400)
    algorithm.wishes = (replace(take, count_e2=CountE2(600)),)
    driver.look()
    driver.fact(OrderRefused, code="invalid_price", message="")
    algorithm.wishes = ()
    driver.now_us += 11_000_000
    driver.fact(PositionRead, position_e2=CountE2(0), asked_at_us=driver.now_us)
    return driver


def long_lived() -> Driver:
    """Ten orders are over and one fills in twenty pieces, so its snapshot has parts; then listings name a fill that is
    in a part otherwise, and have one more of an order that is; it ends by its owner's wish."""
    algorithm = World.scripted(10_000)
    driver = World.drive(algorithm, World.submitted(target_e2=10_000))
    take = PlaceAction(level=1, price_e4=PriceE4(5_100), count_e2=CountE2(100), time_in_force="immediate_or_cancel")
    algorithm.wishes = (take,)
    for number in range(10):
        driver.place()
        driver.accept(filled=100, remaining=0)
        driver.frame(f"A{number}", 100, fee_e6=MoneyE6(17_500), is_taker=True)
    algorithm.wishes = (PlaceAction(level=1, price_e4=PriceE4(5_000), count_e2=CountE2(4_000)),)
    driver.place()
    driver.accept()
    algorithm.wishes = ()
    for number in range(20):
        driver.frame(f"B{number}", 100)
    driver.listed("B3", 100, listed_id="L3")
    driver.listed("A0b", 50, client_order_id=driver.children[0].client_order_id, price_e4=PriceE4(5_100))
    driver.stop()
    driver.fact(CancelAnswered, reduced_by_e2=CountE2(2_000))
    return driver


def leased() -> Driver:
    """Under a lease of 20 s: renewed, walked with a new end on the way; a renewal got lost and a look-up shows that it
    landed; the next one is too late, the order ends by itself and is placed again."""
    driver = World.drive(World.scripted())
    driver.look(lease_s=LEASE_S)
    driver.accept()
    driver.script.wishes = (AmendAction(level=1, price_e4=PriceE4(5_100)),)
    driver.renew(LEASE_S)
    driver.fact(AmendAnswered, filled_e2=None, remaining_e2=None)
    driver.look(lease_s=LEASE_S)
    driver.script.wishes = ()
    driver.fact(AmendAnswered, filled_e2=CountE2(0), remaining_e2=CountE2(1_000))
    driver.renew(LEASE_S)
    driver.fact(WriteUnconfirmed, effect_id=driver.last_effect(), why="timeout")
    driver.report("resting", looked_up=True, expiration_s=driver.moved_s())
    driver.renew(LEASE_S)
    driver.fact(AmendRefused, effect_id=driver.last_effect(), code="not_sent")
    driver.report("canceled", cause="ExpiryCancel")
    driver.script.wishes = None
    driver.look(lease_s=LEASE_S)
    return driver


HISTORIES: dict[str, Callable[[], Driver]] = {
    made.__name__: made
    for made in (
        pending,
        no_book,
        split,
        walking,
        restored,
        partial_amending,
        overtaken_amend,
        settling,
        filled,
        cancelled_late,
        rejected,
        crosses,
        market_closed,
        deadline,
        closing,
        suspected,
        corrected,
        reduce_only,
        long_lived,
        leased,
    )
}


def _working() -> Driver:
    driver = World.drive(World.scripted())
    driver.place()
    driver.accept()
    driver.script.wishes = ()
    return driver
