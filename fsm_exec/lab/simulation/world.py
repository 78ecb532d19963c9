"""One simulated history: an exchange that lives on, engines that come and go, and what is done to them."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.algorithms import method
from fsm_exec.core.limits import Limits, resolve_limits
from fsm_exec.core.units import MoneyE6, PriceE4
from fsm_exec.core.view import View
from fsm_exec.lab.simulation import audit
from fsm_exec.lab.simulation.disk import Disk
from fsm_exec.lab.simulation.exchange import LateFills, WatchedExchange
from fsm_exec.lab.simulation.history import History
from fsm_exec.lab.simulation.life import doors_at_crash_points
from fsm_exec.lab.simulation.process import Order, Process
from fsm_exec.lab.simulation.scenario import (
    CALM,
    START_US,
    AnyAction,
    Cancel,
    Crash,
    Drain,
    Halt,
    Jump,
    Price,
    Resume,
    Scenario,
    Second,
    Submit,
)
from fsm_exec.lab.simulation.witness import Witness
from fsm_exec.paper.auth import Gate
from fsm_exec.paper.clock import Clock
from fsm_exec.paper.faults import FaultPlan
from fsm_exec.paper.generator import generate
from fsm_exec.paper.hosting import MemoryHost, host_in_memory
from fsm_exec.paper.player import TapePlayer
from fsm_exec.paper.timeline import Timeline
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, MethodRef, Request
from fsm_exec.runtime.logs import open_log

CASH_E6 = MoneyE6(1_000_000 * 1_000_000)
US_PER_MS = 1_000
BOOK_WAIT_S = 5
START_WAIT_S = 30  # for the first start, in case the exchange is in no mood
START_AGAIN_S = 2  # after a start that failed
WINDOW_AND_LAG_US = 32_000_000  # invariant 9: how long the exchange must have answered reads
GRACE_US = 5_000_000
ANSWER_US = 11_000_000  # the longest a write is waited for, and a little
ARRIVAL_S = 75  # whatever was on its way when calm came has arrived by then
LOOK_S = 1
SECOND_NUMBER = 1_000  # so that its life has a name of its own
LOOK_AGAIN_S = 0.25


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one history showed. `digest` is the hash over all that happened, `events` how many; `steps` the actions
    done, `lives` the engines started, `doors` passed, `visited` the crash points among them, `slowest_ms` the longest
    an execution took beyond its bound's start (see `World.bound_us`)."""

    seed: int
    digest: str
    events: int
    steps: int
    executions: int
    orders: int
    fills: int
    lives: int
    deaths: int
    doors: int
    faults: int
    virtual_ms: int
    findings: list[str]
    visited: list[str]
    lines: list[str] = []
    log: str = ""


def simulate(scenario: Scenario, *, keeps: bool = False) -> Report:
    """Live through `scenario`; the same one gives the same report. `keeps`: the history's lines and the engine's log
    go into it."""
    with doors_at_crash_points() as visited:
        return run_virtual(partial(_simulate, scenario, visited, keeps), seed=scenario.seed)


async def _simulate(scenario: Scenario, visited: set[str], keeps: bool) -> Report:
    with TemporaryDirectory(prefix="fsm-exec-simulate-") as directory:
        world = World(scenario, keeps, Path(directory))
        await _live(world)
    return world.report(visited)


async def _live(world: World) -> None:
    async with host_in_memory(world.exchange, world.clock, world.gate, faults=world.plan) as host:
        world.host = host
        for market in world.scenario.markets:
            tape = generate(
                market.seed, market.seconds, profile=market.profile, ticker=market.ticker, start_us=START_US
            )
            TapePlayer(world.exchange, tape).start(START_US)
        async with trio.open_nursery() as nursery:
            await world.live(nursery)
            nursery.cancel_scope.cancel()


