"""Decide, save, act; and what a request whose answer is lost, refused or late comes to."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.orders import CancelOrder, PlaceOrder
from tests.runtime.support import TICKER, Stage, StoreBetween, count, price, staged


class SlowNotingStore(StoreBetween):
    """Takes its time over each save, and notes when it has returned."""

    def __init__(self, inner: object) -> None:
        super().__init__(inner)  # type: ignore[arg-type]  # the store that staged() opened
        self.saved: list[str] = []
        self.note = self.saved.append

    async def save(self, save: ExecutionSave) -> None:
        await trio.sleep(0.05)
        await self.inner.save(save)
        self.note(f"saved {save.execution_id}:{save.journal.seq}")


async def test_no_write_is_sent_before_its_decision_is_saved(autojump_clock: MockClock) -> None:
    """Every request of two whole executions follows the return of the save that holds its decision."""
    async with staged(SlowNotingStore) as stage:
        assert isinstance(stage.store, SlowNotingStore)
        stage.store.note = stage.exchange.happened.append
        first, second = await stage.submit(), await stage.submit(outcome="no", horizon_s=5)
        await trio.sleep(2)
        stage.exchange.fill(10, stage.exchange.resting[0])
        await stage.ended(first)
        await stage.ended(second)
        happened = stage.exchange.happened
    asked = [entry for entry in happened if entry.startswith("asked ")]
    assert len(asked) == 3  # two places, one cancel
    for entry in asked:
        decision = entry.removeprefix("asked ").rpartition(":")[0]
        assert happened.index(f"saved {decision}") < happened.index(entry)


async def test_a_decision_that_cannot_be_saved_is_never_sent(autojump_clock: MockClock) -> None:
    """The save of a place is refused: no request at all goes out for it."""

    class Refuses(StoreBetween):
        async def save(self, save: ExecutionSave) -> None:
            if b'"Place"' in save.journal.intents:
                save = replace(save, state="no such state")
            await self.inner.save(save)

    async with staged(Refuses) as stage:
        name = await stage.submit()
        await stage.engine.wait_idle()
        assert stage.exchange.requests == []
        assert "CHECK" in (stage.engine.ended[name].quarantine or "")


async def test_timeout_on_place_is_looked_up_before_any_second_order(autojump_clock: MockClock) -> None:
    """At most one order exists: the first place was accepted, its answer and every frame about it lost."""
    async with staged() as stage:
        stage.exchange.place_fates.append("lost back")
        stage.exchange.mute = True
        execution = await stage.ended(await stage.submit(horizon_s=20))
        assert len(stage.exchange.places) == 1
        assert len(stage.exchange.held) == 1
        assert stage.exchange.resting == []
        assert (execution.state, execution.reason) == ("cancelled", "deadline")
        history = await stage.history(execution.execution_id)
        assert history[:3] == ["intended", "unknown", "resting"]


async def test_fills_of_an_order_in_doubt_are_found_and_counted_once(autojump_clock: MockClock) -> None:
    """Answer and frames are lost, it is filled whole meanwhile: the look-up ends it as filled, with both fills."""
    async with staged() as stage:
        stage.exchange.place_fates.append("lost back")
        stage.exchange.mute = True
        name = await stage.submit()
        await trio.sleep(0.3)
        for contracts in (4, 6):
            stage.exchange.fill(contracts, stage.exchange.resting[0])
        execution = await stage.ended(name)
        assert (execution.state, execution.reason, execution.filled_e2) == ("filled", "completed", count(10))
        assert len(execution.fills) == 2
        assert len(stage.exchange.places) == 1


async def test_an_order_that_never_arrived_is_placed_again_only_after_proof(
    autojump_clock: MockClock,
) -> None:
    """Nothing is sent for it until a listing as of later than the signature's window and the lag of reads does not
    have it; then the same request again, and no other."""
    async with staged() as stage:
        stage.exchange.place_fates.append("lost there")
        name = await stage.submit(horizon_s=120)
        await trio.sleep(80)
        (first_us, first), (again_us, again) = stage.exchange.requests
        assert isinstance(first, PlaceOrder)
        assert isinstance(again, PlaceOrder)
        assert again_us - first_us > SIGNATURE_WINDOW_US + READ_LAG_US
        assert again.client_order_id == first.client_order_id
        assert (again.price_e4, again.count_e2, again.expiration_s) == (
            first.price_e4,
            first.count_e2,
            first.expiration_s,
        )
        stage.exchange.fill(10, again.client_order_id)
        execution = await stage.ended(name)
        assert execution.state == "filled"
        assert (await stage.history(name))[:4] == ["intended", "unknown", "intended", "resting"]


async def test_an_order_that_never_arrived_is_not_placed_again_after_the_deadline(autojump_clock: MockClock) -> None:
    """The proof comes when the execution is ending: the order is rejected and the execution ends."""
    async with staged() as stage:
        stage.exchange.place_fates.append("lost there")
        execution = await stage.ended(await stage.submit(horizon_s=10))
        assert len(stage.exchange.requests) == 1
        assert (execution.state, execution.reason) == ("cancelled", "deadline")
        assert execution.children[0].state == "rejected"


async def test_a_refused_cancel_of_a_live_order_is_looked_up_and_sent_again(autojump_clock: MockClock) -> None:
    """The refusal proves nothing: the order lives, so it is cancelled a second time, and then it is gone."""
    async with staged() as stage:
        stage.exchange.cancel_fates.append("refused")
        execution = await stage.ended(await stage.submit(horizon_s=10))
        assert len(stage.exchange.cancels) == 2
        assert stage.exchange.resting == []
        assert (execution.state, execution.reason) == ("cancelled", "deadline")
        assert await stage.history(execution.execution_id) == [
            *("intended", "resting", "cancelling", "resting", "cancelling", "cancelled")
        ]


async def test_a_refused_cancel_of_an_order_filled_unheard_is_looked_up(autojump_clock: MockClock) -> None:
    """It had been executed and no frame came: the look-up finds the fill, and no second cancel is sent."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=10)
        await trio.sleep(2)
        stage.exchange.mute = True
        stage.exchange.fill(10, stage.exchange.resting[0])
        execution = await stage.ended(name)
        assert (execution.state, execution.filled_e2) == ("filled", count(10))
        assert len(stage.exchange.cancels) == 1


