"""What is watched beside the executions: markouts, forecasts, depth; through restarts, gaps and late starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.algorithms.catalogue import Catalogue
from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.signals.forecasts import score
from fsm_exec.core.values.units import LINEAR_CENT, Outcome
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.observer import Observer
from fsm_exec.store.reads.observations import load_completed_forecasts
from tests.runtime.killed_engine import RestartBench, open_restart_bench
from tests.runtime.support import FEES, T0_US, TICKER, Stage, count, price

SETTINGS = DepthSettings(interval_s=10, retention_days=7, warm_max_age_s=60)


@asynccontextmanager
async def observed(world: RestartBench, settings: DepthSettings = SETTINGS, **options: Any) -> AsyncIterator[Stage]:  # noqa: ANN401 - those of open_engine
    observer = Observer(world.database, world.wall, open_log(world.log, world.wall), settings)
    async with world.life(observer=observer, **options) as stage:
        yield stage


async def rows(world: RestartBench, query: str, *values: object) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = await world.database._writer.read(lambda c: c.execute(query, values).fetchall())
    return found


def move(stage: Stage, outcome: Any, cents: int, contracts: int) -> None:  # noqa: ANN401 - an outcome
    stage.exchange.move(outcome, cents, contracts)


async def working(stage: Stage, horizon_s: int = 60) -> str:
    """An execution with its order resting at 0.47, behind the best bid."""
    execution_id = await stage.submit(cents=47, horizon_s=horizon_s)
    await trio.sleep(1)
    return execution_id


async def test_markouts_are_the_mids_of_their_times(autojump_clock: MockClock) -> None:
    """1, 5, 30 and 300 seconds after the fill, in the own outcome; per execution they add up exactly, gain positive."""
    async with open_restart_bench() as w, observed(w) as stage:
        name = await working(stage, horizon_s=400)
        stage.exchange.fill(4, stage.exchange.resting[0])  # the mid is 0.49
        await trio.sleep(3)
        move(stage, "no", 51, 100)  # offered at 0.49: the mid is 0.485
        await trio.sleep(310)
        found = await rows(w, "SELECT horizon_s, mid, why FROM markouts ORDER BY horizon_s")
        assert [row[0] for row in found] == [1, 5, 30, 300]
        assert [row[1:] for row in found[:2]] == [("0.49000", None), ("0.48500", None)]
        sums = await rows(w, "SELECT horizon_s, fills, known, known_e2, markout_e7, maker_e7 FROM execution_markouts")
        assert sums[0] == (1, 1, 1, 400, 400 * (49_000 - 47_000), 400 * (49_000 - 47_000))
        child = await rows(w, "SELECT execution_id, markout_e7 FROM child_markouts WHERE horizon_s = 5")
        assert child == [(name, 400 * (48_500 - 47_000))]


async def test_a_gap_leaves_a_markout_missing(autojump_clock: MockClock) -> None:
    """What the market did meanwhile is not known: NULL with the reason, never the last mid."""
    async with open_restart_bench() as w, observed(w) as stage:
        await working(stage)
        stage.exchange.fill(4, stage.exchange.resting[0])
        await trio.sleep(3)
        assert stage.exchange.listener is not None
        stage.exchange.listener.book_gap([TICKER])
        await trio.sleep(5)
        found = await rows(w, "SELECT horizon_s, mid, why FROM markouts ORDER BY horizon_s")
        assert found == [(1, "0.49000", None), (5, None, "the feed had a gap")]


async def test_markouts_and_forecasts_go_on_after_a_restart(autojump_clock: MockClock) -> None:
    """What comes due later is still looked up; what came due while nobody was there is missed, and said to be."""
    async with open_restart_bench() as w:
        async with observed(w) as stage:
            await working(stage, horizon_s=20)
            stage.exchange.fill(10, stage.exchange.resting[0])
            await trio.sleep(2.5)
        await trio.sleep(4)  # nobody is there five seconds after the fill
        async with observed(w):
            await trio.sleep(301)
        found = await rows(w, "SELECT horizon_s, mid, why FROM markouts ORDER BY horizon_s")
        assert found == [
            (1, "0.49000", None),
            (5, None, "nobody was there"),
            (30, "0.49000", None),
            (300, "0.49000", None),
        ]
        assert await w.database.load_open_forecasts(None) == []


async def test_the_settlement_is_the_last_markout(autojump_clock: MockClock) -> None:
    """Asked for once the market has closed, until it is known, also by a later process: a dollar or nothing."""
    known: dict[str, Outcome] = {}
    asked: list[Sequence[str]] = []

    async def results(tickers: Sequence[str]) -> dict[str, Outcome]:
        asked.append(tickers)
        if len(asked) == 1:
            raise VenueUnavailable("no answer")
        return known

    async with open_restart_bench() as w:
        for side in ("yes", "no"):
            observer = Observer(w.database, w.wall, open_log(w.log, w.wall), SETTINGS, results)
            async with w.life(observer=observer) as stage:
                await stage.submit(cents=47, horizon_s=10, outcome="yes" if side == "yes" else "no")
                await trio.sleep(1)
                stage.exchange.fill(4, stage.exchange.resting[0])
                await trio.sleep(400)
                assert asked == []  # it is open
                if side == "no":
                    stage.exchange.paper.close_market(TICKER)
                    await trio.sleep(700)
                    assert len(asked) >= 2
                    known[TICKER] = "yes"
                    await trio.sleep(300)
        found = await rows(w, "SELECT mid FROM markouts WHERE horizon_s = 0 ORDER BY mid")
        assert found == [("0.00000",), ("1.00000",)]
        settled = await rows(w, "SELECT markout_e7 FROM execution_markouts WHERE horizon_s = 0 ORDER BY 1")
        assert settled == [(400 * -47_000,), (400 * 53_000,)]


async def test_forecasts_stand_beside_what_came(autojump_clock: MockClock) -> None:
    """The mid in 30 s, expected at the micro-price, against "it stays": stored when made, completed and scored."""
    async with open_restart_bench() as w, observed(w) as stage:
        move(stage, "yes", 48, 1_000)  # 1,500 bid, 500 offered: the micro-price is above the mid
        await working(stage)
        kinds = dict(await rows(w, "SELECT kind, count(*) FROM forecasts GROUP BY kind"))
        assert kinds["mid_30s"] == 1
        move(stage, "yes", 49, 100)
        await trio.sleep(35)
        ((forecast, last, happened),) = await rows(
            w, "SELECT forecast, last_value, happened FROM forecasts WHERE kind = 'mid_30s'"
        )
        assert (forecast, last, happened) == ("0.495000", "0.490000", "0.495000")
        found = await w.database._writer.read(load_completed_forecasts)
        judged = score("mid_30s", found["mid_30s"])
        assert judged is not None
        assert (judged.number, judged.beats_last_value, str(judged.loss)) == (1, True, "0.000000")
        assert str(judged.last_value_loss) == "0.002500"  # half of the miss: the pinball loss of a median


async def test_a_forecast_is_of_the_moment_of_its_decision(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The market moves on while a decision is saved: what is forecast is what was seen before, not after."""
    async with open_restart_bench() as w, observed(w) as stage:
        move(stage, "yes", 48, 1_000)
        save = w.database.save
        moved: list[int] = []

        async def save_in_a_moving_market(step: ExecutionSave) -> None:
            if step.journal.event_type == "DecisionDue" and not moved:
                moved.append(w.wall.now_us())
                move(stage, "yes", 48, -1_200)
                await trio.sleep(2)
            await save(step)

        monkeypatch.setattr(w.database, "save", save_in_a_moving_market)
        await working(stage)
        await trio.sleep(3)
        (made,) = [waiting.forecast for waiting in await w.database.load_open_forecasts(None)]
        assert (made.kind, made.made_at_us, made.value_e6) == ("mid_30s", *moved, 495_000)


