"""One life of an engine in the sweep: forked, on the blocking store, against the exchange of the sweep's process.

The first life submits two executions and works them; a later one begins with whatever it finds, and submits what is
not there. Both end by themselves when nothing is at work any more, unless they are killed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec
import trio

from fsm_exec.algorithms import method
from fsm_exec.core.journal import crashpoints
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.session import Access, connect
from fsm_exec.store import open_virtual_store
from tests.chaos.engine_process import die_at
from tests.chaos.fast_clock import FastClock, now_us

ENTRY: Final = "tests.chaos.sweep_life:main"
INSTANCE: Final = "sweepsweep"
PATIENCE_S: Final = 300
POLL_S: Final = 0.25
PRICES_BELOW_MID_E4: Final = (0, 300)
"""Of the two executions: one soon meets somebody, the other rests."""
TARGET_E2: Final = CountE2(6_000)
CLOSES_ABOVE_MID_E4: Final = 500


class Life(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """It kills itself at the `kill_visit`-th visit of `kill_at` ("": never), counted from the first submission on, or,
    for a kill `at_start`, from the start to there. `reduce_only`: its executions close what the account holds, so they
    take what is offered."""

    rest_url: str
    ws_url: str
    api_key_id: str
    key_path: str
    database: str
    ticker: str
    method: str
    outcome: Outcome
    horizon_s: int
    rate: int
    epoch_ns: int
    kill_at: str = ""
    kill_visit: int = 0
    at_start: bool = False
    reduce_only: bool = False


def main() -> None:
    life = msgspec.json.decode(sys.argv[1], type=Life)
    if life.at_start:
        die_at(life.kill_at, life.kill_visit)
    trio.run(_live, life, clock=FastClock(life.rate, life.epoch_ns))


async def _live(life: Life) -> None:
    wall = WallClock(now_us())
    with Path(life.database).with_suffix(".log").open("a", encoding="utf-8", buffering=1) as log_file:
        log = open_log(log_file, wall)
        async with (
            open_virtual_store(Path(life.database), draw_instance=lambda: INSTANCE, at_us=wall.now_us()) as store,
            connect(
                Access.by_urls(life.rest_url, life.ws_url, life.api_key_id, SigningKey.load(Path(life.key_path))),
                wall,
                seed=1,
                log=log,
            ) as client,
            open_engine(store, client, wall, log, [life.ticker], method) as engine,
        ):
            with trio.fail_after(PATIENCE_S):
                crashpoints.install(None)
                if life.kill_at and not life.at_start:
                    die_at(life.kill_at, life.kill_visit)
                for below_e4 in PRICES_BELOW_MID_E4[len(await store.load_executions()) :]:
                    await _submit(engine, life, below_e4)
                await engine.wait_idle()


async def _submit(engine: Engine, life: Life, below_e4: int) -> None:
    view = engine.view(life.ticker, life.outcome)
    while view.trusted_mid_e5 is None:
        await trio.sleep(POLL_S)
        view = engine.view(life.ticker, life.outcome)
    target = view.grid.floor(view.trusted_mid_e5 // 10 + (CLOSES_ABOVE_MID_E4 if life.reduce_only else -below_e4))
    assert target is not None
    chosen = method(life.method)
    await engine.submit(
        ExecutionRequest(
            ticker=life.ticker,
            outcome=life.outcome,
            target_e2=TARGET_E2,
            method=MethodRef(chosen.full_name, chosen),
            limits=resolve_limits(target, view.grid, engine.feeds[life.ticker].terms.fees),
            horizon_us=life.horizon_s * 1_000_000,
            reduce_only=life.reduce_only,
        )
    )
