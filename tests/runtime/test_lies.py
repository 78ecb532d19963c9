"""Single messages that are wrong: nothing is frozen, the books end as the exchange's listings are, and it is said."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.errors import IllegalEvent, VenueUnavailable
from fsm_exec.core.market.orders import (
    CancelAnswer,
    Cancelled,
    CancelOrder,
    FillListing,
    FillReport,
    OrderListing,
    PlaceAnswer,
    Placed,
    PlaceOrder,
    Refused,
    Unknown,
)
from fsm_exec.core.values.units import CountE2, MoneyE6
from tests.bending import requests
from tests.runtime.killed_engine import RestartBench, ended, open_restart_bench
from tests.runtime.support import Stage, count, price, staged

PROOF_S = 32
CONTRADICTS_S = 64
READS_S = 6  # to be asked, and asked again


async def at_rest(stage: Stage, horizon_s: int = 600) -> tuple[str, str]:
    name = await stage.submit(horizon_s=horizon_s)
    await trio.sleep(3)
    return name, stage.order_of(name)


def told(stage: Stage, order: str, trade: str, contracts: int, **fields: object) -> FillReport:
    """A frame of the stream says so; nothing of it is so."""
    held = stage.exchange.held[order]
    lie = FillReport(
        fill_id=trade,
        trade_id=trade,
        order_id=held.order_id,
        client_order_id=order,
        ticker=held.ticker,
        outcome=held.outcome,
        price_e4=held.price_e4,
        count_e2=count(contracts),
        fee_e6=MoneyE6(0),
        is_taker=False,
        at_us=stage.wall.now_us(),
    )
    assert stage.exchange.listener is not None
    lie = replace(lie, **fields)
    stage.exchange.listener.fill(lie)
    return lie


async def test_an_answer_that_says_all_is_filled_of_an_order_that_rests(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is worked on once listings are late enough, and fills as any other."""
    async with staged() as stage:
        place = stage.exchange.place

        async def lying(order: PlaceOrder) -> PlaceAnswer:
            answer = await place(order)
            assert isinstance(answer, Placed)
            return replace(answer, filled_e2=order.count_e2, remaining_e2=CountE2(0))

        monkeypatch.setattr(stage.exchange, "place", lying)
        stage.exchange.mute = True
        name = await stage.submit(horizon_s=600)
        await trio.sleep(3)
        assert stage.engine.actors[name].execution.children[0].state == "settling"
        await trio.sleep(PROOF_S + READS_S)
        assert stage.engine.actors[name].execution.children[0].state == "resting"
        stage.exchange.mute = False
        stage.exchange.fill(10, stage.order_of(name))
        assert (await stage.ended(name)).reason == "completed"
        assert any("said to have ended" in line["what"] for line in stage.lines("alarm"))


async def test_a_halt_cancels_what_was_said_to_be_filled_and_rests_though_nothing_can_be_read(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a listing would tell that it rests, and a halt waits for none."""
    async with staged() as stage:
        place, is_down = stage.exchange.place, True
        orders, fills = stage.exchange.fetch_orders, stage.exchange.fetch_fills

        async def lying(order: PlaceOrder) -> PlaceAnswer:
            answer = await place(order)
            assert isinstance(answer, Placed)
            return replace(answer, filled_e2=order.count_e2, remaining_e2=CountE2(0))

        async def listed_orders(
            ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
        ) -> OrderListing:
            if is_down:
                raise VenueUnavailable("503")
            return await orders(ticker, since_us=since_us, resting=resting)

        async def listed_fills(
            ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
        ) -> FillListing:
            if is_down:
                raise VenueUnavailable("503")
            return await fills(ticker, order_id, since_us=since_us)

        monkeypatch.setattr(stage.exchange, "place", lying)
        monkeypatch.setattr(stage.exchange, "fetch_orders", listed_orders)
        monkeypatch.setattr(stage.exchange, "fetch_fills", listed_fills)
        stage.exchange.mute = True
        name = await stage.submit(horizon_s=600)
        await trio.sleep(3)
        assert stage.exchange.resting == [stage.order_of(name)]
        stage.engine.halt()
        await trio.sleep(20)
        assert stage.exchange.resting == []
        assert not stage.engine.status().nothing_live  # the exchange has not said so
        is_down = False
        with trio.fail_after(PROOF_S + 3 * READS_S):
            execution = await stage.ended(name)
        assert (execution.reason, execution.filled_e2) == ("halt", 0)


async def test_an_answer_that_says_all_is_filled_of_an_order_that_expires_empty(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The execution ends, empty, within its bound after the deadline."""
    async with staged() as stage:
        place = stage.exchange.place

        async def lying(order: PlaceOrder) -> PlaceAnswer:
            answer = await place(order)
            assert isinstance(answer, Placed)
            return replace(answer, filled_e2=order.count_e2, remaining_e2=CountE2(0))

        monkeypatch.setattr(stage.exchange, "place", lying)
        stage.exchange.mute = True
        name = await stage.submit(horizon_s=10)
        await trio.sleep(15)
        (order,) = stage.exchange.resting
        stage.exchange.end(order, "ExpiryCancel")
        with trio.fail_after(PROOF_S + READS_S):
            execution = await stage.ended(name)
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "deadline", 0)


