"""The engine: one execution's fault stays its own, a failing store halts everything, and nothing live is left."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import IllegalEvent, LocalError, SaveRefused, ServiceFailed, StoreFailed
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.store import SqliteStore
from tests.runtime.support import Stage, StoreBetween, count, staged


class BreakingStore(StoreBetween):
    """Its disk fails for good once `broken` is set, as a real writer does."""

    def __init__(self, inner: SqliteStore) -> None:
        super().__init__(inner)
        self.broken = False

    async def save(self, save: ExecutionSave) -> None:
        if self.broken:
            raise StoreFailed("the database failed: disk I/O error")
        await self.inner.save(save)

    async def quarantine(self, execution_id: str, why: str, at_us: int) -> None:
        if self.broken:
            raise StoreFailed("the database failed: disk I/O error")
        await self.inner.quarantine(execution_id, why, at_us)


def break_store(stage: Stage) -> None:
    assert isinstance(stage.store, BreakingStore)
    stage.store.broken = True


async def contradict(stage: Stage, execution_id: str) -> None:
    """It hears what cannot be; time to clear up after it."""
    stage.engine.actors[execution_id].inbox.stop(IllegalEvent("what cannot be"))
    await trio.sleep(3)


async def test_a_broken_execution_is_quarantined_and_the_others_go_on(autojump_clock: MockClock) -> None:
    """A fact that cannot be: its order is cancelled, the reason is kept, its neighbour fills."""
    async with staged() as stage:
        broken, sound = await stage.submit(), await stage.submit()
        await trio.sleep(2)
        of_sound = stage.order_of(sound)
        await contradict(stage, broken)
        assert stage.exchange.resting == [of_sound]
        assert "IllegalEvent" in (stage.engine.ended[broken].quarantine or "")
        stage.exchange.fill(10, of_sound)
        assert (await stage.ended(sound)).state == "filled"
        stored = {e.execution_id: e for e in await stage.database.load_executions()}
        assert "IllegalEvent" in (stored[broken].quarantine or "")
        assert stored[sound].quarantine is None
        assert stage.engine.state == "running"


async def test_a_quarantined_execution_stays_as_its_last_save_says(autojump_clock: MockClock) -> None:
    """Facts that still come about it are logged and not taken in: a person, or a restart, decides."""
    async with staged() as stage:
        broken = await stage.submit()
        await trio.sleep(2)
        (order,) = stage.exchange.resting
        before = {e.execution_id: e.snapshot for e in await stage.database.load_executions()}
        await contradict(stage, broken)
        await stage.engine.wait_idle()
        stage.exchange.fill(3, order)
        await trio.sleep(2)
        after = {e.execution_id: e.snapshot for e in await stage.database.load_executions()}
        assert after == before
        assert {line["execution"] for line in stage.lines("fact_for_quarantined")} == {broken}


async def test_a_save_refused_stops_its_own_execution_alone(autojump_clock: MockClock) -> None:
    """A row that the database does not take: that one is quarantined with its order cancelled; the engine runs on."""

    class RefusesOne(StoreBetween):
        async def save(self, save: ExecutionSave) -> None:
            if save.execution_id == "e000001" and save.journal.event_type == "FillReported":
                raise SaveRefused("UNIQUE constraint failed")
            await self.inner.save(save)

    async with staged(RefusesOne) as stage:
        refused, sound = await stage.submit(), await stage.submit()
        await trio.sleep(2)
        of_refused, of_sound = stage.order_of(refused), stage.order_of(sound)
        stage.exchange.fill(3, of_refused)
        stage.exchange.fill(10, of_sound)
        assert (await stage.ended(sound)).state == "filled"
        assert "SaveRefused" in (stage.engine.ended[refused].quarantine or "")
        assert stage.exchange.resting == []
        assert stage.engine.state == "running"


async def test_a_store_that_fails_halts_the_engine_and_leaves_nothing_live(autojump_clock: MockClock) -> None:
    """One save fails: no new work, the orders of all executions are cancelled, and whoever waits is told."""
    async with staged(BreakingStore) as stage:
        for _ in range(3):
            await stage.submit()
        await trio.sleep(2)
        assert len(stage.exchange.resting) == 3
        break_store(stage)
        stage.exchange.fill(1, stage.exchange.resting[0])
        began_s = trio.current_time()
        with pytest.raises(StoreFailed):
            await stage.engine.wait_idle()
        assert trio.current_time() - began_s < 5, "the others were left live until they next heard something"
        assert stage.engine.state == "halted"
        assert stage.exchange.resting == []
        with pytest.raises(StoreFailed):
            await stage.submit()
        assert [line["nothing_live"] for line in stage.lines("emergency_ended")] == [True] * 3


async def test_a_bug_in_the_stream_halts_the_engine_and_leaves_nothing_live(autojump_clock: MockClock) -> None:
    """The executions are ended, not torn away from their orders; whoever waits is told what happened."""
    async with staged() as stage:
        names = [await stage.submit(horizon_s=300) for _ in range(2)]
        await trio.sleep(2)
        assert len(stage.exchange.resting) == 2
        stage.exchange.stream_bug.set()
        with pytest.raises(ServiceFailed, match="a bug in the stream"):
            await stage.engine.wait_idle()
        assert stage.engine.state == "halted"
        assert stage.exchange.resting == []
        assert [stage.engine.ended[name].execution.reason for name in names] == ["halt", "halt"]
        with pytest.raises(ServiceFailed):
            await stage.submit()


async def test_an_order_still_on_its_way_when_the_store_fails_is_cancelled_too(autojump_clock: MockClock) -> None:
    """Its answer comes after its execution was given up: it is found in the listing, not remembered."""
    async with staged(BreakingStore) as stage:
        await stage.submit()
        await trio.sleep(2)
        await stage.submit()
        with trio.fail_after(1):
            while len(stage.exchange.places) < 2:  # noqa: ASYNC110 - nobody announces a request
                await trio.sleep(0.01)
        assert len(stage.exchange.resting) == 1
        break_store(stage)
        stage.exchange.fill(1, stage.exchange.resting[0])
        with pytest.raises(StoreFailed):
            await stage.engine.wait_idle()
        assert len(stage.exchange.held) == 2
        assert stage.exchange.resting == []


async def test_an_emergency_cancel_that_is_lost_is_sent_again(autojump_clock: MockClock) -> None:
    """Until the listing shows nothing alive."""
    async with staged(BreakingStore) as stage:
        await stage.submit()
        await trio.sleep(2)
        stage.exchange.cancel_fates.extend(["lost there", "refused"])
        break_store(stage)
        stage.exchange.fill(1, stage.exchange.resting[0])
        with pytest.raises(StoreFailed):
            await stage.engine.wait_idle()
        assert stage.exchange.resting == []
        assert len(stage.exchange.cancels) == 3


async def test_an_error_in_the_body_ends_every_execution_first(autojump_clock: MockClock) -> None:
    """Whoever holds the engine fails: the executions end by `halt`, saved and with nothing resting, then it spreads."""
    stages: list[Stage] = []

    async def body() -> None:
        async with staged() as stage:
            stages.append(stage)
            for _ in range(2):
                await stage.submit()
            await trio.sleep(2)
            raise KeyError("body")

    with pytest.raises(BaseExceptionGroup) as caught:
        await body()
    assert caught.group_contains(KeyError)
    (stage,) = stages
    assert stage.exchange.resting == []
    assert len(stage.exchange.held) == 2
    assert [ended.execution.reason for ended in stage.engine.ended.values()] == ["halt", "halt"]


async def test_stopping_ends_everybody_with_the_reason_given(autojump_clock: MockClock) -> None:
    """Cancelled at once, not at the deadline; what was filled is kept."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=300)
        await trio.sleep(2)
        stage.exchange.fill(4, stage.exchange.resting[0])
        began_s = trio.current_time()
        stage.engine.stop("user")
        execution = await stage.ended(name)
        assert trio.current_time() - began_s < 2
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "user", count(4))
        assert stage.exchange.resting == []