async def test_books_are_stored_on_arrival_at_decisions_and_at_the_interval(autojump_clock: MockClock) -> None:
    """While somebody works the market; without our own size; with their liquidity, volume and category."""
    async with open_restart_bench() as w, observed(w) as stage:
        await trio.sleep(30)
        assert await rows(w, "SELECT * FROM order_book_snapshots") == []
        stage.exchange.trade("no", 48, 7)
        await trio.sleep(1)
        name = await working(stage)  # our own order is shown
        await trio.sleep(25)
        found = await rows(
            w,
            "SELECT why, execution_id, yes_total, no_total, yes_levels, no_levels, yes_concentration, spread, volume, "
            "category FROM order_book_snapshots ORDER BY id",
        )
        assert [row[:2] for row in found] == [
            ("arrival", name),
            ("decision", name),
            ("interval", None),
            ("interval", None),
        ]
        assert {row[2:] for row in found} == {("500.00", "500.00", 1, 1, "1.000000", "0.0200", "7.00", "Test")}


async def test_old_books_are_forgotten_but_not_those_that_executions_are_priced_by(autojump_clock: MockClock) -> None:
    """A few at a time, once they are older than their retention."""
    async with open_restart_bench() as w:
        async with observed(w) as stage:
            await working(stage, horizon_s=20)
            await trio.sleep(30)
        before = dict(await rows(w, "SELECT why, count(*) FROM order_book_snapshots GROUP BY why"))
        assert before == {"arrival": 1, "decision": 1, "interval": 2, "deadline": 1}
        now_us = w.wall.now_us()
        assert await w.database.forget_books(now_us, 2) == 2
        assert await w.database.forget_books(T0_US, 100) == 0
        assert await w.database.forget_books(now_us, 100) == 1
        left = dict(await rows(w, "SELECT why, count(*) FROM order_book_snapshots GROUP BY why"))
        assert left == {"arrival": 1, "deadline": 1}


