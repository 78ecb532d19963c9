"""Ten minutes of a real market, drawn by seed, and one execution in it: the whole engine on the paper exchange, and
afterwards every book against every other."""

from __future__ import annotations

import io
import random
import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import NamedTuple, TypeVar

from fsm_exec.algorithms import Method
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome
from fsm_exec.lab.experiment.episode_runner import play_tape_from
from fsm_exec.lab.experiment.episodes import TAIL_US, Conditions, EpisodeStart, limits_at, passes_conditions
from fsm_exec.lab.simulation import audit
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import EndedExecution, ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store.files.open_database import OpenDatabase, OpenRequest, prepare
from fsm_exec.store.sqlite_store import SqliteStore, run_store

S = 1_000_000
WINDOW_US = 600 * S
GRACE_US = 5 * S
INSTANCE = "windowaaaa"
CASH_E6 = MoneyE6(1_000_000 * 1_000_000)
CONDITIONS = Conditions()

T = TypeVar("T")


class Case(NamedTuple):
    """What is worked in a window."""

    method: Method
    outcome: Outcome
    contracts: int


class Found(NamedTuple):
    """What came of it; `violations` says in words what must not be."""

    reason: str
    filled_e2: int
    violations: list[str]


def draw_window(tape: Tape, seed: int) -> EpisodeStart:
    """A moment with a book on both sides and ten minutes of tape, and some, after it."""
    rng = random.Random(seed)
    first, last = tape.first_us + CONDITIONS.lead_us, tape.events[-1][0] - WINDOW_US - TAIL_US
    while True:
        at_us = rng.randint(first, last)
        opening, index = _book_at(tape, at_us - CONDITIONS.lead_us)
        seen, _ = _book_at(tape, at_us - CONDITIONS.feed_us)
        if passes_conditions(seen):
            return EpisodeStart(0, at_us, _stated(opening), index, _stated(seen))


def work(tape: Tape, start: EpisodeStart, case: Case) -> Found:
    """Give the order, wait for its end, and look for whatever must not be."""
    return run_virtual(partial(_work, tape, start, case), seed=1)


async def _work(tape: Tape, start: EpisodeStart, case: Case) -> Found:
    began_us = start.at_us - CONDITIONS.lead_us
    wall, log_file = WallClock(began_us), io.StringIO()
    log = open_log(log_file, wall)
    paper = PaperExchange.starting_at(began_us, seed=1)
    account, credentials = paper.gate.open_account(CASH_E6, "ed25519")
    play_tape_from(paper.exchange, tape, start, CONDITIONS)
    worth_e6 = audit.worth_e6(paper.exchange)
    ticker = tape.header.ticker
    disk = _Disk(began_us)
    async with (
        disk.open_store() as store,
        paper.in_memory(latency=CONDITIONS.legs) as host,
        open_session(
            access_to(host, credentials), store, wall, log, tickers=[ticker], methods=lambda _: case.method, seed=1
        ) as session,
    ):
        engine = session.engine
        await wall.sleep_until_us(start.at_us)
        view = engine.view(ticker, case.outcome)
        assert view.trusted_mid_e5 is not None, "the window has a book"
        await engine.submit(
            ExecutionRequest(
                ticker=ticker,
                outcome=case.outcome,
                target_e2=CountE2(case.contracts * 100),
                method=MethodRef(case.method.full_name, case.method),
                limits=limits_at(view.trusted_mid_e5, view.grid, engine.feeds[ticker].terms.fees),
                horizon_us=WINDOW_US,
            )
        )
        await engine.wait_idle()
        (ended,) = engine.ended.values()
    violations = [
        *audit.quarantined(disk.connection),
        *audit.unbalanced(paper.exchange),
        *audit.stored_differences(disk.connection),
        *audit.fill_differences(disk.connection, account),
        *audit.order_differences(disk.connection, account, INSTANCE),
        *(line for line in log_file.getvalue().splitlines() if '"level":"error"' in line or '"restarting"' in line),
        *_broken_promises(ended, account),
    ]
    if audit.worth_e6(paper.exchange) != worth_e6:
        violations.append(f"12: money was {worth_e6} and is {audit.worth_e6(paper.exchange)}")
    return Found(ended.execution.reason or "", ended.execution.filled_e2, violations)


