"""What the engine's owner may ask: end one, halt and resume, leave with or without the orders, and how it stands."""

from __future__ import annotations

from functools import partial

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.errors import LocalError, UserError
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.runtime import ended_executions
from fsm_exec.runtime.status import ANSWER_WITHIN_S, FeedStatus, halt_within_s
from tests.runtime.killed_engine import ended, open_restart_bench
from tests.runtime.support import TICKER, Stage, StoreBetween, count, staged


async def three_at_work(stage: Stage) -> list[str]:
    names = [await stage.submit(horizon_s=600) for _ in range(3)]
    await trio.sleep(3)
    assert len(stage.exchange.resting) == 3
    return names


async def test_one_is_ended_and_the_others_go_on(autojump_clock: MockClock) -> None:
    """Its order is cancelled, what it has is kept, the reason is its user."""
    async with open_restart_bench() as world, world.life() as stage:
        first, *others = await three_at_work(stage)
        world.exchange.fill(4, stage.order_of(first))
        await stage.engine.cancel(first)
        await trio.sleep(2)
        execution = await world.execution(first)
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "user", count(4))
        assert sorted(stage.engine.actors) == others
        with pytest.raises(UserError, match="not at work"):
            await stage.engine.cancel(first)
        with pytest.raises(UserError, match="not at work"):
            await stage.engine.cancel("e999999")


