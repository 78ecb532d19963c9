"""Invariant 9: after its deadline an execution ends soon, however long the exchange said nothing before."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.runtime.submission import GRACE_US
from tests.runtime.killed_engine import ended, open_restart_bench
from tests.runtime.support import Stage

US = 1_000_000
WINDOW_S = (SIGNATURE_WINDOW_US + READ_LAG_US) / US


async def in_doubt(stage: Stage) -> str:
    """A place whose outcome nobody knows, with frames that are lost."""
    stage.exchange.mute = True
    stage.exchange.place_fates.append("lost back")
    name = await stage.submit(horizon_s=60)
    await trio.sleep(3)
    assert stage.engine.status().unknown_orders == 1
    return name


@pytest.mark.parametrize("silent_s", [10, 65, 200, 3_000])
async def test_an_execution_ends_within_grace_once_the_exchange_answers(
    autojump_clock: MockClock, silent_s: int
) -> None:
    """Of the later of its deadline and the moment since when reads were answered for window + lag."""
    async with open_restart_bench() as world:
        orders, fills = world.exchange.fetch_orders, world.exchange.fetch_fills

        async def silent_orders(*_: object, **__: object) -> OrderListing:
            raise VenueUnavailable("no answer in time")

        async def silent_fills(*_: object, **__: object) -> FillListing:
            raise VenueUnavailable("no answer in time")

        async with world.life() as stage:
            world.exchange.fetch_orders, world.exchange.fetch_fills = silent_orders, silent_fills  # type: ignore[method-assign]
            name = await in_doubt(stage)
            deadline_us = stage.engine.actors[name].execution.deadline_us
            await trio.sleep(silent_s)
            world.exchange.fetch_orders, world.exchange.fetch_fills = orders, fills  # type: ignore[method-assign]
            answers_since_us = world.wall.now_us()
            await ended(stage.engine)
        execution = await world.execution(name)
        assert execution.ended_at_us is not None
        latest_us = max(deadline_us, answers_since_us + round(WINDOW_S * US)) + GRACE_US
        assert execution.ended_at_us <= latest_us
        assert world.exchange.resting == []


async def test_a_place_that_never_arrived_is_absent_within_grace_of_the_proof(autojump_clock: MockClock) -> None:
    """The look-up comes when a listing can prove it, not at the end of a long pause."""
    async with open_restart_bench() as world, world.life() as stage:
        world.exchange.place_fates.append("lost there")
        name = await stage.submit(horizon_s=20)
        await ended(stage.engine)
        execution = await world.execution(name)
        (child,) = execution.children
        assert execution.ended_at_us is not None
        assert child.state == "rejected"
        assert execution.ended_at_us <= child.sent_at_us + round(WINDOW_S * US) + GRACE_US
