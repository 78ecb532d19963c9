"""What was given up and is taken up again: it goes on with what remains, as nothing else has happened to it."""

from __future__ import annotations

from collections import deque

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import IllegalEvent, LocalError
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.orders import OrderListing
from fsm_exec.runtime import supervisor
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import Stage, count

LOST_FOR_LONG = 1_000  # requests: more than are made while an execution is given up


async def at_rest(stage: Stage) -> tuple[str, str]:
    """A fresh execution and its order, which rests."""
    name = await stage.submit(horizon_s=600)
    await trio.sleep(3)
    return name, stage.order_of(name)


def contradict(stage: Stage, name: str) -> None:
    """Something that cannot be is heard. Looked up, there is nothing wrong with it."""
    stage.engine.actors[name].inbox.stop(IllegalEvent("what cannot be"))


async def until_given_up(world: RestartBench, name: str) -> None:
    """The reason is durable, which is before anything else of it."""
    with trio.fail_after(5):
        while (await world.stored(name)).quarantine is None:  # noqa: ASYNC110 - nobody announces it
            await trio.sleep(0.01)


async def test_one_that_is_resumed_goes_on_with_what_remains(autojump_clock: MockClock) -> None:
    """Its order was cancelled by us when it was given up, partly filled: another one is placed for the rest, and it
    ends filled."""
    async with open_restart_bench() as world, world.life() as stage:
        name, order = await at_rest(stage)
        world.exchange.fill(4, order)
        contradict(stage, name)
        await trio.sleep(3)
        assert (world.exchange.resting, list(stage.engine.status().quarantined)) == ([], [name])
        await stage.engine.resume_execution(name)
        await trio.sleep(3)
        again = stage.order_of(name)
        assert (again != order, world.exchange.held[again].count_e2) == (True, count(6))
        world.exchange.fill(6, again)
        await ended(stage.engine)
        assert ((await world.execution(name)).state, (await world.execution(name)).reason) == ("filled", "completed")


async def test_resumed_while_it_is_given_up_it_waits_for_what_is_under_way(autojump_clock: MockClock) -> None:
    """An answer that the failed task would have had is not taken for one to its successor, nor does the end of the one
    task end the other."""
    async with open_restart_bench() as world, world.life() as stage:
        world.exchange.answer_s = 8  # the order rests at once; only the answer to placing it is slow
        name = await stage.submit(horizon_s=600)
        await trio.sleep(1)
        world.exchange.answer_s = 0.1
        contradict(stage, name)
        await until_given_up(world, name)
        assert name in stage.engine.actors
        asked_s = trio.current_time()
        await stage.engine.resume_execution(name)
        assert 5 < trio.current_time() - asked_s < 9
        await trio.sleep(10)
        assert (stage.engine.status().quarantined, list(stage.engine.actors)) == ({}, [name])
        world.exchange.fill(10, stage.order_of(name))
        await ended(stage.engine)
        assert (await world.execution(name)).state == "filled"


async def test_cancelled_while_it_is_given_up_it_ends_for_its_user(autojump_clock: MockClock) -> None:
    """As one that is quarantined already."""
    async with open_restart_bench() as world, world.life() as stage:
        name, _ = await at_rest(stage)
        contradict(stage, name)
        await until_given_up(world, name)
        await stage.engine.cancel(name)
        await ended(stage.engine)
        assert ((await world.execution(name)).reason, world.exchange.resting) == ("user", [])


