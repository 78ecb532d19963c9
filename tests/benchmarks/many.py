"""Many executions at once on many markets, under one account's rate budget, on the virtual lane; and what became of it.

    python -m tests.benchmarks.many 1000 --tier prestige

The whole engine, client and paper exchange. Everything is submitted within a few seconds, so the budget is what is
scarce: the Basic tier lets ten orders a second be placed.
"""

from __future__ import annotations

import io
import resource
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import CancelAnswer, CancelOrder
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import connect
from fsm_exec.store import open_virtual_store

START_US = 1_790_856_000_000_000
INSTANCE = "manyaaaaaa"
CASH = MoneyE6(10**15)
SEED = 7
WARM_UP_S = 5
AFTER_S = 60  # of tape beyond the last deadline
WALKERS = ("deadline_walker", "dynamic_depth_walker", "adaptive_limit")
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


@dataclass(frozen=True)
class Crowd:
    """`methods` are taken in turn."""

    executions: int
    markets: int
    methods: Sequence[str]
    tier: str = "basic"
    horizon_s: int = 120
    contracts: int = 200
    submitted_within_s: int = 10
    flow: str = "moderate"


@dataclass(frozen=True)
class Result:
    """`late_us`: by how much each execution ended after its deadline (negative: before). `cancel_us` is the longest a
    cancel was under way. `tokens_given_up`: places and amends that waited too long for tokens, and were not sent."""

    executions: list[Execution]
    quarantined: int
    refused_429: int
    tokens_given_up: int
    late_us: list[int]
    cancel_us: int
    rows: int
    orders_left: int
    seconds: float
    virtual_s: float

    @property
    def reasons(self) -> Counter[str]:
        return Counter(execution.reason or "" for execution in self.executions)

    def writes(self, name: str) -> list[int]:
        """Creates, amends and cancels of each execution of this method."""
        return [e.writes for e in self.executions if e.method.partition("@")[0] == name]


def work(crowd: Crowd, database: Path | None = None) -> Result:
    """The same arguments give the same result, but for `seconds`."""
    return run_virtual(partial(_work, crowd, database), seed=SEED)


async def _work(crowd: Crowd, database: Path | None) -> Result:
    began = time.perf_counter()
    wall = WallClock(START_US)
    log = open_log(Nowhere(), wall)
    paper = PaperExchange.starting_at(START_US, seed=SEED, tier=TIERS[crowd.tier])
    account, credentials = paper.gate.open_account(CASH, "ed25519")
    tape_s = WARM_UP_S + crowd.submitted_within_s + crowd.horizon_s + AFTER_S
    tickers = [f"KXMANY-26OCT01-{n:02}" for n in range(crowd.markets)]
    async with (
        open_virtual_store(database, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
        paper.in_memory() as host,
        connect(access_to(host, credentials), wall, seed=SEED, log=log) as client,
    ):
        for number, ticker in enumerate(tickers):
            tape = generate(SEED + number, tape_s, ticker=ticker, start_us=START_US, profile=crowd.flow)
            TapePlayer(paper.exchange, tape).start(START_US)
        cancels = _watched_cancels(client)
        async with open_engine(store, client, wall, log, tickers, method) as engine:
            await trio.sleep(WARM_UP_S)
            pause_s = crowd.submitted_within_s / crowd.executions
            for number in range(crowd.executions):
                await _submit(engine, crowd, number, tickers[number % crowd.markets])
                await trio.sleep(pause_s)
            await engine.wait_idle()
        stored = await store.load_executions()
        executions = [decode_stored(each) for each in stored]
        budget = client.statistics()
        return Result(
            executions=executions,
            quarantined=sum(each.quarantine is not None for each in stored),
            refused_429=budget.read.refused + budget.write.refused,
            tokens_given_up=budget.write.given_up,
            late_us=[(e.ended_at_us or e.deadline_us + 10**9) - e.deadline_us for e in executions],
            cancel_us=max(cancels, default=0),
            rows=sum(e.seq for e in executions),
            orders_left=sum(order.status == "resting" for order in account.orders),
            seconds=time.perf_counter() - began,
            virtual_s=(wall.now_us() - START_US) / 1_000_000,
        )


class Nowhere(io.StringIO):
    """Lines are made, and not kept."""

    def write(self, text: str, /) -> int:
        return len(text)


def _watched_cancels(client: KalshiClient) -> list[int]:
    """How long each cancel was under way, from now on, in microseconds."""
    taken: list[int] = []
    cancel = client.cancel

    async def watched(order: CancelOrder) -> CancelAnswer:
        began_s = trio.current_time()
        answer = await cancel(order)
        taken.append(round((trio.current_time() - began_s) * 1_000_000))
        return answer

    client.cancel = watched  # type: ignore[method-assign]  # of this client
    return taken


async def _submit(engine: Engine, crowd: Crowd, number: int, ticker: str) -> None:
    outcome = OUTCOMES[number // crowd.markets % 2]
    view = engine.view(ticker, outcome)
    while view.trusted_mid_e5 is None:
        await trio.sleep(0.5)
        view = engine.view(ticker, outcome)
    target = view.grid.floor(view.trusted_mid_e5 // 10)
    assert target is not None
    chosen = method(crowd.methods[number % len(crowd.methods)])
    await engine.submit(
        ExecutionRequest(
            ticker=ticker,
            outcome=outcome,
            target_e2=CountE2(crowd.contracts * 100),
            method=MethodRef(chosen.full_name, chosen),
            limits=resolve_limits(target, view.grid, engine.feeds[ticker].terms.fees),
            horizon_us=crowd.horizon_s * 1_000_000,
        )
    )


@click.command()
@click.argument("executions", type=int)
@click.option("--markets", default=20, show_default=True)
@click.option("--tier", default="basic", show_default=True, type=click.Choice(list(TIERS)))
@click.option("--methods", "names", default=",".join(WALKERS), show_default=True)
@click.option("--horizon", "horizon_s", default=60, show_default=True, help="Seconds of each execution.")
@click.option("--within", "submitted_within_s", default=10, show_default=True, help="Seconds to submit all of them in.")
def main(executions: int, markets: int, tier: str, names: str, horizon_s: int, submitted_within_s: int) -> None:
    """Work EXECUTIONS at once and print the figures."""
    methods = tuple(names.split(","))
    result = work(Crowd(executions, markets, methods, tier, horizon_s, submitted_within_s=submitted_within_s))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
    writes = ", ".join(f"{name} {statistics.mean(result.writes(name)):.1f}" for name in methods)
    for line in (
        f"{executions:,} executions on {markets} markets, tier {tier}: {result.seconds:.0f} s for "
        f"{result.virtual_s:.0f} virtual s, {result.rows:,} durable steps ({result.rows / result.seconds:,.0f}/s)",
        f"peak of memory, with the exchange's: {peak_mb} MB",
        f"answered 429: {result.refused_429}; not sent for want of tokens: {result.tokens_given_up}",
        f"quarantined: {result.quarantined}; orders left: {result.orders_left}; ended: {dict(result.reasons)}",
        f"latest end after its deadline: {max(result.late_us) / 1_000_000:.2f} s",
        f"longest cancel: {result.cancel_us / 1_000_000:.2f} s",
        f"writes each: {writes}",
    ):
        click.echo(line)


if __name__ == "__main__":
    main()
