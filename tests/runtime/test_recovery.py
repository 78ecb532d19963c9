"""Restarts of the whole engine: what a killed process left is taken up by the next, and comes to its end."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.runtime.lives import a_world, ended
from tests.runtime.support import Stage, count


async def test_an_order_that_rests_is_adopted_and_fills(autojump_clock: MockClock) -> None:
    """The next process goes on with the same order under the same id; nothing new is placed, nothing is journaled."""
    async with a_world() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=300)
            await trio.sleep(2)

        await world.killed_after(work)
        before = await world.events("e000001")
        (order,) = world.exchange.resting
        async with world.life() as stage:
            assert await world.events("e000001") == before, "a restart that had nothing to tell wrote a row"
            world.exchange.fill(10, order)
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, execution.filled_e2) == ("filled", count(10))
        assert len(world.exchange.places) == 1


async def test_fills_made_meanwhile_are_counted_once(autojump_clock: MockClock) -> None:
    """A part was filled before, a part while nobody listened: all of it counts, and the rest goes on."""
    async with a_world() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=300)
            await trio.sleep(2)
            stage.exchange.fill(2, stage.exchange.resting[0])
            await trio.sleep(1)

        await world.killed_after(work)
        (order,) = world.exchange.resting
        world.exchange.fill(3, order)
        async with world.life() as stage:
            execution = await world.execution("e000001")
            assert execution.filled_e2 == count(5)
            world.exchange.fill(5, order)
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, len(execution.fills)) == ("filled", 3)
