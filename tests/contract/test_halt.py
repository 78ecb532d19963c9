"""A halt keeps the time that `status` states: the real client under its budget, the paper exchange, virtual time."""

from __future__ import annotations

import io

import pytest
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import PriceE4, parse_count
from fsm_exec.paper.faults import FaultPlan, FaultProfile, FrameFaults, RequestFaults, StreamFaults
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.paper_session import PaperExchange, access_to
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import connect
from fsm_exec.store import open_virtual_store
from tests.contract.test_under_faults import CASH, INSTANCE, START_US

EXECUTIONS = 80
WORKED_S = 30

SLOW = FaultProfile(
    writes=RequestFaults(slow_per_mille=500, slow_max_ms=5_000, too_many_per_mille=50),
    reads=RequestFaults(slow_per_mille=500, slow_max_ms=5_000),
    frames=FrameFaults(delayed_per_mille=300, lost_per_mille=100, delay_max_ms=3_000),
    stream=StreamFaults(gap_per_mille=5),
)
"""Everything is answered, but late; frames come late or never."""


@pytest.mark.parametrize("profile", [FaultProfile(), SLOW], ids=["calm", "slow"])
def test_a_halt_has_every_order_off_the_book_within_the_time_it_states(profile: FaultProfile) -> None:
    """Eighty orders, those still being placed among them."""
    stated_s, took_s, live = run_virtual(lambda: _halt(profile), seed=1)
    assert live > EXECUTIONS // 2
    assert took_s <= stated_s
    assert stated_s < 60


async def _halt(profile: FaultProfile) -> tuple[int, float, int]:
    wall = WallClock(START_US)
    log = open_log(io.StringIO(), wall)
    paper = PaperExchange.starting_at(START_US, seed=1)
    account, credentials = paper.gate.open_account(CASH, "ed25519")
    player = TapePlayer(paper.exchange, generate(1, 600, start_us=START_US))
    async with (
        open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=START_US) as store,
        paper.in_memory(faults=FaultPlan(profile, 1)) as host,
        connect(access_to(host, credentials), wall, seed=1, log=log) as client,
    ):
        player.start(wall.now_us())
        async with open_engine(store, client, wall, log, [player.ticker], method) as engine:
            view = engine.view(player.ticker, "yes")
            while view.trusted_mid_e5 is None:
                await trio.sleep(0.5)
                view = engine.view(player.ticker, "yes")
            chosen = method("simple_limit")
            price = PriceE4(view.trusted_mid_e5 // 10 // 2 // 100 * 100)  # far from being filled
            for _ in range(EXECUTIONS):
                await engine.submit(
                    ExecutionRequest(
                        ticker=player.ticker,
                        outcome="yes",
                        target_e2=parse_count("10"),
                        method=MethodRef(chosen.full_name, chosen),
                        limits=resolve_limits(price, view.grid, engine.feeds[player.ticker].terms.fees),
                        horizon_us=600_000_000,
                    )
                )
            await trio.sleep(WORKED_S)
            live = sum(order.status == "resting" for order in account.orders)
            stated_s = engine.status().halt_within_s
            began_s = trio.current_time()
            engine.halt()
            await engine.wait_idle()
            took_s = trio.current_time() - began_s
            assert not any(order.status == "resting" for order in account.orders)
            return stated_s, took_s, live
