"""What no save tells of is noticed, stored as an alert once, and said to be over when it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from fsm_exec.core.alerts.alerts import AlertKind, StoredAlert
from fsm_exec.core.alerts.settings import AlertSettings
from fsm_exec.core.errors import StoreFailed
from fsm_exec.runtime.alerts.delivery import open_delivery
from fsm_exec.runtime.alerts.notifier import AlertSetup
from fsm_exec.runtime.alerts.watch import AlertWatch
from tests.runtime.killed_engine import open_restart_bench
from tests.runtime.support import INSTANCE, TICKER, Stage, staged
from tests.runtime.test_alert_delivery import Inbox
from tests.runtime.test_engine import BreakingStore, break_store, contradict
from tests.runtime.test_recovery import resting

HOUR_S, HOUR_US = 3_600, 3_600_000_000


@asynccontextmanager
async def watched(
    stage: Stage, settings: AlertSettings | None = None, inbox: Inbox | None = None
) -> AsyncIterator[AlertWatch]:
    """The watch at work on a stage."""
    chosen = AlertSettings() if settings is None else settings
    setup = AlertSetup(chosen, {} if inbox is None else {"phone": inbox}, "demo", "d.sqlite")
    log = stage.engine._services.log
    async with open_delivery(stage.database, setup, stage.wall, log) as delivery, trio.open_nursery() as nursery:
        watch = AlertWatch(stage.engine, stage.database, delivery, chosen, None, stage.wall, log)
        nursery.start_soon(watch.run)
        yield watch
        nursery.cancel_scope.cancel()


async def alerts(stage: Stage, kind: AlertKind) -> list[StoredAlert]:
    """Those of a kind, the oldest first."""
    return [one for one in reversed(await stage.database.load_alerts(-1)) if one.kind == kind]


async def test_a_lost_stream_is_one_alert_however_often_it_comes_and_goes(autojump_clock: MockClock) -> None:
    """Stored within 10 s; over when it has been well for a while; a short loss is none."""
    async with staged() as stage, watched(stage):
        listener = stage.exchange.listener
        assert listener is not None
        listener.disconnected("reset")
        await trio.sleep(3)
        listener.connected()
        await trio.sleep(30)
        assert await alerts(stage, "stream") == []
        for _ in range(3):
            listener.disconnected("reset")
            await trio.sleep(10)
            listener.connected()
            await trio.sleep(5)
        (lost,) = await alerts(stage, "stream")
        assert (lost.kind, lost.is_urgent, lost.over_at_us) == ("stream", True, None)
        assert "the exchange's stream is not live" in lost.text
        await trio.sleep(40)
        lost, over = await alerts(stage, "stream")
        assert (lost.over_at_us, over.is_recovery) == (over.at_us, True)
        assert over.text == "the exchange's stream is live again"


async def test_an_alert_of_an_earlier_process_is_ended_by_the_next(autojump_clock: MockClock) -> None:
    """It was killed while something was so, and it is not so any more."""
    async with staged() as stage:
        async with watched(stage):
            listener = stage.exchange.listener
            assert listener is not None
            listener.disconnected("reset")
            await trio.sleep(10)
        listener.connected()
        assert [one.over_at_us for one in await alerts(stage, "stream")] == [None]
        async with watched(stage):
            await trio.sleep(40)
            assert [one.is_recovery for one in await alerts(stage, "stream")] == [False, True]


async def test_an_order_that_nothing_is_heard_of(autojump_clock: MockClock) -> None:
    """By its name, after the configured time; over when it is known what became of it."""
    async with staged() as stage, watched(stage, AlertSettings(unknown_order_s=45)):
        stage.exchange.place_fates.append("lost back")
        silent, stage.exchange.mute = stage.exchange.silence(), True
        name = await stage.submit(horizon_s=600)
        await trio.sleep(40)
        assert not await alerts(stage, "unknown_order")
        await trio.sleep(30)
        (unknown,) = await alerts(stage, "unknown_order")
        assert unknown.subject.startswith(f"fx{INSTANCE}-{name}")
        assert f"of {name} in {TICKER} was sent" in unknown.text
        silent.end()
        await trio.sleep(90)
        assert [one.is_recovery for one in await alerts(stage, "unknown_order")] == [False, True]
        stage.engine.stop("user")
        await stage.ended(name)


async def test_nothing_happened_for_hours_and_why(autojump_clock: MockClock) -> None:
    """One alert that names the reason; over when something happens. 0 hours: it is not looked for."""
    async with staged() as stage, watched(stage, AlertSettings(nothing_happened_h=2)):
        stage.exchange.sleep(2 * HOUR_US)
        await trio.sleep(30)
        (idle,) = await alerts(stage, "idle")
        assert idle.text == (
            "nothing happened for 2 h: no execution is at work: nothing was submitted, or everything has ended"
        )
        assert not idle.is_urgent
        name = await stage.submit(horizon_s=5 * HOUR_S)
        await trio.sleep(60)
        assert [one.is_recovery for one in await alerts(stage, "idle")] == [False, True]
        stage.exchange.sleep(2 * HOUR_US)
        await trio.sleep(30)
        newest = (await alerts(stage, "idle"))[-1]
        assert "of 1 executions at work 1 bid below the market" in newest.text
        assert f"({name} in {TICKER} pays 0.4800 at most, the best offer is 0.5000)" in newest.text
        stage.engine.stop("user")
        await stage.ended(name)
    async with staged() as stage, watched(stage, AlertSettings(nothing_happened_h=0)):
        stage.exchange.sleep(100 * HOUR_US)
        await trio.sleep(60)
        assert await alerts(stage, "idle") == []


async def test_a_quarantine_is_told_and_that_it_is_over(autojump_clock: MockClock) -> None:
    """With the quarantine's own save."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=300)
        await trio.sleep(2)
        await contradict(stage, name)
        await trio.sleep(5)
        (told,) = await alerts(stage, "quarantine")
        assert (told.kind, told.subject, told.over_at_us) == ("quarantine", name, None)
        assert "what cannot be" in told.text
        await stage.engine.resume_execution(name)
        await trio.sleep(5)
        assert [one.is_recovery for one in await alerts(stage, "quarantine")] == [False, True]
        stage.engine.stop("user")
        await stage.ended(name)


