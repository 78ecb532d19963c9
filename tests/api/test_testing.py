"""`fsm_exec.testing` as a third party uses it: an algorithm's tests and a strategy's, in virtual time."""

from __future__ import annotations

import pytest
import trio

from fsm_exec import AsyncClient, ExecutionDetail, Refused, Submission, Transition
from fsm_exec.testing import PaperDesk, run
from tests.api.typed.algorithm import FAMILY

MARKET = "KXTEST-26OCT01-A"


def wanted(**changes: str | int) -> Submission:
    values: dict[str, str | int] = {
        "key": "one",
        "ticker": MARKET,
        "outcome": "yes",
        "quantity": "10",
        "method": FAMILY.name,
        "target_price": "0.60",
        "horizon_s": 3_600,
    }
    return Submission(**values | changes)  # type: ignore[arg-type]


async def rests_below_and_is_sold_to(desk: PaperDesk) -> ExecutionDetail:
    """An algorithm's author: its order rests a cent below the best bid, and is filled by whoever sells there."""
    desk.open_market(MARKET, yes=[("0.44", "50")], no=[("0.50", "50")])
    accepted = await desk.daemon.submit(wanted())
    await trio.sleep(1_800)
    (order,) = (await desk.daemon.show(accepted.execution_id)).orders
    assert (order.price, order.state) == ("0.4300", "resting")
    desk.set_book(MARKET, yes=[("0.40", "50")], no=[("0.57", "50")])
    return await desk.daemon.wait(accepted.execution_id)


def test_an_algorithm_of_ones_own_is_filled() -> None:
    """By the real engine on the real exchange; half an hour of waiting takes a moment."""
    result = run(rests_below_and_is_sold_to, families=[FAMILY])
    assert (result.execution.state, result.execution.filled_quantity) == ("filled", "10.00")
    assert {fill.price for fill in result.fills} == {"0.4300"}
    assert not any(fill.is_taker for fill in result.fills)


async def strategy(daemon: AsyncClient, outcome: str) -> list[str]:
    """A strategy that works with any daemon: it follows what it submits, and cancels it once an order is out."""
    accepted = await daemon.submit(wanted(outcome=outcome, key=outcome, method="simple_limit", target_price="0.05"))
    seen: list[str] = []
    last: str | None = None
    async for step in daemon.follow(accepted.execution_id):
        assert isinstance(step, Transition)
        seen.append(step.event_type)
        last = step.reason
        if step.event_type == "OrderAccepted":
            await daemon.cancel(accepted.execution_id)
    assert last == "user"
    return seen


async def follows_live(desk: PaperDesk) -> list[str]:
    desk.play(MARKET, 600, seed=3)
    await trio.sleep(10)
    return await strategy(desk.daemon, "yes")


def test_a_strategy_follows_live_and_every_time_the_same() -> None:
    """Steps come while the execution is at work, so what it does about them shows; one seed is one history."""
    first = run(follows_live, seed=5)
    assert first[0] == "Submitted"
    assert "OrderAccepted" in first
    assert run(follows_live, seed=5) == first


async def sees_its_event_settle(desk: PaperDesk) -> list[str]:
    event, other = "KXTEST-26OCT01", "KXTEST-26OCT01-B"
    desk.make_exclusive(event)
    for ticker in (MARKET, other):
        desk.open_market(ticker, yes=[("0.44", "50")], no=[("0.50", "50")])
    accepted = await desk.daemon.submit(wanted(method="simple_limit", target_price="0.30"))
    await trio.sleep(5)
    desk.settle(event, other)
    ended = await desk.daemon.wait(accepted.execution_id)
    results = [str(market.result) for market in desk.paper.exchange.markets.values()]
    return [str(ended.execution.reason), *results]


def test_an_event_settles_under_an_execution() -> None:
    """What works in one of its markets ends; of markets that exclude each other one wins."""
    assert run(sees_its_event_settle) == ["market_closed", "no", "yes"]


async def leaves_early(desk: PaperDesk) -> None:
    desk.open_market(MARKET, yes=[("0.44", "50")], no=[("0.50", "50")])
    accepted = await desk.daemon.submit(wanted(method="simple_limit", target_price="0.30"))
    async for _ in desk.daemon.follow(accepted.execution_id):
        break
    with pytest.raises(Refused) as refused:
        await desk.daemon.submit(wanted(key="two", method="no_such_method"))
    assert refused.value.code == "invalid"
    assert (await desk.daemon.status()).unfinished == 1


def test_a_trial_may_end_with_all_of_it_at_work() -> None:
    """A stream that was left, an execution that is not over: nothing hangs and nothing complains."""
    run(leaves_early)


async def fails(desk: PaperDesk) -> None:
    desk.open_market(MARKET)
    assert (await desk.daemon.status()).state == "draining"


def test_what_a_trial_raises_comes_as_it_is() -> None:
    """No group around it: `pytest.raises` and an assertion's message work as in any test."""

    async def asks_of_no_market(desk: PaperDesk) -> None:
        await desk.daemon.submit(wanted())

    with pytest.raises(Refused, match=MARKET):
        run(asks_of_no_market, families=[FAMILY])


def test_what_a_trial_raises_is_seen() -> None:
    """Its assertions are its own test's."""
    with pytest.raises(AssertionError):
        run(fails)
