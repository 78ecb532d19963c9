"""One run of the demo in this process: engine and exchange opened, executions started, results printed."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import trio
import trio.testing

from fsm_exec.cli.database.methods import method_finder
from fsm_exec.cli.demo.database import open_demo_store
from fsm_exec.cli.demo.live_page import open_browser, open_live_page
from fsm_exec.cli.demo.options import LIVE_SPEED
from fsm_exec.cli.demo.picture import draw_picture, open_picture
from fsm_exec.cli.demo.plan import BOOK_WAIT_US, DemoChoices, PlannedStart, target_price
from fsm_exec.cli.demo.results import DemoResult, ExecutionResult, differences, result_of, table_of
from fsm_exec.cli.demo.screen import LiveTable, NoScreen, PlainLines, Screen, console_of_a_demo
from fsm_exec.cli.demo.totals import MethodTotal, Worked, sentences_of, table_of_totals, totals_of
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from fsm_exec.cli.log_file import log_path, open_log_file
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.values.times import to_iso
from fsm_exec.paper.faults import FaultPlan, FaultProfile
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper_session import PaperExchange, open_paper_session
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import system_us
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import LogFile
from fsm_exec.runtime.pacer import TICK_S, keep_pace
from fsm_exec.session import Session
from fsm_exec.store.files.file_modes import restrict_modes
from fsm_exec.store.files.locks import database_lock

LOOK_EVERY_US = 250_000  # while waiting for a two-sided book
CALM_S = 60  # longer than any answer, frame or listing may be late


class DemoRun:
    """One run of the demo, from an empty screen to the exit code."""

    def __init__(
        self,
        tapes: Sequence[Tape],
        tape_name: str,
        starts: list[PlannedStart],
        choices: DemoChoices,
        speed: float | None,
        seed: int,
        db: Path,
        faults: FaultProfile | None,
        *,
        as_json: bool,
        opens: bool,
        on_page: bool = False,
    ) -> None:
        """`tapes` has the market of each method, all of them the same tape; `opens`: the picture, in a browser;
        `on_page`: the run is played on the live page, which stays until Ctrl-C."""
        self._faults = None if faults is None else FaultPlan(faults, seed)
        self._tapes, self._name, self._starts, self._choices = tapes, tape_name, starts, choices
        self._started: dict[str, PlannedStart] = {}
        self._worked: list[Worked] = []
        self._speed, self._seed, self._db, self._as_json, self._opens = speed, seed, db, as_json, opens
        self._on_page, self._stays = on_page, False
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
                code = self._run_lane(main)
        except BaseException:
            if created and not self._began:  # refused before anything began: nothing half-written stays
                with suppress(OSError):  # the refusal is what the user should read
                    log.unlink(missing_ok=True)
            raise
        finally:
            self._screen.close()
        if self._worked and (self._stays or not self._interrupted.is_set()):
            self._draw()
        return code

    def _run_lane(self, main: Callable[[], Awaitable[int]]) -> int:
        if self._live:
            return trio.run(main)
        if self._on_page:  # sockets need a clock that runs: it runs faster, and nothing is promised of the order
            assert self._speed is not None
            return trio.run(main, clock=trio.testing.MockClock(rate=self._speed))
        return run_virtual(main, seed=self._seed)

    async def _main(self, log_file: LogFile) -> int:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(self._session_on_paper(log_file))
            self._began = True
            if self._on_page:
                open_browser(await stack.enter_async_context(open_live_page(session, self._db, log_file)))
            self._open_screen(session)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_drawing, session)
                await nursery.start(self._stop_on_signals, session)
                await self._submit_all(session)
                await session.engine.wait_idle()
                self._screen.tick(session.engine, session.wall.now_us())
                self._screen.close()
                self._screen = NoScreen()
                code = await self._report(session)
                if self._on_page and not self._interrupted.is_set():
                    self._stays = True
                    say("The page stays until Ctrl-C.", err=True)
                    await self._interrupted.wait()
                nursery.cancel_scope.cancel()
            return code

    def _draw(self) -> None:
        """Draw the picture, unless a script reads the output and nobody wants to look at it."""
        if self._as_json and not self._opens:
            return
        path = draw_picture(self._db, self._worked, totals_of(self._worked))
        if not self._as_json:
            self._console.print(f"Picture: {path}", highlight=False, soft_wrap=True)
        if self._opens:
            open_picture(path)

    @asynccontextmanager
    async def _session_on_paper(self, log_file: LogFile) -> AsyncIterator[Session]:
        """Open a running engine on a running exchange that has just begun to play the tape.

        In the virtual lane time starts at the tape's own, so nothing in a run depends on when it is made; in the live
        lane the tape is re-based to now. Raises UserError for a database that cannot be used.
        """
        opened_us = system_us() if self._live else self._tapes[0].first_us
        async with open_demo_store(self._db, opened_us, live=self._live) as store:
            # Another seed for each run on one database: the ids of an earlier run must not come again.
            earlier = len(await store.load_executions())
            exchange_seed = random.Random(f"exchange:{self._seed}:{earlier}").getrandbits(63)
            paper = PaperExchange.starting_at(system_us() if self._live else opened_us, seed=exchange_seed)
            self._began_us = paper.clock.now_us()
            for tape in self._tapes:
                paper.play(tape)
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
            length_us, planned = self._tapes[0].length_us, len(self._starts)
            title = f"fsm-exec demo, {self._name}"
            self._screen = LiveTable(self._console, title, self._began_us, length_us, planned)
        else:
            self._screen = PlainLines(self._console, self._began_us)

    async def _keep_drawing(self, session: Session) -> None:
        def draw() -> None:
            self._screen.tick(session.engine, session.wall.now_us())

        if self._live:
            while True:
                await trio.sleep(TICK_S)
                draw()
        await keep_pace(None if self._on_page else self._speed, draw)

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
        ticker = self._tapes[start.copy].header.ticker
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
        execution_id = await session.engine.submit(
            ExecutionRequest(
                ticker=ticker,
                outcome=start.outcome,
                target_e2=start.count_e2,
                method=MethodRef(start.method.full_name, start.method),
                limits=limits,
                horizon_us=self._choices.horizon_us,
            )
        )
        self._started[execution_id] = start

    async def _report(self, session: Session) -> int:
        ended = sorted(session.engine.ended.values(), key=lambda e: e.execution.execution_id)
        planned = [(self._started.get(e.execution.execution_id), e) for e in ended]
        self._worked = [Worked(start, e) for start, e in planned if start is not None]  # not what the page submitted
        results, totals = [result_of(e) for e in ended], totals_of(self._worked)
        if self._faults is not None:  # the books are compared in calm: what is on its way arrives first
            self._faults.stop(session.wall.now_us())
            await trio.sleep(CALM_S)
        wrong, fills = [], 0
        for tape in self._tapes:
            ticker = tape.header.ticker
            orders, filled = await session.client.fetch_orders(ticker), await session.client.fetch_fills(ticker)
            of_it = [e for e in ended if e.execution.terms.ticker == ticker]
            wrong += differences(of_it, orders, filled, session.store.instance)
            fills += len(filled.fills)
        wrong += [f"{e.execution.execution_id} was quarantined: {e.quarantine}" for e in ended if e.quarantine]
        if self._as_json:
            say_json(DemoResult(tape=self._name, methods=totals, executions=results), indent=2)
        else:
            self._print(results, totals, fills, wrong)
        for line in wrong:
            say(f"fsm-exec: {line}", err=True)
        if wrong:
            return EXIT_FAILED
        return EXIT_INTERRUPTED if self._interrupted.is_set() else 0

    def _print(self, results: list[ExecutionResult], totals: list[MethodTotal], fills: int, wrong: list[str]) -> None:
        echo = self._console.print
        echo(table_of(results, self._console.width))
        echo()
        echo(table_of_totals(totals))
        for sentence in sentences_of(totals):
            echo(sentence, highlight=False, soft_wrap=True)
        if len(totals) > 1:
            echo("So few show how; `fsm-exec compare` measures which is better, with intervals.", soft_wrap=True)
        echo()
        verdict = f"{len(wrong)} differences, see below" if wrong else "no difference"
        echo(f"Checked against the exchange's own listing: {fills} fills, {verdict}.", highlight=False)
        echo(f"Database: {self._db}", highlight=False, soft_wrap=True)
        echo(f"Log, a line per transition: {log_path(self._db)}", highlight=False, soft_wrap=True)
        drawn = Path("state_diagrams")
        where = f"{drawn}" if drawn.is_dir() else "run: fsm-exec diagrams"
        echo(f"State diagrams: {where}", highlight=False, soft_wrap=True)