async def test_an_orphan_is_told(autojump_clock: MockClock) -> None:
    """By its name, once; it is cancelled beside it."""
    async with open_restart_bench() as world, world.life() as stage:
        await resting(stage)
        name = f"fx{INSTANCE}-e000099-1-1"
        world.exchange.strange_order(name)
        await trio.sleep(90)
        (told,) = await world.database.load_alerts(-1)
        assert (told.kind, told.subject) == ("orphan", name)
        stage.engine.stop("user")
        with trio.fail_after(600):
            await stage.engine.wait_idle()


async def test_an_engine_that_cannot_go_on_says_so(autojump_clock: MockClock) -> None:
    """A bug in the stream: the alert is stored."""
    async with staged() as stage, watched(stage) as watch:
        stage.exchange.stream_bug.set()
        await stage.engine.failed.wait()
        await watch.report_failure()
        (told,) = await alerts(stage, "failure")
        assert "the engine has halted and cannot go on" in told.text


async def test_a_database_that_failed_is_told_without_it(autojump_clock: MockClock) -> None:
    """Nothing can be stored any more, and the channel hears of it."""
    inbox = Inbox()
    async with staged(BreakingStore) as stage, watched(stage, inbox=inbox) as watch:
        await stage.submit()
        await trio.sleep(2)
        break_store(stage)
        stage.database._writer.fail(StoreFailed("the database failed: disk I/O error"))
        stage.engine.stop("user")
        await stage.engine.failed.wait()
        await watch.report_failure()
        await trio.sleep(1)
        assert [one for one in inbox.texts if "disk I/O error" in one and "cannot go on" in one]
