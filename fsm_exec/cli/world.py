"""Engine, store, client and paper exchange wired together in one process: the demo's world, in either lane.

Both lanes run the same client and the same exchange. The live lane puts sockets between them and SQLite in a thread;
the virtual lane connects them in memory, with SQLite in trio's own thread and a clock that jumps.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import trio

from fsm_exec.cli.instance import draw_instance
from fsm_exec.cli.methods import methods_of, ship
from fsm_exec.cli.settled import results_of
from fsm_exec.core.errors import UserError
from fsm_exec.core.ports import StoredExecution
from fsm_exec.core.units import MoneyE6
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.paper.auth import Gate
from fsm_exec.paper.clock import Clock
from fsm_exec.paper.exchange import Exchange
from fsm_exec.paper.faults import FaultPlan, FaultProfile
from fsm_exec.paper.hosting import LoopbackHost, MemoryHost, host_in_memory, host_on_loopback
from fsm_exec.paper.player import TapePlayer
from fsm_exec.paper.tape import Tape
from fsm_exec.paper.timeline import Timeline
from fsm_exec.runtime.clock import Wall, keep_in_step, system_us
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.observer import Observer
from fsm_exec.runtime.opening import open_engine
from fsm_exec.store import EMBEDDED, SqliteStore, open_live_store, open_virtual_store

NAMES_SHOWN = 3  # of unfinished executions, in a refusal
DEMO_CASH_E6 = MoneyE6(1_000_000 * 1_000_000)  # a million dollars of play money: no demo runs out


@dataclass(frozen=True)
class World:
    """`began_us` is the tape's first event on the wall."""

    engine: Engine
    client: KalshiClient
    store: SqliteStore
    wall: Wall
    began_us: int
    faults: FaultPlan | None


@asynccontextmanager
async def open_world(
    tape: Tape, db: Path, log_file: TextIO, *, live: bool, seed: int, faults: FaultProfile | None = None
) -> AsyncIterator[World]:
    """A running engine on a running exchange that has just begun to play `tape`.

    In the virtual lane the wall starts at the tape's own time, so nothing in a run depends on when it is made; in the
    live lane the tape is re-based to now. Raises UserError for a database that cannot be used.
    """
    origin_us = system_us() if live else tape.first_us
    async with AsyncExitStack() as stack:
        wall = Wall(origin_us)
        clock = Clock.starting_at(origin_us)
        log = open_log(log_file, wall)
        open_store = open_live_store if live else open_virtual_store
        store = await stack.enter_async_context(open_store(db, draw_instance=draw_instance, at_us=origin_us))
        await store.bind(EMBEDDED)
        await ship(store, origin_us)
        _refuse_unfinished(await store.unfinished(), str(db))
        # Another seed for each run on one database: the ids of an earlier run must not come again.
        earlier = len(await store.executions())
        exchange = Exchange(Timeline(clock), seed=random.Random(f"exchange:{seed}:{earlier}").getrandbits(63))
        gate = Gate(exchange, clock)
        _, credentials = gate.open_account(DEMO_CASH_E6)
        plan = None if faults is None else FaultPlan(faults, seed)
        host: MemoryHost | LoopbackHost
        if live:
            host = await stack.enter_async_context(host_on_loopback(exchange, clock, gate, faults=plan))
        else:
            host = await stack.enter_async_context(host_in_memory(exchange, clock, gate, faults=plan))
        client = await stack.enter_async_context(
            open_client(
                base_url=host.base_url,
                api_key_id=credentials.api_key_id,
                key=SigningKey.from_pem(credentials.private_key_pem),
                dial=host.dial,
                wall_us=wall.now_us,
                rng=random.Random(seed),
                transport=host.transport,
                log=log,
                on_expired_signature=wall.doubt,
            )
        )
        began_us = wall.now_us()
        player = TapePlayer(exchange, tape)
        player.start(began_us)
        observer = Observer(store, wall, log, results=results_of(client))
        engine = await stack.enter_async_context(
            open_engine(store, client, wall, log, [player.ticker], methods_of(db), observer=observer)
        )
        if live:
            nursery = await stack.enter_async_context(trio.open_nursery())
            nursery.start_soon(keep_in_step, wall, engine.clock_jumped)
            stack.callback(nursery.cancel_scope.cancel)
        yield World(engine, client, store, wall, began_us, plan)


def _refuse_unfinished(unfinished: Sequence[StoredExecution], database: str) -> None:
    """Raises UserError: the exchange that those executions were of ended with their process."""
    if unfinished:
        names = ", ".join(e.execution_id for e in unfinished[:NAMES_SHOWN])
        more = f" and {len(unfinished) - NAMES_SHOWN} more" if len(unfinished) > NAMES_SHOWN else ""
        raise UserError(f"{database} holds unfinished executions ({names}{more}); give another path for new work")


def new_database_path(wanted: Path | None) -> Path:
    """`wanted`, or a new file in the working directory. Raises UserError if that is no name, or none is free."""
    if wanted is not None:
        if not wanted.name:
            raise UserError(f"--db {str(wanted)!r} is a directory; give the path of a file")
        try:
            str(wanted.absolute()).encode()  # SQLite and JSON know no other text
        except UnicodeEncodeError as error:
            raise UserError(
                f"--db {str(wanted)!r} has bytes that are no text; give a path that is UTF-8 text"
            ) from error
        return wanted
    for n in range(1, 10_000):
        path = Path(f"fsm-exec-demo-{n}.sqlite")
        if not path.exists():
            return path
    raise UserError("ten thousand demo databases lie here already; give a path with --db")