async def test_a_quarantined_one_is_ended_by_loading_it_again(autojump_clock: MockClock) -> None:
    """Looked up, ended for its user, and quarantined no more."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=600)
            await trio.sleep(3)
            stage.exchange.fill(4, stage.exchange.resting[0])
            await trio.sleep(1)

        await world.killed_after(work)
        await world.database.quarantine("e000001", "a person must look", world.wall.now_us())
        async with world.life() as stage:
            with pytest.raises(UserError, match="not quarantined"):
                await stage.engine.resume_execution("e000002")
            await stage.engine.cancel("e000001")
            await ended(stage.engine)
            assert stage.engine.status().quarantined == {}
        assert (await world.stored("e000001")).quarantine is None
        assert (await world.execution("e000001")).is_ended
        assert (await world.execution("e000001")).filled_e2 == count(4)


async def test_a_halt_ends_everything_and_refuses_work_until_resumed(autojump_clock: MockClock) -> None:
    """Within the time that `status` states; `resume` lifts the refusal and brings nobody back."""
    async with open_restart_bench() as world, world.life() as stage:
        names = await three_at_work(stage)
        within_s = stage.engine.status().halt_within_s
        stage.engine.halt("a test")
        status = stage.engine.status()
        assert (status.state, status.why_halted) == ("halted", "a test")
        with pytest.raises(LocalError, match="halted"):
            await stage.submit()
        with trio.fail_after(within_s):
            while world.exchange.resting:  # noqa: ASYNC110 - nobody announces an order's end
                await trio.sleep(0.1)
        await ended(stage.engine)
        assert {(await world.execution(name)).reason for name in names} == {"halt"}
        stage.engine.resume()
        assert stage.engine.status().why_halted is None
        with pytest.raises(LocalError, match="not halted"):
            stage.engine.resume()
        assert await stage.submit(horizon_s=5) == "e000004"


async def test_leaving_with_the_orders_cancelled_ends_nobody(autojump_clock: MockClock) -> None:
    """Every live order is cancelled by a journaled decision; the next start goes on with new attempts."""
    async with open_restart_bench() as world:
        async with world.life() as stage:
            names = await three_at_work(stage)
            world.exchange.fill(4, stage.order_of(names[0]))
            await trio.sleep(1)
            assert await stage.engine.drain(cancel_orders=True)
            assert stage.engine.state == "draining"
            assert world.exchange.resting == []
            with pytest.raises(LocalError, match="draining"):
                await stage.submit()
        assert stage.engine.state == "stopped"
        for name in names:
            execution = await world.execution(name)
            assert (execution.is_ended, execution.ending) == (False, None)
            assert "DrainRequested" in await world.events(name)
        async with world.life() as stage:
            await trio.sleep(3)
            assert {name.rsplit("-", 1)[1] for name in world.exchange.resting} == {"2"}
            for order in list(world.exchange.resting):
                world.exchange.fill(6 if names[0] in order else 10, order)
            await ended(stage.engine)
        assert {(await world.execution(name)).state for name in names} == {"filled"}


async def test_leaving_with_the_orders_live_leaves_them_to_the_next(autojump_clock: MockClock) -> None:
    """Nothing is cancelled and nothing journaled: the next start adopts them."""
    async with open_restart_bench() as world:
        async with world.life() as stage:
            names = await three_at_work(stage)
            before = [await world.events(name) for name in names]
            assert await stage.engine.drain(cancel_orders=False)
        assert len(world.exchange.resting) == 3
        assert [await world.events(name) for name in names] == before
        async with world.life() as stage:
            assert stage.engine.status().live_orders == 3
            stage.engine.stop("user")
            await ended(stage.engine)
        assert len(world.exchange.places) == 3


class SlowToSave(StoreBetween):
    """Every transaction takes a second."""

    async def save(self, save: ExecutionSave) -> None:
        await trio.sleep(1)
        await self.inner.save(save)


@pytest.mark.parametrize("cancel_orders", [True, False])
async def test_leaving_while_one_is_being_accepted(autojump_clock: MockClock, cancel_orders: bool) -> None:
    """It is durable and has its answer; nothing is placed for it, and nobody works it: the next start does."""
    async with staged(SlowToSave) as stage:
        await stage.submit(horizon_s=600)
        await trio.sleep(5)
        assert len(stage.exchange.places) == 1
        accepted: list[str] = []

        async def submit() -> None:
            accepted.append(await stage.submit(horizon_s=600))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit)
            await trio.sleep(0.5)
            assert await stage.engine.drain(cancel_orders=cancel_orders)
        assert accepted == ["e000002"]
        await trio.sleep(5)
        assert stage.engine.actors == {}
        assert len(stage.exchange.places) == 1
        assert {e.execution_id for e in await stage.database.load_executions()} == {"e000001", "e000002"}


async def test_leaving_waits_for_an_order_in_doubt_and_places_nothing(autojump_clock: MockClock) -> None:
    """A place that got lost is looked up until it is proven absent, and not sent again."""
    async with open_restart_bench() as world:
        async with world.life() as stage:
            world.exchange.place_fates.append("lost there")
            name = await stage.submit(horizon_s=600)
            await trio.sleep(2)
            assert stage.engine.status().unknown_orders == 1
            assert await stage.engine.drain(cancel_orders=True)
        assert len(world.exchange.places) == 1
        execution = await world.execution(name)
        assert [child.state for child in execution.children] == ["rejected"]


async def test_leaving_does_not_wait_for_ever(autojump_clock: MockClock) -> None:
    """What is still in doubt after the time is looked up at the next start."""
    async with open_restart_bench() as world:
        async with world.life() as stage:
            world.exchange.place_fates.append("lost there")
            name = await stage.submit(horizon_s=600)
            await trio.sleep(2)
            began_s = trio.current_time()
            assert not await stage.engine.drain(cancel_orders=True, within_s=5)
            assert trio.current_time() - began_s < 6
        assert [child.state for child in (await world.execution(name)).children] == ["unknown"]
        async with world.life() as stage:
            await trio.sleep(60)
            assert len(world.exchange.resting) == 1
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_leaving_while_recovering_leaves_everything_as_it_is(autojump_clock: MockClock) -> None:
    """The exchange never answered: nothing was decided, nothing is lost."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await three_at_work(stage)

        await world.killed_after(work)
        silent = world.exchange.silence("/portfolio/fills")
        async with world.life(wait=False) as stage:
            await trio.sleep(100)
            assert stage.engine.state == "recovering"
            assert await stage.engine.drain(cancel_orders=False)
        silent.end()
        assert len(world.exchange.resting) == 3
        async with world.life() as stage:
            assert stage.engine.status().at_work == 3
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_status_tells_how_the_engine_stands(autojump_clock: MockClock) -> None:
    """Live and unknown orders, the oldest doubt, the feeds, the stream."""
    async with open_restart_bench() as world, world.life() as stage:
        await three_at_work(stage)
        world.exchange.place_fates.append("lost there")
        await stage.submit(horizon_s=600)
        await trio.sleep(5)
        status = stage.engine.status()
        assert (status.state, status.at_work, status.live_orders, status.unknown_orders) == ("running", 4, 4, 1)
        assert status.oldest_unknown_us is not None
        assert 4_000_000 < status.oldest_unknown_us < 6_000_000
        assert status.feeds == {TICKER: FeedStatus("live", "open")}
        assert status.stream_connected