class World:
    """The parts, and the time."""

    host: MemoryHost

    def __init__(self, scenario: Scenario, keeps: bool, directory: Path) -> None:
        self.scenario = scenario
        self.database = directory / "simulated.sqlite"  # for its lock only: the rows are in memory
        seed = scenario.seed
        self.clock = Clock.starting_at(START_US)
        self.offset_us = 0  # by which the machine's clock is wrong
        self.history = History(self.clock.now_us, keeps=keeps)
        instance = _instance(seed)
        self.witness = Witness(self.history, instance)
        self.exchange = WatchedExchange(
            Timeline(self.clock),
            seed=random.Random(f"exchange:{seed}").getrandbits(63),
            witness=self.witness,
            late_fills=LateFills(scenario.late_fills_per_mille, seed, START_US + scenario.calm_ms * US_PER_MS),
        )
        self.gate = Gate(self.exchange, self.clock)
        self.account, self.credentials = self.gate.open_account(CASH_E6, "ed25519")
        self.plan = FaultPlan(scenario.faults, seed, until_us=START_US + scenario.calm_ms * US_PER_MS)
        self.disk = Disk(instance, self.witness.committed)
        self.witness.connection = self.disk.connection
        self.tickers = [market.ticker for market in scenario.markets]
        self.processes: list[Process] = []
        self.submitted: dict[int, str] = {}  # execution ids by the number of the submission
        self._instance = instance
        self._log_file = io.StringIO()
        self._keeps = keeps
        self._worth_e6 = audit.worth_e6(self.exchange)
        self._halts = any(isinstance(action, Halt) for _, action in scenario.steps)
        self._down_ms = 0

    def now_us(self) -> int:
        """The true time."""
        return self.clock.now_us()

    def system_us(self) -> int:
        """What the machine's clock says."""
        return self.clock.now_us() + self.offset_us

    @property
    def process(self) -> Process:
        """The newest one, dead or alive."""
        return self.processes[-1]

    def _is_up(self) -> bool:
        return bool(self.processes) and self.process.ready.is_set() and not self.process.life.is_over

    # The course of things

    async def live(self, nursery: trio.Nursery) -> None:
        """The actions in their time, then calm, until everything has ended or should have."""
        nursery.start_soon(self._keep_alive, nursery)
        with trio.move_on_after(START_WAIT_S):
            await _until(self._is_up)
        submissions = 0
        for number, action in self.scenario.steps:
            await self.clock.sleep_until(START_US + action.at_ms * US_PER_MS)
            self.history.add("action", number, action)
            if action.at_ms == 0:
                continue  # it has been waiting since before the start
            if isinstance(action, Submit):
                nursery.start_soon(self._submit_when_up, partial(self._submit, submissions, action))
                submissions += 1
            else:
                self._act(action, nursery)
            self._look()
        await self.clock.sleep_until(START_US + self.scenario.calm_ms * US_PER_MS)
        self.history.add("calm")
        self.offset_us = 0
        for process in self.processes:
            process.life.die_in(0)  # no death is pending any more
        all_ended = await self._until_ended()
        await self._until_at_rest()
        self._audit(all_ended=all_ended)

    async def _keep_alive(self, nursery: trio.Nursery) -> None:
        """Start the engine, and again whenever it has ended."""
        while True:
            process = Process(self, len(self.processes) + 1, self._log())
            if self.processes:
                process.life.inherit(self.process.life)
            else:
                self._arm_first(process)
            self.processes.append(process)
            nursery.start_soon(process.run)
            await process.life.over.wait()
            self.history.add("life over", process.life.number, process.life.died_at, process.failure)
            if process.engine is not None:  # it got as far as a database
                for line in audit.stored_differences(self.disk.connection):
                    self.witness.found(line)
            if process.failed is None:
                await trio.sleep(self._down_ms / 1_000)
            else:
                await trio.sleep(START_AGAIN_S)

    def _arm_first(self, process: Process) -> None:
        """The death that a scenario has for the very first start."""
        for _, action in self.scenario.steps:
            if isinstance(action, Crash) and action.at_ms == 0:
                self._down_ms = action.down_ms
                process.life.die_in(action.doors, action.where)

    def _act(self, action: AnyAction, nursery: trio.Nursery) -> None:
        match action:
            case Cancel():
                name = self.submitted.get(action.nth)
                if name is not None:
                    self.process.ask(partial(_cancel, name))
            case Halt():
                self.process.ask(_halt)
            case Resume():
                self.process.ask(_resume)
            case Second():
                nursery.start_soon(self._second, action.for_ms)
            case Jump():
                self.offset_us = action.by_ms * US_PER_MS
                nursery.start_soon(self._set_right, action.for_ms)
            case Crash():
                self._down_ms = action.down_ms
                if action.doors:
                    self.process.life.die_in(action.doors, action.where)
                else:
                    self.process.life.end("killed")
            case Drain():
                self._down_ms = action.down_ms
                self.process.terminate(cancels_orders=action.cancels_orders)
            case Submit():
                pass

    async def _second(self, for_ms: int) -> None:
        """The other engine is refused, or there are two."""
        other = Process(self, len(self.processes) + SECOND_NUMBER, self._log())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            with trio.move_on_after(for_ms / 1_000):
                await other.life.over.wait()
            if not other.life.is_over and not self.process.life.is_over:
                self.witness.found("two engines work one database")
            other.life.end("killed")
        self.history.add("second", other.failure)

    async def _set_right(self, after_ms: int) -> None:
        await trio.sleep(after_ms / 1_000)
        self.offset_us = 0

    # The user

    async def _submit_when_up(self, order: Order) -> None:
        """Whoever finds nobody there comes again."""
        await _until(self._is_up)
        self.process.ask(order)

    async def _submit(self, number: int, action: Submit, engine: Engine) -> None:
        ticker, outcome = self.tickers[action.market], action.outcome
        with trio.move_on_after(BOOK_WAIT_S):
            await _until(lambda: engine.view(ticker, outcome).trusted_mid_e5 is not None)
        view = engine.view(ticker, outcome)
        limits: Limits | None = None
        if view.trusted_mid_e5 is not None:
            limits = resolve_limits(_price(view, action.price), view.grid, engine.feeds[ticker].terms.fees)
        chosen = method(action.method)
        self.submitted[number] = await engine.submit(
            Request(
                ticker=ticker,
                outcome=outcome,
                target_e2=action.count_e2,
                method=MethodRef(chosen.full_name, chosen),
                limits=limits,
                horizon_us=action.horizon_ms * US_PER_MS,
            )
        )
        self.history.add("accepted", number, self.submitted[number])

    # The end

    def bound_us(self, name: str, deadline_us: int) -> int:
        """Invariant 9: by when this execution must have ended. The exchange has answered since calm came, the engine
        asks since it was started; a write that got into doubt at its very end still needs its own window."""
        since_us = max(START_US + self.scenario.calm_ms * US_PER_MS, self.process.started_us)
        last_us = max(deadline_us, since_us) + ANSWER_US
        doubt_us = min(self.witness.doubts_us.get(name, 0), last_us)
        wrong_us = max((abs(a.by_ms) for _, a in self.scenario.steps if isinstance(a, Jump)), default=0) * US_PER_MS
        return max(deadline_us, max(since_us, doubt_us) + WINDOW_AND_LAG_US) + GRACE_US + wrong_us

    async def _until_ended(self) -> bool:
        """Whether everything ended in time."""
        while (left := audit.unfinished(self.disk.connection)) or not self._is_up():
            late = [name for name, deadline_us in left if self.now_us() > self.bound_us(name, deadline_us)]
            if late and self._is_up():
                for name in late:
                    self.witness.found(f"9: {name} has not ended in time: {self._state_of(name)}")
                return False
            if self.now_us() > START_US + (self.scenario.calm_ms + 600_000) * US_PER_MS:
                self.witness.found(f"9: the engine does not start any more: {self.process.failed}")
                return False
            await trio.sleep(LOOK_S)
        return True

    def _state_of(self, name: str) -> str:
        durable = self.witness.durable.get(name)
        if durable is None:
            return "unknown"
        children = ", ".join(f"{each.client_order_id} {each.state}" for each in durable.execution.children)
        return f"{durable.execution.state} ({children})"

    async def _until_at_rest(self) -> None:
        """Fills that nobody has told us of yet are learned from listings, in their own time."""
        with trio.move_on_after(ARRIVAL_S):
            await _until(lambda: not audit.fill_differences(self.disk.connection, self.account))

    def _look(self) -> None:
        """After every step: what must hold at any moment."""
        connection = self.disk.connection
        for line in (*audit.quarantined(connection), *audit.unbalanced(self.exchange)):
            self.witness.found(line)
        engine = self.process.engine
        if engine is not None and not self.process.life.is_over and engine.state == "halted" and not self._halts:
            self.witness.found(f"the engine halted by itself: {engine.status().why_halted}")
        if audit.worth_e6(self.exchange) != self._worth_e6:
            self.witness.found("12: cash is not conserved")

    def _audit(self, *, all_ended: bool) -> None:
        connection = self.disk.connection
        self._look()
        for line in (
            *audit.stored_differences(connection),
            *audit.fill_differences(connection, self.account),
            *(audit.order_differences(connection, self.account, self._instance) if all_ended else ()),
        ):
            self.witness.found(line)
        refused = sum(process.refused_429 for process in self.processes)
        if refused and self.scenario.faults_name == CALM:
            self.witness.found(f"10: {refused} requests were refused for want of tokens on a calm exchange")

    def _log(self) -> FilteringBoundLogger:
        return open_log(self._log_file, Wall(self.system_us())) if self._keeps else _SILENT

    def report(self, visited: set[str]) -> Report:
        return Report(
            seed=self.scenario.seed,
            digest=self.history.digest,
            events=self.history.count,
            steps=len(self.scenario.steps),
            executions=len(self.witness.durable),
            orders=len(self.account.orders),
            fills=len(self.account.fills),
            lives=len(self.processes),
            deaths=sum(process.life.died_at != "end" and process.life.is_over for process in self.processes),
            doors=sum(process.life.doors for process in self.processes),
            faults=self.plan.counts.total(),
            virtual_ms=(self.now_us() - START_US) // US_PER_MS,
            findings=list(self.witness.findings),
            visited=sorted(visited),
            lines=self.history.lines,
            log=self._log_file.getvalue(),
        )


