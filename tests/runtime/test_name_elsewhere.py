"""An order of our name in another market is another order: never adopted, never counted, and a person is told."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.runtime.inbox import Inbox
from fsm_exec.runtime.reconciler import INTERVAL_S
from tests.runtime.bent_exchange import NEIGHBOUR
from tests.runtime.killed_engine import open_restart_bench
from tests.runtime.support import Stage, count

ELSEWHERE = NEIGHBOUR
STRANGE = "o-of-somebody-else"


async def at_rest(stage: Stage) -> str:
    name = await stage.submit(horizon_s=600)
    await trio.sleep(3)
    return stage.order_of(name)


async def answer_lost(stage: Stage) -> None:
    """A place without an answer, and without a frame."""
    stage.exchange.mute = True
    stage.exchange.place_fates.append("lost there")
    await stage.submit(horizon_s=600)
    await trio.sleep(0.2)


async def test_a_frame_about_it_hands_the_execution_to_a_person(autojump_clock: MockClock) -> None:
    """Ours has not been seen yet, so its name may be taken: quarantined with where the other one is."""
    async with open_restart_bench() as world, world.life() as stage:
        await answer_lost(stage)
        placed = world.exchange.places[0]
        world.exchange.mute = False
        world.exchange.strange_order(placed.client_order_id, ticker=ELSEWHERE)
        await trio.sleep(1)
        assert f"in market {ELSEWHERE}" in stage.engine.status().quarantined["e000001"]
        assert (await world.execution("e000001")).children[0].order_id is None


async def test_beside_ours_it_is_left_alone(autojump_clock: MockClock) -> None:
    """Ours is known by the exchange's own id: the other one changes nothing about it, nor do its fills, in frames or
    in listings."""
    async with open_restart_bench() as world, world.life() as stage:
        order = await at_rest(stage)
        listener = world.exchange.listener
        assert listener is not None
        theirs = {"order_id": STRANGE, "ticker": ELSEWHERE, "market_ticker": ELSEWHERE}
        world.exchange.lists_also("orders", theirs | {"status": "canceled", "remaining_count_fp": "0.00"})
        world.exchange.lists_also("fills", theirs | {"trade_id": "f-elsewhere", "fill_id": "f-elsewhere"})
        listener.order(replace(world.exchange.held[order], ticker=ELSEWHERE, order_id=STRANGE))
        made = world.exchange.fill(2, order)
        listener.fill(replace(made, fill_id="f-elsewhere", ticker=ELSEWHERE, order_id=STRANGE))
        await trio.sleep(INTERVAL_S + 1)
        assert (await world.execution("e000001")).filled_e2 == count(2)
        assert (stage.engine.status().quarantined, stage.order_of("e000001")) == ({}, order)
        assert world.lines("name_in_another_market")


async def test_a_start_that_finds_it_hands_the_execution_to_a_person(autojump_clock: MockClock) -> None:
    """The last process died before an answer came; the listing has an order of that name, elsewhere and filled."""
    async with open_restart_bench() as world:
        await world.killed_after(answer_lost)
        placed = world.exchange.places[0]
        world.exchange.strange_order(placed.client_order_id, ticker=ELSEWHERE)
        made = world.exchange.fill(10, placed.client_order_id)
        assert made.ticker == ELSEWHERE
        async with world.life() as stage:
            await trio.sleep(1)
            assert f"in market {ELSEWHERE}" in stage.engine.status().quarantined["e000001"]
        assert (await world.execution("e000001")).filled_e2 == 0


def test_an_inbox_that_is_stopped_gives_nothing_more_out() -> None:
    """Whatever waits in it."""
    inbox = Inbox()
    inbox.stop(IllegalEvent("two truths"))
    with pytest.raises(IllegalEvent, match="two truths"):
        inbox.take()
