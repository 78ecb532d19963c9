"""`fsm-exec demo` runs a dozen executions on a paper exchange in this process, without account or configuration."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TextIO

import click
import trio

from fsm_exec.cli.database.methods import method_finder
from fsm_exec.cli.demo.crash import CRASH_ALGORITHMS, CRASH_HORIZON_S, CRASH_PROFILE, CrashRun, check_crash_options
from fsm_exec.cli.demo.database import new_database_path, open_demo_store
from fsm_exec.cli.demo.options import LIVE_SPEED, check_on_grid, parse_choices, parse_speed
from fsm_exec.cli.demo.plan import BOOK_WAIT_US, DemoChoices, PlannedStart, schedule, target_price
from fsm_exec.cli.demo.results import DemoResult, ExecutionResult, differences, result_of, table_of
from fsm_exec.cli.demo.screen import LiveTable, NoScreen, PlainLines, Screen, console_of_a_demo
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from fsm_exec.cli.log_file import log_path, open_log_file
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.values.times import to_iso
from fsm_exec.paper.faults import FaultPlan, FaultProfile, load_fault_profile, shipped_profile_names
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import DEFAULT_PROFILE, PROFILES
from fsm_exec.paper.tapes.tape import Tape, read_tape
from fsm_exec.paper_session import PaperExchange, open_paper_session
from fsm_exec.plugins import installed
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import system_us
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.pacer import TICK_S, keep_pace
from fsm_exec.session import Session
from fsm_exec.store.files.file_modes import restrict_modes
from fsm_exec.store.files.locks import database_lock

GENERATED_TAPE_S = 600
GENERATED_START_US = 1_767_625_200_000_000  # Monday 2026-01-05, 15:00 UTC: the same for every run
LOOK_EVERY_US = 250_000  # while waiting for a two-sided book
CALM_S = 60  # longer than any answer, frame or listing may be late


@click.command()
@click.option("--recording", type=click.Path(path_type=Path), help="Play this recording instead of a generated tape.")
@click.option("--profile", help=f"The flow of a generated tape; one of: {', '.join(PROFILES)}.")
@click.option(
    "--faults", help=f"What goes wrong at the exchange: a TOML file, or {', '.join(shipped_profile_names())}."
)
@click.option("--executions", type=int, default=12, show_default=True, help="How many executions to start.")
@click.option("--quantity", help="Contracts of each execution, up to 2 decimals.  [default: several sizes]")
@click.option("--horizon", type=int, default=120, show_default=True, help="Seconds each execution may take.")
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    help=f"May be repeated; a method of --db, or: {', '.join(installed().names)}.",
)
@click.option("--outcome", type=click.Choice(["yes", "no", "both"]), default="both", show_default=True)
@click.option("--target-price", help="Target price of each, in dollars.  [default: from the book at its start]")
@click.option("--seed", type=int, default=1, show_default=True, help="Makes the tape and the order of everything.")
@click.option("--speed", help="How much faster than life, or 'max'; 1 uses sockets.  [default: about half a minute]")
@click.option("--db", type=click.Path(path_type=Path), help="The database.  [default: a new file here]")
@click.option("--crash", is_flag=True, help="The engine as a process, killed twice in mid-work; takes about a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def demo(
    recording: Path | None,
    profile: str | None,
    faults: str | None,
    executions: int,
    quantity: str | None,
    horizon: int,
    algorithms: tuple[str, ...],
    outcome: str,
    target_price: str | None,
    seed: int,
    speed: str | None,
    db: Path | None,
    crash: bool,
    as_json: bool,
) -> None:
    """Work orders on a paper exchange and report what they cost."""
    if crash:
        if click.get_current_context().get_parameter_source("horizon") is click.core.ParameterSource.DEFAULT:
            horizon = CRASH_HORIZON_S
        algorithms = algorithms or CRASH_ALGORITHMS
        profile = profile or (CRASH_PROFILE if recording is None else None)
    path = new_database_path(db)
    if crash:
        check_crash_options(speed, horizon, path)
    choices = parse_choices(executions, quantity, horizon, algorithms, outcome, target_price, path)
    trouble = None if faults is None else load_fault_profile(faults)
    tape, name = _tape(recording, profile, seed)
    check_on_grid(choices, tape)
    if crash:
        sys.exit(CrashRun(tape, name, choices, seed, path, trouble, as_json=as_json).run())
    starts = schedule(choices, tape.length_us)
    run = DemoRun(tape, name, starts, choices, parse_speed(speed, tape), seed, path, trouble, as_json=as_json)
    sys.exit(run.run())


def _tape(recording: Path | None, profile: str | None, seed: int) -> tuple[Tape, str]:
    """Load the tape; return it with its name. Raises UserError."""
    if recording is None:
        chosen = profile or DEFAULT_PROFILE
        tape = generate(seed, GENERATED_TAPE_S, profile=chosen, start_us=GENERATED_START_US)
        return tape, f"generated:{seed}" if profile is None else f"generated:{profile}:{seed}"
    if profile is not None:
        raise UserError(f"--recording {recording} and --profile {profile} are two tapes; give one of them")
    return read_tape(recording), str(recording)


class DemoRun:
    """One run of the demo, from an empty screen to the exit code."""

    def __init__(
        self,
        tape: Tape,
        tape_name: str,
        starts: list[PlannedStart],
        choices: DemoChoices,
        speed: float | None,
        seed: int,
        db: Path,
        faults: FaultProfile | None,
        *,
        as_json: bool,
    ) -> None:
        self._faults = None if faults is None else FaultPlan(faults, seed)
        self._tape, self._name, self._starts, self._choices = tape, tape_name, starts, choices
        self._speed, self._seed, self._db, self._as_json = speed, seed, db, as_json
        self._live = speed == LIVE_SPEED
        self._interrupted = trio.Event()
        self._began = False  # the database is open and accepted
        self._console, self._is_plain = console_of_a_demo()
        self._screen: Screen = NoScreen()

    def run(self) -> int:
        log = log_path(self._db)
        created = not os.path.exists(log)  # False, too, for what cannot be asked about: opening it says why
        try:
            with (
                open_log_file(self._db) as log_file,
                database_lock(self._db, what="fsm-exec demo", since=to_iso(system_us())),
            ):
                for line in restrict_modes(self._db):
                    say(f"fsm-exec: {line}", err=True)
                main = partial(self._main, log_file)
                code = trio.run(main) if self._live else run_virtual(main, seed=self._seed)
        except BaseException:
            if created and not self._began:  # refused before anything began: nothing half-written stays
                with suppress(OSError):  # the refusal is what the user should read
                    log.unlink(missing_ok=True)
            raise
        finally:
            self._screen.close()
        return code

    async def _main(self, log_file: TextIO) -> int:
        async with self._session_on_paper(log_file) as session:
            self._began = True
            self._open_screen(session)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_drawing, session)
                await nursery.start(self._stop_on_signals, session)
                await self._submit_all(session)
                await session.engine.wait_idle()
                nursery.cancel_scope.cancel()
            self._screen.tick(session.engine, session.wall.now_us())
            self._screen.close()
            return await self._report(session)

    @asynccontextmanager
    async def _session_on_paper(self, log_file: TextIO) -> AsyncIterator[Session]:
        """Open a running engine on a running exchange that has just begun to play the tape.

        In the virtual lane time starts at the tape's own, so nothing in a run depends on when it is made; in the live
        lane the tape is re-based to now. Raises UserError for a database that cannot be used.
        """
        opened_us = system_us() if self._live else self._tape.first_us
        async with open_demo_store(self._db, opened_us, live=self._live) as store:
            # Another seed for each run on one database: the ids of an earlier run must not come again.
            earlier = len(await store.load_executions())
            exchange_seed = random.Random(f"exchange:{self._seed}:{earlier}").getrandbits(63)
            paper = PaperExchange.starting_at(system_us() if self._live else opened_us, seed=exchange_seed)
            self._began_us = paper.clock.now_us()
            paper.play(self._tape)
            async with open_paper_session(
                paper,
                store=store,
                live=self._live,
                log_file=log_file,
                methods=method_finder(self._db),
                key_type="rsa",
                faults=self._faults,
                depth=DepthSettings(),
                seed=self._seed,
            ) as session:
                yield session

    def _open_screen(self, session: Session) -> None:
        if self._as_json:
            return
        if not self._is_plain:
            self._screen = LiveTable(
                self._console, f"fsm-exec demo, {self._name}", self._began_us, self._tape.length_us, len(self._starts)
            )
        else:
            self._screen = PlainLines(self._console, self._began_us)

    async def _keep_drawing(self, session: Session) -> None:
        def draw() -> None:
            self._screen.tick(session.engine, session.wall.now_us())

        if self._live:
            while True:
                await trio.sleep(TICK_S)
                draw()
        await keep_pace(self._speed, draw)

    async def _stop_on_signals(
        self, session: Session, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """End every execution at Ctrl-C as its user would; the results are still printed."""
        with trio.open_signal_receiver(*ending_signals()) as signals:
            task_status.started()
            async for _ in signals:
                self._interrupted.set()
                session.engine.stop("user")

    async def _submit_all(self, session: Session) -> None:
        async with trio.open_nursery() as nursery:
            for start in self._starts:
                await self._sleep_until(session, self._began_us + start.after_us)
                if self._interrupted.is_set():
                    break
                nursery.start_soon(self._submit, session, start)

    async def _sleep_until(self, session: Session, at_us: int) -> None:
        """Sleep until `at_us`, or until Ctrl-C."""
        with trio.move_on_at(session.wall.trio_time(at_us)):
            await self._interrupted.wait()

    async def _submit(self, session: Session, start: PlannedStart) -> None:
        """Price the order by the book at its start, or give up after half a minute without a book."""
        ticker = self._tape.header.ticker
        give_up_us = session.wall.now_us() + BOOK_WAIT_US
        view = session.engine.view(ticker, start.outcome)
        while view.trusted_mid_e5 is None and session.wall.now_us() < give_up_us and not self._interrupted.is_set():
            await self._sleep_until(session, session.wall.now_us() + LOOK_EVERY_US)
            view = session.engine.view(ticker, start.outcome)
        if self._interrupted.is_set():
            return
        limits: Limits | None = None
        if view.trusted_mid_e5 is not None:
            target = self._choices.target_price_e4
            terms = session.engine.feeds[ticker].terms
            limits = resolve_limits(target_price(start, view) if target is None else target, view.grid, terms.fees)
        await session.engine.submit(
            ExecutionRequest(
                ticker=ticker,
                outcome=start.outcome,
                target_e2=start.count_e2,
                method=MethodRef(start.method.full_name, start.method),
                limits=limits,
                horizon_us=self._choices.horizon_us,
            )
        )

    async def _report(self, session: Session) -> int:
        ended = sorted(session.engine.ended.values(), key=lambda e: e.execution.execution_id)
        results = [result_of(e) for e in ended]
        ticker = self._tape.header.ticker
        if self._faults is not None:  # the books are compared in calm: what is on its way arrives first
            self._faults.stop(session.wall.now_us())
            await trio.sleep(CALM_S)
        orders, fills = await session.client.fetch_orders(ticker), await session.client.fetch_fills(ticker)
        wrong = differences(ended, orders, fills, session.store.instance)
        wrong += [f"{e.execution.execution_id} was quarantined: {e.quarantine}" for e in ended if e.quarantine]
        document = DemoResult(db=str(self._db.resolve()), tape=self._name, executions=results)
        if self._as_json:
            say_json(document, indent=2)
        else:
            self._print(results, len(fills.fills), wrong)
        for line in wrong:
            say(f"fsm-exec: {line}", err=True)
        if wrong:
            return EXIT_FAILED
        return EXIT_INTERRUPTED if self._interrupted.is_set() else 0

    def _print(self, results: list[ExecutionResult], fills: int, wrong: list[str]) -> None:
        echo = self._console.print
        echo(table_of(results))
        verdict = f"{len(wrong)} differences, see below" if wrong else "no difference"
        echo(f"Checked against the exchange's own listing: {fills} fills, {verdict}.", highlight=False)
        echo(f"Database: {self._db.resolve()}", highlight=False, soft_wrap=True)
        echo(f"Log, a line per transition: {log_path(self._db).resolve()}", highlight=False, soft_wrap=True)
        drawn = Path("state_diagrams")
        where = f"{drawn.resolve()}" if drawn.is_dir() else "run: fsm-exec diagrams"
        echo(f"State diagrams: {where}", highlight=False, soft_wrap=True)
