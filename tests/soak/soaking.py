"""A soak on the virtual lane: so many executions continuously renewed, and what the engine holds on to meanwhile.

    python -m tests.soak.soaking --executions 200 --minutes 60

prints a line per sample: how much time has passed, executions ended, the engine's containers together, trio's tasks,
open files, database bytes per execution. Memory itself says little here, for the exchange, which keeps every order it
ever had, lives in the same process: see `tests.soak.daemon` for that.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.errors import LocalError
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.observer import Observer
from fsm_exec.session import connect
from fsm_exec.store import open_virtual_store
from tests.soak.sizes import sizes

START_US = 1_790_856_000_000_000
INSTANCE = "soakaaaaaa"
CASH = MoneyE6(10**15)
SEED = 11
WARM_UP_S = 5
LOOK_S = 0.5
METHODS = ("deadline_walker", "dynamic_depth_walker", "adaptive_limit", "twap", "volume_weighted", "basic")
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")
ROLLING = (
    "ForecastRecorder._orders",
    "MarketFeed._mids",
    "MarketFeed._taken",
    "MarketFeed._trades",
    "ReferenceMomentum._runs",
    "TimerQueue._heap",
)
"""Windows over the recent past, each with a bound of its own that a short soak does not reach."""


@dataclass(frozen=True)
class Soak:
    executions: int
    markets: int
    horizon_s: int
    seconds: int
    samples: int = 6
    contracts: int = 20


@dataclass(frozen=True)
class Sample:
    """`held`: see `sizes`. `database_bytes` counts the log too."""

    at_s: float
    submitted: int
    held: Counter[str]
    tasks: int
    files: int
    database_bytes: int


def soak(what: Soak, directory: Path, *, show: bool = False) -> list[Sample]:
    """Samples at equal distances, the last at the end."""
    return run_virtual(lambda: _Soaking(what, directory, show).run(), seed=SEED)


class _Nowhere(io.StringIO):
    def write(self, text: str, /) -> int:
        return len(text)


class _Soaking:
    def __init__(self, what: Soak, directory: Path, show: bool) -> None:
        self._what, self._directory, self._show = what, directory, show
        self._submitted = 0

    async def run(self) -> list[Sample]:
        what = self._what
        wall = WallClock(START_US)
        log = open_log(_Nowhere(), wall)
        paper = PaperExchange.starting_at(START_US, seed=SEED)
        _, credentials = paper.gate.open_account(CASH, "ed25519")
        tickers = [f"KXSOAK-26OCT01-{n:02}" for n in range(what.markets)]
        samples: list[Sample] = []
        database = self._directory / "soak.sqlite"
        async with (
            open_virtual_store(database, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
            paper.in_memory() as host,
            connect(access_to(host, credentials), wall, seed=SEED, log=log) as client,
        ):
            for number, ticker in enumerate(tickers):
                tape = generate(SEED + number, what.seconds + 600, ticker=ticker, start_us=START_US)
                TapePlayer(paper.exchange, tape).start(START_US)
            observer = Observer(store, wall, log)
            async with (
                open_engine(store, client, wall, log, tickers, method, observer=observer) as engine,
                trio.open_nursery() as users,
            ):
                await trio.sleep(WARM_UP_S)
                for number in range(what.executions):
                    users.start_soon(self._renew, engine, number, tickers[number % what.markets])
                for _ in range(what.samples):
                    await trio.sleep(what.seconds / what.samples)
                    samples.append(self._sample(engine, client, observer, store, wall))
                users.cancel_scope.cancel()
        return samples

    def _sample(self, engine: Engine, *others: object) -> Sample:
        files = [self._directory / f"soak.sqlite{end}" for end in ("", "-wal")]
        sample = Sample(
            at_s=trio.current_time(),
            submitted=self._submitted,
            held=sizes(engine, *others),
            tasks=trio.lowlevel.current_statistics().tasks_living,
            files=len(os.listdir("/proc/self/fd")),
            database_bytes=sum(file.stat().st_size for file in files if file.exists()),
        )
        if self._show:
            click.echo(
                f"{sample.at_s:7.0f} s  {sample.submitted:7,} executions  {sum(sample.held.values()):8,} held  "
                f"{sample.tasks:5} tasks  {sample.files:3} files  "
                f"{sample.database_bytes / sample.submitted / 1_000:6.1f} kB of database an execution"
            )
        return sample

    async def _renew(self, engine: Engine, number: int, ticker: str) -> None:
        """One after the other, for ever."""
        turn = number
        while True:
            name = await self._submit(engine, ticker, OUTCOMES[turn % 2], METHODS[turn % len(METHODS)])
            turn += 1
            while name in engine.actors:  # noqa: ASYNC110 - as a user does: looks again
                await trio.sleep(LOOK_S)

    async def _submit(self, engine: Engine, ticker: str, outcome: Outcome, name: str) -> str:
        while (mid_e5 := engine.view(ticker, outcome).trusted_mid_e5) is None:  # noqa: ASYNC110 - the same
            await trio.sleep(LOOK_S)
        feed, chosen = engine.feeds[ticker], method(name)
        grid = feed.terms.grid.seen_from(outcome)
        target = grid.floor(mid_e5 // 10)
        if target is None:
            raise LocalError(f"{ticker} has no price at {mid_e5}")
        self._submitted += 1
        return await engine.submit(
            ExecutionRequest(
                ticker=ticker,
                outcome=outcome,
                target_e2=CountE2(self._what.contracts * 100),
                method=MethodRef(chosen.full_name, chosen),
                limits=resolve_limits(target, grid, feed.terms.fees),
                horizon_us=self._what.horizon_s * 1_000_000,
            )
        )


@click.command()
@click.option("--executions", default=200, show_default=True)
@click.option("--markets", default=20, show_default=True)
@click.option("--horizon", "horizon_s", default=60, show_default=True, help="Seconds of each execution.")
@click.option("--minutes", default=60, show_default=True, help="Of virtual time.")
def main(executions: int, markets: int, horizon_s: int, minutes: int) -> None:
    """Soak, and say what grew. Exit 1 if the containers grew by more than a tenth after the first sixth."""
    with tempfile.TemporaryDirectory() as directory:
        samples = soak(Soak(executions, markets, horizon_s, minutes * 60), Path(directory), show=True)
    first, last = samples[0], samples[-1]
    for name, held in (last.held - first.held).most_common(10):
        click.echo(f"{name} grew by {held}, from {first.held[name]}")
    before, after = (sum(held for name, held in s.held.items() if name not in ROLLING) for s in (first, last))
    click.echo(f"without windows over the recent past: {before:,} held after the first sixth, {after:,} at the end")
    sys.exit(10 * after > 11 * before)


if __name__ == "__main__":
    main()