async def test_a_frame_of_500_for_an_order_of_10(autojump_clock: MockClock) -> None:
    """Said and not believed; the listing has ten of the same fill, and they are counted."""
    async with staged() as stage:
        name, order = await at_rest(stage)
        stage.exchange.mute = True
        true = stage.exchange.fill(10, order)
        told(stage, order, true.fill_id, 500)
        await trio.sleep(0.1)
        assert stage.engine.actors[name].execution.filled_e2 == 0
        assert "500.00" in stage.lines("alarm")[0]["what"]
        with trio.fail_after(PROOF_S + READS_S):
            execution = await stage.ended(name)
        assert [(fill.fill_id, fill.count_e2) for fill in execution.fills] == [(true.fill_id, 1_000)]
        assert (execution.state, execution.reason) == ("filled", "completed")


async def test_an_order_whose_end_is_doubted_counts_as_live(autojump_clock: MockClock) -> None:
    """It was cancelled after a frame that cannot be true; a status says that nothing is live when listings have."""
    async with staged() as stage:
        name, order = await at_rest(stage)
        told(stage, order, "f-9", 500)
        await trio.sleep(1)
        stage.engine.halt()
        await trio.sleep(2)
        assert [child.state for child in stage.engine.actors[name].execution.children] == ["cancelled"]
        status = stage.engine.status()
        assert (status.live_orders, status.settling_orders, status.nothing_live) == (1, 1, False)
        with trio.fail_after(PROOF_S + READS_S):
            await stage.ended(name)
        status = stage.engine.status()
        assert (status.live_orders, status.settling_orders, status.nothing_live) == (0, 0, True)