async def _until(condition: Callable[[], object]) -> None:
    """What is waited for is what the books say, and nobody tells when they change."""
    while not condition():  # noqa: ASYNC110 - there is no event to wait for
        await trio.sleep(LOOK_AGAIN_S)


async def _cancel(name: str, engine: Engine) -> None:
    await engine.cancel(name)


async def _halt(engine: Engine) -> None:
    engine.halt()


async def _resume(engine: Engine) -> None:
    engine.resume()


def _price(view: View, wanted: Price) -> PriceE4:
    """A target price of that kind. The view must be two-sided."""
    bid, ask = view.bids[0][0], view.asks[0][0]
    if wanted == "cross":
        return ask
    floored = view.grid.floor((bid + ask) // 2)
    return bid if wanted == "passive" or floored is None else floored


def _instance(seed: int) -> str:
    rng = random.Random(f"instance:{seed}")
    return base64.b32encode(rng.randbytes(7)).decode("ascii")[:10].lower()


class _Nowhere:
    """A log that keeps nothing: a failing history is lived through again with one that does."""

    def msg(self, line: str) -> None:
        """Drop the line."""

    debug = info = warning = error = critical = exception = msg


_SILENT: FilteringBoundLogger = structlog.wrap_logger(
    _Nowhere(), processors=[], wrapper_class=structlog.make_filtering_bound_logger("critical")
).bind()
