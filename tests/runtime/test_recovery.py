"""Restarts of the whole engine: what a killed process left is taken up by the next, and comes to its end."""

from __future__ import annotations

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import UserError, VenueRefused
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.values.units import LINEAR_CENT, PriceE4
from fsm_exec.store import SqliteStore
from tests.bending import requests
from tests.bending.bends import Reply
from tests.runtime.killed_engine import ended, open_restart_bench
from tests.runtime.support import FEES, INSTANCE, TICKER, Stage, count

HOUR_US = 3_600_000_000
LISTING = "/portfolio/orders"
FILLS = "/portfolio/fills"


async def resting(stage: Stage) -> None:
    """One execution with one order that rests."""
    await stage.submit(horizon_s=300)
    await trio.sleep(2)


async def place_sent(stage: Stage) -> None:
    """One execution whose first order has just been handed over; nobody has heard of it yet."""
    placed = len(stage.exchange.places)
    await stage.submit(horizon_s=300)
    while len(stage.exchange.places) == placed:  # noqa: ASYNC110 - nobody announces a request
        await trio.sleep(0.01)


async def test_an_order_that_rests_is_adopted_and_fills(autojump_clock: MockClock) -> None:
    """The next process goes on with the same order under the same id; nothing new is placed, nothing is journaled."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        before = await world.events("e000001")
        (order,) = world.exchange.resting
        async with world.life() as stage:
            assert await world.events("e000001") == before, "a restart that had nothing to tell wrote a row"
            world.exchange.fill(10, order)
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, execution.filled_e2) == ("filled", count(10))
        assert len(world.exchange.places) == 1


async def test_a_new_epoch_is_journaled_directly_before_the_next_step(autojump_clock: MockClock) -> None:
    """Nothing is written for it at a start: not by the first that opens the file again, nor by the one after. Before
    anything else happens to the execution it is, so that its next order bears it."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        before = await world.events("e000001")
        (order,) = world.exchange.resting
        for epoch in ("aaaaaa", "bbbbbb"):
            world.database._opened = replace(world.database._opened, epoch=epoch)
            async with world.life() as stage:
                assert await world.events("e000001") == before
                if epoch == "bbbbbb":
                    world.exchange.fill(2, order)
                    await trio.sleep(1)
                    assert await world.events("e000001") == [*before, "Restored", "FillReported"]
                    execution = await world.execution("e000001")
                    assert (execution.instance, execution.filled_e2) == (f"{INSTANCE}bbbbbb", count(2))
                await stage.engine.drain(cancel_orders=False)


async def test_fills_made_meanwhile_are_counted_once(autojump_clock: MockClock) -> None:
    """A part was filled before, a part while nobody listened: all of it counts, and the rest goes on."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await resting(stage)
            stage.exchange.fill(2, stage.exchange.resting[0])
            await trio.sleep(1)

        await world.killed_after(work)
        (order,) = world.exchange.resting
        world.exchange.fill(3, order)
        async with world.life() as stage:
            execution = await world.execution("e000001")
            assert execution.filled_e2 == count(5)
            world.exchange.fill(5, order)
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, len(execution.fills)) == ("filled", 3)


async def test_ids_go_on_where_the_database_stops(autojump_clock: MockClock) -> None:
    """The second life's first execution is the second execution; the instance is the same."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        async with world.life() as stage:
            assert await stage.submit(horizon_s=5) == "e000002"
            stage.engine.stop("user")
            await ended(stage.engine)
        assert {order.client_order_id.split("-")[0] for order in world.exchange.all()} == {f"fx{INSTANCE}"}


async def test_a_place_under_way_at_the_kill_is_adopted_if_it_arrived(autojump_clock: MockClock) -> None:
    """It is in the outbox, and its answer reached nobody: at most one order exists."""
    async with open_restart_bench() as world:
        await world.killed_after(place_sent)
        (order,) = world.exchange.resting
        assert (await world.execution("e000001")).children[0].state == "intended"
        async with world.life() as stage:
            assert (await world.execution("e000001")).children[0].state == "resting"
            world.exchange.fill(10, order)
            await ended(stage.engine)
        assert len(world.exchange.places) == 1


