"""The whole world in both lanes: sockets, aiosqlite and real time; memory, sqlite3 and time that jumps."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.cli.demo.database import open_demo_store
from fsm_exec.cli.demo.results import differences
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper_session import PaperExchange, open_paper_session
from fsm_exec.runtime.clock import system_us
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import EndedExecution, ExecutionRequest, MethodRef
from tests.cli.support import assert_rows_agree, folded

HORIZON_US = 4_000_000


async def work_a_few(database: Path, *, live: bool) -> list[EndedExecution]:
    """Both algorithms on both outcomes for four seconds; asserts that the exchange's listings agree with our books."""
    tape = generate(5, 60)
    now_us = system_us() if live else tape.first_us
    paper = PaperExchange.starting_at(now_us, seed=5)
    paper.play(tape)
    async with (
        open_demo_store(database, now_us, live=live) as store,
        open_paper_session(paper, store=store, live=live, seed=5) as world,
    ):
        ticker = tape.header.ticker
        with trio.fail_after(5):
            while world.engine.view(ticker, "yes").trusted_mid_e5 is None:  # noqa: ASYNC110 - nobody announces it
                await trio.sleep(0.05)
        outcomes: tuple[Outcome, ...] = ("yes", "no")
        for outcome in outcomes:
            for name in ("simple_limit", "market"):
                view, chosen = world.engine.view(ticker, outcome), method(name)
                bid, ask = view.best_bid, view.best_ask
                assert bid is not None
                assert ask is not None
                await world.engine.submit(
                    ExecutionRequest(
                        ticker=ticker,
                        outcome=outcome,
                        target_e2=CountE2(2_000),
                        method=MethodRef(chosen.full_name, chosen),
                        limits=resolve_limits(
                            ask if name == "market" else bid, view.grid, world.engine.feeds[ticker].terms.fees
                        ),
                        horizon_us=HORIZON_US,
                    )
                )
        with trio.fail_after(HORIZON_US / 1_000_000 + 5):
            await world.engine.wait_idle()
        ended = list(world.engine.ended.values())
        orders, fills = await world.client.fetch_orders(ticker), await world.client.fetch_fills(ticker)
        assert fills.fills
        assert len(orders.orders) == 4
        assert differences(ended, orders, fills, world.store.instance) == []
    return ended


@pytest.mark.parametrize("lane", ["live", "virtual"])
def test_a_whole_world_agrees_with_its_exchange(tmp_path: Path, lane: str) -> None:
    """Four executions end in time, none is quarantined, every fill is counted once, and the database tells the same."""
    database = tmp_path / "world.sqlite"
    main = partial(work_a_few, database, live=lane == "live")
    ended = trio.run(main) if lane == "live" else run_virtual(main, seed=5)
    assert [e.quarantine for e in ended] == [None] * 4
    assert {e.execution.method.partition("@")[0] for e in ended if e.execution.filled_e2} >= {"market"}
    executions = folded(database)
    by_id = {e.execution.execution_id: e.execution for e in ended}
    assert {e.execution_id: e for e in executions} == by_id
    assert_rows_agree(database, executions)
