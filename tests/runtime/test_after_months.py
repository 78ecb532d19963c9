"""An engine that starts again when what became of its orders is past the exchange's cutoff."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.runtime.killed_engine import ended, open_restart_bench
from tests.runtime.support import Stage, count

DAY_US = 86_400_000_000


async def resting(stage: Stage) -> None:
    """One execution with one order that rests."""
    await stage.submit(horizon_s=300)
    await trio.sleep(2)


async def test_a_fill_past_the_cutoff_is_counted_at_the_next_start(autojump_clock: MockClock) -> None:
    """The process is killed while an order rests; a part fills, the rest expires. Months later neither the order nor
    its fill is in the normal listings: the execution ends with what was bought, once."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        (order,) = world.exchange.resting
        world.exchange.fill(4, order)
        paper = world.exchange.paper
        world.exchange.sleep(120 * DAY_US)
        paper.timeline.advance()
        assert world.exchange.order(order).status == "canceled"
        paper.archived_until_us = paper.timeline.now_us() - 90 * DAY_US
        async with world.life() as stage:
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "deadline", count(4))