async def test_a_place_that_never_arrived_is_sent_again_after_proof_with_the_same_id(
    autojump_clock: MockClock,
) -> None:
    """Not before a listing later than the signature window and the read lag does not have it."""
    async with open_restart_bench() as world:
        world.exchange.place_fates.append("lost there")
        await world.killed_after(place_sent)
        began_s = trio.current_time()
        async with world.life() as stage:
            while not world.exchange.resting:  # noqa: ASYNC110 - nobody announces an order
                await trio.sleep(0.1)
            assert 32 < trio.current_time() - began_s < 40, "counted from the restart"
            first, again = world.exchange.places
            assert first.client_order_id == again.client_order_id
            world.exchange.fill(10, again.client_order_id)
            await ended(stage.engine)


async def test_a_cancel_under_way_at_the_kill_is_sent_again(autojump_clock: MockClock) -> None:
    """It never arrived: the next process sends it at once, and the execution ends for its first reason."""
    async with open_restart_bench() as world:
        world.exchange.cancel_fates.append("lost there")

        async def work(stage: Stage) -> None:
            await resting(stage)
            stage.engine.stop("user")
            while not stage.exchange.cancels:  # noqa: ASYNC110 - nobody announces a request
                await trio.sleep(0.01)

        await world.killed_after(work)
        assert len(world.exchange.resting) == 1
        async with world.life() as stage:
            await ended(stage.engine)
        assert len(world.exchange.cancels) == 2
        assert (await world.execution("e000001")).reason == "user"


async def test_a_place_under_way_at_the_kill_that_was_filled_meanwhile_is_counted(autojump_clock: MockClock) -> None:
    """Nothing rests any more: the order and its fills are listed, and the execution is over when the engine runs."""
    async with open_restart_bench() as world:
        await world.killed_after(place_sent)
        world.exchange.fill(10, world.exchange.resting[0])
        async with world.life(settle_s=0.0):
            execution = await world.execution("e000001")
            assert (execution.filled_e2, execution.children[0].state) == (count(10), "filled")
        assert (await world.execution("e000001")).state == "filled"
        assert len(world.exchange.places) == 1


async def test_of_two_places_under_way_at_the_kill_each_is_joined_with_its_own(autojump_clock: MockClock) -> None:
    """One arrived and is adopted; the other never did, and is sent again under its own id after proof."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await place_sent(stage)
            stage.exchange.place_fates.append("lost there")
            await place_sent(stage)

        await world.killed_after(work)
        arrived, lost = (order.client_order_id for order in world.exchange.places)
        async with world.life() as stage:
            states = [(await world.execution(name)).children[0].state for name in ("e000001", "e000002")]
            assert states == ["resting", "unknown"]
            await trio.sleep(40)
            assert world.exchange.resting == [arrived, lost]
            assert [order.client_order_id for order in world.exchange.places] == [arrived, lost, lost]
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_a_place_that_never_arrived_is_not_sent_after_its_deadline(autojump_clock: MockClock) -> None:
    """The deadline passed while we were down: proven absent, the order is given up, and the execution ends empty."""
    async with open_restart_bench() as world:
        world.exchange.place_fates.append("lost there")
        await world.killed_after(place_sent)
        await trio.sleep(600)
        async with world.life() as stage:
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, execution.reason) == ("cancelled", "deadline")
        assert (execution.children[0].state, len(world.exchange.places)) == ("rejected", 1)


async def test_a_cancel_under_way_at_the_kill_that_was_done_is_not_sent_again(autojump_clock: MockClock) -> None:
    """The listing has the order's end: the execution is over for its first reason when the engine runs."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await resting(stage)
            stage.engine.stop("user")
            while not stage.exchange.cancels:  # noqa: ASYNC110 - nobody announces a request
                await trio.sleep(0.01)

        await world.killed_after(work)
        assert world.exchange.resting == []
        async with world.life(settle_s=0.0):
            execution = await world.execution("e000001")
            assert (execution.state, execution.reason) == ("cancelled", "user")
        assert len(world.exchange.cancels) == 1


