"""The lease at work: what rests ends by itself soon after its engine is gone, and never while it lives."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.market.orders import AmendOrder
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.order_lease import HostLease, carried_s
from fsm_exec.runtime.own_orders import OwnOrders
from tests.bending import requests
from tests.runtime.killed_engine import RestartBench, open_restart_bench
from tests.runtime.support import T0_US, Stage

LEASE_S = 20
S = 1_000_000
BASIC = BudgetFacts(
    write_left=90, write_per_s=100, write_capacity=90, place_tokens=10, cancel_tokens=2, cancel_reserve=18
)
AMEND = "/portfolio/events/orders/*/amend"


def renewals(stage: Stage) -> list[tuple[int, AmendOrder]]:
    """When each renewal was handed over."""
    sent = [(at_us, write) for at_us, write in stage.exchange.requests if isinstance(write, AmendOrder)]
    return [(at_us, write) for at_us, write in sent if write.is_renewal]


def left_us(bench: RestartBench | Stage, name: str) -> int:
    """How long an order would still rest if nobody did anything any more, by the exchange's book and its clock."""
    expiration_us = bench.exchange.order(name).expiration_us
    assert expiration_us is not None
    return expiration_us - bench.exchange.clock.now_us()


async def rest(stage: Stage) -> None:
    """One execution of an hour, with one order that has been renewed some times."""
    await stage.submit(horizon_s=3_600)
    await trio.sleep(2)
    stage.exchange.move("yes", 48, 100)  # others come behind it
    await trio.sleep(45)


async def test_what_rests_is_renewed_for_as_long_as_its_engine_lives(autojump_clock: MockClock) -> None:
    """In its place in the queue, never with more than the lease ahead of it and never with less than two fifths, by
    amends that are no walks; when the execution is over it is cancelled."""
    async with open_restart_bench() as bench, bench.life(host_lease_s=LEASE_S) as stage:
        name = await stage.submit(horizon_s=300)
        await trio.sleep(2)
        (order,) = stage.exchange.resting
        stage.exchange.move("yes", 48, 100)
        ahead = stage.exchange.order(order).ahead_e2
        assert ahead > 0
        for _ in range(280):
            await trio.sleep(1)
            assert stage.exchange.resting == [order]
            assert LEASE_S * 2 // 5 * S < left_us(stage, order) <= LEASE_S * S
            assert stage.exchange.order(order).ahead_e2 == ahead
        execution = await stage.ended(name)
        assert (execution.reason, execution.walks) == ("deadline", 0)
        assert len(stage.exchange.places) == 1
        times = [at_us for at_us, _ in renewals(stage)]
        assert 25 <= len(times) <= 33, "about two a lease"


async def test_without_a_lease_nothing_is_renewed(autojump_clock: MockClock) -> None:
    """An order ends with its execution, as it always did."""
    async with open_restart_bench() as bench, bench.life() as stage:
        await stage.submit(horizon_s=300)
        await trio.sleep(200)
        (order,) = stage.exchange.resting
        assert renewals(stage) == []
        assert left_us(stage, order) > 100 * S


async def test_nothing_is_live_when_the_lease_is_over_after_a_death(autojump_clock: MockClock) -> None:
    """The engine is killed and never comes back."""
    async with open_restart_bench() as bench:
        await bench.killed_after(rest, down_s=0, host_lease_s=LEASE_S)
        assert len(bench.exchange.resting) == 1
        await trio.sleep(LEASE_S + 1)
        assert bench.exchange.resting == []


async def test_a_start_within_the_lease_keeps_the_place(autojump_clock: MockClock) -> None:
    """The order is adopted and renewed; nothing is placed."""
    async with open_restart_bench() as bench:
        await bench.killed_after(rest, down_s=2, host_lease_s=LEASE_S)
        (order,) = bench.exchange.resting
        ahead = bench.exchange.order(order).ahead_e2
        async with bench.life(host_lease_s=LEASE_S) as stage:
            await trio.sleep(60)
            assert stage.exchange.resting == [order]
            assert stage.exchange.order(order).ahead_e2 == ahead
            assert len(stage.exchange.places) == 1
            assert left_us(stage, order) <= LEASE_S * S


async def test_a_start_after_the_lease_places_again(autojump_clock: MockClock) -> None:
    """The order was gone by itself; that is no end of its execution."""
    async with open_restart_bench() as bench:
        await bench.killed_after(rest, down_s=3 * LEASE_S, host_lease_s=LEASE_S)
        assert bench.exchange.resting == []
        async with bench.life(host_lease_s=LEASE_S) as stage:
            await trio.sleep(5)
            assert len(stage.exchange.resting) == 1
            assert len(stage.exchange.places) == 2
            (execution,) = stage.engine.executions_at_work()
            assert execution.ending is None


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_lost_renewal_is_looked_up(autojump_clock: MockClock, arrives: bool) -> None:
    """One that arrived is seen at once; of one that did not nobody knows for the signature window, in which the order
    may end by itself: then it is placed again."""
    async with open_restart_bench() as bench, bench.life(host_lease_s=LEASE_S) as stage:
        await stage.submit(horizon_s=300)
        await trio.sleep(2)
        (order,) = stage.exchange.resting
        rule = bench.exchange.bends.on_request(requests.cut(arrives=arrives), "POST", AMEND, times=1)
        await rule.until_bent()
        await trio.sleep(60)
        (now,) = stage.exchange.resting
        assert (now == order) is arrives
        assert len(stage.exchange.places) == (1 if arrives else 2)
        assert 0 < left_us(stage, now) <= LEASE_S * S
        assert stage.engine.executions_at_work()[0].walks == 0


