"""What the stream lost is read: at intervals, after a reconnection, once, and without contradicting what is newer."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.execution.execution import PendingAmend, PendingCancel
from fsm_exec.core.market.orders import FillListing, FillReport, OrderReport
from fsm_exec.core.recovery.reconcile import FRESH_US, fill_is_news, order_is_news
from fsm_exec.core.values.units import PriceE4
from fsm_exec.paper.tapes.tape import tape_header
from fsm_exec.runtime.reconciler import INTERVAL_S, RETRY_S, SECOND_LOOK_S
from tests.runtime.support import Stage, count, staged


async def reconnect(stage: Stage) -> None:
    """The stream breaks off and is there again; nothing is told of what happened meanwhile."""
    listener = stage.exchange.listener
    assert listener is not None
    listener.disconnected("broken off")
    listener.connected()


def told(stage: Stage) -> list[tuple[int, int]]:
    """Orders and fills of each pass that found something."""
    return [(line["orders"], line["fills"]) for line in stage.lines("reconciled")]


async def test_a_lost_fill_is_found_within_the_interval(autojump_clock: MockClock) -> None:
    """The execution counts it once, however often it is listed."""
    async with staged() as stage:
        execution = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        order = stage.order_of(execution)
        stage.exchange.mute = True
        stage.exchange.fill(4, order)
        await trio.sleep(INTERVAL_S + 1)
        assert stage.engine.actors[execution].execution.filled_e2 == count(4)
        await trio.sleep(3 * INTERVAL_S)
        assert told(stage) == [(1, 1)]
        journal = await stage.database.load_journal(execution)
        assert [row.event_type for row in journal].count("FillReported") == 1


async def test_a_reconnection_is_followed_by_a_look(autojump_clock: MockClock) -> None:
    """Fills of the outage are counted in seconds, not at the next interval; the first connection asks nothing."""
    async with staged() as stage:
        execution = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        stage.exchange.mute = True
        stage.exchange.fill(4, stage.order_of(execution))
        assert told(stage) == []
        await reconnect(stage)
        await trio.sleep(SECOND_LOOK_S)
        assert stage.engine.actors[execution].execution.filled_e2 == count(4)


async def test_an_order_somebody_else_cancelled_ends_the_execution(autojump_clock: MockClock) -> None:
    """The frame was lost, the listing gives no reason: the owner's hand is assumed."""
    async with staged() as stage:
        execution = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        order = stage.order_of(execution)
        stage.exchange.mute = True
        stage.exchange.end(order)
        await trio.sleep(INTERVAL_S + 1)
        ended = await stage.ended(execution)
        assert (ended.state, ended.reason) == ("cancelled", "external")


async def test_an_order_that_has_walked_and_somebody_else_amended_ends_the_execution(
    autojump_clock: MockClock,
) -> None:
    """A frame with another price than ours may be of before our last amend and is passed over; a listing later than
    that amend may not."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        order = stage.order_of(name)
        actor = stage.engine.actors[name]
        (child,) = actor.execution.children
        actor.execution = replace(actor.execution, children=(replace(child, walks=1, moved_at_us=child.sent_at_us),))
        stage.exchange.amend_by_hand(order, cents=40)
        await trio.sleep(1)
        assert actor.execution.ending is None
        await trio.sleep(INTERVAL_S)
        assert actor.execution.ending is not None
        assert actor.execution.ending.reason == "external"
        assert stage.exchange.resting == []


async def test_a_fill_after_the_end_is_found_too(autojump_clock: MockClock) -> None:
    """An execution that has ended learns a fill whose frame was lost."""
    async with staged() as stage:
        execution = await stage.submit(horizon_s=20)
        await trio.sleep(2)
        order = stage.order_of(execution)
        await stage.ended(execution)
        stage.exchange.mute = True
        stage.exchange.fill(1, order)
        await trio.sleep(INTERVAL_S + 1)
        assert (await stage.ended(execution)).filled_e2 == count(1)
        row = await stage.database.load_metrics(execution)
        assert row is not None
        assert row.filled_quantity == "1.00"


async def test_a_fill_of_an_execution_that_left_memory_is_found_too(autojump_clock: MockClock) -> None:
    """Also when the name of its order is known, from a frame that came after a restart: the database knows whose it
    is."""
    async with staged() as stage:
        execution = await stage.submit(horizon_s=20)
        await trio.sleep(2)
        order = stage.order_of(execution)
        await stage.ended(execution)
        del stage.engine.ended[execution]  # as after a restart, or after a thousand others
        stage.exchange.mute = True
        stage.exchange.fill(1, order)
        await trio.sleep(INTERVAL_S + 1)
        row = await stage.database.load_metrics(execution)
        assert row is not None
        assert row.filled_quantity == "1.00"


async def test_more_fills_than_an_inbox_takes_come_in_portions(autojump_clock: MockClock) -> None:
    """Three hundred lost fills are all counted, and the execution is not drowned in them."""
    async with staged() as stage:
        execution = await stage.submit(contracts=400, horizon_s=600)
        await trio.sleep(2)
        order = stage.order_of(execution)
        stage.exchange.mute = True
        for _ in range(300):
            stage.exchange.fill(1, order)
        await trio.sleep(INTERVAL_S + 10 * RETRY_S)
        assert stage.engine.actors[execution].execution.filled_e2 == count(300)
        assert max(fills for _, fills in told(stage)) < 200


async def test_a_listing_that_fails_is_asked_for_again(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the engine nor its executions notice; the next look finds what was lost."""
    async with staged() as stage:
        execution = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        stage.exchange.mute = True
        stage.exchange.fill(4, stage.order_of(execution))
        whole, failures = stage.exchange.fetch_fills, 2

        async def flaky(
            ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
        ) -> FillListing:
            nonlocal failures
            if failures and order_id is None:
                failures -= 1
                raise VenueUnavailable("down")
            return await whole(ticker, order_id, since_us=since_us)

        monkeypatch.setattr(stage.exchange, "fetch_fills", flaky)
        await trio.sleep(INTERVAL_S + 2 * RETRY_S + 2)
        assert failures == 0
        assert len(stage.lines("reconciliation_failed")) == 2
        assert stage.engine.actors[execution].execution.filled_e2 == count(4)


