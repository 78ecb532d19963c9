"""A machine whose clock was an hour ahead, and is put right while executions are at work."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.runtime.killed_engine import ended, open_restart_bench

HOUR_US = 3_600_000_000
HORIZON_S = 7_200


async def test_orders_made_after_it_are_listed_though_the_acceptance_lies_in_the_future(
    autojump_clock: MockClock,
) -> None:
    """The answer of the first order is lost. A listing from the acceptance on would show nothing, and prove the order
    absent while it rests."""
    async with open_restart_bench() as world, world.life() as stage:
        world.exchange.mute = True
        world.exchange.set_our_clock(HOUR_US)
        world.exchange.place_fates.append("lost back")
        name = await stage.submit(horizon_s=HORIZON_S)
        stage.engine.on_clock_jump(world.exchange.set_our_clock(-HOUR_US))
        await trio.sleep(100)
        assert "OrderAbsent" not in await world.events(name)
        assert await stage.history(name) == ["intended", "unknown", "resting"]
        stage.engine.stop("user")
        await ended(stage.engine)


async def test_an_order_refused_for_the_wrong_time_is_placed_when_the_time_is_right(autojump_clock: MockClock) -> None:
    """Neither the last decision nor the pause after a refusal lies an hour ahead."""
    async with open_restart_bench() as world, world.life() as stage:
        world.wall.set_us(world.wall.now_us() + HOUR_US)
        name = await stage.submit(horizon_s=HORIZON_S)
        await trio.sleep(20)
        assert world.exchange.resting == []
        assert "OrderRefused" in await world.events(name)
        stage.engine.on_clock_jump(world.wall.set_us(world.wall.now_us() - HOUR_US))
        await trio.sleep(2)
        assert len(world.exchange.resting) == 1
        stage.engine.stop("user")
        await ended(stage.engine)
