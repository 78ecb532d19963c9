"""A scenario for each algorithm, two executions of it, and a SIGKILL at every commit, send and answer.

    python -m tests.chaos.sweep --rate 10 --sides both

The exchange lives in this process, on loopback; every life of an engine is forked and, in the first one of a case,
kills itself at the case's point. The next life takes up what it finds and works until all has ended; then the
exchange's accounts and the database are compared. All clocks run `rate` times as fast as the machine's.

The visits of a point are gone through one after another until a scenario ends before its point comes. They are counted
from the first submission on: an engine starts in the same way for every algorithm, so the start is an entry of its own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
import trio

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.core.values.units import CountE2, MoneyE6, format_count
from fsm_exec.lab.simulation import audit
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import host_on_loopback
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.wire import rest
from tests.chaos.fast_clock import ORIGIN_US, FastClock, now_us
from tests.chaos.states import KINDS, at_work
from tests.chaos.sweep_life import ENTRY, INSTANCE, PRICES_BELOW_MID_E4, TARGET_E2, Life
from tests.chaos.zygote import Forked, Zygote

Sides: TypeAlias = Literal["before", "after", "alternate", "both"]
START: Final = "start"
CLOSE: Final = "close"
"""The algorithm whose executions close a position here, both the same one."""
BY_HAND: Final = frozenset({""})
HELD_E2: Final = CountE2(TARGET_E2 * 3 // 2)
VISITS_MAX: Final = 60
BOUNDARIES: Final = ("commit", "send", "answer")
LIVE: Final = tuple(name for name, family in SHIPPED_FAMILIES.items() if not family.lab_only)
"""All algorithms that ship and may run live."""
EXECUTIONS: Final = len(PRICES_BELOW_MID_E4)
CASH_E6: Final = MoneyE6(1_000_000 * 1_000_000)
TAPE_S, PLAYED_BEFORE_S = 240, 60
SEED: Final = 3
LIFE_S: Final = 320.0  # of real time, longer than its own patience: one that lasts longer is a finding
POLL_S: Final = 0.25


class Case(NamedTuple):
    """`scenario` is an algorithm, or START."""

    scenario: str
    point: str
    visit: int


class Result(msgspec.Struct, kw_only=True):
    """`died`: at its point, with `met`: what orders were at work then. Not: it had ended before."""

    case: Case
    died: bool = False
    met: Counter[str] = msgspec.field(default_factory=Counter)
    orders: int = 0
    fills: int = 0
    wrong: list[str] = []


class Sweep:
    """`horizon_s` of each execution and everything else in seconds of the fast clock."""

    def __init__(self, zygote: Zygote, directory: Path, rate: int, epoch_ns: int, horizon_s: int) -> None:
        self._zygote, self._directory, self._horizon_s = zygote, directory, horizon_s
        self._rate, self._epoch_ns = rate, epoch_ns
        self._cases = 0

    @asynccontextmanager
    async def exchange(self) -> AsyncIterator[None]:
        clock = Clock(ORIGIN_US)
        self._exchange = Exchange(Timeline(clock), seed=SEED)
        self._gate = Authenticator(self._exchange, clock)
        async with host_on_loopback(self._exchange, clock, self._gate) as self._host:
            yield

    async def run(self, case: Case) -> Result:
        """One case, in a directory, a market and an account of its own."""
        self._cases += 1
        directory = self._directory / f"{self._cases:05}-{case.scenario}-{case.point}-{case.visit}"
        directory.mkdir()
        account, life = self._prepared(case, directory)
        database = Path(life.database)
        result = Result(case=case)
        status = await self._ended(self._fork(life, directory, "first"))
        result.died = status == -signal.SIGKILL
        if result.died:
            result.met = at_work(database)
            unkilled = msgspec.structs.replace(life, kill_at="", at_start=False)
            status = await self._ended(self._fork(unkilled, directory, "again"))
        if status != 0:
            result.wrong.append(f"a life ended with {status}; see the files in {directory}")
        self._compare(database, account, result)
        if not result.wrong:
            shutil.rmtree(directory)
        return result

    def _prepared(self, case: Case, directory: Path) -> tuple[Account, Life]:
        ticker = f"KXSWEEP-{self._cases}"
        tape = generate(SEED, TAPE_S, profile="liquid", ticker=ticker)
        TapePlayer(self._exchange, tape).start(now_us() - PLAYED_BEFORE_S * 1_000_000)
        account, credentials = self._gate.open_account(CASH_E6, "ed25519")
        if case.scenario == CLOSE:
            self._take_position(account, ticker)
        credentials.write_private_key(directory / "key.pem")
        return account, Life(
            rest_url=self._host.rest_url,
            ws_url=self._host.ws_url,
            api_key_id=credentials.api_key_id,
            key_path=str(directory / "key.pem"),
            database=str(directory / "engine.sqlite"),
            ticker=ticker,
            method=LIVE[0] if case.scenario == START else case.scenario,
            outcome="yes",
            horizon_s=self._horizon_s,
            rate=self._rate,
            epoch_ns=self._epoch_ns,
            kill_at=case.point,
            kill_visit=case.visit,
            at_start=case.scenario == START,
            reduce_only=case.scenario == CLOSE,
        )

    def _take_position(self, account: Account, ticker: str) -> None:
        """Hold less NO than two executions are asked to close, and more than one of them."""
        self._exchange.timeline.advance()  # the tape's first minute has been played
        self._exchange.create_order(
            account,
            rest.CreateOrder(
                ticker=ticker,
                side="ask",
                count=format_count(HELD_E2),
                price="0.0100",
                time_in_force="immediate_or_cancel",
                self_trade_prevention_type="taker_at_cross",
            ),
        )
        assert account.position(ticker).count_e2 == -HELD_E2, "the book has too little"

    def _fork(self, life: Life, directory: Path, name: str) -> Forked:
        return self._zygote.fork([msgspec.json.encode(life).decode()], directory, name, entry=ENTRY)

    @staticmethod
    async def _ended(process: Forked) -> int | None:
        enough = time.monotonic() + LIFE_S
        while time.monotonic() < enough:
            status = process.wait(0)
            if status is not None:
                return status
            await trio.sleep(POLL_S)
        return None

    @staticmethod
    def _compare(database: Path, account: Account, result: Result) -> None:
        result.orders, result.fills = len(account.orders), len(account.fills)
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            result.wrong += audit.stored_differences(connection)
            result.wrong += audit.fill_differences(connection, account, BY_HAND)
            result.wrong += audit.order_differences(connection, account, INSTANCE)
            result.wrong += audit.quarantined(connection)
            result.wrong += [f"{name} did not end" for name, _ in audit.unfinished(connection)]
            rows = connection.execute("SELECT 1 FROM execution_state").fetchall()
        result.wrong += [] if len(rows) == EXECUTIONS else [f"{len(rows)} executions, {EXECUTIONS} were submitted"]
        bought: Counter[str] = Counter()
        ours = [fill for fill in account.fills if fill.order.client_order_id]
        if result.case.scenario == CLOSE:
            result.wrong += [f"{fill.trade_id} turned the position around" for fill in ours if fill.position_e2 > 0]
        for fill in ours:
            bought[fill.order.client_order_id.split("-")[1]] += fill.count_e2
        result.wrong += [f"{name} bought {count}" for name, count in bought.items() if count > TARGET_E2]


def sweep(
    directory: Path, algorithms: Sequence[str], *, rate: int, sides: Sides, horizon_s: int, at_once: int
) -> list[Result]:
    """Every visit of every boundary of the start and of all of `algorithms`, `at_once` of them side by side."""
    epoch_ns = time.monotonic_ns()
    results: list[Result] = []
    waiting = [
        (scenario, boundary, side)
        for scenario in reversed((START, *algorithms))
        for boundary in BOUNDARIES
        for side in (("before", "after") if sides == "both" else (sides,))
    ]

    async def work(told: Sweep) -> None:
        while waiting:
            await _go_through(told, *waiting.pop(), results)

    async def play() -> None:
        told = Sweep(zygote, directory, rate, epoch_ns, horizon_s)
        async with told.exchange(), trio.open_nursery() as nursery:
            for _ in range(at_once):
                nursery.start_soon(work, told)

    with Zygote(os.environ) as zygote:
        trio.run(play, clock=FastClock(rate, epoch_ns))
    return results


async def _go_through(told: Sweep, scenario: str, boundary: str, side: str, results: list[Result]) -> None:
    """One visit after another, until a scenario ended before its point twice. `alternate`: before every other visit and
    after the others, beginning with either, by the scenario's name."""
    for visit in range(1, VISITS_MAX + 1):
        when = ("before", "after")[(visit + len(scenario)) % 2] if side == "alternate" else side
        case = Case(scenario, f"{boundary}.{when}", visit)
        for _ in range(2):  # no two lives are quite alike: one may be short
            results.append(await told.run(case))
            if results[-1].died:
                break
        else:
            return


