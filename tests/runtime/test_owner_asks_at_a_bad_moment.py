"""Halting and leaving asked for when nobody is there yet to be told, or a step is on its way to the disk."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.execution.events import MarketChanged
from fsm_exec.core.journal.rows import ExecutionSave, StoredExecution
from fsm_exec.core.market.orders import OrderListing
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.runtime.inbox import INBOX_EVENTS_MAX
from tests.runtime.killed_engine import ended, open_restart_bench
from tests.runtime.support import Stage, StoreBetween, staged


async def at_work(stage: Stage) -> None:
    await stage.submit(horizon_s=600)
    await trio.sleep(3)
    assert len(stage.exchange.resting) == 1


async def test_a_halt_before_anybody_is_taken_up_ends_everybody(autojump_clock: MockClock) -> None:
    """The exchange answers only after it: the orders of the last life are cancelled, none is placed."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        answers = world.exchange.fetch_markets

        async def silent(*_: object) -> dict[str, MarketTerms]:
            raise VenueUnavailable("no answer in time")

        world.exchange.fetch_markets = silent  # type: ignore[method-assign, assignment]
        async with world.life(wait=False) as stage:
            stage.engine.halt()
            await trio.sleep(5)
            world.exchange.fetch_markets = answers  # type: ignore[method-assign]
            await stage.engine.wait_running()
            await ended(stage.engine)
            assert stage.engine.state == "halted"
        assert world.exchange.resting == []
        assert len(world.exchange.places) == 1
        assert (await world.execution("e000001")).reason == "halt"


async def test_a_cancel_that_was_confirmed_is_durable(autojump_clock: MockClock) -> None:
    """Killed in the moment after it, the next life does not go on; nor after one that was told it before the exchange
    had answered anything."""
    async with open_restart_bench() as world:

        async def cancelled(stage: Stage) -> None:
            await at_work(stage)
            await stage.engine.cancel("e000001")

        await world.killed_after(cancelled)
        ending = (await world.execution("e000001")).ending
        assert ending is not None
        assert ending.reason == "user"

    async with open_restart_bench() as world:
        await world.killed_after(at_work)

        async def silent(*_: object, **__: object) -> OrderListing:
            raise VenueUnavailable("no answer in time")

        world.exchange.fetch_orders = silent  # type: ignore[method-assign]
        async with world.life(wait=False) as stage:
            await stage.engine.cancel("e000001")
            ending = (await world.execution("e000001")).ending
            assert ending is not None
            assert ending.reason == "user"
            await trio.sleep(1)
            assert world.exchange.resting == []


async def test_a_halt_while_one_is_resumed_ends_it(autojump_clock: MockClock) -> None:
    """What was quarantined is being read; meanwhile everything is to end."""
    async with open_restart_bench() as world:
        await world.killed_after(Stage.submit)
        await world.database.quarantine("e000001", "a person must look", world.wall.now_us())
        async with world.life() as stage:
            read = world.database.load_execution

            async def slow(name: str) -> StoredExecution | None:
                await trio.sleep(5)
                return await read(name)

            world.database.load_execution = slow  # type: ignore[method-assign, assignment]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stage.engine.resume_execution, "e000001")
                await trio.sleep(0.05)
                assert stage.engine.actors == {}
                stage.engine.halt()
            await ended(stage.engine)
        assert (await world.execution("e000001")).reason == "halt"
        assert world.exchange.places == []


class SlowToSave(StoreBetween):
    """Every transaction takes a second."""

    async def save(self, save: ExecutionSave) -> None:
        with trio.CancelScope(shield=True):  # as the store does: a save is waited for to its end
            await trio.sleep(1)
            await self.inner.save(save)


async def test_leaving_waits_for_what_is_on_its_way_to_the_disk(autojump_clock: MockClock) -> None:
    """An order decided just before is sent and cancelled again, not sent when nobody is there to cancel it."""
    async with staged(SlowToSave) as stage:
        await stage.submit(horizon_s=600)
        await trio.sleep(0.5)
        assert stage.exchange.places == []
        assert await stage.engine.drain(cancel_orders=True)
        assert (len(stage.exchange.places), stage.exchange.resting) == (1, [])


async def test_leaving_tells_a_task_that_begins_anew_meanwhile(autojump_clock: MockClock) -> None:
    """Its inbox has overflowed, so it never heard of it; its successor is told, and its order is cancelled."""
    async with staged() as stage:
        await at_work(stage)
        (actor,) = stage.engine.actors.values()
        for _ in range(INBOX_EVENTS_MAX + 1):
            actor.inbox.offer(MarketChanged(at_us=stage.wall.now_us(), status="open"))
        assert await stage.engine.drain(cancel_orders=True)
        assert stage.exchange.resting == []