async def test_an_order_its_owner_cancelled_while_we_were_down_is_not_placed_again(autojump_clock: MockClock) -> None:
    """By hand, so the owner is not fought: the execution ends, `external`, with what it has."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        (order,) = world.exchange.resting
        world.exchange.fill(3, order)
        world.exchange.end(order)
        async with world.life(settle_s=0.0):
            execution = await world.execution("e000001")
            assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "external", count(3))
        assert len(world.exchange.places) == 1


async def test_the_deadline_passed_while_we_were_down(autojump_clock: MockClock) -> None:
    """The order is cancelled, nothing is placed, the execution ends for its deadline with what it has."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        world.exchange.fill(4, world.exchange.resting[0])
        await trio.sleep(600)
        async with world.life() as stage:
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "deadline", count(4))
        assert world.exchange.resting == []
        assert len(world.exchange.places) == 1


async def test_the_market_paused_while_we_were_down(autojump_clock: MockClock) -> None:
    """Hold: the order rests on, nothing is placed; when the market is live again, which ends what rested through the
    pause, placing goes on."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await resting(stage)
            stage.exchange.place_fates.append("refused")
            await place_sent(stage)

        await world.killed_after(work)
        (before,) = world.exchange.resting
        world.exchange.paper.deactivate_market(TICKER)
        async with world.life() as stage:
            await trio.sleep(20)
            assert len(world.exchange.places) == 2, "placed in a paused market"
            assert world.exchange.resting == [before]
            world.exchange.paper.activate_market(TICKER)
            await trio.sleep(30)  # of the other it has to be proven first that it never arrived
            assert len(world.exchange.resting) == 2
            assert before not in world.exchange.resting
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_the_grid_changed_while_we_were_down(autojump_clock: MockClock) -> None:
    """An execution keeps the grid it was accepted under: what rests goes on and fills; prices that the exchange takes
    no more are refused, and the third refusal in a row ends it. What is accepted now has the new grid."""
    async with open_restart_bench() as world:
        world.exchange.paper.change_grid(TICKER, "deci_cent")
        fine = grid_of("deci_cent")
        between = resolve_limits(PriceE4(4_750), fine, FEES, worst=PriceE4(4_750))
        world.exchange.place_fates.append("lost there")

        async def work(stage: Stage) -> None:
            for _ in range(2):
                await stage.submit(horizon_s=300, limits=between)
                await trio.sleep(1)

        await world.killed_after(work)
        (order,) = world.exchange.resting
        world.exchange.paper.change_grid(TICKER, "linear_cent")
        async with world.life() as stage:
            await trio.sleep(60)  # that the first never arrived has to be proven
            world.exchange.fill(10, order)
            third = await stage.submit(horizon_s=30)
            await ended(stage.engine)
        refused, adopted = await world.execution("e000001"), await world.execution("e000002")
        assert (refused.state, refused.reason, refused.refusals) == ("cancelled", "rejected", 3)
        assert (adopted.state, adopted.terms.grid) == ("filled", fine)
        accepted = await world.execution(third)
        assert (accepted.terms.grid, accepted.arrival.grid) == (LINEAR_CENT, LINEAR_CENT)


@pytest.mark.parametrize("gone", [False, True])
async def test_the_market_closed_or_settled_while_we_were_down(autojump_clock: MockClock, gone: bool) -> None:
    """Closed, or settled so long ago that the exchange does not know it any more: the execution ends, and the others
    start."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        world.exchange.paper.close_market(TICKER)
        if gone:
            world.exchange.bends.on_request(requests.changed("markets", lambda _: []), "GET", "/markets")
            world.exchange.bends.on_request(requests.error(404, "not_found"), "GET", f"/markets/{TICKER}")
            world.tickers = ()
        async with world.life() as stage:
            await ended(stage.engine)
        execution = await world.execution("e000001")
        assert (execution.state, execution.reason) == ("cancelled", "market_closed")
        assert world.exchange.cancels == []


