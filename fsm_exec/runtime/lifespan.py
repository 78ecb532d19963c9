"""The lifespan of an engine: its parts are put together, started, and taken apart again in the one safe order.

Executions run in one nursery under a supervisor, requests and the stream in an outer one, and the store outside of
both, so that an answer on its way and a save in flight always find their receiver.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import LocalError
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.store_port import RewardStore, Store
from fsm_exec.runtime.account.account import Account, AccountSetup
from fsm_exec.runtime.account.gate import Gate
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.runtime.account.poller import AccountPoller
from fsm_exec.runtime.account.write_brake import WriteBrake
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.confirmer import Confirmer
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.fence import Fence, FenceSetup
from fsm_exec.runtime.fence_watch import start_groups
from fsm_exec.runtime.health import Health
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.monitored_exchange import MonitoredExchange
from fsm_exec.runtime.observer import Observer
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.position_watch import PositionWatch
from fsm_exec.runtime.reconciler import Reconciler
from fsm_exec.runtime.reward_meter import RewardMeter
from fsm_exec.runtime.services import Services, rewards_unknown
from fsm_exec.runtime.stored_executions import Methods
from fsm_exec.runtime.stream_listener import EngineStreamListener
from fsm_exec.runtime.stream_state import StreamState
from fsm_exec.runtime.tape_recorder import TapeRecorder


@asynccontextmanager
async def open_engine(
    store: Store,
    exchange: Exchange,
    wall: WallClock,
    log: FilteringBoundLogger,
    tickers: Sequence[str],
    methods: Methods,
    *,
    other_engine_is_gone: str | None = None,
    wait: bool = True,
    rng: random.Random | None = None,
    observer: Observer | None = None,
    account: AccountSetup | None = None,
    tape_recorder: TapeRecorder | None = None,
    rewards: RewardStore | None = None,
    host_lease_s: int = 0,
    fence: FenceSetup | None = None,
    takeover: bool = False,
) -> AsyncIterator[Engine]:
    """Open an engine on these markets and those of the database's unfinished executions, which go on.

    It runs when the block begins; with `wait` False it has read the database and may still be recovering, see
    `Engine.wait_running`. The body decides when work ends: leaving it ends every execution (`halt`), unless it was
    drained. `methods` finds the algorithm of a stored method. `other_engine_is_gone` names another database whose live
    orders are to be left alone. `rng` spreads restarts, by default from the database's own name. `observer` watches the
    markets beside the executions; without one no depth, forecasts and markouts are stored. With `account` its books are
    kept and its limits hold; without, nothing limits what is accepted. `tape_recorder` keeps the frames of worked
    markets. With `rewards`, what programmes pay is measured and stored there; without, it is not known. A resting
    order ends by itself at most `host_lease_s` ahead; 0: when its execution is over. With `fence` every order is in an
    order group of this opening; without, in none. `takeover`: the database is a copy, and the engine of the original
    may live; its orders are ended before anything is recovered.

    Raises UserError (a market that does not exist; live orders of another database), VenueRefused (the exchange refuses
    reads, as for a revoked key) and StoreFailed; an exchange that does not answer is waited for.
    """
    if takeover and fence is None:
        raise LocalError("a takeover needs a fence")
    feeds: dict[str, MarketFeed] = {}
    own, names = OwnOrders(), OrderNames(store.instance)
    async with trio.open_nursery() as outer:
        stream = StreamState(feeds, wall, log)
        health = Health(wall, log)
        exchange = MonitoredExchange(exchange, health)
        meter = None if rewards is None else RewardMeter(rewards, exchange, feeds, own, wall, log)
        estimate = rewards_unknown if meter is None else meter.estimate
        fenced = None if fence is None else Fence(fence, wall, log)
        if fenced is not None:
            await fenced.load(takeover=takeover)
        services = Services(
            store,
            exchange,
            wall,
            own,
            log,
            outer,
            names,
            health.describe_outage,
            estimate,
            host_lease_s=host_lease_s,
            fence=fenced,
        )
        markets = Markets(exchange, store, wall, own, stream, feeds, log, observer)
        async with trio.open_nursery() as executions:
            seeded = random.Random(f"restarts:{store.instance}") if rng is None else rng
            leaving = trio.Event()
            nursery = await executions.start(_hold_nursery_open, leaving)
            engine = Engine(services, markets, stream, methods, nursery, seeded, health)
            poller = None if account is None else await _open_account(account, engine, services, stream, exchange)
            take_foreign_fill = None if poller is None else poller.foreign_fills.take
            listener = EngineStreamListener(names, stream, feeds, engine.dispatch, wall, log, take_foreign_fill)
            confirmer = Confirmer(exchange, engine.dispatch, names, wall, log)
            position_watch = PositionWatch(exchange, engine.dispatch, wall, log)
            reconciler = Reconciler(exchange, listener, stream, engine.dispatch, confirmer, wall, log)

            def begin_streaming() -> None:
                heard_by = listener if tape_recorder is None else tape_recorder.listen(listener, feeds)
                outer.start_soon(engine.run_service, exchange.stream, heard_by, tuple(feeds))
                if tape_recorder is not None:
                    outer.start_soon(tape_recorder.run)
                outer.start_soon(engine.run_service, stream.watch_silence)
                health.watch(stream.why_silent, exchange.stream_trouble, engine.books_not_live)
                outer.start_soon(engine.run_service, health.run, partial(exchange.fetch_orders, resting=True))
                outer.start_soon(engine.run_service, engine.process_late_facts)
                outer.start_soon(engine.run_service, reconciler.run)
                outer.start_soon(engine.run_service, position_watch.run)
                if observer is not None:
                    outer.start_soon(engine.run_service, observer.run)
                if meter is not None:
                    outer.start_soon(engine.run_service, meter.run)
                if poller is not None:
                    outer.start_soon(engine.run_service, poller.run)
                    outer.start_soon(engine.run_service, poller.run_foreign_fills)

            if observer is not None:
                await observer.load_pending()
            engine.fire("locked")
            if engine.account is not None and engine.account.risk.state == "halted":
                engine.halt(engine.account.risk.why)  # before any execution is recovered
            outer.start_soon(engine.run_service, store.watch)
            if fence is not None and fenced is not None:
                start_groups(fence, fenced, engine, services, exchange, listener, feeds)
            outer.start_soon(engine.recover, tuple(tickers), other_engine_is_gone, begin_streaming)
            await engine.wait_loaded()  # a status before that would say that nothing is live
            if wait:
                await engine.wait_running()
            try:
                yield engine
            except BaseException:
                await engine.end_all()
                raise
            if engine.state not in ("stopped", "draining"):
                engine.fire("drain")
                engine.stop("halt")
            leaving.set()
        if engine.state == "draining":
            engine.fire("drained")
        outer.cancel_scope.cancel()


async def _open_account(
    account: AccountSetup, engine: Engine, services: Services, stream: StreamState, exchange: MonitoredExchange
) -> AccountPoller:
    """Give the engine its account, with what the database knows of it, before anything of an execution moves on."""
    ledger = Ledger(account.limits)
    ledger.begin(await account.store.load_account())
    account.store.on_saved(ledger.take_save)
    account.store.on_moved(ledger.take_move)
    store, wall = services.store, services.wall
    gate = Gate(ledger, exchange, store, account.store, wall, engine.executions_at_work, engine.executions_quarantined)
    names, log = services.names, services.log
    poller = AccountPoller(engine, exchange, store, account.store, ledger, gate, names, stream, wall, log)
    engine.account = Account(ledger, gate, poller, wall)
    if account.limits.max_writes_per_minute is not None:

        def halt_runaway(why: str) -> None:
            if engine.state in ("recovering", "running"):
                engine.halt(why)
                services.requests.start_soon(engine.run_service, engine.keep_halt, account.store)

        exchange.may_write = WriteBrake(account.limits.max_writes_per_minute, halt_runaway).may_write
    return poller


async def _hold_nursery_open(leaving: trio.Event, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """Hold a nursery with nothing but executions in it, until `leaving` and the end of the last of them: so all of them
    can be cancelled at once, and none needs a cancel scope of its own."""
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await leaving.wait()