@pytest.mark.parametrize("fate", ["lost there", "lost back"])
async def test_a_cancel_without_answer_is_looked_up(autojump_clock: MockClock, fate: str) -> None:
    """Whether it was done or not, the order is gone in the end and the execution has ended."""
    async with staged() as stage:
        stage.exchange.cancel_fates.append(fate)  # type: ignore[arg-type]  # one of the fates
        name = await stage.submit(horizon_s=10)
        await trio.sleep(5)
        stage.exchange.mute = True
        execution = await stage.ended(name)
        assert execution.state == "cancelled"
        assert stage.exchange.resting == []
        assert len(stage.exchange.cancels) == (2 if fate == "lost there" else 1)


async def test_lost_fill_frames_are_found_at_the_end(autojump_clock: MockClock) -> None:
    """The cancel's answer tells that something was filled; its fills are asked for before the execution ends."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=10)
        await trio.sleep(2)
        stage.exchange.mute = True
        for _ in range(3):
            stage.exchange.fill(2, stage.exchange.resting[0])
        execution = await stage.ended(name)
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "deadline", count(6))
        assert len(execution.fills) == 3
        assert "settling" in await stage.history(name)


async def test_the_same_fill_from_two_channels_counts_once(autojump_clock: MockClock) -> None:
    """Frames again and again, and the listing: one row, one count."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=10)
        await trio.sleep(2)
        made = stage.exchange.fill(3, stage.exchange.resting[0])
        for _ in range(3):
            await trio.sleep(0.5)
            assert stage.exchange.listener is not None
            stage.exchange.listener.fill(made)
        execution = await stage.ended(name)
        assert execution.filled_e2 == count(3)
        assert len(execution.fills) == 1


async def test_after_its_deadline_an_execution_sends_only_cancels(autojump_clock: MockClock) -> None:
    """A horizon of a second over before the place's answer is there: one cancel follows, no order, and it ends."""
    async with staged() as stage:
        stage.exchange.answer_s = 3
        execution = await stage.ended(await stage.submit(horizon_s=1))
        late = [write for at_us, write in stage.exchange.requests if at_us >= execution.deadline_us]
        assert late
        assert all(isinstance(write, CancelOrder) for write in late)
        assert stage.exchange.resting == []
        assert execution.reason == "deadline"


async def test_decisions_are_at_most_one_in_a_quarter_of_a_second(autojump_clock: MockClock) -> None:
    """However often the touch moves; the newest book is looked at, and the deadline is kept."""
    async with staged() as stage:
        seen: list[float] = []
        name = await stage.submit(horizon_s=5)
        actor = stage.engine.actors[name]
        inner = actor._algorithm  # the engine's own; only watched here

        class Watched:
            look_every_us = None
            closing_lead_us = None

            def plan(self, *a: object) -> object:
                return inner.plan(*a)  # type: ignore[arg-type]

            def replan(self, *a: object) -> object:
                seen.append(trio.current_time())
                return inner.replan(*a)  # type: ignore[arg-type]

        actor._algorithm = Watched()  # type: ignore[assignment]
        await _shake(stage, until_s=4)
        execution = await stage.ended(name)
        gaps = [later - earlier for earlier, later in pairwise(seen)]
        assert len(seen) > 10
        assert min(gaps) >= 0.25 - 1e-6
        assert execution.ended_at_us is not None
        assert execution.ended_at_us - execution.deadline_us < 1_000_000


@pytest.mark.parametrize("write", ["place", "cancel"])
async def test_a_request_that_ends_in_a_bug_proves_nothing_and_stops_nobody(
    autojump_clock: MockClock, write: str
) -> None:
    """An error that no client may raise: its order is doubted and looked up like any without an answer, the cause is
    in the log, and the other execution goes on."""
    async with staged() as stage:
        sound = await stage.submit(horizon_s=60)
        await trio.sleep(2)
        request = getattr(stage.exchange, write)

        async def fails_once(order: object) -> object:
            setattr(stage.exchange, write, request)
            raise RuntimeError("a bug of the client's")

        setattr(stage.exchange, write, fails_once)
        struck = await stage.submit(horizon_s=5)
        await trio.sleep(30)
        assert stage.exchange.resting == [stage.order_of(sound)]
        stage.exchange.fill(10, stage.order_of(sound))
        assert (await stage.ended(sound)).state == "filled"
        execution = await stage.ended(struck)
        assert (execution.state, execution.reason) == ("cancelled", "deadline")
        (line,) = stage.lines("request_failed")
        assert "a bug of the client's" in line["exception"]


async def _shake(stage: Stage, until_s: float) -> None:
    """Move the touch every 20 ms."""
    listener = stage.exchange.listener
    assert listener is not None
    with trio.move_on_after(until_s):
        for n in range(10**6):
            listener.book_change(TICKER, "yes", price(48), count(1 if n % 2 else -1), stage.wall.now_us())
            await trio.sleep(0.02)