async def test_a_stop_reaches_an_execution_that_is_being_accepted(autojump_clock: MockClock) -> None:
    """Its first save is still under way when everybody is told to end: it ends too, and not at its deadline."""

    class SlowAtFirst(StoreBetween):
        async def save(self, save: ExecutionSave) -> None:
            if save.journal.event_type == "Submitted":
                await trio.sleep(1)
            await self.inner.save(save)

    async with staged(SlowAtFirst) as stage, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: stage.submit(horizon_s=300))
        await trio.sleep(0.5)
        stage.engine.stop("user")
        await trio.sleep(1)
        execution = await stage.ended("e000001")
        assert trio.current_time() < 5
        assert (execution.state, execution.reason) == ("cancelled", "user")
        assert stage.exchange.resting == []


async def test_a_fill_after_the_end_is_kept_and_the_metrics_rewritten(autojump_clock: MockClock) -> None:
    """It is stored as late, journaled, and counted in what the execution cost; the state does not move."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=5)
        execution = await stage.ended(name)
        assert execution.state == "cancelled"
        before = await stage.database.load_metrics(name)
        stage.exchange.fill(2, execution.children[0].client_order_id)
        await trio.sleep(1)
        late = await stage.ended(name)
        after = await stage.database.load_metrics(name)
        assert late.state == "cancelled"
        assert [fill.count_e2 for fill in late.children[0].late] == [count(2)]
        assert before is not None
        assert after is not None
        assert (before.filled_quantity, after.filled_quantity) == ("0.00", "2.00")
        assert len(stage.lines("fact_after_end")) == 1


async def test_work_is_accepted_only_while_the_engine_runs(autojump_clock: MockClock) -> None:
    """After its end it refuses, and says in which state it is."""
    async with staged() as stage:
        await stage.ended(await stage.submit(horizon_s=2))
    assert stage.engine.state == "stopped"
    with pytest.raises(LocalError, match="stopped"):
        await stage.submit()


async def test_every_transition_is_one_line_of_the_log(autojump_clock: MockClock) -> None:
    """Of executions and orders exactly those of the journal, with machine, subject, trigger and both states."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=5)
        await stage.ended(name)
        journal = await stage.database.load_journal(name)
    logged = [
        f"{e['machine']} {e['subject']}: {e['source']} -{e['trigger']}-> {e['dest']}"
        for e in stage.lines("transition")
        if e["machine"] in ("execution", "child_order")
    ]
    assert logged == [step for row in journal for step in row.steps.split("; ") if step]


async def test_a_log_that_cannot_be_written_stops_nobody(autojump_clock: MockClock) -> None:
    """Its disk is full from the start: the execution is worked to its end all the same."""
    async with staged() as stage:

        def full(text: str) -> int:
            raise OSError(28, "No space left on device")

        stage.log.write = full  # type: ignore[method-assign]  # a file on a full disk
        name = await stage.submit()
        await trio.sleep(2)
        stage.exchange.fill(10, stage.exchange.resting[0])
        assert (await stage.ended(name)).state == "filled"