def _broken_promises(ended: EndedExecution, account: Account) -> list[str]:
    execution, row = ended.execution, ended.metrics
    limits, deadline_us = execution.limits, execution.deadline_us
    found: list[str] = []
    if limits is None or row is None:
        return [f"no limits, or no metrics: {ended.quarantine}"]
    if (
        execution.filled_e2 > execution.target_e2
        or sum(order.filled_e2 for order in account.orders) > execution.target_e2
    ):
        found.append(f"1: {execution.filled_e2} of {execution.target_e2} is filled")
    for child in execution.children:
        if child.price_e4 > limits.worst_e4 or execution.terms.fees.all_in(child.price_e4, taker=True) > limits.cap_e6:
            found.append(f"2: {child.client_order_id} at {child.price_e4}")
        if child.sent_at_us >= deadline_us:
            found.append(f"9: {child.client_order_id} was placed after the deadline")
        if not execution.terms.grid.seen_from(execution.outcome).contains(child.price_e4):
            found.append(f"11: {child.client_order_id} at {child.price_e4}")
    if sum(part.count_e2 for part in execution.slices) != execution.target_e2:
        found.append("8: the slices are not the target")
    if execution.ended_at_us is None or execution.ended_at_us > deadline_us + GRACE_US:
        found.append(f"9: it ended at {execution.ended_at_us}, the deadline was {deadline_us}")
    return found + _miscounted(ended, row, account)


def _miscounted(ended: EndedExecution, row: MetricsRow, account: Account) -> list[str]:
    """The cost that is told, against what the exchange says was paid."""
    execution, mid_e5 = ended.execution, ended.execution.arrival.trusted_mid_e5
    parts = (row.delay_e7, row.spread_e7, row.drift_e7, row.fees_e7, row.opportunity_e7, row.over_fill_e7)
    known = [part for part in parts if part is not None]
    if mid_e5 is None or row.shortfall_e7 is None or len(known) != len(parts):
        return [f"the cost is not known: {row.flags}"]
    found = [] if sum(known) == row.shortfall_e7 else [f"{parts} do not add up to {row.shortfall_e7}"]
    paid_e7 = sum(10 * (fill.count_e2 * fill.price_e4 + fill.fee_e6) for fill in account.fills)
    left_e2 = execution.target_e2 - execution.filled_e2
    rest_e7 = row.shortfall_e7 + execution.target_e2 * mid_e5 - paid_e7
    if rest_e7 < 0 or rest_e7 > left_e2 * 10 * (9_900 + 10) or (left_e2 == 0) != (rest_e7 == 0):
        found.append(f"what is left ({left_e2}) is priced at {rest_e7}: the fills do not account for the cost")
    return found


def _book_at(tape: Tape, at_us: int) -> tuple[Book, int]:
    """The book once all events up to then have happened, and the index of the next."""
    book = Book()
    for index, (event_us, change) in enumerate(tape.events):
        if event_us > at_us:
            return book, index
        if isinstance(change, BookSnapshot):
            book = Book(change.yes, change.no)
        elif isinstance(change, BookDelta):
            book.change(change.outcome, change.price_e4, change.delta_e2)
    return book, len(tape.events)


def _stated(book: Book) -> BookSnapshot:
    return BookSnapshot(tuple(book.yes.items()), tuple(book.no.items()))


class _Disk:
    """A database in memory that can be read when the engine is gone."""

    def __init__(self, at_us: int) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self._opening = OpenRequest(path=None, draw_instance=lambda: INSTANCE, at_us=at_us)

    def open_store(self) -> AbstractAsyncContextManager[SqliteStore]:
        return run_store(self)

    def surroundings(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def open(self) -> OpenDatabase:
        return prepare(self.connection, None, self._opening)

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return function(self.connection)

    async def close(self) -> None:
        """It is read afterwards."""