async def test_an_order_whose_end_is_doubted_counts_as_live_in_quarantine(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame has it filled that never was; until a cancel of it is answered, a status says that it may be live."""
    async with staged() as stage:
        cancel, lost = stage.exchange.cancel, True

        async def losing(order: CancelOrder) -> CancelAnswer:
            return Unknown(why="no answer") if lost else await cancel(order)

        monkeypatch.setattr(stage.exchange, "cancel", losing)
        name, order = await at_rest(stage)
        told(stage, order, "f-8", 500)
        told(stage, order, "f-9", 10)
        await trio.sleep(1)
        (child,) = stage.engine.actors[name].execution.children
        assert (child.state, stage.exchange.resting) == ("filled", [order])
        stage.engine.actors[name].inbox.stop(IllegalEvent("what cannot be"))
        await trio.sleep(5)
        assert stage.engine.status().loose_orders == 1
        lost = False
        await trio.sleep(20)
        assert (stage.engine.status().loose_orders, stage.exchange.resting) == (0, [])


async def test_what_happens_while_the_listings_are_read_is_not_undone_by_them(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fill is told of after the listings were made that end a doubt, and before they are taken in: they do not have
    it, and are asked for again."""
    async with staged() as stage:
        fills = stage.exchange.fetch_fills
        name, order = await at_rest(stage)

        async def and_then_filled(
            ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
        ) -> FillListing:
            listing = await fills(ticker, order_id, since_us=since_us)
            late = trio.current_time() > doubted_s + PROOF_S + 0.4
            if order_id is not None and late and stage.exchange.resting:
                stage.exchange.fill(10, order)
            return listing

        doubted_s = trio.current_time()
        monkeypatch.setattr(stage.exchange, "fetch_fills", and_then_filled)
        told(stage, order, "f-9", 500)
        with trio.fail_after(3 * PROOF_S):
            execution = await stage.ended(name)
        assert (execution.state, execution.filled_e2) == ("filled", 1_000)
        assert [line["what"] for line in stage.lines("alarm") if "taken back" in line["what"]] == []
        assert stage.lines("quarantined") == []


async def test_a_fill_of_a_frame_that_no_listing_has_is_taken_back_at_work(autojump_clock: MockClock) -> None:
    """A look at all orders finds it, later listings prove it, and the order goes on."""
    async with staged() as stage:
        name, order = await at_rest(stage)
        told(stage, order, "never", 4)
        await trio.sleep(1)
        assert stage.engine.actors[name].execution.filled_e2 == 400
        await trio.sleep(30 + PROOF_S + READS_S)
        execution = stage.engine.actors[name].execution
        assert (execution.filled_e2, execution.children[0].state) == (0, "resting")
        stage.exchange.fill(10, order)
        assert (await stage.ended(name)).filled_e2 == 1_000


async def test_a_fill_that_no_listing_has_is_taken_back_after_the_end(autojump_clock: MockClock) -> None:
    """Its execution had ended by it. The order is found resting, cancelled, and the cost reckoned anew."""
    async with staged() as stage:
        name, order = await at_rest(stage)
        told(stage, order, "never", 10)
        await stage.ended(name)
        assert [fill.count_e2 for fill in stage.engine.ended[name].execution.fills] == [1_000]
        await trio.sleep(2 * 30 + PROOF_S + 30 + READS_S)
        assert stage.exchange.resting == []
        after = stage.engine.ended[name]
        assert (after.execution.fills, after.execution.state) == ((), "filled")
        assert after.metrics is not None
        assert after.metrics.filled_quantity == "0.00"
        assert [step.event_type for step in await stage.database.load_journal(name)][-1] == "OrderProven"
        assert await stage.database.load_metrics(name) == after.metrics


async def test_a_fill_of_a_frame_is_corrected_after_the_end(autojump_clock: MockClock) -> None:
    """Price, fee and role are the listing's, and what it cost is, too."""
    async with staged() as stage:
        name, order = await at_rest(stage)
        stage.exchange.mute = True
        true = stage.exchange.fill(10, order)
        told(stage, order, true.fill_id, 10, price_e4=price(47), is_taker=True, fee_e6=MoneyE6(1_000))
        await stage.ended(name)
        await trio.sleep(30 + READS_S)
        (fill,) = stage.engine.ended[name].execution.fills
        assert (fill.price_e4, fill.is_taker, fill.fee_e6) == (price(48), False, 0)
        row = await stage.database.load_metrics(name)
        assert row is not None
        assert (row.average_fill_price, row.fees) == ("0.480000", "0.000000")


async def test_an_answer_under_another_id_than_the_listings(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is called what the listing calls it, its fills are counted, and it is cancelled when it is to end."""
    async with staged() as stage:
        place, cancel = stage.exchange.place, stage.exchange.cancel

        async def lying(order: PlaceOrder) -> PlaceAnswer:
            answer = await place(order)
            assert isinstance(answer, Placed)
            return replace(answer, order_id="wrong")

        async def knowing(order: CancelOrder) -> CancelAnswer:
            right = stage.exchange.held[order.client_order_id].order_id == order.order_id
            return await cancel(order) if right else Refused(code="not_found", message="no")

        monkeypatch.setattr(stage.exchange, "place", lying)
        monkeypatch.setattr(stage.exchange, "cancel", knowing)
        stage.exchange.mute = True
        name = await stage.submit(horizon_s=600)
        await trio.sleep(3)
        order = stage.order_of(name)
        stage.exchange.fill(3, order)
        await stage.engine.cancel(name)
        with trio.fail_after(PROOF_S + 2 * READS_S):
            execution = await stage.ended(name)
        assert stage.exchange.resting == []
        assert (execution.reason, execution.filled_e2) == ("user", 300)
        assert execution.children[0].order_id == stage.exchange.held[order].order_id


async def test_an_answer_that_has_more_filled_than_the_frame_before_it_is_looked_into(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes when the execution has ended by the frame: said, doubted, and settled by the listings."""
    async with staged() as stage:
        cancel = stage.exchange.cancel

        async def late_and_lying(order: CancelOrder) -> CancelAnswer:
            answer = await cancel(order)
            await trio.sleep(1)
            assert isinstance(answer, Cancelled)
            return replace(answer, reduced_by_e2=CountE2(answer.reduced_by_e2 - 300))

        monkeypatch.setattr(stage.exchange, "cancel", late_and_lying)
        name, _ = await at_rest(stage)
        await stage.engine.cancel(name)
        await trio.sleep(3)
        after = stage.engine.ended[name].execution
        assert (after.state, after.children[0].suspicion is None) == ("cancelled", False)
        assert any("ended with 0.00 filled" in line["what"] for line in stage.lines("alarm"))
        await trio.sleep(2 * 30 + PROOF_S + 30 + READS_S)
        after = stage.engine.ended[name].execution
        assert (after.filled_e2, after.children[0].suspicion) == (0, None)


def contradicting(world: RestartBench, order: str) -> None:
    """Its row has three filled, and so has the answer to its cancel, and no fill is listed, ever."""

    def three(row: dict[str, Any]) -> None:
        rests = row["status"] == "resting"
        row.update(fill_count_fp="3.00", remaining_count_fp="7.00" if rests else "0.00")

    world.exchange.lists_as(order, three)
    world.exchange.bends.on_request(requests.changed("reduced_by", "7.00"), "DELETE")


async def test_listings_that_contradict_themselves_are_given_up_with_a_true_reason(autojump_clock: MockClock) -> None:
    """Quarantined within the bound. Resumed it meets the same; cancelled then, it ends with what is listed."""
    async with open_restart_bench() as world, world.life() as stage:
        name, order = await at_rest(stage)
        contradicting(world, order)
        await stage.engine.cancel(name)
        await trio.sleep(CONTRADICTS_S + 2 * READS_S)
        assert list(stage.engine.status().quarantined) == [name]
        assert "its fills add up to 0.00" in stage.engine.status().quarantined[name]
        await stage.engine.resume_execution(name)
        await trio.sleep(CONTRADICTS_S + 2 * READS_S)
        assert list(stage.engine.status().quarantined) == [name]
        await stage.engine.cancel(name)
        with trio.fail_after(CONTRADICTS_S + 2 * READS_S):
            await ended(stage.engine)
        execution = await world.execution(name)
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "user", 0)


async def test_a_row_with_more_filled_than_its_order_has_ended_with_is_no_secret(autojump_clock: MockClock) -> None:
    """The exchange took the order off, by a frame with nothing filled; its row has three, and no fill is listed."""
    async with open_restart_bench() as world, world.life() as stage:
        name, order = await at_rest(stage)
        contradicting(world, order)
        world.exchange.end(order, "HaltCancel")
        await trio.sleep(1)
        assert stage.engine.actors[name].execution.children[0].state == "cancelled"
        await trio.sleep(30 + CONTRADICTS_S + 2 * READS_S)
        assert list(stage.engine.status().quarantined) == [name]
        assert "its fills add up to 0.00" in stage.engine.status().quarantined[name]


async def test_one_that_is_cancelled_ends_whatever_is_said_of_it(autojump_clock: MockClock) -> None:
    """Its order is listed for the other outcome, with a fill: for a person. Cancelled, it ends with the fill."""
    async with open_restart_bench() as world, world.life() as stage:
        name, order = await at_rest(stage)
        world.exchange.mute = True
        world.exchange.fill(2, order)
        world.exchange.lists_as(order, lambda row: row.update(outcome_side="no", book_side="ask"))
        stage.engine.actors[name].inbox.stop(IllegalEvent("what cannot be"))
        await trio.sleep(5)
        await stage.engine.cancel(name)
        with trio.fail_after(2 * CONTRADICTS_S):
            await ended(stage.engine)
        execution = await world.execution(name)
        assert (execution.state, execution.reason, execution.filled_e2) == ("cancelled", "user", 200)
        assert world.exchange.resting == []
        assert world.lines("not_taken_in")


async def test_a_no_that_is_not_listed_is_a_refusal_once_it_is_proven(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same answer again after a proof of absence; three refusals in a row end the execution, with its words."""
    async with staged() as stage:
        asked: list[float] = []

        async def refusing(order: PlaceOrder) -> PlaceAnswer:
            asked.append(trio.current_time())
            await trio.sleep(0.1)
            return Unknown(why="answered 400", code="order_size_exceeds_limit", message="Too many contracts")

        monkeypatch.setattr(stage.exchange, "place", refusing)
        name = await stage.submit(horizon_s=600)
        await trio.sleep(PROOF_S + READS_S)
        assert stage.engine.actors[name].execution.is_ended
        execution = await stage.ended(name)  # what was not filled is priced at the deadline
        assert len(asked) == 4
        assert asked[1] - asked[0] > PROOF_S
        assert (execution.state, execution.reason) == ("cancelled", "rejected")
        assert execution.refusal == "order_size_exceeds_limit: Too many contracts"
        assert any("Too many contracts" in line["what"] for line in stage.lines("note"))
        assert any("Too many contracts" in row.steps for row in await stage.database.load_journal(name))
