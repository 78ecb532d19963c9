"""One simulated history: an exchange that lives on, engines that come and go, and what is done to them."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import structlog
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.market.client_order_id import order_prefix
from fsm_exec.core.values.units import US_PER_MS, MoneyE6
from fsm_exec.lab.simulation import audit, final_checks, third_parties, user_actions
from fsm_exec.lab.simulation.actions import (
    AnyAction,
    Cancel,
    CancelNewest,
    CloseOut,
    Contradict,
    Crash,
    Deposit,
    Detour,
    Drain,
    Failover,
    Halt,
    Hand,
    HandTrade,
    Hit,
    Jump,
    Orphan,
    Resume,
    RiskReduce,
    RiskResume,
    Second,
    Settle,
    Submit,
    SubmitToLimit,
)
from fsm_exec.lab.simulation.contradiction import contradict
from fsm_exec.lab.simulation.disk import Disk
from fsm_exec.lab.simulation.engine_process import EngineProcess, Order
from fsm_exec.lab.simulation.failover import Standby
from fsm_exec.lab.simulation.fee_draws import announce_fees
from fsm_exec.lab.simulation.fee_rules import FeeRules
from fsm_exec.lab.simulation.history import History
from fsm_exec.lab.simulation.life import doors_at_crash_points
from fsm_exec.lab.simulation.machine import Machine
from fsm_exec.lab.simulation.risk_oracle import Layout
from fsm_exec.lab.simulation.risk_witness import RiskWitness
from fsm_exec.lab.simulation.scenario import CALM, Scenario
from fsm_exec.lab.simulation.wait import wait_until
from fsm_exec.lab.simulation.watched_exchange import LateFills, WatchedExchange
from fsm_exec.lab.simulation.witness import Witness
from fsm_exec.paper.faults import FaultPlan
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import MemoryHost
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper_session import PaperExchange
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.logs import open_log

CASH_E6 = MoneyE6(1_000_000 * 1_000_000)
START_WAIT_S = 30  # for the first start, in case the exchange is in no mood
LOOKED_US = 45_000_000  # by then what was done by hand has been read
SECOND_NUMBER = 1_000  # so that its life has a name of its own


class HistoryReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one history showed. `digest` is the hash over all that happened, `events` how many; `steps` the actions
    done, `lives` the engines started, `doors` passed, `visited` the crash points among them. `worked_again_ms`: from
    when a second machine had to take over until it worked; None: none had to."""

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
    worked_again_ms: int | None = None
    lines: list[str] = []
    log: str = ""


def simulate(scenario: Scenario, *, keeps: bool = False) -> HistoryReport:
    """Live through `scenario`; the same one gives the same report. `keeps`: the history's lines and the engine's log
    go into it."""
    with doors_at_crash_points() as visited:
        return run_virtual(partial(_simulate, scenario, visited, keeps), seed=scenario.seed)


async def _simulate(scenario: Scenario, visited: set[str], keeps: bool) -> HistoryReport:
    with TemporaryDirectory(prefix="fsm-exec-simulate-") as directory:
        world = World(scenario, keeps, Path(directory))
        await _live(world)
    return world.report(visited)


async def _live(world: World) -> None:
    paper = PaperExchange(world.clock, world.exchange, world.gate)
    async with paper.in_memory(faults=world.plan) as host:
        world.host = host
        for market in world.scenario.markets:
            tape = generate(
                market.seed,
                market.seconds,
                profile=market.profile,
                ticker=market.ticker,
                start_us=world.scenario.start_us,
            )
            paper.play(tape, world.scenario.start_us)
        announce_fees(world.exchange, world.scenario.fees, world.tickers, world.scenario.start_us)
        async with trio.open_nursery() as nursery:
            await world.live(nursery)
            nursery.cancel_scope.cancel()


