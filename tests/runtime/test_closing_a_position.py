"""Executions that close a position, against the paper exchange: whatever else happens to the position, no fill of
theirs ever takes it beyond nothing, and none closes more than was asked."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.market.client_order_id import parse_order_name
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT, Outcome
from fsm_exec.runtime.submission import ExecutionRequest, MethodRef
from fsm_exec.store.reads.api_queries import Filter
from tests.runtime.bent_exchange import BentExchange, Fate
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import FEES, TICKER, Stage, count, price, staged

HELD = 3
"""Contracts of YES that somebody with a key of the account bought a day ago."""


def held(exchange: BentExchange) -> int:
    """Contracts, + YES."""
    return exchange.account.position(TICKER).count_e2 // 100


async def close(stage: Stage, contracts: int, *, outcome: Outcome = "no", cents: int = 55, horizon_s: int = 30) -> str:
    return await stage.engine.submit(
        ExecutionRequest(
            ticker=TICKER,
            outcome=outcome,
            target_e2=count(contracts),
            method=MethodRef("close@1", SHIPPED["close"]),
            limits=resolve_limits(price(cents), LINEAR_CENT, FEES, worst=price(cents)),
            horizon_us=horizon_s * 1_000_000,
            reduce_only=True,
        )
    )


def check_fills(exchange: BentExchange, asked: dict[str, int]) -> None:
    """Every fill of these executions found at least as much held as it closed; together they closed what was asked at
    most. `asked` is in contracts, by execution."""
    closed: Counter[str] = Counter()
    for fill in exchange.account.fills:
        named = parse_order_name(fill.order.client_order_id)
        if named is None or named.execution_id not in asked:
            continue
        closed[named.execution_id] += fill.count_e2
        left_e2 = fill.position_e2 if fill.order.outcome == "no" else -fill.position_e2
        assert left_e2 >= 0, f"{named.execution_id} turned the position around: {fill}"
    for name, contracts in asked.items():
        assert closed[name] <= contracts * 100, f"{name} closed more than was asked"
    for order in exchange.places:
        named = parse_order_name(order.client_order_id)
        assert named is not None
        assert order.reduce_only == (named.execution_id in asked)


def writes_of(exchange: BentExchange, execution_id: str) -> int:
    return sum(f"-{execution_id}-" in order.client_order_id for order in exchange.places)


async def test_a_position_is_closed(autojump_clock: MockClock) -> None:
    """All of it, at once, by one order; more than is held is never asked of the exchange twice in vain."""
    async with staged() as stage:
        stage.exchange.take_by_hand("yes", 10, 50)
        one = await close(stage, HELD + 10)
        execution = await stage.ended(one)
        assert (execution.state, held(stage.exchange), writes_of(stage.exchange, one)) == ("filled", 0, 1)
        check_fills(stage.exchange, {one: HELD + 10})


async def test_a_position_of_no_is_closed(autojump_clock: MockClock) -> None:
    """To close NO is to buy YES, at most what is held."""
    async with staged() as stage:
        stage.exchange.take_by_hand("no", HELD + 10, 52)
        assert held(stage.exchange) == -10
        one = await close(stage, 10, outcome="yes")
        execution = await stage.ended(one)
        assert (execution.state, held(stage.exchange)) == ("filled", 0)
        check_fills(stage.exchange, {one: 10})


async def test_a_position_that_is_smaller_ends_it_soon(autojump_clock: MockClock) -> None:
    """Of ten that were asked, three are held: three are closed, and after three more orders that got nothing it ends as
    external, long before its deadline."""
    async with staged() as stage:
        one = await close(stage, 10, horizon_s=500)
        execution = await stage.ended(one)
        assert (execution.reason, execution.filled_e2) == ("external", count(HELD))
        assert execution.ended_at_us is not None
        assert execution.ended_at_us - execution.accepted_at_us < 15_000_000
        assert (held(stage.exchange), writes_of(stage.exchange, one)) == (0, 4)
        (summary,) = await stage.database.load_listing(Filter(limit=10))
        assert summary.note == "the position is gone: nothing was left to close"
        check_fills(stage.exchange, {one: 10})


async def test_orders_in_vain_come_less_and_less_often(autojump_clock: MockClock) -> None:
    """What the book offers within the limit is never there when the order comes, and nobody says why: a pause that
    doubles, and so some orders in eight minutes instead of hundreds."""
    async with staged() as stage:
        stage.exchange.mute = True  # so no frame tells that it was cut
        stage.exchange.silence("/portfolio/positions")
        one = await close(stage, 10, horizon_s=500)
        execution = await stage.ended(one)
        assert (execution.reason, execution.filled_e2) == ("no_liquidity", count(HELD))
        assert 8 < writes_of(stage.exchange, one) < 20
        check_fills(stage.exchange, {one: 10})


@pytest.mark.parametrize("others_cents", [52, 60])
async def test_two_closes_and_a_buyer_of_the_same_outcome(others_cents: int, autojump_clock: MockClock) -> None:
    """Two that close the same position beside one that buys the outcome they buy: each fill of the closes finds
    something held, whoever came first; the buyer goes beyond it, the closes never do."""
    async with staged() as stage:
        stage.exchange.take_by_hand("yes", 10, 50)
        first = await close(stage, HELD + 10)
        second = await close(stage, HELD + 10)
        buyer = await stage.submit(outcome="no", contracts=8, cents=others_cents)
        third = await close(stage, 4)
        for name in (first, second, buyer, third):
            await stage.ended(name)
        check_fills(stage.exchange, {first: HELD + 10, second: HELD + 10, third: 4})
        assert held(stage.exchange) in range(-8, 1)


async def test_a_position_sold_by_hand_between_its_orders(autojump_clock: MockClock) -> None:
    """The owner sells, buys and turns the position around himself while closes work a book that offers little."""
    async with staged() as stage:
        stage.exchange.take_by_hand("yes", 40, 50)
        stage.exchange.move("yes", 48, -495)  # little is bid for
        one = await close(stage, HELD + 40, cents=52, horizon_s=120)
        other = await close(stage, 20, cents=53, horizon_s=120)
        for step in range(40):
            stage.exchange.move("yes", 48, 3)
            await trio.sleep(0.4)
            if step % 5 == 2:
                stage.exchange.take_by_hand("no", 4, 52)
            if step % 7 == 3:
                stage.exchange.take_by_hand("yes", 1, 50)
        stage.exchange.move("yes", 48, 60)
        stage.exchange.take_by_hand("no", max(0, held(stage.exchange)) + 5, 52)
        turned = held(stage.exchange)
        assert turned < 0
        for name in (one, other):
            execution = await stage.ended(name)
            assert execution.reason in ("external", "no_liquidity", "completed")
        assert held(stage.exchange) == turned
        check_fills(stage.exchange, {one: HELD + 40, other: 20})


FATES: list[Fate] = ["lost there", "lost back"]


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("sold", [0, 6, 13])
async def test_an_answer_that_is_lost(fate: Fate, sold: int, autojump_clock: MockClock) -> None:
    """Nobody knows whether the order arrived; meanwhile the position is sold by hand, in part or all of it. What is
    sent again only closes, too."""
    async with staged() as stage:
        stage.exchange.take_by_hand("yes", 10, 50)
        stage.exchange.mute = True
        stage.exchange.place_fates.append(fate)
        one = await close(stage, HELD + 10, horizon_s=120)
        await trio.sleep(2)
        if fate == "lost there" and sold:
            stage.exchange.take_by_hand("no", sold, 52)
        execution = await stage.ended(one)
        assert held(stage.exchange) == 0
        closed = HELD + 10 - (sold if fate == "lost there" else 0)
        assert execution.filled_e2 == count(closed)
        check_fills(stage.exchange, {one: HELD + 10})


@pytest.mark.parametrize("fate", [None, *FATES])
@pytest.mark.parametrize("by_hand", [0, 6, 20])
async def test_killed_with_an_order_under_way(fate: Fate | None, by_hand: int, autojump_clock: MockClock) -> None:
    """The process dies with its order on the way; the owner sells by hand meanwhile, all of it and more. The next life
    takes up where it was and closes what is left, if anything."""
    async with open_restart_bench() as bench:
        bench.exchange.take_by_hand("yes", 10, 50)
        if fate is not None:
            bench.exchange.place_fates.append(fate)

        async def work(stage: Stage) -> None:
            await close(stage, HELD + 10, horizon_s=300)
            while not stage.exchange.places:  # noqa: ASYNC110 - nobody announces a request
                await trio.sleep(0.01)

        await bench.killed_after(work)
        if by_hand:
            bench.exchange.take_by_hand("no", by_hand, 52)
        before = held(bench.exchange)
        await finish(bench)
        assert held(bench.exchange) == min(0, before)
        check_fills(bench.exchange, {"e000001": HELD + 10})


async def finish(bench: RestartBench) -> None:
    """The next life, to the end of all."""
    async with bench.life() as stage:
        await ended(stage.engine)