async def test_a_market_that_cannot_be_read_ends_nobody(autojump_clock: MockClock) -> None:
    """It is not known to be gone: its order rests on, nothing is placed, and the deadline ends it."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        market = world.exchange.paper.markets[TICKER]
        market.header = replace(market.header, fee_type="of a kind that nobody knows")
        world.tickers = ()
        async with world.life() as stage:
            await trio.sleep(30)
            assert len(world.exchange.resting) == 1
            await ended(stage.engine)
        assert (await world.execution("e000001")).reason == "deadline"


async def test_the_clock_moved_back_while_we_were_down(autojump_clock: MockClock) -> None:
    """It was an hour ahead, and is put right: the order is adopted although it was made before the execution was
    accepted, as the database has it, and its deadline is that of the wall."""
    async with open_restart_bench() as world:
        world.exchange.set_our_clock(HOUR_US)
        await world.killed_after(resting)
        (order,) = world.exchange.resting
        world.exchange.set_our_clock(-HOUR_US)
        async with world.life() as stage:
            assert stage.engine.status().live_orders == 1
            await trio.sleep(1_000)
            assert world.exchange.resting == [order], "its deadline is an hour and five minutes from now"
            world.exchange.fill(10, order)
            await ended(stage.engine)
        assert (await world.execution("e000001")).state == "filled"


async def test_the_clock_moved_forward_while_we_were_down(autojump_clock: MockClock) -> None:
    """A machine suspended for an hour: the deadline has passed, the exchange has ended the order, nothing is placed."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        world.exchange.sleep(HOUR_US)
        async with world.life() as stage:
            await ended(stage.engine)
        assert (await world.execution("e000001")).reason == "deadline"
        assert world.exchange.resting == []
        assert len(world.exchange.places) == 1


async def test_a_revoked_key_is_one_clear_error_and_nothing_is_lost(autojump_clock: MockClock) -> None:
    """Everything is refused: the engine stops before it has written or sent anything; with a good key it goes on."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        before, asked = await world.stored("e000001"), len(world.exchange.requests)
        revoked = world.exchange.bends.on_request(requests.error(401, "authentication_error"), path="/portfolio/*")
        with pytest.raises(BaseExceptionGroup) as caught:
            async with world.life():
                pass
        assert caught.group_contains(VenueRefused, match="401 authentication_error")
        assert await world.stored("e000001") == before
        assert len(world.exchange.requests) == asked
        assert len(world.exchange.resting) == 1
        revoked.end()
        async with world.life() as stage:
            assert stage.engine.status().live_orders == 1
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_an_order_of_another_instance_refuses_the_start(autojump_clock: MockClock) -> None:
    """Its engine may be alive. Told that it is gone, the engine starts, and leaves the order alone."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        foreign = world.exchange.strange_order("fxzzzzzzzzzz-e000007-1-1")
        before = await world.stored("e000001")
        with pytest.raises(BaseExceptionGroup) as caught:
            async with world.life():
                pass
        assert caught.group_contains(UserError, match="--other-engine-is-gone zzzzzzzzzz")
        assert await world.stored("e000001") == before
        async with world.life(other_engine_is_gone="zzzzzzzzzz") as stage:
            stage.engine.stop("user")
            await ended(stage.engine)
        assert world.exchange.resting == [foreign.client_order_id]
        assert {line["instance"] for line in world.lines("orders_of_another_engine")} == {"zzzzzzzzzz"}