def table(results: Sequence[Result]) -> str:
    """Scenario x points x what the kills found, and what is wrong."""
    headings = (*(f"{boundary}s" for boundary in BOUNDARIES), "kills", "at work", *KINDS)
    lines = [f"{'scenario':<22}" + "".join(f"{heading:>11}" for heading in headings)]
    for name in sorted({result.case.scenario for result in results}, key=(START, *LIVE).index):
        killed = [result for result in results if result.case.scenario == name and result.died]
        numbers = [
            *(sum(result.case.point.startswith(boundary) for result in killed) for boundary in BOUNDARIES),
            len(killed),
            sum(bool(result.met) for result in killed),
            *(sum(bool(result.met[kind]) for result in killed) for kind in KINDS),
        ]
        lines.append(f"{name:<22}" + "".join(f"{number:>11}" for number in numbers))
    wrong = [f"{'/'.join(map(str, result.case))}: {line}" for result in results for line in result.wrong]
    kills, orders = sum(result.died for result in results), sum(result.orders for result in results)
    lines.append(f"{kills} kills, {orders} orders, {sum(result.fills for result in results)} fills")
    return "\n".join([*lines, f"{len(wrong)} differences", *wrong])


def main() -> int:
    parser = argparse.ArgumentParser(prog="sweep", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rate", type=int, default=10)
    parser.add_argument("--sides", choices=("before", "after", "alternate", "both"), default="both")
    parser.add_argument("--horizon", type=int, default=6)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("algorithms", nargs="*", default=LIVE)
    options = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="fsm-exec-sweep-"))
    began = time.monotonic()
    results = sweep(
        directory,
        options.algorithms,
        rate=options.rate,
        sides=options.sides,
        horizon_s=options.horizon,
        at_once=options.at_once,
    )
    sys.stdout.write(f"{table(results)}\n{time.monotonic() - began:.0f} s; what is wrong is left in {directory}\n")
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
