"""`fsm-exec demo --crash` shows the promise. The engine is a child process, the exchange lives in this one.

The engine is the ordinary daemon (`fsm-exec serve`), asked through its control API. Twice, as soon as the
database shows an order on its way beside others that live, it is killed with SIGKILL and started again. At the end the
exchange is asked for its orders and fills, and the database has to say the same.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.table import Table

from fsm_exec.cli.demo.crash_audit import disagreements, load_saved, order_fates, unfinished_work
from fsm_exec.cli.demo.crash_engine import EngineProcess, EngineReady
from fsm_exec.cli.demo.crash_screen import (
    BooksCompared,
    CrashResult,
    CrashScreen,
    KillReport,
    describe_kill,
    describe_restart,
)
from fsm_exec.cli.demo.plan import BOOK_WAIT_US, DemoChoices, PlannedStart, schedule
from fsm_exec.cli.demo.results import result_of, table_of
from fsm_exec.cli.demo.screen import console_of_a_demo
from fsm_exec.cli.end_signals import ending_signals
from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from fsm_exec.cli.output import say, say_json
from fsm_exec.control.client import Client, DaemonAbsent
from fsm_exec.control.schema import Accepted, Submission
from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.values.units import PriceE4, complement, format_count, format_fixed, format_price, opposite
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.paper.faults import FaultPlan, FaultProfile
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.session import connect

CRASH_ALGORITHMS: Final = ("adaptive_limit", "deadline_walker", "dynamic_depth_walker", "simple_limit")
CRASH_PROFILE: Final = "liquid"  # something happens in half a minute
CRASH_HORIZON_S, HORIZON_MIN_S = 30, 15  # shorter ones would have ended before the second kill
PLAYED_BEFORE_US: Final = 60_000_000  # of the tape: its book has come to life
KILLS: Final = 2
WORK_S: Final = 4  # before a kill: orders rest, walk and fill
STEER_S: Final = 6  # the longest a kill waits for an order on its way
LOOK_S, DRAW_S, BETWEEN_S = 0.003, 0.25, 0.3
END_S: Final = 150  # beyond the horizon: an order that never arrived is proven so after half a minute
CALM_S: Final = 60  # longer than any answer, frame or listing may be late
CANCEL_S: Final = 15
UNLIMITED: Final = "[limits]\nmax_quantity_contracts = 1000000000\nmax_notional_dollars = 1000000000"


def check_crash_options(speed: str | None, horizon: int, db: Path) -> None:
    """Check the options. Raises UserError for those that make no sense with --crash."""
    if speed not in (None, "1"):
        raise UserError(f"--speed {speed} and --crash: real processes die in real time; leave --speed out")
    if horizon < HORIZON_MIN_S:
        raise UserError(f"--horizon {horizon} and --crash: give {HORIZON_MIN_S} s or more, so that kills find work")
    if db.exists():
        raise UserError(f"--db {db} exists, and --crash begins with a new database; give another path")


class CrashRun:
    """One run, from the first process to the exit code."""

    def __init__(
        self,
        tape: Tape,
        tape_name: str,
        choices: DemoChoices,
        seed: int,
        db: Path,
        faults: FaultProfile | None,
        *,
        as_json: bool,
    ) -> None:
        """Raises UserError if the tape is too short."""
        self._starts = schedule(choices, tape.length_us)
        self._tape, self._name, self._choices, self._seed, self._db = tape, tape_name, choices, seed, db
        self._plan = None if faults is None else FaultPlan(faults, seed)
        self._as_json = as_json
        self._kills: list[KillReport] = []
        self._unanswered: list[Submission] = []
        self._interrupted = False
        self._instance = ""

    def run(self) -> int:
        """Run it; return the exit code. Raises UserError and ExecError."""
        return trio.run(self._main)

    async def _main(self) -> int:
        self._wall = WallClock(system_us())
        self._began_us = self._wall.now_us()
        console, is_plain = console_of_a_demo()
        self._console = None if self._as_json else console
        self._story = CrashScreen(self._console, self._db, self._began_us, is_plain=is_plain)
        try:
            with tempfile.TemporaryDirectory(prefix="fsm-exec-crash-") as directory:
                async with self._exchange(Path(directory)) as client:
                    self._engine = EngineProcess(Path(directory) / "config.toml", self._db, Path(directory) / "token")
                    compared = await self._run_until_interrupted(client)
        finally:
            self._story.close()
        return self._report(compared)

    @asynccontextmanager
    async def _exchange(self, directory: Path) -> AsyncIterator[KalshiClient]:
        """Open the exchange on loopback, write the configuration that leads the engine to it, and yield a client."""
        paper = PaperExchange.starting_at(self._wall.now_us(), seed=self._seed)
        _, credentials = paper.gate.open_account(PLAY_CASH_E6)
        credentials.write_private_key(directory / "key.pem")
        player = paper.play(self._tape, paper.clock.now_us() - PLAYED_BEFORE_US)
        paper.exchange.timeline.advance()
        self._market = paper.exchange.markets[player.ticker]
        async with (
            paper.on_loopback(faults=self._plan) as host,
            connect(access_to(host, credentials), self._wall, seed=self._seed) as client,
        ):
            settings = {
                "environment": "paper",
                "rest_url": host.rest_url,
                "ws_url": host.ws_url,
                "api_key_id": credentials.api_key_id,
                "private_key_path": "key.pem",
            }
            lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
            (directory / "config.toml").write_text("\n".join([*lines, UNLIMITED]), encoding="utf-8")
            self._say("exchange", f"paper exchange at {host.rest_url}, playing {self._name}")
            yield client

    async def _run_until_interrupted(self, client: KalshiClient) -> BooksCompared | None:
        """Run the story, or as much of it as Ctrl-C leaves; no process of ours is alive afterwards."""
        compared: BooksCompared | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_drawing)
            try:
                with trio.CancelScope() as scope:
                    await nursery.start(self._follow_signals, scope)
                    compared = await self._run_story(client)
                if self._interrupted:
                    await self._wind_down()
            finally:
                await self._engine.kill()  # whatever went wrong
            nursery.cancel_scope.cancel()
        return compared

    async def _follow_signals(
        self, scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """End the story in order at the first signal, at once at a second one."""
        with trio.open_signal_receiver(*ending_signals()) as signals:
            task_status.started()
            async for _ in signals:
                if self._interrupted:
                    await self._engine.kill()
                self._interrupted = True
                scope.cancel()

    async def _keep_drawing(self) -> None:
        while True:
            self._story.draw(self._wall.now_us())
            await trio.sleep(DRAW_S)

    # The story.

    async def _run_story(self, client: KalshiClient) -> BooksCompared:
        await self._start()
        half = len(self._starts) - len(self._starts) // KILLS
        for number, starts in enumerate((self._starts[:half], self._starts[half:])):
            await self._work_and_kill(starts, number * half)
        await self._wait_answered()  # first: what is accepted only now has to end too
        await self._wait_all_ended()
        pid = self._engine.pid
        code = await self._engine.stop()
        self._story.engine(pid, "stopped")
        if code != 0:
            raise ExecError(f"the engine did not come to rest: {self._engine.errors() or code}")
        return await self._compare(client)

    async def _start(self) -> EngineReady:
        ready = await self._engine.start()
        self._instance = ready.instance
        self._story.engine(self._engine.pid, "running")
        if ready.restored == 0:
            self._say("start", f"the engine is process {self._engine.pid}: fsm-exec serve, database {self._db}")
        return ready

    async def _work_and_kill(self, starts: list[PlannedStart], first: int) -> None:
        """Submit `starts`, let them work, and kill the engine when the last one's order is on its way."""
        began_us = self._wall.now_us()
        for number, start in enumerate(starts[:-1], first):
            await self._submit(await self._submission(start, number))
            await trio.sleep(BETWEEN_S)
        await self._wall.sleep_until_us(began_us + WORK_S * 1_000_000)
        async with trio.open_nursery() as nursery:
            if starts:
                last = await self._submission(starts[-1], first + len(starts) - 1)
                nursery.start_soon(self._submit, last)
            with trio.move_on_after(STEER_S):
                await _wait_until(self._may_kill, LOOK_S)
            await self._kill_and_restart()

    def _may_kill(self) -> bool:
        work = unfinished_work(load_saved(self._db))
        return work.count("unknown") > 0 and work.count("live") > 0

    async def _kill_and_restart(self) -> None:
        pid = self._engine.pid
        await self._engine.kill()
        killed_us = self._wall.now_us()
        self._story.engine(pid, "killed")
        work = unfinished_work(load_saved(self._db))
        self._say("killed", f"process {pid} with SIGKILL: {describe_kill(work)}")
        started_us = self._wall.now_us()
        ready = await self._start()
        took_ms = (self._wall.now_us() - started_us) // 1_000
        became = order_fates(work, load_saved(self._db))
        self._say(
            "restart",
            f"process {self._engine.pid} works again after {format_fixed(took_ms // 10, 2)} s: "
            f"{describe_restart(ready.restored, became)}",
        )
        self._kills.append(
            KillReport(
                at_ms=(killed_us - self._began_us) // 1_000,
                pid=pid,
                executions=work.executions,
                orders={kind: work.count(kind) for kind in sorted(set(work.orders.values()))},
                recovered_in_ms=took_ms,
                restored=ready.restored,
                adopted=became.adopted,
                ended=became.ended,
                asking=became.asking,
            )
        )
        await self._wait_answered()

    async def _submission(self, start: PlannedStart, number: int) -> Submission:
        """Build a submission, priced by the exchange's book as it stands."""
        price = self._choices.target_price_e4
        give_up_us = self._wall.now_us() + BOOK_WAIT_US
        while price is None:
            price = self._price(start)
            if price is None:
                if self._wall.now_us() > give_up_us:
                    raise ExecError(f"{self._market.ticker} has no book with two sides; give another tape")
                await trio.sleep(BETWEEN_S)
        return Submission(
            key=f"crash-{number + 1}",
            ticker=self._market.ticker,
            outcome=start.outcome,
            quantity=format_count(start.count_e2),
            method=start.method.full_name,
            target_price=format_price(price),
            horizon_s=self._choices.horizon_us // 1_000_000,
        )

    def _price(self, start: PlannedStart) -> PriceE4 | None:
        """Price it as the demo does: the best ask for `market`, otherwise the mid, rounded down to the grid."""
        own, other = (self._market.book.best(side) for side in (start.outcome, opposite(start.outcome)))
        if own is None or other is None:
            return None
        bid, ask = own[0], complement(other[0])
        if start.method.algorithm == "market":
            return ask
        floored = self._tape.header.grid.seen_from(start.outcome).floor((bid + ask) // 2)
        return bid if floored is None else floored

    async def _submit(self, submission: Submission) -> None:
        """Submit; without an answer, submit again under the same key when the engine is back."""
        try:
            await self._ask_to_accept(submission)
        except DaemonAbsent:
            self._unanswered.append(submission)

    async def _ask_to_accept(self, submission: Submission) -> Accepted:
        """Ask the engine to accept it, and wait for its answer even when the story is interrupted: what it accepts
        after the last look at the database would be cancelled by nobody. Raises what the client raises."""
        with trio.CancelScope(shield=True):
            accepted = await self._engine.ask(partial(_submit_to, submission=submission))
        return accepted

    async def _wait_answered(self) -> None:
        while self._unanswered:
            submission = self._unanswered.pop()
            accepted = await self._ask_to_accept(submission)
            known = (
                "accepted now" if accepted.is_new else "accepted before the kill, so it is the same one, not a second"
            )
            self._say("asked", f"again for {accepted.execution_id}, whose answer the kill had cut off: {known}")

    async def _wait_all_ended(self) -> None:
        with trio.move_on_after(self._choices.horizon_us // 1_000_000 + END_S):
            await _wait_until(lambda: all(each.metrics is not None for each in load_saved(self._db)), DRAW_S)
        self._say("end", f"{len(load_saved(self._db))} executions have ended")

    async def _compare(self, client: KalshiClient) -> BooksCompared:
        if self._plan is not None:  # the books are compared in calm: what is on its way arrives first
            self._plan.stop(self._wall.now_us())
            await trio.sleep(CALM_S)
        orders, fills = await client.fetch_orders(), await client.fetch_fills()
        wrong = disagreements(load_saved(self._db), orders, fills, self._instance)
        return BooksCompared(orders=len(orders.orders), fills=len(fills.fills), differences=wrong)

    # The end.

    async def _wind_down(self) -> None:
        """Wind down after Ctrl-C: cancel what is live while the exchange is still there, then stop the process."""
        self._say("stop", "interrupted: the executions are cancelled, engine and exchange are stopped")
        with trio.move_on_after(CANCEL_S), suppress(ExecError):
            while self._engine.is_ready and (left := self._unfinished()):
                for name in left:
                    await self._cancel(name)
                await trio.sleep(BETWEEN_S)
        await self._engine.stop()

    def _unfinished(self) -> list[str]:
        return [each.execution.execution_id for each in load_saved(self._db) if not each.execution.is_ended]

    async def _cancel(self, execution_id: str) -> None:
        with suppress(UserError):  # it has just ended
            await self._engine.ask(lambda daemon: daemon.cancel(execution_id))

    def _report(self, compared: BooksCompared | None) -> int:
        found = load_saved(self._db)
        results = [result_of(each) for each in found]
        if self._console is None:
            document = CrashResult(
                db=str(self._db.resolve()), tape=self._name, kills=self._kills, executions=results, compared=compared
            )
            say_json(document, indent=2)
        else:
            self._print(self._console, table_of(results, self._console.width), compared)
        if compared is None:
            return EXIT_INTERRUPTED
        for line in compared.differences:
            say(f"fsm-exec: {line}", err=True)
        return EXIT_FAILED if compared.differences else 0

    def _print(self, console: Console, table: Table, compared: BooksCompared | None) -> None:
        console.print(table)
        if compared is not None:
            wrong = len(compared.differences)
            holds = f"{compared.orders} orders and {compared.fills} fills"
            said = f"differs in {wrong} things, see below" if wrong else "says the same"
            console.print(
                f"After {len(self._kills)} kills the exchange holds {holds}; the database {said}.",
                style="bold red" if wrong else "bold green",
                highlight=False,
                soft_wrap=True,
            )
        console.print(f"Database: {self._db.resolve()}", highlight=False, soft_wrap=True)
        console.print(f"Step by step: fsm-exec replay e000001 --db {self._db}", highlight=False, soft_wrap=True)

    def _say(self, word: str, text: str) -> None:
        self._story.line(self._wall.now_us(), word, text)


async def _wait_until(holds: Callable[[], bool], every_s: float) -> None:
    while not holds():  # noqa: ASYNC110 - another process is watched
        await trio.sleep(every_s)


def _submit_to(daemon: Client, submission: Submission) -> Accepted:
    return daemon.submit(submission)
