"""An emergency stop depends on nothing that may be down: every read of the exchange, one at a time and all together.

In every state of the engine, told in each of the ways there are to stop: what the snapshots know is cancelled at once,
and what is read later is believed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, Literal, TypeAlias

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import VenueRefused, VenueUnavailable
from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.runtime.inbox import InboxOverflow
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import Stage, StoreBetween, count

READS: Final = ("fetch_markets", "fetch_market_terms", "fetch_orders", "fetch_fills", "stream")
Way: TypeAlias = Literal["unavailable", "silent", "refused"]
AT_ONCE_S: Final = 2.0
TIMEOUT_S: Final = 20.0  # of a read, in the client


class Outage:
    """Reads of a world that are down in one way, until `over`."""

    def __init__(self, world: RestartBench, reads: tuple[str, ...], way: Way) -> None:
        self._world, self._way = world, way
        self._is_over = trio.Event()
        self._kept = {name: getattr(world.exchange, name) for name in reads}
        for name in reads:
            setattr(world.exchange, name, self._streaming if name == "stream" else self._down)

    async def _down(self, *_: object, **__: object) -> None:
        await trio.sleep(0.1)
        if self._way == "silent":
            await trio.sleep(TIMEOUT_S)
        if self._way == "refused":
            raise VenueRefused(403, "forbidden", "not for this key")
        raise VenueUnavailable("answered 503")

    async def _streaming(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        await self._is_over.wait()
        await self._kept["stream"](listener, tickers)

    def over(self) -> None:
        self._is_over.set()
        for name, read in self._kept.items():
            setattr(self._world.exchange, name, read)


async def halt(stage: Stage) -> None:
    stage.engine.halt()


async def cancel(stage: Stage) -> None:
    await stage.engine.cancel("e000001")


async def drain(stage: Stage) -> None:
    await stage.engine.drain(cancel_orders=True)


async def nothing(stage: Stage) -> None:
    """Its deadline comes by itself."""


ASKED: Final[dict[str, Callable[[Stage], Awaitable[None]]]] = {
    "halt": halt,
    "cancel": cancel,
    "drain": drain,
    "deadline": nothing,
}
REASONS: Final = {"halt": "halt", "cancel": "user", "drain": None, "deadline": "deadline"}
ONE_OR_ALL: Final = [*((name,) for name in READS), READS]


async def at_work(stage: Stage) -> None:
    """One that rests, a part of it filled."""
    await stage.submit(horizon_s=60)
    await trio.sleep(2)
    stage.exchange.fill(4, stage.exchange.resting[0])
    await trio.sleep(1)


@pytest.mark.parametrize("way", ["unavailable", "silent"])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("reads", ONE_OR_ALL, ids="+".join)
async def test_while_recovering(autojump_clock: MockClock, reads: tuple[str, ...], asked: str, way: Way) -> None:
    """The order is off the book at once; when the reads are back, all that was filled meanwhile is counted, once."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        world.exchange.fill(3, world.exchange.resting[0])  # while nobody was there
        world.tickers = ()
        outage = Outage(world, reads, way)
        async with world.life(wait=False) as stage:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ASKED[asked], stage)
                await trio.sleep(70 if asked == "deadline" else AT_ONCE_S)
                assert world.exchange.resting == [], "left live while something could not be read"
                outage.over()
            if asked != "drain":
                with trio.fail_after(120):
                    await stage.engine.wait_running()
                await ended(stage.engine)
        if asked == "drain":
            async with world.life() as stage:
                stage.engine.stop("user")
                await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.is_ended, execution.filled_e2) == (True, count(7))
        if asked != "drain":
            assert execution.reason == REASONS[asked]
        assert all(not child.late for child in execution.children), "counted after the end"
        assert len({(fill.order_id, fill.fill_id) for fill in execution.fills}) == 2


@pytest.mark.parametrize("way", ["unavailable", "silent", "refused"])
@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    "reads",
    [("fetch_orders",), ("fetch_fills",), ("fetch_orders", "fetch_fills", "fetch_markets", "fetch_market_terms")],
    ids="+".join,
)
async def test_while_running(autojump_clock: MockClock, reads: tuple[str, ...], asked: str, way: Way) -> None:
    """The same of an engine whose reads fail while it works."""
    async with open_restart_bench() as world, world.life() as stage:
        await at_work(stage)
        outage = Outage(world, reads, way)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ASKED[asked], stage)
            await trio.sleep(70 if asked == "deadline" else AT_ONCE_S)
            assert world.exchange.resting == []
            outage.over()
        if asked != "drain":
            await ended(stage.engine)
            execution = await world.execution("e000001")
            assert (execution.reason, execution.filled_e2) == (REASONS[asked], count(4))


@pytest.mark.parametrize("reads", ONE_OR_ALL, ids="+".join)
async def test_a_read_that_is_refused(autojump_clock: MockClock, reads: tuple[str, ...]) -> None:
    """A definite no ends a start, but not before all that is being stopped is off the book."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        world.tickers = ()
        outage = Outage(world, reads, "refused")
        world.exchange.cancel_fates += ["refused"] * 3  # the key is not taken for writing either, for a while
        async with world.life(wait=False, settle_s=0) as stage:
            stage.engine.halt("halted before this start")
            await trio.sleep(30)
            assert world.exchange.resting == []
            with trio.move_on_after(60), suppress(VenueRefused):
                await stage.engine.wait_running()
        outage.over()
        async with world.life() as stage:
            await ended(stage.engine)
        assert (await world.execution("e000001")).reason == "halt"


async def test_a_status_knows_what_may_be_live_from_the_first_moment(autojump_clock: MockClock) -> None:
    """It is answered when the snapshots have been read, and not before: 0 would be said of an order that rests."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        async with world.life(wait=False, settle_s=0) as stage:
            status = stage.engine.status()
            assert (status.state, status.live_orders, status.nothing_live) == ("recovering", 1, False)