async def test_a_paused_market_ends_orders_by_themselves_and_they_come_back(autojump_clock: MockClock) -> None:
    """While it is paused no renewal is taken; afterwards the order is placed again."""
    async with open_restart_bench() as bench, bench.life(host_lease_s=LEASE_S) as stage:
        await stage.submit(horizon_s=600)
        await trio.sleep(2)
        bench.exchange.bends.on_request(requests.error(409, "trading_is_paused"), "POST", AMEND, times=20)
        await trio.sleep(90)
        assert len(stage.exchange.places) >= 2
        assert len(stage.exchange.resting) == 1
        execution = stage.engine.executions_at_work()[0]
        assert (execution.ending, execution.refusals) == (None, 0)


def test_the_lease_that_an_accounts_tokens_carry() -> None:
    """A hundred orders at 90 s take 22 tokens a second of the lowest tier; 136 are the last that fit three tenths."""
    assert 2 * 100 * BASIC.amend_tokens / 90 == pytest.approx(22.2, abs=0.1)
    assert carried_s(0, BASIC) == 0
    assert carried_s(100, BASIC) == 67
    assert carried_s(135, BASIC) == 90
    assert carried_s(136, BASIC) == 91
    assert carried_s(500, BASIC) == 334
    assert carried_s(500, replace(BASIC, write_per_s=300)) == 112


class ManyOrders(OwnOrders):
    """So many orders rest."""

    def __init__(self, orders: int) -> None:
        super().__init__()
        self._orders = orders

    def count(self) -> int:
        return self._orders


class Budgeted:
    """An exchange that is asked for its budget only."""

    def __init__(self, budget: BudgetFacts) -> None:
        self._budget = budget

    def budget(self) -> BudgetFacts:
        return self._budget


async def test_the_lease_grows_where_the_tokens_do_not_carry_it(autojump_clock: MockClock) -> None:
    """To what they carry; and it is said."""
    exchange: Exchange = Budgeted(BASIC)  # type: ignore[assignment]
    few = HostLease(90, exchange, ManyOrders(100), WallClock(T0_US))
    many = HostLease(90, exchange, ManyOrders(500), WallClock(T0_US))
    none = HostLease(0, exchange, ManyOrders(500), WallClock(T0_US))
    assert (few.in_force_s(), few.is_stretched) == (90, False)
    assert (many.in_force_s(), many.is_stretched) == (334, True)
    assert (none.in_force_s(), none.is_stretched) == (None, False)


async def test_a_renewal_waits_while_tokens_are_scarce_but_not_until_the_end(autojump_clock: MockClock) -> None:
    """It leaves half of what is not the cancels' to real work, until a quarter of the lease is left."""
    exchange: Exchange = Budgeted(replace(BASIC, write_left=30))  # type: ignore[assignment]
    lease = HostLease(90, exchange, ManyOrders(1), WallClock(T0_US))
    assert not lease.has_tokens(in_hurry=False)
    assert lease.has_tokens(in_hurry=True)


async def test_the_status_says_how_long_what_rests_outlives_the_host(autojump_clock: MockClock) -> None:
    """As it stands: what was wanted, what is in force, and when the last order would be gone."""
    async with open_restart_bench() as bench, bench.life(host_lease_s=LEASE_S) as stage:
        assert stage.engine.status().lease.outlives_s is None
        await stage.submit(horizon_s=300)
        await trio.sleep(2)
        (order,) = stage.exchange.resting
        lease = stage.engine.status().lease
        assert (lease.wanted_s, lease.in_force_s, lease.is_stretched) == (LEASE_S, LEASE_S, False)
        assert lease.outlives_s is not None
        assert abs(lease.outlives_s * S - left_us(stage, order)) <= 2 * S


async def test_a_renewal_does_not_count_as_a_write_of_a_runaway(autojump_clock: MockClock) -> None:
    """It makes nothing possible that was not: the brake of `max_writes_per_minute` is not asked."""
    async with open_restart_bench() as bench, bench.life(host_lease_s=LEASE_S) as stage:
        await stage.submit(horizon_s=300)
        await trio.sleep(2)
        asked = 0

        def count() -> bool:
            nonlocal asked
            asked += 1
            return True

        stage.engine._services.exchange.may_write = count  # type: ignore[attr-defined]
        await trio.sleep(60)
        assert (asked, len(renewals(stage)) >= 4) == (0, True)


async def test_a_cancel_by_hand_ends_the_execution_though_our_clock_is_fast(autojump_clock: MockClock) -> None:
    """By our clock the order's end was due when its frame came, which names no reason; by the exchange's it was not."""
    async with open_restart_bench() as bench, bench.life(host_lease_s=LEASE_S) as stage:
        name = await stage.submit(horizon_s=300)
        await trio.sleep(2)
        (order,) = stage.exchange.resting
        stage.exchange.set_our_clock(30 * S)
        stage.exchange.end(order)
        assert (await stage.ended(name)).reason == "external"
        assert len(stage.exchange.places) == 1


async def test_an_end_by_the_lease_ends_no_execution_though_the_next_process_has_a_slow_clock(
    autojump_clock: MockClock,
) -> None:
    """A listing names no reason, and by the clock of the process that reads it the end was not due: it is placed
    again."""
    async with open_restart_bench() as bench:
        await bench.killed_after(rest, down_s=0, host_lease_s=LEASE_S)
        (order,) = bench.exchange.resting
        await trio.sleep(left_us(bench, order) / S + 1)
        bench.exchange.set_our_clock(-8 * S)
        async with bench.life(host_lease_s=LEASE_S) as stage:
            await trio.sleep(5)
            assert len(stage.exchange.resting) == 1
            assert len(stage.exchange.places) == 2