async def test_what_a_listing_may_tell(autojump_clock: MockClock) -> None:
    """News is what the execution does not know; what is newer, in flight, in doubt or just changed is not overruled."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        order = stage.order_of(name)
        execution = stage.engine.actors[name].execution
        child = execution.child(order)
        assert child is not None
        report = replace(stage.exchange.held[order], changed_at_us=None)
        now_us = report.at_us

        def news(report: OrderReport, **changes: object) -> bool:
            held = replace(execution, children=(replace(child, **changes),))
            return order_is_news(held, report, now_us)

        ended = replace(report, status="canceled")
        assert not news(report)
        assert news(ended)
        assert news(replace(report, filled_e2=count(1)))
        assert not news(replace(report, filled_e2=count(1)), reported_e2=count(2))
        assert news(replace(report, price_e4=PriceE4(100)))
        assert not news(replace(ended, changed_at_us=now_us - FRESH_US + 1))
        assert news(replace(ended, changed_at_us=now_us - FRESH_US))
        for lost in (True, False):
            assert not news(ended, write=PendingCancel(effect_id="e", lost=lost))
            assert not news(ended, write=PendingAmend(effect_id="e", price_e4=PriceE4(1), total_e2=count(1), lost=lost))
        for state in ("intended", "unknown", "settling", "cancelled", "filled", "rejected"):
            assert not news(ended, state=state)
        assert not order_is_news(execution, replace(ended, client_order_id=order + "9"), now_us)


async def test_which_fills_are_news(autojump_clock: MockClock) -> None:
    """Those not counted, by order and fill id; of orders the execution never made none is."""
    async with staged() as stage:
        name = await stage.submit(horizon_s=200)
        await trio.sleep(2)
        order = stage.order_of(name)
        made: FillReport = stage.exchange.fill(1, order)
        await trio.sleep(1)
        execution = stage.engine.actors[name].execution
        assert not fill_is_news(execution, order, made)
        assert fill_is_news(execution, order, replace(made, fill_id="another"))
        assert not fill_is_news(execution, order + "9", replace(made, fill_id="another"))


async def test_a_market_opens_and_closes_while_the_engine_runs(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its feed waits for a snapshot and goes live; closed, late frames are nobody's; a worked one stays open."""
    async with staged() as stage:
        watched: list[str] = []
        monkeypatch.setattr(stage.exchange, "watch", watched.append)
        monkeypatch.setattr(stage.exchange, "unwatch", watched.remove)
        listener = stage.exchange.listener
        assert listener is not None
        stage.exchange.paper.add_market(tape_header("KXNEW-1", "linear_cent", category="Test"))
        await stage.engine.open_market("KXNEW-1")
        await stage.engine.open_market("KXNEW-1")
        assert watched == ["KXNEW-1"]
        assert stage.engine.feeds["KXNEW-1"].state == "subscribing"
        listener.book_snapshot("KXNEW-1", [], [], None)
        assert stage.engine.feeds["KXNEW-1"].state == "live"
        stage.engine.close_market("KXNEW-1")
        listener.book_snapshot("KXNEW-1", [], [], None)
        assert (watched, list(stage.engine.feeds)) == ([], [next(iter(stage.engine.feeds))])
        name = await stage.submit()
        with pytest.raises(Exception, match=name):
            stage.engine.close_market(next(iter(stage.engine.feeds)))
