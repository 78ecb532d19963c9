"""One run of the outage matrix: quiet work, something down for a minute, something that falls into it, rest, the books.

The engine, its client, its database and the exchange are real; the exchange is in memory behind the bends, and the
clock jumps.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import trio

from fsm_exec.algorithms import method
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import ExecError
from fsm_exec.core.execution.advance import fold
from fsm_exec.core.execution.execution import PendingAmend
from fsm_exec.core.journal.snapshot import decode_entry, decode_stored
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import Tape, tape_header
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.account.account import AccountSetup
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.observer import Observer
from fsm_exec.session import connect, results_of
from fsm_exec.store import open_virtual_store
from tests.bending.bends import Bends
from tests.bending.calls import CALLS, CANCELS_DOWN, DOWN, How, Outage
from tests.bending.proxy import bent
from tests.contract.test_under_faults import CASH, INSTANCE, START_US, Restless
from tests.runtime.killed_engine import LifeBoundProxy, ProcessLife

State: TypeAlias = Literal["recovering", "running", "halted", "draining"]
Event: TypeAlias = Literal["halt", "cancel", "SIGTERM", "deadline"]

OUTAGE_S: Final = 60
BEFORE_S: Final = 15  # of quiet work
INTO_S: Final = 10  # from the outage's begin to what falls into it
AT_ONCE_S: Final = 2.0  # within which the cancels of everything known are sent
AMENDED_S: Final = 13.0  # of an order whose amend is under way: that is answered, or given up after 10 s
EXPIRY_S: Final = 8.0  # the exchange ends an order itself 5 s after its execution's deadline
SAID_EVERY_S: Final = 1.0
FALSE_FOR: Final = 5  # looks in a row: an answer on its way is no lie
END_WITHIN_S: Final = 60.0  # after the outage: signature window, read lag, pauses between looks, grace
HORIZON_S: Final = 900
TAPE_S: Final = 600
LITTLE_E2, MUCH_E2 = CountE2(4_000), CountE2(4_000_000)
"""Of orders that rest far away, and of one that is to be filled a little all the time."""
OTHERS: Final = tuple(f"KXOTHER-26DEC{day}-A" for day in range(11, 17))
"""Watched from the start and not worked: of one series, and so many that their events are listed."""
ANOTHER: Final = "KXANOTHER-26DEC31-A"  # asked for in the midst of it


LIMITS: Final = RiskLimits(max_worst_case_account_dollars=10**6, daily_loss_dollars=10**6)
"""Of an account that is read and judged by, and that refuses and brakes nothing here."""


class Cell(NamedTuple):
    down: str
    state: State
    event: Event
    how: How

    def __str__(self) -> str:
        return "/".join(self)


@dataclass
class Result:
    """`cancels_s`: from the event until every order then known was asked to be cancelled. `clear_s`: from the event
    until none of those rested. `met`: requests and frames that the outage cost. `ended_s`: from the outage's end until
    everything had ended. `wrong` has a line for all that must not be; `unnamed` are the requests that no row of the
    calls names."""

    cell: Cell
    cancels_s: float = 0.0
    clear_s: float = 0.0
    ended_s: float = 0.0
    met: int = 0
    wrong: list[str] = field(default_factory=list)
    unnamed: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    log: str = ""


def cells() -> Iterator[Cell]:
    """All of them. (A call of the stream is down in one way only.)"""
    for down in DOWN:
        is_request = any(call.name == down and call.method for call in CALLS) or down in ("all reads", "all writes")
        for state in get_args(State):
            for event in get_args(Event):
                for how in get_args(How) if is_request or down == "everything" else ("no answer",):
                    yield Cell(down, state, event, how)


def run(cell: Cell) -> Result:
    result, log = Result(cell), io.StringIO()
    try:
        run_virtual(lambda: Run(cell, result, log).play(), seed=1)
    finally:
        result.log = log.getvalue()
    return result


@cache
def _tape() -> Tape:
    return generate(3, TAPE_S, start_us=START_US, profile="liquid")


def _find(name: str) -> Algorithm:
    return Restless() if name == Restless.full_name else method(name)


class Run:
    def __init__(self, cell: Cell, result: Result, log: io.StringIO) -> None:
        self._cell, self._result = cell, result
        self._wall = WallClock(START_US)
        self._log = open_log(log, self._wall)
        self._paper = PaperExchange.starting_at(START_US, seed=1)
        self._clock, self._exchange, self._gate = self._paper.clock, self._paper.exchange, self._paper.gate
        self._account: Account
        self._bends = Bends()
        self._outage_over = trio.Event()

    async def play(self) -> None:
        """From quiet work through the outage to rest, and the comparison of the books."""
        self._account, credentials = self._gate.open_account(CASH, "ed25519")
        player = TapePlayer(self._exchange, _tape())
        self._ticker = player.ticker
        for ticker in OTHERS:
            self._exchange.add_market(tape_header(ticker, "linear_cent", category="Testing"))
        async with (
            open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
            self._paper.in_memory() as host,
            bent(host, self._bends) as way,
            connect(access_to(way, credentials), self._wall, seed=1, log=self._log) as client,
            trio.open_nursery() as nursery,
        ):
            player.start(self._wall.now_us())
            self._store, self._client, self._nursery = store, client, nursery
            await self._lives()
            await self._look()
            nursery.cancel_scope.cancel()

    async def _lives(self) -> None:
        """One or two engines until the outage is over, and the last one to the end."""
        process = ProcessLife()
        mine = LifeBoundProxy(self._client, process, self._nursery), LifeBoundProxy(self._store, process, self._nursery)
        went_on = False
        with trio.CancelScope() as scope:
            async with self._life(mine) as engine:
                await self._submit(engine)
                await trio.sleep(BEFORE_S)
                if self._cell.state == "recovering":
                    process.is_alive = False
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
                self._begin_outage()
                if self._cell.state == "halted":
                    engine.halt()
                went_on = await self._through(engine)
        if self._cell.state == "recovering":
            self._begin_outage()
            async with self._life(wait=False) as engine:
                went_on = await self._through(engine)
        if not went_on:
            with trio.fail_after(OUTAGE_S):
                await self._outage_over.wait()
            async with self._life() as engine:
                await self._end(engine)

    def _life(self, mine: tuple[Any, Any] | None = None, *, wait: bool = True) -> AbstractAsyncContextManager[Engine]:
        """As the daemon opens an engine; `mine` are exchange and store."""
        exchange, store = mine or (self._client, self._store)
        results = results_of(self._client) if mine is None else None
        observer = Observer(store, self._wall, self._log, DepthSettings(), results)
        tickers = [self._ticker, *OTHERS]
        account = AccountSetup(store, LIMITS)
        return open_engine(
            store, exchange, self._wall, self._log, tickers, _find, wait=wait, observer=observer, account=account
        )

    async def _submit(self, engine: Engine) -> None:
        """One that rests far away, one whose deadline falls into the outage if that is the event, one that is never
        still."""
        view = engine.view(self._ticker, "yes")
        while view.trusted_mid_e5 is None:
            await trio.sleep(0.5)
            view = engine.view(self._ticker, "yes")
        mid_e4 = self._mid_e4 = view.trusted_mid_e5 // 10 // 100 * 100
        far = PriceE4(mid_e4 // 2 // 100 * 100)
        due_s = BEFORE_S + INTO_S if self._cell.event == "deadline" else HORIZON_S
        simple = MethodRef(method("simple_limit").full_name, method("simple_limit"))
        self._resting = await self._submit_one(engine, "yes", far, simple, HORIZON_S)
        self._due = await self._submit_one(engine, "yes", far, simple, due_s)
        restless = MethodRef(Restless.full_name, Restless())
        await self._submit_one(engine, "no", PriceE4(10_200 - mid_e4), restless, HORIZON_S, MUCH_E2)

    async def _submit_one(
        self,
        engine: Engine,
        outcome: Outcome,
        price: PriceE4,
        algorithm: MethodRef,
        horizon_s: int,
        target_e2: CountE2 = LITTLE_E2,
    ) -> str:
        view = engine.view(self._ticker, outcome)
        return await engine.submit(
            ExecutionRequest(
                ticker=self._ticker,
                outcome=outcome,
                target_e2=target_e2,
                method=algorithm,
                limits=resolve_limits(price, view.grid, engine.feeds[self._ticker].terms.fees),
                horizon_us=horizon_s * 1_000_000,
            )
        )

    def _begin_outage(self) -> None:
        outage = Outage(self._bends, self._cell.down, self._cell.how)

        async def until_over() -> None:
            await trio.sleep(OUTAGE_S)
            outage.end()
            self._result.met = outage.met
            self._over_s = trio.current_time()
            self._outage_over.set()

        self._nursery.start_soon(until_over)

    async def _through(self, engine: Engine) -> bool:
        """The outage, and what falls into it. False if the engine has left and another must end what is left."""
        drained = trio.Event()

        async def drain() -> None:
            await engine.drain(cancel_orders=True)
            drained.set()

        async def open_another() -> None:
            await trio.sleep(INTO_S / 2)
            self._exchange.add_market(tape_header(ANOTHER, "linear_cent", category="Testing"))
            with suppress(ExecError):
                await engine.open_market(ANOTHER)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_another)
            if self._cell.state == "draining":
                nursery.start_soon(drain)
            await trio.sleep(INTO_S)
            known, began_s = await self._known(), trio.current_time()
            nursery.start_soon(self._watch_cancels, known, began_s)
            nursery.start_soon(self._watch_words, engine, nursery.cancel_scope)
            if self._cell.event == "halt":
                engine.halt()
            elif self._cell.event == "cancel" and not drained.is_set():  # nobody answers any more
                nursery.start_soon(self._cancel, engine)
            elif self._cell.event == "SIGTERM" and self._cell.state != "draining":
                nursery.start_soon(drain)
            leaves = self._cell.state == "draining" or self._cell.event == "SIGTERM"
            if leaves:
                with trio.move_on_after(OUTAGE_S + END_WITHIN_S) as patience:
                    await drained.wait()
                if patience.cancelled_caught:
                    self._wrong("it did not come to rest")
                if not self._outage_over.is_set():
                    await trio.sleep(AT_ONCE_S)
            else:
                await self._outage_over.wait()
                await self._end(engine)
            nursery.cancel_scope.cancel()
        return not leaves

    async def _cancel(self, engine: Engine) -> None:
        """What it is told is true: the cancel is durable, or the execution has ended."""
        try:
            await engine.cancel(self._resting)
        except ExecError as error:
            stored = await self._store.load_execution(self._resting)
            if stored is None or not decode_stored(stored).is_ended:
                self._wrong(f"cancel: {error}")

    async def _known(self) -> dict[str, float]:
        """The orders that the event concerns, of which the database knows and that live: by id, how long their cancel
        may take to be sent. An amend under way is answered or given up first; a deadline that nobody can see to,
        for the engine does not know yet what the exchange holds, is kept by the exchange."""
        event, state = self._cell.event, self._cell.state
        concerned = {"cancel": [self._resting], "deadline": [self._due]}.get(event, [])
        everybody = event in ("halt", "SIGTERM") or state in ("halted", "draining")
        found: dict[str, float] = {}
        for stored in await self._store.load_unfinished():
            if not everybody and stored.execution_id not in concerned:
                continue
            for child in decode_stored(stored).children:
                if child.order_id is not None:
                    is_amended = isinstance(child.write, PendingAmend)
                    found[child.order_id] = AMENDED_S if is_amended else AT_ONCE_S
        if event == "deadline" and state == "recovering":
            found = dict.fromkeys(found, EXPIRY_S)
        return {order_id: within_s for order_id, within_s in found.items() if order_id in self._resting_names()}

    async def _watch_cancels(self, known: dict[str, float], began_s: float) -> None:
        """When each was asked to be cancelled, and when none of them rested any more."""
        waiting = set(known)
        while waiting or known.keys() & self._resting_names().keys():
            sent = " ".join(
                f"{asked.request.path} {asked.request.body!r}" for asked in self._bends.requests_made("DELETE")
            )
            resting, past_s = self._resting_names(), trio.current_time() - began_s
            waiting = {order_id for order_id in waiting if order_id not in sent and order_id in resting}
            late = sorted(resting[order_id] for order_id in waiting if past_s > known[order_id])
            slow = sorted(resting[order_id] for order_id in known.keys() & resting.keys() if past_s > known[order_id])
            if any(known[order_id] == AT_ONCE_S for order_id in waiting):
                self._result.cancels_s = past_s
            self._result.clear_s = past_s
            if late:
                self._wrong(f"no cancel was sent of {late}")
                return
            if slow and self._cell.down not in CANCELS_DOWN:
                self._wrong(f"{slow} still rest {past_s:.1f} s later")
                return
            await trio.sleep(0.1)

    def _resting_names(self) -> dict[str, str]:
        return {order.order_id: order.client_order_id for order in self._account.orders if order.status == "resting"}

    async def _watch_words(self, engine: Engine, scope: trio.CancelScope) -> None:
        """`status` never says that nothing is live while something is."""
        false = 0
        while True:
            await trio.sleep(SAID_EVERY_S)
            told = engine.status()
            resting = [order.client_order_id for order in self._account.orders if order.status == "resting"]
            says_nothing = told.live_orders == 0 and told.unknown_orders == 0
            false = false + 1 if says_nothing and resting and engine.state != "stopped" else 0
            if false == FALSE_FOR:
                self._wrong(f"status says that nothing is live, {engine.state}, and {sorted(resting)} rest")

    async def _end(self, engine: Engine) -> None:
        """All that is left is ended by its user."""
        began_s = trio.current_time()
        if engine.state == "recovering":
            with trio.move_on_after(END_WITHIN_S):
                await engine.wait_running()
        engine.stop("user")
        with trio.move_on_after(END_WITHIN_S) as patience:
            await engine.wait_idle()
        self._result.ended_s = trio.current_time() - began_s
        if patience.cancelled_caught:
            self._wrong(f"not ended: {sorted(engine.actors)}")
        for name, why in engine.status().quarantined.items():
            self._wrong(f"{name} is quarantined: {why}")
            with suppress(ExecError):
                await engine.cancel(name)

    async def _look(self) -> None:
        """The exchange's books against the database, and the database against itself."""
        counted = 0
        stored = await self._store.load_executions()
        for one in stored:
            execution = decode_stored(one)
            name = execution.execution_id
            counted += execution.filled_e2
            journal = await self._store.load_journal(name)
            if fold(decode_entry(row.event, row.intents, row.version) for row in journal) != execution:
                self._wrong(f"{name} is not the fold of its journal")
            if not execution.is_ended:
                self._wrong(f"{name} is {execution.state}")
            if execution.filled_e2 > execution.target_e2:
                self._wrong(f"{name} bought {execution.filled_e2} of {execution.target_e2}")
            known = {child.client_order_id: child for child in execution.children}
            for order in self._account.orders:
                if order.client_order_id.split("-")[1] != name:
                    continue
                child = known.pop(order.client_order_id, None)
                if child is None:
                    self._wrong(f"{order.client_order_id} is an orphan")
                elif child.order_id != order.order_id or child.filled_e2 != order.filled_e2:
                    self._wrong(f"{order.client_order_id} is filled {order.filled_e2} there, {child.filled_e2} here")
            self._result.seen |= {f"{name}: {child.state}" for child in execution.children}
        names = [order.client_order_id for order in self._account.orders]
        if len(names) != len(set(names)):
            self._wrong("an order is there twice")
        truth = sum(fill.count_e2 for fill in self._account.fills)
        if truth != counted:
            self._wrong(f"{counted} counted, {truth} filled at the exchange")
        for order in self._account.orders:
            if order.status == "resting":
                self._wrong(f"{order.client_order_id} rests at the end")
        for asked in self._bends.asked:
            rows = [call.name for call in CALLS if call.names(asked.request)]
            self._result.seen |= set(rows)
            if len(rows) != 1:
                self._result.unnamed.add(f"{asked.request.method} {asked.request.path}: {rows}")

    def _wrong(self, line: str) -> None:
        self._result.wrong.append(f"{self._cell}: {line}")
