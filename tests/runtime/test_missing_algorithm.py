"""An execution whose algorithm is gone when its database is opened again, and there again later."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from fsm_exec.algorithms import Method, method
from fsm_exec.core.errors import AlgorithmMissing
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import Stage

WHAT_TO_INSTALL = "pip install somebodys-package==1.2"


def gone(name: str) -> Method:
    raise AlgorithmMissing(f"method {name} is of a package that is not installed; {WHAT_TO_INSTALL}")


async def left_at_work(world: RestartBench) -> str:
    """The engine dies with an order of it at rest; when the next one starts its algorithm is gone."""
    names: list[str] = []

    async def work(stage: Stage) -> None:
        names.append(await stage.submit(horizon_s=600))
        await trio.sleep(3)
        stage.order_of(names[0])

    await world.killed_after(work)
    world.methods = gone
    return names[0]


async def until_quarantined(stage: Stage, name: str) -> None:
    await trio.sleep(3)
    assert WHAT_TO_INSTALL in stage.engine.status().quarantined[name]
    assert stage.exchange.resting == []


async def test_it_is_quarantined_its_orders_are_cancelled_and_it_says_what_to_install(
    autojump_clock: MockClock,
) -> None:
    """The reason is kept; the start after that, still without the algorithm, finds it as it was."""
    async with open_restart_bench() as world:
        name = await left_at_work(world)
        for _ in range(2):
            async with world.life() as stage:
                await until_quarantined(stage, name)
                assert WHAT_TO_INSTALL in str((await world.stored(name)).quarantine)


async def test_one_that_is_missing_is_looked_for_once_a_start(autojump_clock: MockClock) -> None:
    """However many executions want it: each look reads the database."""
    asked: list[str] = []

    def find(name: str) -> Method:
        asked.append(name)
        return gone(name)

    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            for _ in range(5):
                await stage.submit(horizon_s=600)
            await trio.sleep(3)

        await world.killed_after(work)
        world.methods = find
        for _ in range(2):
            async with world.life() as stage:
                assert len(stage.engine.status().quarantined) == 5
        assert asked == ["simple_limit@1"] * 2


async def test_where_the_algorithm_is_there_again_it_goes_on_by_itself(autojump_clock: MockClock) -> None:
    """A start with the package installed: another order is placed for what remains, and it ends filled."""
    async with open_restart_bench() as world:
        name = await left_at_work(world)
        async with world.life() as stage:
            await until_quarantined(stage, name)
            await stage.engine.drain(cancel_orders=True)
        world.methods = method
        async with world.life() as stage:
            await trio.sleep(5)
            assert stage.engine.status().quarantined == {}
            assert (await world.stored(name)).quarantine is None
            world.exchange.fill(10, stage.order_of(name))
            await ended(stage.engine)
        assert ((await world.execution(name)).state, (await world.execution(name)).reason) == ("filled", "completed")


async def test_a_halted_engine_takes_none_up(autojump_clock: MockClock) -> None:
    """Nothing is placed that a halt forbids; its owner can still have it taken up after the halt."""
    async with open_restart_bench() as world:
        name = await left_at_work(world)
        async with world.life() as stage:
            await until_quarantined(stage, name)
            await stage.engine.drain(cancel_orders=True)
        world.methods = method
        async with world.life(wait=False, settle_s=0) as stage:
            stage.engine.halt()
            await trio.sleep(5)
            assert (list(stage.engine.status().quarantined), stage.exchange.resting) == ([name], [])
            stage.engine.resume()
            await stage.engine.resume_execution(name)
            await trio.sleep(3)
            stage.order_of(name)


async def test_it_can_be_ended_without_its_algorithm(autojump_clock: MockClock) -> None:
    """An execution that only ends is asked nothing any more."""
    async with open_restart_bench() as world:
        name = await left_at_work(world)
        async with world.life() as stage:
            await until_quarantined(stage, name)
            await stage.engine.cancel(name)
            await ended(stage.engine)
        assert ((await world.execution(name)).state, (await world.execution(name)).reason) == ("cancelled", "user")


async def test_one_that_was_ending_ends_without_its_algorithm(autojump_clock: MockClock) -> None:
    """Its owner had cancelled it, and the process died before the exchange had answered: nobody need be asked again."""
    async with open_restart_bench() as world:
        names: list[str] = []

        async def work(stage: Stage) -> None:
            names.append(await stage.submit(horizon_s=600))
            await trio.sleep(3)
            world.exchange.answer_s = 60
            await stage.engine.cancel(names[0])

        await world.killed_after(work)
        world.exchange.answer_s = 0.1
        world.methods = gone
        async with world.life() as stage:
            await ended(stage.engine)
        assert ((await world.execution(names[0])).state, (await world.execution(names[0])).reason) == (
            "cancelled",
            "user",
        )