def test_the_time_of_a_halt_grows_with_the_orders_and_with_doubt() -> None:
    """Tokens of the cancels beyond what is there now, two answers, and the proof about an unknown order."""
    budget = BudgetFacts(write_left=20, write_per_s=100, write_capacity=100, place_tokens=10, cancel_tokens=2)
    assert halt_within_s(0, 0, budget) == 2 * ANSWER_WITHIN_S
    assert halt_within_s(10, 0, budget) == 2 * ANSWER_WITHIN_S
    assert halt_within_s(510, 0, budget) == 2 * ANSWER_WITHIN_S + 10
    assert halt_within_s(10, 1, budget) > 2 * ANSWER_WITHIN_S + 32


async def test_executions_that_ended_leave_memory(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the newest stay; a fill of one that has left is still taken in, and its cost rewritten."""
    monkeypatch.setattr(ended_executions, "ENDED_KEPT_MAX", 3)
    async with open_restart_bench() as world, world.life() as stage:
        first = await stage.submit(horizon_s=2)
        await ended(stage.engine)
        for _ in range(5):
            await stage.submit(horizon_s=1)
        await ended(stage.engine)
        assert len(stage.engine.ended) == 3
        assert first not in stage.engine.ended
        execution = await world.execution(first)
        made = world.exchange.fill(2, execution.children[0].client_order_id)
        await trio.sleep(1)
        assert (await world.execution(first)).filled_e2 == count(2)
        listener = world.exchange.listener
        assert listener is not None
        listener.fill(replace(made, client_order_id=None))
        await trio.sleep(1)
        assert (await world.execution(first)).filled_e2 == count(2)
        row = await world.database.load_metrics(first)
        assert row is not None
        assert (row.filled_quantity, row.shortfall is not None) == ("2.00", True)


async def test_leaving_right_after_a_halt_forgets_nobody(autojump_clock: MockClock) -> None:
    """Told to end and, in the same moment, that the orders may stay: what was to end, ends first."""
    async with open_restart_bench() as world:
        async with world.life() as stage:
            names = await three_at_work(stage)
            stage.engine.halt()
            assert await stage.engine.drain(cancel_orders=False)
        assert world.exchange.resting == []
        assert {(await world.execution(name)).ending.reason for name in names} == {"halt"}  # type: ignore[union-attr]


async def test_a_halt_while_it_leaves_ends_the_executions_too(autojump_clock: MockClock) -> None:
    """They do not wait for the next process: what is halted is over."""
    async with open_restart_bench() as world:
        async with world.life() as stage:
            names = await three_at_work(stage)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(stage.engine.drain, cancel_orders=True))
                await trio.sleep(0.01)
                stage.engine.halt()
        assert world.exchange.resting == []
        assert {(await world.execution(name)).reason for name in names} == {"halt"}
