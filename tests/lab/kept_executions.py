"""Executions by each algorithm on the paper exchange, one after the other; their engine keeps the market's tape."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.algorithms.versions import versions_of
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange, PaperSession, access_to
from fsm_exec.plugins import installed
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.recordings.tape_writer import TapeSettings
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.tape_recorder import TapeSetup
from fsm_exec.session import open_session
from fsm_exec.store import open_virtual_store

S = 1_000_000
HORIZON_S, APART_S, FIRST_S = 45, 60, 300
LATENCY = Latency(feed_us=40_000, entry_us=90_000, response_us=50_000)
ALGORITHMS = tuple(f"{name}@{version}" for name in installed().usable() for version in versions_of(name))
"""Each version of the method of each algorithm's own name."""


async def work_all(
    database: Path,
    seed: int,
    outcome: Outcome,
    quantity: CountE2,
    names: Sequence[str] = ALGORITHMS,
    *,
    apart_s: int = APART_S,
) -> dict[str, str]:
    """Work an execution by each algorithm of these names, one after the other, and keep the tape. Returns their ids."""
    tape = generate(seed, FIRST_S + apart_s * len(names) + 120)
    paper = PaperExchange.starting_at(tape.first_us, seed=5)
    paper.play(tape)
    setup = TapeSetup(directory=tapes_directory(database), settings=TapeSettings(), spare_mb=0, tell=pytest.fail)
    found: dict[str, str] = {}
    account, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    wall = WallClock(tape.first_us)
    async with (
        open_virtual_store(database, draw_instance=lambda: "forkforkfo", at_us=tape.first_us) as store,
        paper.directly(LATENCY) as host,  # frames are framed elsewhere: this is half the work, and the tape is the same
        open_session(
            access_to(host, credentials),
            store,
            wall,
            open_log(io.StringIO(), wall),
            tickers=[tape.header.ticker],
            seed=1,
            tapes=setup,
        ) as opened,
    ):
        session = PaperSession(**vars(opened), account=account)
        await trio.sleep(FIRST_S)
        for name in names:
            at_s = trio.current_time()
            found[name] = await submit(session, tape.header.ticker, name, outcome, quantity)
            await trio.sleep_until(at_s + apart_s)
        await session.engine.wait_idle()
        await trio.sleep(60)
    return found


async def submit(session: PaperSession, ticker: str, name: str, outcome: Outcome, quantity: CountE2) -> str:
    chosen = method(name)
    view = session.engine.view(ticker, outcome)
    assert view.best_bid is not None
    assert view.best_ask is not None
    fees = session.engine.feeds[ticker].terms.fees
    target = view.best_ask if name == "market@1" else PriceE4((view.best_bid + view.best_ask) // 200 * 100)
    only_closes = name == "close@1"
    if only_closes:  # what it closes is held, as by hand
        session.account.position(ticker).count_e2 = -int(quantity) if outcome == "yes" else int(quantity)
    return await session.engine.submit(
        ExecutionRequest(
            ticker=ticker,
            outcome=outcome,
            target_e2=quantity,
            method=MethodRef(chosen.full_name, chosen),
            limits=resolve_limits(target, view.grid, fees, worst=view.grid.floor(target + 600)),
            horizon_us=HORIZON_S * S,
            reduce_only=only_closes,
        )
    )