async def test_an_engine_forgets_by_itself(autojump_clock: MockClock) -> None:
    """When it starts again after more than the retention."""
    async with open_restart_bench() as w:
        async with observed(w) as stage:
            await working(stage, horizon_s=20)
            await trio.sleep(30)
        await trio.sleep(23 * 3_600)
        async with observed(w, DepthSettings(retention_days=1)):
            assert len(await rows(w, "SELECT DISTINCT why FROM order_book_snapshots")) == 4
        await trio.sleep(2 * 3_600)
        async with observed(w, DepthSettings(retention_days=1)):
            left = await rows(w, "SELECT DISTINCT why FROM order_book_snapshots ORDER BY why")
        assert left == [("arrival",), ("deadline",)]


async def test_signals_go_on_after_a_short_restart(autojump_clock: MockClock) -> None:
    """From the stored books: depth, order flow and what taking usually costs are known at once, what rests on trades
    begins anew. After a long one everything does."""
    async with open_restart_bench() as w:
        for down_s, is_warm in ((20, True), (300, False)):
            async with observed(w) as stage:
                await working(stage, horizon_s=200)
                await trio.sleep(130)
            await trio.sleep(down_s)
            async with observed(w) as stage:
                move(stage, "yes", 46, 1)
                move(stage, "yes", 46, 1)
                tracker = stage.engine.feeds[TICKER].net_book.tracker
                assert tracker is not None
                got = tracker.read("yes", w.wall.now_us())
                assert (got.ask_log_mean_ppm is not None) is is_warm
                assert (got.ofi_e2 is not None) is is_warm
                assert (got.touch_cost_120s_e6 is not None) is is_warm
                assert (got.trade_flow_e2, got.cancel_bid_ppm) == (None, None)
            await trio.sleep(400)


async def test_signals_are_not_taken_from_another_book(autojump_clock: MockClock) -> None:
    """A longer watch of the same book is gone on from; one that has missed a change is refused."""
    async with open_restart_bench() as w, observed(w) as stage:
        feed = stage.engine.feeds[TICKER]
        here = feed.net_book.tracker
        assert here is not None
        longer = deepcopy(here)
        feed.go_on_from(longer)
        assert feed.net_book.tracker is longer
        move(stage, "yes", 46, 1)
        await trio.sleep(1)
        with pytest.raises(ValueError, match="another book"):
            feed.go_on_from(here)


async def test_what_executions_cost_says_how_they_were_worked(autojump_clock: MockClock) -> None:
    """Writes and tokens from the journal, the volume of the market, and a row for each order."""
    async with open_restart_bench() as w, observed(w) as stage:
        name = await working(stage, horizon_s=20)
        stage.exchange.trade("no", 48, 36)
        stage.exchange.fill(4, stage.exchange.resting[0])
        await stage.ended(name)
        row = await w.database.load_metrics(name)
        assert row is not None
        assert (row.creates, row.amends, row.cancels, row.write_tokens, row.unresolved) == (1, 0, 1, 12, 0)
        assert (row.writes_per_contract, row.tokens_per_contract, row.cancels_per_fill) == (
            "0.500000",
            "3.000000",
            "1.000000",
        )
        assert (row.market_volume, row.participation, row.rejected) == ("40.00", "0.100000", "")
        children = await rows(w, "SELECT quantity, filled_quantity, maker_share, walks FROM child_metrics")
        assert children == [("10.00", "4.00", "1.000000", 0)]


async def test_an_execution_goes_on_with_the_very_version_it_was_accepted_with(autojump_clock: MockClock) -> None:
    """A later version of its method changes nothing about it, also after its process was killed."""
    first, _ = Catalogue().prepare_method("mine", "adaptive_limit", {})
    stored = [first]
    async with open_restart_bench() as w:
        w.methods = lambda name: Catalogue(stored).find(name)
        request = ExecutionRequest(
            ticker=TICKER,
            outcome="yes",
            target_e2=count(10),
            method=MethodRef("mine@1", Catalogue(stored).find("mine")),
            limits=resolve_limits(price(47), LINEAR_CENT, FEES),
            horizon_us=400_000_000,
        )

        async def work(stage: Stage) -> None:
            await stage.engine.submit(request)
            await trio.sleep(1)

        await w.killed_after(work)
        second, is_new = Catalogue(stored).prepare_method("mine", "simple_limit", {})
        stored.append(second)
        assert (is_new, Catalogue(stored).find("mine").full_name) == (True, "mine@2")
        async with w.life() as stage:
            (actor,) = stage.engine.actors.values()
            assert actor.execution.method == "mine@1"
            assert getattr(actor._algorithm, "algorithm") == "adaptive_limit"  # noqa: B009 - any Algorithm