async def test_an_orphan_of_ours_is_cancelled_and_reported(autojump_clock: MockClock) -> None:
    """An order of this database that nobody unfinished owns; somebody else's is left alone."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        (order,) = world.exchange.resting
        for name in (f"fx{INSTANCE}-e000099-1-1", "somebody-elses"):
            world.exchange.strange_order(name)
        async with world.life() as stage:
            await trio.sleep(1)
            assert sorted(world.exchange.resting) == sorted([order, "somebody-elses"])
            stage.engine.stop("user")
            await ended(stage.engine)
        assert [line["order"] for line in world.lines("orphan")] == [f"fx{INSTANCE}-e000099-1-1"]


async def test_an_orphan_whose_row_cannot_be_read_is_not_taken_for_gone(autojump_clock: MockClock) -> None:
    """Its cancel got lost and its row is unreadable from then on: it is cancelled again, and the engine runs."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        (order,) = world.exchange.resting
        name = f"fx{INSTANCE}-e000099-1-1"
        world.exchange.strange_order(name)
        looks = 0

        def unread(reply: Reply) -> Reply:
            nonlocal looks
            looks += 1
            if looks <= 2:
                return reply
            rows = [row for row in reply.json["orders"] if row["client_order_id"] != name or looks < 5]
            for row in rows:
                if row["client_order_id"] == name:
                    del row["ticker"]
            return reply._replace(body=msgspec.json.encode(reply.json | {"orders": rows}))

        world.exchange.cancel_fates.append("lost there")
        world.exchange.bends.on_request(requests.rewritten(unread), "GET", LISTING)
        async with world.life() as stage:
            await trio.sleep(15)
            assert world.exchange.resting == [order]
            stage.engine.stop("user")
            await ended(stage.engine)


async def test_an_orphan_that_appears_later_is_cancelled_too(autojump_clock: MockClock) -> None:
    """Found by two looks in a row at the listing."""
    async with open_restart_bench() as world, world.life() as stage:
        await resting(stage)
        (order,) = world.exchange.resting
        name = f"fx{INSTANCE}-e000099-1-1"
        world.exchange.strange_order(name)
        await trio.sleep(90)
        assert world.exchange.resting == [order]
        stage.engine.stop("user")
        await ended(stage.engine)


async def test_a_fill_of_an_ended_execution_that_came_while_we_were_down(autojump_clock: MockClock) -> None:
    """It is stored as late, journaled, and counted in what the execution cost."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=5)
            await ended(stage.engine)

        await world.killed_after(work)
        execution = await world.execution("e000001")
        assert execution.is_ended
        world.exchange.fill(2, execution.children[0].client_order_id)
        async with world.life():
            await trio.sleep(1)
        execution = await world.execution("e000001")
        assert [fill.count_e2 for fill in execution.children[0].late] == [count(2)]
        row = await world.database.load_metrics("e000001")
        assert row is not None
        assert row.filled_quantity == "2.00"
        assert row.shortfall is not None, "its deadline's book was not read from the store"


async def test_the_engine_runs_when_ended_executions_have_caught_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database takes its time over a late fill, and the engine runs once it is durable."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=5)
            await ended(stage.engine)

        await world.killed_after(work)
        execution = await world.execution("e000001")
        world.exchange.fill(2, execution.children[0].client_order_id)
        save = SqliteStore.save

        async def slowly(store: SqliteStore, step: ExecutionSave) -> None:
            await trio.sleep(2)
            await save(store, step)

        monkeypatch.setattr(SqliteStore, "save", slowly)
        async with world.life(settle_s=0):
            execution = await world.execution("e000001")
            assert execution.children[0].late


async def test_what_was_not_reckoned_before_the_kill_is_reckoned_at_the_next_start(autojump_clock: MockClock) -> None:
    """It ended early, and was killed before its deadline, when it would have been priced."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=100)
            await trio.sleep(2)
            stage.exchange.fill(4, stage.exchange.resting[0])
            await trio.sleep(1)
            stage.exchange.paper.close_market(TICKER)
            await trio.sleep(2)

        await world.killed_after(work)
        assert (await world.execution("e000001")).reason == "market_closed"
        assert await world.database.load_metrics("e000001") is None
        async with world.life():
            await trio.sleep(200)
        row = await world.database.load_metrics("e000001")
        assert row is not None
        assert row.filled_quantity == "4.00"
        assert row.shortfall is not None


