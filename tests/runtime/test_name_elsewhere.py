"""An order of our name in another market is another order: never adopted, never counted, and a person is told."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.orders import OrderReport
from fsm_exec.runtime.inbox import Inbox
from fsm_exec.runtime.reconciler import INTERVAL_S
from tests.runtime.lives import World, a_world
from tests.runtime.support import Stage, count

ELSEWHERE = "KXTEST-B-1"


def stranger(world: World, order: str) -> OrderReport:
    """What the exchange says of an order of that name in another market."""
    return replace(world.exchange.held[order], ticker=ELSEWHERE, order_id="o-of-somebody-else")


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
    async with a_world() as world, world.life() as stage:
        await answer_lost(stage)
        placed = world.exchange.places[0]
        world.exchange.held[placed.client_order_id] = report = OrderReport(
            order_id="o-of-somebody-else",
            client_order_id=placed.client_order_id,
            ticker=ELSEWHERE,
            outcome=placed.outcome,
            status="resting",
            price_e4=placed.price_e4,
            count_e2=placed.count_e2,
            filled_e2=count(0),
            remaining_e2=placed.count_e2,
            at_us=world.wall.now_us(),
        )
        assert world.exchange.listener is not None
        world.exchange.listener.order(report)
        await trio.sleep(1)
        assert f"in market {ELSEWHERE}" in stage.engine.status().quarantined["e000001"]
        assert (await world.execution("e000001")).children[0].order_id is None


async def test_beside_ours_it_is_left_alone(autojump_clock: MockClock) -> None:
    """Ours is known by the exchange's own id: the other one changes nothing about it, nor do its fills, in frames or
    in listings."""
    async with a_world() as world, world.life() as stage:
        order = await at_rest(stage)
        other = stranger(world, order)
        listener = world.exchange.listener
        assert listener is not None
        world.exchange.held["elsewhere"] = replace(other, status="canceled", remaining_e2=count(0))
        listener.order(other)
        made = replace(world.exchange.fill(2, order), fill_id="f-elsewhere", ticker=ELSEWHERE, order_id=other.order_id)
        world.exchange.made.append(made)
        listener.fill(made)
        await trio.sleep(INTERVAL_S + 1)
        assert (await world.execution("e000001")).filled_e2 == count(2)
        assert (stage.engine.status().quarantined, stage.order_of("e000001")) == ({}, order)
        assert world.lines("name_in_another_market")


async def test_a_start_that_finds_it_hands_the_execution_to_a_person(autojump_clock: MockClock) -> None:
    """The last process died before an answer came; the listing has an order of that name, elsewhere and filled."""
    async with a_world() as world:
        await world.killed_after(answer_lost)
        placed = world.exchange.places[0]
        world.exchange.held[placed.client_order_id] = OrderReport(
            order_id="o-of-somebody-else",
            client_order_id=placed.client_order_id,
            ticker=ELSEWHERE,
            outcome=placed.outcome,
            status="executed",
            price_e4=placed.price_e4,
            count_e2=placed.count_e2,
            filled_e2=placed.count_e2,
            remaining_e2=count(0),
            at_us=world.wall.now_us(),
        )
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
