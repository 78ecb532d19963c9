"""An execution tried again on the tape that was kept of its market, by every algorithm that there is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from fsm_exec.algorithms import method
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.fork.fork import fork_execution
from fsm_exec.lab.fork.forked_market import load_forked_market
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper_session import PaperExchange, PaperSession, open_paper_session
from fsm_exec.plugins import installed
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.recordings.tape_writer import TapeSettings
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.tape_recorder import TapeSetup
from fsm_exec.store import open_virtual_store
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.execution_reads import load_metrics

S = 1_000_000
HORIZON_S, APART_S, FIRST_S = 45, 60, 300
LATENCY = Latency(feed_us=40_000, entry_us=90_000, response_us=50_000)
ALGORITHMS = tuple(installed().usable())


async def work_all(database: Path, seed: int, outcome: Outcome, quantity: CountE2) -> dict[str, str]:
    """Work an execution by each algorithm, one after the other, and keep the tape. Returns their ids."""
    tape = generate(seed, FIRST_S + APART_S * len(ALGORITHMS) + 120)
    paper = PaperExchange.starting_at(tape.first_us, seed=5)
    paper.play(tape)
    setup = TapeSetup(directory=tapes_directory(database), settings=TapeSettings(), spare_mb=0, tell=pytest.fail)
    found: dict[str, str] = {}
    async with (
        open_virtual_store(database, draw_instance=lambda: "forkforkfo", at_us=tape.first_us) as store,
        open_paper_session(paper, store=store, tapes=setup, latency=LATENCY) as session,
    ):
        await trio.sleep(FIRST_S)
        for name in ALGORITHMS:
            at_s = trio.current_time()
            found[name] = await submit(session, tape.header.ticker, name, outcome, quantity)
            await session.engine.wait_idle()
            await trio.sleep_until(at_s + APART_S)
    return found


async def submit(session: PaperSession, ticker: str, name: str, outcome: Outcome, quantity: CountE2) -> str:
    chosen = method(name)
    view = session.engine.view(ticker, outcome)
    assert view.best_bid is not None
    assert view.best_ask is not None
    fees = session.engine.feeds[ticker].terms.fees
    target = view.best_ask if name == "market" else PriceE4((view.best_bid + view.best_ask) // 200 * 100)
    only_closes = name == "close"
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


def shortfall_of(database: Path, execution_id: str) -> int | None:
    with open_read_only(database) as looked:
        metrics = load_metrics(looked.connection, execution_id)
    assert metrics is not None
    return metrics.shortfall_e7


@pytest.mark.parametrize(("seed", "outcome", "contracts"), [(7, "yes", 50), (8, "no", 200)])
def test_every_algorithm_does_the_same_again(tmp_path: Path, seed: int, outcome: Outcome, contracts: int) -> None:
    """On the tape that was kept, without our own orders, the method that ran asks for the same at the same times, is
    filled alike and costs the same, which is what the database says that it cost."""
    database = tmp_path / "engine.sqlite"
    worked = run_virtual(partial(work_all, database, seed, outcome, CountE2(contracts * 100)), seed=1)
    different: dict[str, object] = {}
    measured: list[tuple[int | None, int | None]] = []
    passive = 0
    for name, execution_id in worked.items():
        market = load_forked_market(database, execution_id)
        found = fork_execution(market, None, method(name), [], conditions=Conditions())
        really, here = found.outcomes
        known = {"method": "", "fills": None}
        if not found.likeness.holds or found.notes or replace(really, **known) != replace(here, **known):
            different[name] = (found, market.latency)
        measured.append((really.cost_e7, shortfall_of(database, execution_id)))
        passive += here.filled_e2 - here.taken_e2
    assert different == {}
    assert [cost for cost, _ in measured] == [cost for _, cost in measured]
    assert passive > 0