async def test_the_trouble_of_one_stops_nobody_else(autojump_clock: MockClock) -> None:
    """A method that is not known any more, and an order that contradicts: each quarantined with its reason and its
    order cancelled; the third goes on."""
    async with open_restart_bench() as world:

        async def work(stage: Stage) -> None:
            await stage.submit(horizon_s=300, method_name="forgotten@1")
            for _ in range(2):
                await stage.submit(horizon_s=300)
            await trio.sleep(2)

        await world.killed_after(work)
        first, second, third = sorted(world.exchange.resting)
        world.exchange.lists_as(second, lambda row: row.update(outcome_side="no", book_side="ask"))

        def find(name: str) -> Algorithm:
            if name == "forgotten@1":
                raise UserError(f"unknown method {name}")
            return known(name)

        known, world.methods = world.methods, find
        async with world.life() as stage:
            status = stage.engine.status()
            assert (stage.engine.state, status.at_work, sorted(status.quarantined)) == (
                "running",
                1,
                ["e000001", "e000002"],
            )
            await trio.sleep(15)
            assert world.exchange.resting == [third]
            assert "unknown method" in ((await world.stored("e000001")).quarantine or "")
            assert "is for no" in ((await world.stored("e000002")).quarantine or "")
            world.exchange.fill(10, third)
            await ended(stage.engine)
        assert first in {cancel.client_order_id for cancel in world.exchange.cancels}


async def test_a_quarantined_execution_stays_so_over_a_restart_and_can_be_resumed(autojump_clock: MockClock) -> None:
    """The column is kept; `resume_execution` clears it, looks up, and goes on with a new order."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        await world.database.quarantine("e000001", "a person must look", world.wall.now_us())
        async with world.life() as stage:
            await trio.sleep(1)
            assert world.exchange.resting == [], "its order was left live"
            assert stage.engine.status().quarantined == {"e000001": "a person must look"}
            await stage.engine.resume_execution("e000001")
            await trio.sleep(5)
            (order,) = world.exchange.resting
            world.exchange.fill(10, order)
            await ended(stage.engine)
        stored = await world.stored("e000001")
        assert (stored.quarantine, stored.state) == (None, "filled")


async def test_an_exchange_that_does_not_answer_is_waited_for(autojump_clock: MockClock) -> None:
    """The engine stays `recovering` and accepts nothing; a halt cancels what the snapshots know although nothing can be
    read, and when the exchange answers it stays halted."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        silent = world.exchange.silence(FILLS)
        async with world.life(wait=False) as stage:
            await trio.sleep(200)
            assert stage.engine.state == "recovering"
            assert len(world.exchange.resting) == 1
            stage.engine.halt()
            assert stage.engine.state == "halted"
            await trio.sleep(1)
            assert world.exchange.resting == []
            silent.end()
            await stage.engine.wait_running()
            await ended(stage.engine)
            assert stage.engine.state == "halted"
        assert world.exchange.resting == []
        assert (await world.execution("e000001")).is_ended


@pytest.mark.parametrize("cancel_orders", [True, False])
async def test_leaving_before_the_exchange_has_answered(autojump_clock: MockClock, cancel_orders: bool) -> None:
    """Nothing can be read: what the snapshots know is cancelled, or left as it is if so wished; no execution ends, and
    the next start goes on with it."""
    async with open_restart_bench() as world:
        await world.killed_after(resting)
        silent = world.exchange.silence(FILLS)
        async with world.life(wait=False) as stage:
            await trio.sleep(5)
            assert await stage.engine.drain(cancel_orders=cancel_orders)
        assert len(world.exchange.resting) == (0 if cancel_orders else 1)
        assert not (await world.execution("e000001")).is_ended
        silent.end()
        async with world.life() as stage:
            await trio.sleep(3)
            assert len(world.exchange.resting) == 1
            stage.engine.stop("user")
            await ended(stage.engine)
        assert (await world.execution("e000001")).is_ended
