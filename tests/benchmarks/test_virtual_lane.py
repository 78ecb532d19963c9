"""Virtual seconds a real second: the whole engine on the paper exchange, beside the exchange alone on the same tape.

The engine's run is the demo's world: client, REST and WebSocket over memory, SQLite in a file. The floor plays the tape
to an exchange that nobody is connected to: what the matching itself costs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio
from pytest_benchmark.fixture import BenchmarkFixture

from fsm_exec.algorithms import method
from fsm_exec.cli.demo.database import open_demo_store
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper_session import PaperExchange, open_paper_session
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import EndedExecution, ExecutionRequest, MethodRef

TAPE_S = 300
EXECUTIONS = 10
START_US = 1_767_625_200_000_000
FIRST_START_S, EVERY_S, HORIZON_S = 10, 20, 90
SEED = 5
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


@dataclass(frozen=True)
class VirtualRun:
    """`orders` counts those that the exchange lists at the end."""

    virtual_s: float
    ended: list[EndedExecution]
    orders: int


def test_the_virtual_lane_runs_far_ahead_of_the_clock(
    benchmark: BenchmarkFixture, figures: list[str], tmp_path: Path
) -> None:
    """Ten executions work a generated tape to its end, and the exchange knows an order of each."""
    tape = generate(SEED, TAPE_S, start_us=START_US)
    began = time.perf_counter()
    run: VirtualRun = benchmark.pedantic(  # type: ignore[no-untyped-call]
        run_virtual, args=(partial(work_the_tape, tape, tmp_path),), kwargs={"seed": SEED}, rounds=1, iterations=1
    )
    engine_s = time.perf_counter() - began
    began = time.perf_counter()
    floor_virtual_s = run_virtual(partial(play_the_tape, tape), seed=SEED)
    floor_s = time.perf_counter() - began

    assert len(run.ended) == EXECUTIONS
    assert all(e.execution.is_ended and e.quarantine is None and e.metrics is not None for e in run.ended)
    assert run.orders >= EXECUTIONS
    assert run.virtual_s >= FIRST_START_S + EVERY_S * (EXECUTIONS - 1)
    assert floor_virtual_s * 1_000_000 >= tape.length_us

    rate, floor_rate = run.virtual_s / engine_s, floor_virtual_s / floor_s
    benchmark.extra_info.update(virtual_s_per_s=round(rate), floor_virtual_s_per_s=round(floor_rate))
    figures.append(
        f"virtual lane: {rate:,.0f} virtual seconds/s with {EXECUTIONS} executions over {run.virtual_s:,.0f} s of a "
        f"tape of {len(tape.events) / TAPE_S:.1f} events/s; the exchange alone {floor_rate:,.0f}"
    )


async def work_the_tape(tape: Tape, directory: Path) -> VirtualRun:
    began_s = trio.current_time()
    with (directory / "engine.log").open("a", encoding="utf-8", buffering=1) as log:
        paper = PaperExchange.starting_at(tape.first_us, seed=SEED)
        paper.play(tape)
        async with (
            open_demo_store(directory / "engine.sqlite", tape.first_us, live=False) as store,
            open_paper_session(paper, store=store, log_file=log, depth=DepthSettings(), seed=SEED) as world,
        ):
            ticker = tape.header.ticker
            await trio.sleep(FIRST_START_S)
            for n in range(EXECUTIONS):
                outcome = OUTCOMES[n % 2]
                view = world.engine.view(ticker, outcome)
                bid = view.best_bid
                assert bid is not None
                chosen = method("simple_limit")
                await world.engine.submit(
                    ExecutionRequest(
                        ticker=ticker,
                        outcome=outcome,
                        target_e2=CountE2(2_500),
                        method=MethodRef(chosen.full_name, chosen),
                        limits=resolve_limits(bid, view.grid, world.engine.feeds[ticker].terms.fees),
                        horizon_us=HORIZON_S * 1_000_000,
                    )
                )
                await trio.sleep(EVERY_S)
            await world.engine.wait_idle()
            virtual_s = trio.current_time() - began_s
            orders = len((await world.client.fetch_orders(ticker)).orders)
            return VirtualRun(virtual_s, list(world.engine.ended.values()), orders)


async def play_the_tape(tape: Tape) -> float:
    """The exchange alone, to the end of the tape; the virtual seconds that took."""
    began_s = trio.current_time()
    paper = PaperExchange.starting_at(tape.first_us, seed=SEED)
    player = paper.play(tape)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(paper.exchange.timeline.run, paper.clock)
        await player.ended.wait()
        nursery.cancel_scope.cancel()
    return trio.current_time() - began_s
