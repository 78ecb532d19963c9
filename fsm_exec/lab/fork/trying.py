"""One method at work on a forked market: the real engine on the paper exchange, on virtual time, from before the moment
on, so that its signals are as warm as they were.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

from fsm_exec.algorithms import Method
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.values.units import CountE2, MoneyE6, opposite
from fsm_exec.lab.experiment.episode_runner import CASH_E6, E6_OF_E2, INSTANCE, SEED, LabError, play_tape_from
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart
from fsm_exec.lab.experiment.fill_causes import FillsByCause, count_by_cause
from fsm_exec.lab.fork.forked_market import ForkedMarket
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual, wait_settled
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import open_session
from fsm_exec.store import open_virtual_store

LEAD_US: Final = 5_000_000  # to connect in, and to see the book
LEAD_WAYS: Final = 20  # ways there and back, where they are long


class Tried(NamedTuple):
    """What a method made of it: the execution as it ended, its journal, and what the exchange says of its fills."""

    execution: Execution
    history: Sequence[ReplayedRow]
    fills: FillsByCause


def try_method(market: ForkedMarket, method: Method, at_us: int, quantity: CountE2, conditions: Conditions) -> Tried:
    """Work `quantity` by `method` from `at_us` on, within the execution's limits and until its deadline. The same
    arguments give the same. Raises LabError where the engine gives it up."""
    return run_virtual(partial(_work, market, method, at_us, quantity, conditions), seed=SEED)


async def _work(market: ForkedMarket, method: Method, at_us: int, quantity: CountE2, conditions: Conditions) -> Tried:
    asked, ticker = market.execution, market.tape.header.ticker
    began_us = _began_us(market, at_us)
    wall, paper = WallClock(began_us), PaperExchange.starting_at(began_us, seed=SEED)
    cash = MoneyE6(max(CASH_E6, 2 * quantity * E6_OF_E2))
    account, credentials = paper.gate.open_account(cash, "ed25519")
    _play(paper.exchange, market, at_us, conditions)
    if asked.reduce_only:  # it closes what is held of the other outcome
        held = account.position(ticker)
        held.count_e2 = int(quantity) if opposite(asked.outcome) == "yes" else -int(quantity)
    log = io.StringIO()
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=began_us) as store,
        paper.directly(market.latency) as host,
        open_session(
            access_to(host, credentials),
            store,
            wall,
            open_log(log, wall),
            methods=lambda _: method,
            tickers=[ticker],
            seed=SEED,
        ) as session,
    ):
        if wall.now_us() > at_us:
            raise LabError(f"{ticker}: the engine was not ready in time")
        await wall.sleep_until_us(at_us)
        await wait_settled("submission")
        execution_id = await session.engine.submit(
            ExecutionRequest(
                ticker=ticker,
                outcome=asked.outcome,
                target_e2=quantity,
                method=MethodRef(method.full_name, method),
                limits=asked.limits,
                deadline_us=asked.deadline_us,
                edge=asked.edge,
                reduce_only=asked.reduce_only,
            )
        )
        await session.engine.wait_idle()
        ended = session.engine.ended[execution_id]
        if ended.metrics is None:
            raise LabError(f"{ticker} under {method.full_name}: the engine gave it up: {ended.quarantine}")
        history = list(replay_rows(await store.load_journal(execution_id)))
        return Tried(ended.execution, history, count_by_cause(account.fills))


def _began_us(market: ForkedMarket, at_us: int) -> int:
    """When the exchange opens: with the tape, or earlier, where there is no time to connect in."""
    entry_us = market.latency.entry_us
    assert isinstance(entry_us, int)
    return min(market.tape.first_us, at_us - max(LEAD_US, LEAD_WAYS * entry_us))


def _play(exchange: Exchange, market: ForkedMarket, at_us: int, conditions: Conditions) -> None:
    opening = market.tape.events[0][1]
    assert isinstance(opening, BookSnapshot)
    play_tape_from(exchange, market.tape, EpisodeStart(0, at_us, opening, 1, opening), conditions)
    exchange.markets[market.tape.header.ticker].close_us = market.execution.deadline_us + 86_400_000_000
