"""Supervision: a task that fails begins anew from its last snapshot, or is quarantined; the others never notice."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from fsm_exec.algorithms import method
from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import IllegalEvent, SaveRefused
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import StopRequested
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.inbox import INBOX_EVENTS_MAX, InboxOverflow
from fsm_exec.runtime.supervisor import RESTART_INTERVAL_S, RESTARTS_MAX, is_restartable
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import FEES, TICKER, Stage, count, price


class Fragile:
    """A simple_limit that raises when its `fuse` says so, at every look."""

    full_name = "fragile@1"
    look_every_us: int | None = 1_000_000
    closing_lead_us: int | None = None
    resting_at_most = 1
    takes_only = False
    signals_read: frozenset[str] | None = None

    def __init__(self) -> None:
        self.sound = method("simple_limit")
        self.fuse = 0  # how many looks will raise
        self.burnt = 0

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return self.sound.plan(goal, view)

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        if self.fuse:
            self.fuse -= 1
            self.burnt += 1
            raise ZeroDivisionError("a bug in an algorithm")
        return self.sound.replan(progress, view)


async def submit(stage: Stage, algorithm: Fragile, horizon_s: int = 600) -> str:
    return await stage.engine.submit(
        ExecutionRequest(
            ticker=TICKER,
            outcome="yes",
            target_e2=count(10),
            method=MethodRef(algorithm.full_name, algorithm),
            limits=resolve_limits(price(48), LINEAR_CENT, FEES),
            horizon_us=horizon_s * 1_000_000,
        )
    )


def fragile_world(world: RestartBench) -> Fragile:
    algorithm = Fragile()
    known = world.methods
    world.methods = lambda name: algorithm if name == algorithm.full_name else known(name)
    return algorithm


async def test_a_task_that_fails_begins_anew_and_keeps_its_order(autojump_clock: MockClock) -> None:
    """After a pause, from its last snapshot: the order stays, a fill made meanwhile is looked up."""
    async with open_restart_bench() as world:
        algorithm = fragile_world(world)
        async with world.life() as stage:
            name = await submit(stage, algorithm)
            await trio.sleep(3)
            (order,) = world.exchange.resting
            algorithm.fuse = 1
            while algorithm.burnt == 0:  # noqa: ASYNC110 - nobody announces a failure
                await trio.sleep(0.01)
            world.exchange.fill(4, order)
            await trio.sleep(5)
            assert (await world.execution(name)).filled_e2 == count(4)
            assert (world.exchange.resting, world.exchange.cancels) == ([order], [])
            assert len(world.lines("restarting")) == 1
            world.exchange.fill(6, order)
            await ended(stage.engine)
        assert (await world.execution(name)).state == "filled"


async def test_one_that_fails_again_and_again_is_quarantined(autojump_clock: MockClock) -> None:
    """Past its restarts its order is cancelled, its snapshot and the reason are kept; its neighbour fills."""
    async with open_restart_bench() as world:
        algorithm = fragile_world(world)
        async with world.life() as stage:
            name, neighbour = await submit(stage, algorithm), await stage.submit(horizon_s=600)
            await trio.sleep(3)
            of_neighbour = stage.order_of(neighbour)
            algorithm.fuse = 1_000
            began_s = trio.current_time()
            while name in stage.engine.actors:  # noqa: ASYNC110 - nobody announces a quarantine
                await trio.sleep(0.1)
            assert trio.current_time() - began_s < RESTART_INTERVAL_S
            assert algorithm.burnt == RESTARTS_MAX + 1
            assert world.exchange.resting == [of_neighbour]
            stored = await world.stored(name)
            assert "ZeroDivisionError: a bug in an algorithm" in (stored.quarantine or "")
            assert stage.engine.status().quarantined == {name: stored.quarantine}
            world.exchange.fill(10, of_neighbour)
            await ended(stage.engine)
        assert (await world.execution(neighbour)).state == "filled"
        assert not (await world.execution(name)).is_ended


async def test_failures_far_apart_never_quarantine(autojump_clock: MockClock) -> None:
    """The intensity counts within its interval only."""
    async with open_restart_bench() as world:
        algorithm = fragile_world(world)
        async with world.life() as stage:
            name = await submit(stage, algorithm, horizon_s=3_600)
            for _ in range(2 * RESTARTS_MAX):
                await trio.sleep(RESTART_INTERVAL_S + 5)
                algorithm.fuse = 1
            await trio.sleep(10)
            assert algorithm.burnt == 2 * RESTARTS_MAX
            assert name in stage.engine.actors
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_a_flood_of_facts_is_reconciled_from_the_listings(autojump_clock: MockClock) -> None:
    """The inbox overflows: what it held is dropped, the task begins anew, and every fill is counted once."""
    async with open_restart_bench() as world, world.life() as stage:
        name = await stage.submit(horizon_s=600)
        await trio.sleep(3)
        (order,) = world.exchange.resting
        listener = world.exchange.listener
        assert listener is not None
        made = world.exchange.fill(4, order)
        for _ in range(INBOX_EVENTS_MAX + 1):
            listener.fill(made)
        await trio.sleep(5)
        assert (await world.execution(name)).filled_e2 == count(4)
        assert "InboxOverflow" in world.lines("restarting")[0]["why"]
        world.exchange.fill(6, order)
        await ended(stage.engine)
        assert len((await world.execution(name)).fills) == 2


async def test_a_stop_reaches_one_that_is_about_to_begin_anew(autojump_clock: MockClock) -> None:
    """Asked for during the pause: its successor ends at once."""
    async with open_restart_bench() as world:
        algorithm = fragile_world(world)
        async with world.life() as stage:
            name = await submit(stage, algorithm)
            await trio.sleep(3)
            algorithm.fuse = 1
            while algorithm.burnt == 0:  # noqa: ASYNC110 - nobody announces a failure
                await trio.sleep(0.01)
            await stage.engine.cancel(name)
            began_s = trio.current_time()
            await ended(stage.engine)
            assert trio.current_time() - began_s < 5
        assert (await world.execution(name)).reason == "user"
        assert world.exchange.resting == []


async def test_a_step_that_somebody_else_has_written_quarantines(autojump_clock: MockClock) -> None:
    """The journal's numbers are the fence: of two writers the second is refused, told why, and its order cancelled."""
    async with open_restart_bench() as world, world.life() as stage:
        name = await stage.submit(horizon_s=600)
        await trio.sleep(3)
        (order,) = world.exchange.resting
        mine = stage.engine.actors[name].execution
        event = StopRequested(at_us=world.wall.now_us(), reason="user")
        theirs = advance(mine, event, method("simple_limit"))
        assert theirs is not None
        await world.database.save(save_of(mine, event, theirs))
        world.exchange.fill(3, order)
        await trio.sleep(15)
        assert world.exchange.resting == []
        why = (await world.stored(name)).quarantine or ""
        assert f"step {mine.seq + 1}" in why
        assert "another" in why
        assert stage.engine.state == "running"


def test_which_failures_may_be_tried_again() -> None:
    """What contradicts is not: the same fact would be looked up and raise again. What a moment brought about is."""
    again = [ZeroDivisionError(), RuntimeError(), InboxOverflow(), IllegalAction(), OSError()]
    never = [IllegalEvent(), SaveRefused()]
    assert [is_restartable(failure) for failure in again] == [True] * len(again)
    assert [is_restartable(failure) for failure in never] == [False] * len(never)


async def test_a_contradiction_is_not_tried_again(autojump_clock: MockClock) -> None:
    """Quarantined at once; resumed, it meets the same fact and is quarantined again."""
    async with open_restart_bench() as world, world.life() as stage:
        name = await stage.submit(horizon_s=600)
        await trio.sleep(3)
        (order,) = world.exchange.resting
        world.exchange.lists_as(order, lambda row: row.update(outcome_side="no", book_side="ask", fill_count_fp="1.00"))
        await trio.sleep(40)
        assert world.lines("restarting") == []
        assert list(stage.engine.status().quarantined) == [name]
        await stage.engine.resume_execution(name)
        await trio.sleep(2)
        assert list(stage.engine.status().quarantined) == [name]
        assert name not in stage.engine.actors
