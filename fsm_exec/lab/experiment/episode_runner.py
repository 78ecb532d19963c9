"""One episode under one method: the real engine on the real paper exchange, in memory, on a clock that jumps.

Nothing of the engine is left out: the client waits for its tokens, reads bodies and frames and judges them, decisions
are saved before they are sent, the exchange matches after the latency. Only what carries them is: HTTP, signatures and
the framing of the stream, which are another twice as much over the whole wire, where an episode comes out the same to
the last digit. The exchange opens a little before the start with the book of that moment and plays the tape's own
events from there. Each run has an exchange, a database and a clock of its own, and sees the same flow.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TypeAlias

import msgspec
import structlog
from structlog.typing import FilteringBoundLogger

from fsm_exec.algorithms import Method
from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import ExecError
from fsm_exec.core.values.units import CountE2, MoneyE6
from fsm_exec.lab.experiment.deadline_asks import DeadlineAsks
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order, daily_volume, limits_at
from fsm_exec.lab.experiment.fill_causes import FillsByCause, count_by_cause
from fsm_exec.lab.experiment.watched_tape import signals_known_at
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper_session import PaperExchange, Reachable, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual, wait_settled
from fsm_exec.runtime.engine import EndedExecution, ExecutionRequest, MethodRef
from fsm_exec.session import Session, open_session
from fsm_exec.store import open_virtual_store

Serve: TypeAlias = Callable[[PaperExchange, Latency], AbstractAsyncContextManager[Reachable]]
"""A way to serve an exchange to this process."""

INSTANCE = "labaaaaaaa"  # one database a run, gone with it: its name need not differ
CASH_E6 = MoneyE6(1_000_000 * 1_000_000)  # more for an order that could cost more
E6_OF_E2 = 10_000  # a dollar for each contract
SEED = 1


class LabError(ExecError):
    """An experiment that cannot be trusted: the run, or what was measured, contradicts what must hold."""


class EpisodeRun(msgspec.Struct, frozen=True, kw_only=True):
    """What one method made of one episode: exact totals. `before_close_e2` is what was filled without the order of the
    closing leg; `mid_e5` the mid at arrival in the own outcome, `spread_e4` and `touch_e2` (of the side to be bought
    from) the book there; `fills` what was filled by what; `writes` are creates, amends and cancels."""

    mid_e5: int
    spread_e4: int
    touch_e2: int
    filled_e2: int
    fills: FillsByCause
    before_close_e2: int
    shortfall_e7: int
    fees_e7: int
    writes: int
    walks: int
    state: str
    reason: str
    flags: str
    liquidity_reward_e7: int = 0
    volume_reward_e7: int = 0

    @property
    def cost_e7(self) -> int:
        """The shortfall with what programmes are estimated to pay, which is at most 0."""
        return self.shortfall_e7 + self.liquidity_reward_e7 + self.volume_reward_e7


def run_episode(
    tape: Tape,
    start: EpisodeStart,
    order: Order,
    method: Method,
    conditions: Conditions,
    serve: Serve = PaperExchange.directly,
) -> EpisodeRun:
    """Work `order` by `method` from `start` on. The same arguments give the same run, however the exchange is served.
    Raises LabError if the engine gave the execution up, or there was no book to price it by."""
    faults, asks = _Faults(), None if conditions.fill_model == "recorded" else DeadlineAsks()
    ended, fills = run_virtual(partial(_work, tape, start, order, method, conditions, faults, serve, asks), seed=SEED)
    where = f"{tape.header.ticker} at {start.at_us} {order.outcome} under {method.full_name}"
    if ended.metrics is None:
        raise LabError(f"{where}: the engine gave the execution up: {ended.quarantine}")
    if faults.found:
        raise LabError(f"{where}: {faults.found[0]}")
    run = _measured(ended, ended.metrics, fills, where)
    if asks is None:
        return run
    unfilled = CountE2(max(0, order.quantity_e2 - run.filled_e2))
    saving_e7 = asks.saving_e7(unfilled, ended.execution.terms.fees)
    return msgspec.structs.replace(run, shortfall_e7=run.shortfall_e7 - saving_e7)


async def _work(
    tape: Tape,
    start: EpisodeStart,
    order: Order,
    method: Method,
    conditions: Conditions,
    faults: _Faults,
    serve: Serve,
    asks: DeadlineAsks | None = None,
) -> tuple[EndedExecution, FillsByCause]:
    cash = MoneyE6(max(CASH_E6, 2 * order.quantity_e2 * E6_OF_E2))
    async with _session_on(tape, start, cash, method, conditions, faults, serve) as (session, account, exchange):
        engine, wall = session.engine, session.wall
        ticker = tape.header.ticker
        if wall.now_us() > start.at_us:
            raise LabError(f"{ticker} at {start.at_us}: the engine was not ready in {conditions.lead_us} us")
        await wall.sleep_until_us(start.at_us)
        await wait_settled("submission")  # what is due at this very moment is seen, whichever task runs first
        engine.feeds[ticker].go_on_from(signals_known_at(tape, start.at_us - conditions.feed_us))
        if asks is not None:
            asks.watch(exchange, ticker, order.outcome, start.at_us + order.horizon_us - conditions.feed_us)
        view = engine.view(ticker, order.outcome)
        mid_e5 = view.trusted_mid_e5
        if mid_e5 is None:
            raise LabError(f"{ticker} at {start.at_us}: the engine sees no book on both sides at the start")
        await engine.submit(
            ExecutionRequest(
                ticker=ticker,
                outcome=order.outcome,
                target_e2=order.quantity_e2,
                method=MethodRef(method.full_name, method),
                limits=limits_at(mid_e5, view.grid, engine.feeds[ticker].terms.fees, conditions.reach_e4),
                horizon_us=order.horizon_us,
            )
        )
        await engine.wait_idle()
        (ended,) = engine.ended.values()
        return ended, count_by_cause(account.fills)


@asynccontextmanager
async def _session_on(
    tape: Tape,
    start: EpisodeStart,
    cash: MoneyE6,
    method: Method,
    conditions: Conditions,
    faults: _Faults,
    serve: Serve,
) -> AsyncIterator[tuple[Session, Account, Exchange]]:
    """An engine, and its account, on an exchange that stands a little before the start and plays on from there."""
    began_us = start.at_us - conditions.lead_us
    wall = WallClock(began_us)
    paper = PaperExchange.starting_at(began_us, seed=SEED)
    account, credentials = paper.gate.open_account(cash, "ed25519")  # one for each run, so it should be cheap
    play_tape_from(paper.exchange, tape, start, conditions)
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=began_us) as store,
        serve(paper, conditions.legs) as host,
        open_session(
            access_to(host, credentials),
            store,
            wall,
            faults.log(),
            methods=lambda _: method,
            tickers=[tape.header.ticker],
            seed=SEED,
            rewards=conditions.rewards is not None,
        ) as session,
    ):
        yield session, account, paper.exchange


def play_tape_from(exchange: Exchange, tape: Tape, start: EpisodeStart, conditions: Conditions) -> None:
    """Open the market with the book before the start, and put the tape's events on the timeline, one after the other.
    The run is over long before the tape is: starts are chosen so."""
    ticker, events, timeline = tape.header.ticker, tape.events, exchange.timeline
    market = exchange.add_market(tape.header, conditions.queue_model, conditions.fill_model)
    market.close_us = events[-1][0]
    if conditions.rewards is not None:
        market.earlier_volume_e2 = daily_volume(tape)
        for program in conditions.rewards.programs(ticker, timeline.now_us()):
            exchange.incentives.add(program)
    exchange.apply(ticker, start.opening)
    upcoming = start.first

    def play_next() -> None:
        nonlocal upcoming
        recorded_us, change = events[upcoming]
        exchange.apply(ticker, change, recorded_us)
        upcoming += 1
        await_next()

    def await_next() -> None:
        if upcoming < len(events):
            timeline.at(events[upcoming][0], Rank.TAPE, ticker, play_next)

    await_next()


def _measured(ended: EndedExecution, row: MetricsRow, fills: FillsByCause, where: str) -> EpisodeRun:
    execution = ended.execution
    arrival = execution.arrival
    mid_e5, bid, ask = arrival.trusted_mid_e5, arrival.best_bid, arrival.best_ask
    if row.shortfall_e7 is None or mid_e5 is None or bid is None or ask is None:
        raise LabError(f"{where}: its cost cannot be reckoned ({row.flags})")
    closing = None if execution.closing is None else execution.closing.order
    before_close = sum(child.filled_e2 for child in execution.children if child.client_order_id != closing)
    return EpisodeRun(
        mid_e5=mid_e5,
        spread_e4=ask - bid,
        touch_e2=arrival.asks[0][1],
        filled_e2=execution.filled_e2,
        fills=fills,
        before_close_e2=before_close,
        shortfall_e7=row.shortfall_e7,
        fees_e7=row.fees_e7,
        writes=execution.writes,
        walks=execution.walks,
        state=execution.state,
        reason=execution.reason or "",
        flags=row.flags,
        liquidity_reward_e7=row.liquidity_reward_e7 or 0,
        volume_reward_e7=row.volume_reward_e7 or 0,
    )


class _Faults:
    """The engine's log, of which only what must not happen is kept: errors, and an execution that had to be restarted.
    Nothing is written, no time is stamped: a run would spend more on its log than on its book."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def log(self) -> FilteringBoundLogger:
        logger: FilteringBoundLogger = structlog.wrap_logger(
            self, processors=[], wrapper_class=structlog.make_filtering_bound_logger("warning")
        )
        bound: FilteringBoundLogger = logger.bind()
        return bound

    def error(self, **fields: object) -> None:
        self.found.append(str(fields))

    def warning(self, **fields: object) -> None:
        if fields.get("event") == "restarting":
            self.error(**fields)

    exception = critical = error