class World:
    """The parts, and the time."""

    host: MemoryHost

    def __init__(self, scenario: Scenario, keeps: bool, directory: Path) -> None:
        self.scenario = scenario
        seed = scenario.seed
        self.clock = Clock.starting_at(scenario.start_us)
        self.offset_us = 0  # by which the machine's clock is wrong
        self.right_us = 0  # when it was last set right
        self.contradicted: set[str] = set()
        self._asking: dict[int, EngineProcess | None] = {}  # submissions without an answer, and who was asked
        self.history = History(self.clock.now_us, keeps=keeps)
        instance = _instance(f"instance:{seed}")
        witness = Witness(self.history, instance, lambda: first.process.wall_us() - self.now_us())
        disk = Disk(instance, self._committed)
        witness.connection = disk.connection
        first = self.machine = Machine(self, instance, disk, witness, directory / "simulated.sqlite")
        self.machines = [first]
        self.standby: Standby | None = None
        self.exchange = WatchedExchange(
            Timeline(self.clock),
            seed=random.Random(f"exchange:{seed}").getrandbits(63),
            witness_of=self._witness_of,
            late_fills=LateFills(scenario.late_fills_per_mille, seed, scenario.start_us + scenario.calm_ms * US_PER_MS),
            silence=self.silence,
        )
        self.gate = Authenticator(self.exchange, self.clock)
        self.account, self.credentials = self.gate.open_account(CASH_E6, "ed25519")
        self.plan = FaultPlan(scenario.faults, seed, until_us=scenario.start_us + scenario.calm_ms * US_PER_MS)
        witness.falsified_orders = lambda: self.plan.falsified_orders
        witness.fees = FeeRules(must_know=not self.has_faults) if scenario.fees else None
        self.tickers = [market.ticker for market in scenario.markets]
        self.submitted: dict[int, str] = {}  # execution ids by the number of the submission
        self._at_work: list[EngineProcess] = []  # those that may use a database
        self._log_file = io.StringIO()
        self._keeps = keeps
        self._worth_e6 = audit.worth_e6(self.exchange)
        if scenario.account is not None:
            events = dict(zip(self.tickers, scenario.account.events, strict=True))
            self.exchange.exclusive_events.update(scenario.account.exclusive)
            layout = Layout(events, frozenset(scenario.account.exclusive))
            witness.risk = RiskWitness(scenario.account, layout, self)
        plan = next((action for _, action in scenario.steps if isinstance(action, Failover)), None)
        if plan is not None:
            self.standby = Standby(self, plan, _instance(f"second instance:{seed}"))
            self.machines.append(self.standby.second)
        self._halts = any(isinstance(action, Halt) for _, action in scenario.steps)
        self.lag_us = (scenario.faults.exchange.lagging_reads.for_ms + 1) * US_PER_MS  # of the listings, at most

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let no frame carry what happens in the block."""
        self.plan.begin_outage("account frames")
        yield
        self.plan.end_outage("account frames")

    @property
    def limits(self) -> RiskLimits | None:
        """Those that the engine is given. None: it looks at no account."""
        return None if self.scenario.account is None else self.scenario.account.limits

    @property
    def has_faults(self) -> bool:
        """Whether anything goes wrong at the exchange before calm comes."""
        return self.scenario.faults_name != CALM

    def _committed(self) -> None:
        """The first machine's database has committed."""
        first = self.machines[0]
        first.witness.committed()
        if self.standby is not None:
            self.standby.follow()

    def _witness_of(self, client_order_id: str) -> Witness:
        """Who watches the machine that sent an order of this name, or whose it is, or else the one that works."""
        for machine in reversed(self.machines):
            if client_order_id in machine.witness.sent:
                return machine.witness
        for machine in self.machines:
            if client_order_id.startswith(order_prefix(machine.instance)):
                return machine.witness
        return self.witness

    def must_know(self, at_us: int) -> bool:
        """Whether the engine at work must know by now what was done by hand then: before its process began, or so long
        ago that, on an exchange on which nothing goes wrong, a look has told it."""
        process, now_us = self.process, self.now_us()
        if at_us < process.began_us - self.lag_us:
            return True
        since_us = self.calm_us if self.has_faults else 0
        return process.started_us > 0 and at_us >= since_us and max(at_us, process.started_us) + LOOKED_US < now_us

    @property
    def fast_us(self) -> int:
        """By how much the engine's clock is fast at the most: so much later its orders end, and a request may be sent
        when it has been set right again."""
        jumps = [each.by_ms * US_PER_MS for _, each in self.scenario.steps if isinstance(each, Jump)]
        return max(0, *jumps) if jumps else 0

    def now_us(self) -> int:
        """The true time."""
        return self.clock.now_us()

    def system_us(self) -> int:
        """What the machine's clock says."""
        return self.clock.now_us() + self.offset_us

    @property
    def processes(self) -> list[EngineProcess]:
        """Those of the machine that works, one after the other."""
        return self.machine.processes

    @property
    def all_processes(self) -> list[EngineProcess]:
        """Those of all machines."""
        return [process for machine in self.machines for process in machine.processes]

    def machine_of(self, engine: Engine) -> Machine:
        """Return the machine on which an engine runs."""
        return next(process.machine for process in reversed(self.all_processes) if process.engine is engine)

    @property
    def process(self) -> EngineProcess:
        """The newest one, dead or alive."""
        return self.machine.process

    @property
    def witness(self) -> Witness:
        """Who watches the machine that works."""
        return self.machine.witness

    @property
    def disk(self) -> Disk:
        """That of the machine that works."""
        return self.machine.disk

    @property
    def instance(self) -> str:
        """The name of the database at work."""
        return self.machine.instance

    @property
    def calm_us(self) -> int:
        """From when on nothing goes wrong any more."""
        return self.scenario.start_us + self.scenario.calm_ms * US_PER_MS

    def is_up(self) -> bool:
        """Whether the newest one runs."""
        return self.machine.is_up()

    # The course of things

    async def live(self, nursery: trio.Nursery) -> None:
        """The actions in their time, then calm, until everything has ended or should have."""
        nursery.start_soon(self.machine.keep_alive, nursery)
        if self.standby is not None:
            nursery.start_soon(self.standby.stand_by, nursery)
        with trio.move_on_after(START_WAIT_S):
            await wait_until(self.is_up)
        orders: list[Submit | SubmitToLimit | CloseOut] = []
        for number, action in self.scenario.steps:
            await self.clock.sleep_until(self.scenario.start_us + action.at_ms * US_PER_MS)
            self.history.add("action", number, action)
            if action.at_ms == 0:
                continue  # it has been waiting since before the start
            if isinstance(action, Submit | SubmitToLimit | CloseOut):
                nth = len(orders)
                nursery.start_soon(self._submit_when_up, nth, partial(user_actions.submit, self, nth, action))
                orders.append(action)
            else:
                self._act(action, number, nursery)
            self._look()
        await self.clock.sleep_until(self.calm_us)
        self.history.add("calm")
        self._set_clock_right()
        for process in self.all_processes:
            process.life.die_in(0)  # no death is pending any more
        nursery.start_soon(final_checks.resume_misled, self)
        all_ended = await final_checks.wait_until_ended(self)
        await final_checks.wait_until_at_rest(self)
        self._look()
        final_checks.check_final_books(self, all_ended=all_ended)

    def _act(self, action: AnyAction, number: int, nursery: trio.Nursery) -> None:
        match action:
            case Cancel() | CancelNewest():
                nth = action.nth if isinstance(action, Cancel) else max(self.submitted, default=0)
                name = self.submitted.get(nth)
                if name is not None:
                    self.process.ask(partial(user_actions.cancel, name))
            case Halt():
                self.process.ask(partial(user_actions.halt, self))
            case Resume():
                self.process.ask(user_actions.resume)
            case Second() if not self.machine.is_gone:
                nursery.start_soon(self._second, action.for_ms)
            case Jump():
                self.offset_us = action.by_ms * US_PER_MS
                nursery.start_soon(self._set_right, action.for_ms)
            case Crash():
                self.machine.down_ms = action.down_ms
                if action.doors:
                    self.process.life.die_in(action.doors, action.where)
                else:
                    self.process.life.end("killed")
            case Drain():
                self.machine.down_ms = action.down_ms
                self.process.terminate(cancels_orders=action.cancels_orders)
            case Contradict():
                nursery.start_soon(contradict, self, action)
            case Detour() if not self.plan.profile.lies.any:  # a listing that lies about it then would do so too long
                self.plan.delay_next_write(action.for_ms * US_PER_MS)
            case Hit() | Hand() | Orphan() | HandTrade() | Deposit() | Settle():
                third_parties.perform_action(self, action, number)
            case RiskResume() | RiskReduce():
                self.process.ask(partial(user_actions.act_on_risk, self, action))
            case Failover() if self.standby is not None:
                nursery.start_soon(self.standby.apply_mishap)
                if action.is_commanded:
                    nursery.start_soon(self.standby.order_takeover)
            case Submit() | SubmitToLimit() | CloseOut() | Detour() | Failover() | Second():
                pass

    def let_in(self, process: EngineProcess) -> None:
        """Whoever got past the lock works the database until its life is over, and must be the only one: a second one
        that comes just as the first is killed does hold the lock, and it is the first's next life that is refused."""
        if any(other.machine is process.machine and not other.life.is_over for other in self._at_work):
            self.witness.found("two engines work one database")
        self._at_work.append(process)

    async def _second(self, for_ms: int) -> None:
        """Somebody else's engine."""
        other = EngineProcess(self, self.machine, len(self.processes) + SECOND_NUMBER, self.open_log())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            with trio.move_on_after(for_ms / 1_000):
                await other.life.over.wait()
            other.life.end("killed")
        self.history.add("second", other.failure)

    async def _set_right(self, after_ms: int) -> None:
        await trio.sleep(after_ms / 1_000)
        self._set_clock_right()

    def _set_clock_right(self) -> None:
        if self.offset_us:
            self.offset_us, self.right_us = 0, self.now_us()

    # The user

    async def _submit_when_up(self, number: int, order: Order) -> None:
        """Repeat a request that finds no engine running."""
        self._asking[number] = None
        await wait_until(self.is_up)
        self._asking[number] = self.process
        self.process.ask(partial(self._submitted, number, order))

    async def _submitted(self, number: int, order: Order, engine: Engine) -> None:
        try:
            await order(engine)
        finally:
            del self._asking[number]

    @property
    def waiting_submissions(self) -> int:
        """How many submissions have no answer yet."""
        return len(self._asking)

    @property
    def may_halt(self) -> bool:
        """Whether the engine has been halted by its user or by the brake."""
        return self._halts or (self.witness.risk is not None and self.witness.risk.was_halted)

    def has_waiting_submission(self) -> bool:
        """Return whether a submission still waits to be accepted. A process that has gone will accept none."""
        return any(
            asked is None or (asked.machine is self.machine and not asked.life.is_over)
            for asked in self._asking.values()
        )

    # What is looked at

    def _look(self) -> None:
        """After every step: what must hold at any moment."""
        connection = self.disk.connection
        if self.standby is not None:
            self.standby.rules.look()
        for name, why in audit.given_up(connection):
            if not self.witness.was_lied_to(name):
                self.witness.found(f"{name} was quarantined: {why}")
        if self.witness.risk is not None:
            account = self.process.engine.account if self.is_up() and self.process.engine is not None else None
            self.witness.risk.looked(connection, None if account is None else account.risk.state)
            if self.is_up() and self.process.engine is not None and self.process.engine.state == "running":
                self.witness.risk.looked_for_reservations(self.process.engine)
        for line in audit.unbalanced(self.exchange):
            self.witness.found(line)
        engine = self.process.engine
        if engine is not None and not self.process.life.is_over and engine.state == "halted" and not self.may_halt:
            self.witness.found(f"the engine halted by itself: {engine.status().why_halted}")
        if audit.worth_e6(self.exchange) != self._worth_e6:
            self.witness.found("12: cash is not conserved")

    def open_log(self) -> FilteringBoundLogger:
        """The log of one engine."""
        return open_log(self._log_file, WallClock(self.system_us())) if self._keeps else _SILENT

    def report(self, visited: set[str]) -> HistoryReport:
        lives = [process.life for process in self.all_processes]
        return HistoryReport(
            seed=self.scenario.seed,
            digest=self.history.digest,
            events=self.history.count,
            steps=len(self.scenario.steps),
            executions=len(self.witness.durable),
            orders=len(self.account.orders),
            fills=len(self.account.fills),
            lives=len(lives),
            deaths=sum(life.died_at != "end" and life.is_over for life in lives),
            doors=sum(life.doors for life in lives),
            faults=self.plan.counts.total(),
            virtual_ms=(self.now_us() - self.scenario.start_us) // US_PER_MS,
            findings=list(self.witness.findings),
            visited=sorted(visited),
            worked_again_ms=None if self.standby is None else self.standby.rules.worked_again_ms,
            lines=self.history.lines,
            log=self._log_file.getvalue(),
        )


def _instance(drawn: str) -> str:
    rng = random.Random(drawn)
    return base64.b32encode(rng.randbytes(7)).decode("ascii")[:10].lower()


class _Nowhere:
    """A log that keeps nothing: a failing history is lived through again with one that does."""

    def msg(self, line: str) -> None:
        """Drop the line."""

    debug = info = warning = error = critical = exception = msg


_SILENT: FilteringBoundLogger = structlog.wrap_logger(
    _Nowhere(), processors=[], wrapper_class=structlog.make_filtering_bound_logger("critical")
).bind()
