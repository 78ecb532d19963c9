"""What may befall a machine and its files: one clear reason each time, nothing sent that should not be or lost."""

from __future__ import annotations

import io
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.algorithms import method
from fsm_exec.core.errors import StoreFailed, UserError
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.store import open_virtual_store
from tests.runtime.bent_exchange import BentExchange, open_bent_exchange
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import INSTANCE, T0_US, TICKER, Stage, count

HOUR_US = 3_600_000_000
COPY = "copyaaaaaa"


async def two_resting(stage: Stage) -> None:
    for _ in range(2):
        await stage.submit(horizon_s=300)
    await trio.sleep(2)


def sleep(stage: Stage, world: RestartBench) -> None:
    """The machine slept for an hour: trio's clock knows nothing of it."""
    world.exchange.sleep(HOUR_US)
    stage.engine.on_clock_jump(HOUR_US)


async def test_a_machine_that_slept_through_a_deadline_places_nothing(autojump_clock: MockClock) -> None:
    """Suspended for an hour with one order resting and one whose answer got lost: on waking nothing is placed, what
    rests is cancelled, what is in doubt is looked up, and both end for their deadline."""
    async with open_restart_bench() as world, world.life() as stage:
        await stage.submit(horizon_s=300)
        await trio.sleep(2)
        world.exchange.mute = True
        world.exchange.place_fates.append("lost back")
        await stage.submit(horizon_s=300)
        await trio.sleep(0.4)
        assert stage.engine.status().unknown_orders == 1
        placed = len(world.exchange.places)
        sleep(stage, world)
        await ended(stage.engine)
        assert len(world.exchange.places) == placed
        assert world.exchange.resting == []
        for name in ("e000001", "e000002"):
            execution = await world.execution(name)
            assert (execution.state, execution.reason) == ("cancelled", "deadline")


async def test_fills_made_while_the_machine_slept_are_counted(autojump_clock: MockClock) -> None:
    """Nobody heard of them; the reconciliation after waking does, and each counts once."""
    async with open_restart_bench() as world, world.life() as stage:
        await stage.submit(horizon_s=300)
        await trio.sleep(2)
        world.exchange.mute = True
        world.exchange.fill(4, world.exchange.resting[0])
        sleep(stage, world)
        await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.filled_e2, len(execution.fills)) == (count(4), 1)
        assert execution.reason == "deadline"


async def test_a_clock_set_back_an_hour_sends_nothing_twice(autojump_clock: MockClock) -> None:
    """The order stays the only one; the deadline is that of the wall, so an hour later than it seemed."""
    async with open_restart_bench() as world, world.life() as stage:
        world.exchange.set_our_clock(HOUR_US)
        await stage.submit(horizon_s=300)
        await trio.sleep(2)
        stage.engine.on_clock_jump(world.exchange.set_our_clock(-HOUR_US))
        await trio.sleep(600)
        assert (len(world.exchange.places), len(world.exchange.resting)) == (1, 1)
        assert len(stage.engine.actors) == 1
        await ended_within(stage, 2 * 3_600)
        assert (await world.execution("e000001")).reason == "deadline"
        assert world.exchange.resting == []


async def ended_within(stage: Stage, seconds: float) -> None:
    with trio.fail_after(seconds):
        await stage.engine.wait_idle()


async def test_a_snapshot_of_a_newer_version_is_kept_and_the_others_go_on(autojump_clock: MockClock) -> None:
    """Quarantined with what to do, its bytes untouched, and its order left alone: that work is not guessed at."""
    async with open_restart_bench() as world:
        await world.killed_after(two_resting)
        newer = (await world.stored("e000001")).snapshot.replace(b'"version":', b'"version":9', 1)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE execution_state SET snapshot = ? WHERE execution_id = 'e000001'", (newer.decode(),)
            )

        await world.database._writer.read(write)  # nothing of ours writes what a newer version wrote
        async with world.life() as stage:
            assert list(stage.engine.actors) == ["e000002"]
            why = stage.engine.status().quarantined["e000001"]
            assert "newer fsm-exec" in why
            assert "\n" not in why
            (order,) = [name for name in world.exchange.resting if "-e000002-" in name]
            world.exchange.fill(10, order)
            await ended(stage.engine)
        assert (await world.stored("e000001")).snapshot == newer
        assert (await world.execution("e000002")).state == "filled"


async def on_disk(
    path: Path, wall: WallClock, exchange: BentExchange, instance: str, gone: str | None = None
) -> list[str]:
    """One life of an engine on a file; which executions it took up. Everything live is left as it is."""
    log = open_log(io.StringIO(), wall)
    async with open_virtual_store(path, draw_instance=lambda: instance, at_us=T0_US) as store:
        async with open_engine(store, exchange, wall, log, [TICKER], method, other_engine_is_gone=gone) as engine:
            await trio.sleep(1)
            if not engine.actors:
                await two_resting(Stage(engine, exchange, store, store, wall, io.StringIO()))
            worked = list(engine.actors)
            await engine.drain(cancel_orders=False)
        return worked


async def test_a_copy_refuses_to_start_while_the_originals_orders_are_live(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Its engine may be alive: one line with the instance and what to do, and nothing was sent. Told that it is gone,
    it starts; the original goes on with its own."""
    wall = WallClock(T0_US)
    async with open_bent_exchange(wall) as exchange:
        original, copy = tmp_path / "original.sqlite", tmp_path / "copy.sqlite"
        assert await on_disk(original, wall, exchange, INSTANCE) == ["e000001", "e000002"]
        shutil.copy(original, copy)
        asked, resting = len(exchange.requests), list(exchange.resting)
        with pytest.raises(BaseExceptionGroup) as caught:
            await on_disk(copy, wall, exchange, COPY)
        assert caught.group_contains(UserError, match=f"--other-engine-is-gone {INSTANCE}")
        assert (len(exchange.requests), exchange.resting) == (asked, resting)
        assert await on_disk(original, wall, exchange, INSTANCE) == ["e000001", "e000002"]
        assert (len(exchange.requests), exchange.resting) == (asked, resting)


async def test_a_corrupted_page_stops_the_start_before_anything_is_sent(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """The rows of executions are gone: one line that says so, no request, and the file stays as it is."""
    wall = WallClock(T0_US)
    async with open_bent_exchange(wall) as exchange:
        database = tmp_path / "engine.sqlite"
        await on_disk(database, wall, exchange, INSTANCE)
        with closing(sqlite3.connect(database)) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'execution_state'").fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
        content = bytearray(database.read_bytes())
        content[(page - 1) * size : page * size] = b"\xff" * size
        database.write_bytes(content)
        asked = len(exchange.requests)
        with pytest.raises((UserError, StoreFailed, BaseExceptionGroup)) as caught:
            await on_disk(database, wall, exchange, INSTANCE)
        said = first_line(caught.value)
        assert "malformed" in said or "corrupt" in said or "damaged" in said, said
        assert "\n" not in said
        assert len(exchange.requests) == asked
        assert len(exchange.resting) == 2


def first_line(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)