async def test_what_was_under_way_at_the_kill(autojump_clock: MockClock) -> None:
    """A place without an answer is cancelled as soon as it is found; a cancel that never arrived goes again at once."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=600)
            await trio.sleep(2)
            stage.exchange.cancel_fates.append("lost there")
            await stage.engine.cancel("e000001")
            stage.exchange.place_fates.append("lost back")
            await stage.submit(horizon_s=600)
            while len(stage.exchange.places) < 2:  # noqa: ASYNC110 - nobody announces a request
                await trio.sleep(0.01)

        await world.killed_after(work)
        assert len(world.exchange.resting) == 2
        world.tickers = ()
        outage = Outage(world, READS, "unavailable")
        async with world.life(wait=False) as stage:
            stage.engine.halt()
            await trio.sleep(AT_ONCE_S)
            assert [name.split("-")[1] for name in world.exchange.resting] == ["e000002"], "its id is not known"
            status = stage.engine.status()
            assert (status.unknown_orders, status.nothing_live) == (1, False)
            await trio.sleep(60)
            outage.over()
            await ended(stage.engine)
            assert world.exchange.resting == []
            with trio.fail_after(60):
                await stage.engine.wait_running()
            await trio.sleep(3)
            assert stage.engine.status().nothing_live
        assert len(world.exchange.places) == 2


@pytest.mark.parametrize("before", [False, True])
async def test_what_is_quarantined(autojump_clock: MockClock, before: bool) -> None:
    """Its snapshot can be read: a halt cancels what it knows, whether it comes before or after the snapshots."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        await world.database.quarantine("e000001", "a person must look", world.wall.now_us())
        world.tickers = ()
        Outage(world, READS, "silent")
        async with world.life(wait=False) as stage:
            if not before:
                await trio.sleep(1)
                assert stage.engine.status().live_orders == 1
            stage.engine.halt()
            await trio.sleep(AT_ONCE_S)
            assert world.exchange.resting == []
            assert await stage.engine.drain(cancel_orders=True)


async def test_a_quarantined_one_is_cancelled_by_its_name(autojump_clock: MockClock) -> None:
    """No read is waited for either, and what is not known of it is looked up when it can be."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        world.exchange.fill(3, world.exchange.resting[0])
        await world.database.quarantine("e000001", "a person must look", world.wall.now_us())
        world.tickers = ()
        outage = Outage(world, READS, "unavailable")
        async with world.life(wait=False) as stage:
            await trio.sleep(1)
            await stage.engine.cancel("e000001")
            await trio.sleep(AT_ONCE_S)
            assert world.exchange.resting == []
            outage.over()
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.reason, execution.filled_e2) == ("user", count(7))
        assert (await world.stored("e000001")).quarantine is None


class Copied(StoreBetween):
    """A database that was copied has a name of its own."""

    instance = "zzzzzzzzzz"


async def test_orders_of_a_restored_copy_wait_for_the_listings(autojump_clock: MockClock) -> None:
    """They may be another engine's that is alive: nothing is sent before the exchange has told."""
    async with open_restart_bench() as world:
        await world.killed_after(at_work)
        (order,) = world.exchange.resting
        held = world.exchange.held[order]
        world.database = Copied(world.database)  # type: ignore[assignment]
        world.tickers = ()
        Outage(world, READS, "unavailable")
        async with world.life(wait=False) as stage:
            stage.engine.halt()
            await trio.sleep(30)
            assert world.exchange.held[order] == held
            assert not stage.engine.status().nothing_live
            with trio.move_on_after(1):
                await stage.engine.drain(cancel_orders=True)
        world.exchange.end(order)


async def test_a_task_that_begins_anew_while_reads_are_down(autojump_clock: MockClock) -> None:
    """It waits for a listing that does not come; a halt finds it all the same."""
    async with open_restart_bench() as world, world.life() as stage:
        await at_work(stage)
        Outage(world, ("fetch_orders", "fetch_fills"), "silent")
        (actor,) = stage.engine.actors.values()
        actor.inbox.stop(InboxOverflow("a flood of one moment"))
        await trio.sleep(5)
        assert len(world.exchange.resting) == 1
        stage.engine.halt()
        await trio.sleep(AT_ONCE_S)
        assert world.exchange.resting == []


@pytest.mark.parametrize("asked", ["halt", "drain"])
async def test_cancels_that_get_lost_are_sent_again_without_any_read(autojump_clock: MockClock, asked: str) -> None:
    """By the clock, with growing pauses, however often it takes."""
    async with open_restart_bench() as world, world.life() as stage:
        await at_work(stage)
        world.exchange.cancel_fates += ["lost there"] * 4
        Outage(world, ("fetch_orders", "fetch_fills"), "unavailable")
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ASKED[asked], stage)
            await trio.sleep(AT_ONCE_S)
            assert stage.engine.status().live_orders == 1
            with trio.fail_after(60):
                while world.exchange.resting:  # noqa: ASYNC110 - nobody announces an order's end
                    await trio.sleep(0.1)
        assert len(world.exchange.cancels) == 5
        assert trio.current_time() - began_s > 3 + 6 + 12, "without a pause in between"