async def test_who_asks_too_early_and_too_long_is_told_to_ask_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exchange takes no cancel for a while: it is still being given up, and nothing of it is lost."""
    monkeypatch.setattr(supervisor, "GIVE_UP_WAIT_S", 2.0)
    async with open_restart_bench() as world, world.life() as stage:
        name, order = await at_rest(stage)
        world.exchange.cancel_fates = deque(["lost there"] * LOST_FOR_LONG)
        contradict(stage, name)
        await until_given_up(world, name)
        with pytest.raises(LocalError, match=f"{name} is still being given up"):
            await stage.engine.resume_execution(name)
        assert list(stage.engine.status().quarantined) == [name]
        world.exchange.cancel_fates.clear()
        await trio.sleep(2)
        await stage.engine.resume_execution(name)
        await trio.sleep(3)
        assert stage.order_of(name) != order


async def test_a_cancel_that_arrives_after_the_resumption_is_ours(autojump_clock: MockClock) -> None:
    """None was answered while it was given up, so its order is taken up live; one of them arrives ten seconds later,
    within its signature's window: another order is placed. A cancel after that is somebody else's, and ends it."""
    async with open_restart_bench() as world, world.life() as stage:
        name, order = await at_rest(stage)
        world.exchange.cancel_fates = deque(["lost there"] * LOST_FOR_LONG)
        contradict(stage, name)
        await trio.sleep(20)
        assert (name in stage.engine.actors, world.exchange.resting) == (False, [order])
        await stage.engine.resume_execution(name)
        await trio.sleep(10)
        assert world.exchange.resting == [order]
        cancelled(world, order)
        await trio.sleep(3)
        again = stage.order_of(name)
        assert again != order
        await trio.sleep(60)
        cancelled(world, again)
        await ended(stage.engine)
        assert (await world.execution(name)).reason == "external"


def cancelled(world: RestartBench, order: str) -> None:
    """Off the exchange, whoever asked for it."""
    world.exchange.end(order)


async def test_a_process_that_dies_while_it_gives_one_up_leaves_it_quarantined(autojump_clock: MockClock) -> None:
    """The reason is durable before the first cancel is sent: the next process does not take its orders' end for
    somebody else's, nor the execution up by itself."""

    async def given_up(stage: Stage) -> None:
        name, _ = await at_rest(stage)
        contradict(stage, name)
        await until_given_up(world, name)
        while not world.exchange.cancels:  # noqa: ASYNC110 - nobody announces it
            await trio.sleep(0.01)

    async with open_restart_bench() as world:
        await world.killed_after(given_up)
        async with world.life() as stage:
            assert list(stage.engine.status().quarantined) == ["e000001"]
            await stage.engine.resume_execution("e000001")
            await trio.sleep(3)
            world.exchange.fill(10, stage.order_of("e000001"))
            await ended(stage.engine)
        assert (await world.execution("e000001")).state == "filled"


async def test_a_process_that_leaves_while_one_is_resumed_leaves_it_quarantined(autojump_clock: MockClock) -> None:
    """Told to leave before it has learned that its orders were ended by us, it does not take the execution up: their
    end would be somebody else's doing. It does not keep the process waiting either."""
    async with open_restart_bench() as world:
        orders = world.exchange.fetch_orders

        async def never(*_: object, **__: object) -> OrderListing:
            await trio.sleep_forever()

        async with world.life() as stage:
            name, _ = await at_rest(stage)
            contradict(stage, name)
            await until_given_up(world, name)
            await trio.sleep(3)
            assert world.exchange.resting == []
            world.exchange.fetch_orders = never  # type: ignore[method-assign]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(is_refused, stage, name)
                await trio.sleep(1)
                with trio.fail_after(5):
                    assert await stage.engine.drain(cancel_orders=True)
            world.exchange.fetch_orders = orders  # type: ignore[method-assign]
        async with world.life() as stage:
            assert list(stage.engine.status().quarantined) == [name]
            await stage.engine.resume_execution(name)
            await trio.sleep(3)
            world.exchange.fill(10, stage.order_of(name))
            await ended(stage.engine)
        assert (await world.execution(name)).state == "filled"


async def is_refused(stage: Stage, name: str) -> None:
    """It stays quarantined, which is said."""
    with pytest.raises(LocalError, match="stays quarantined"):
        await stage.engine.resume_execution(name)


async def test_a_process_that_dies_while_one_is_resumed_leaves_it_quarantined(autojump_clock: MockClock) -> None:
    """Until it has taken in that its orders were ended by us it is not taken up: the next process would take their end
    for somebody else's doing, and end it."""
    async with open_restart_bench() as world:
        save = world.database.save

        async def never(_: ExecutionSave) -> None:
            await trio.sleep_forever()

        async def resumed(stage: Stage) -> None:
            name, _ = await at_rest(stage)
            contradict(stage, name)
            await until_given_up(world, name)
            await trio.sleep(3)
            assert world.exchange.resting == []
            world.database.save = never  # type: ignore[method-assign, assignment]
            await stage.engine.resume_execution(name)
            await trio.sleep(1)

        await world.killed_after(resumed)
        world.database.save = save  # type: ignore[method-assign]
        async with world.life() as stage:
            assert list(stage.engine.status().quarantined) == ["e000001"]
            await stage.engine.resume_execution("e000001")
            await trio.sleep(3)
            world.exchange.fill(10, stage.order_of("e000001"))
            await ended(stage.engine)
        assert (await world.execution("e000001")).state == "filled"
