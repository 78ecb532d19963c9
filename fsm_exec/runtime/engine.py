"""The engine: the states of its table and what its owner may ask of it.

Starting is recovering: `open_engine` takes up what the database left unfinished (runtime.recovery) before it accepts
anything. Executions run in one nursery under a supervisor, requests and the stream in an outer one, and the store
outside of both, so that an answer on its way and a save under way always find somebody to receive them.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.advance import Advance, advance
from fsm_exec.core.algorithm import Algorithm
from fsm_exec.core.edge import Edge
from fsm_exec.core.errors import ExecError, LocalError, SaveRefused, ServiceFailed, StoreFailed, UserError
from fsm_exec.core.events import AnyEvent, DrainRequested, MarketChanged, Reason, Submitted
from fsm_exec.core.execution import Execution
from fsm_exec.core.limits import Limits
from fsm_exec.core.machine import step
from fsm_exec.core.market import MarketStatus
from fsm_exec.core.orders import FillReport, OrderReport
from fsm_exec.core.ports import Exchange, Store, SubmissionRow
from fsm_exec.core.recovery import Plan
from fsm_exec.core.rows import save_of
from fsm_exec.core.units import CountE2, Outcome
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.latch import AT_ONCE
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.observer import Observer
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.past import Ended as Ended
from fsm_exec.runtime.past import Past
from fsm_exec.runtime.reconciler import Known, Reconciler
from fsm_exec.runtime.recovery import (
    Loaded,
    Methods,
    cancel_orphans,
    differences,
    load,
    refuse_others,
)
from fsm_exec.runtime.router import Router
from fsm_exec.runtime.scoring import score_what_had_ended
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.status import EngineStatus, status_of
from fsm_exec.runtime.supervisor import Supervisor

if TYPE_CHECKING:
    from fsm_exec.core.view import View

GRACE_US = 5_000_000
LEAVING_S = 15.0  # how long executions may take to end when the engine's owner has failed
DRAIN_WITHIN_S = 60.0  # longer than an unknown order needs to be known
DRAIN_POLL_S = 0.05


class MethodRef(msgspec.Struct, frozen=True):
    """What the engine needs to know of a method: its full name and the algorithm it binds."""

    full_name: str
    algorithm: Algorithm


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An execution to accept. `limits` None: no price could be formed, for want of a book. It ends at `deadline_us`,
    or without one `horizon_us` from now. `submission` is stored with its first save."""

    ticker: str
    outcome: Outcome
    target_e2: CountE2
    method: MethodRef
    limits: Limits | None
    horizon_us: int = 0
    deadline_us: int | None = None
    edge: Edge | None = None
    submission: SubmissionRow | None = None


class Engine:
    """Made by `open_engine`. `actors` are at work, `ended` the newest of those that have ended and are measured."""

    def __init__(
        self,
        services: Services,
        markets: Markets,
        router: Router,
        methods: Methods,
        executions: trio.Nursery,
        rng: random.Random,
    ) -> None:
        self.state = "starting"
        self.feeds = markets.feeds
        self._past = Past(services, self._halt_for, router.forget)
        self._supervisor = Supervisor(services, markets, methods, self._past, executions, rng, self._halt_for)
        self.actors = self._supervisor.actors
        self.ended = self._past.ended
        self._services, self._markets, self._router = services, markets, router
        self._methods = methods
        self._count = 0
        self._stops: list[Reason] = []  # all there have been: one may come while an execution is being accepted
        self._why_halted: str | None = None
        self._failure: StoreFailed | ServiceFailed | None = None
        self.failed = trio.Event()  # it cannot go on: `wait_idle` raises why, once everything has ended
        self._refusal: ExecError | None = None  # why it never began to run
        self._recovered = trio.Event()
        router.when_strange(lambda fill: self.learn_of_strangers([fill]))
        router.when_market(self._market_changed)

    # What its owner asks.

    def view(self, ticker: str, outcome: Outcome) -> View:
        return self.feeds[ticker].view(outcome)

    async def open_market(self, ticker: str) -> None:
        """Watch one more market from now on. Raises as opening the engine does."""
        await self._markets.open(ticker)

    def close_market(self, ticker: str) -> None:
        """Watch it no more. Raises LocalError while an execution works it."""
        working = [name for name, actor in self.actors.items() if actor.execution.terms.ticker == ticker]
        if working:
            raise LocalError(f"{ticker} is worked by {working[0]}")
        self._markets.close(ticker)

    async def wait_running(self) -> None:
        """Until everything unfinished has taken in what it missed. Raises what made the start impossible: UserError,
        VenueRefused, StoreFailed."""
        await self._recovered.wait()
        if self._refusal is not None:
            raise self._refusal
        if self._failure is not None:
            raise self._failure

    async def submit(self, request: Request) -> str:
        """Accept an execution and start working it; returns its id once it is durable.

        Raises LocalError if the engine does not run or the request breaks a rule of core, and whatever made the engine
        halt.
        """
        if self._failure is not None:
            raise self._failure
        if self.state != "running":
            raise LocalError(f"the engine is {self.state} and accepts no work")
        self._count += 1
        execution_id = f"e{self._count:06d}"
        feed = self.feeds[request.ticker]
        view = feed.view(request.outcome)
        event = Submitted(
            at_us=view.at_us,
            execution_id=execution_id,
            instance=self._services.store.instance,
            outcome=request.outcome,
            method=request.method.full_name,
            target_e2=request.target_e2,
            limits=request.limits,
            deadline_us=view.at_us + request.horizon_us if request.deadline_us is None else request.deadline_us,
            grace_us=GRACE_US,
            terms=feed.terms,
            arrival=view,
            edge=request.edge,
        )
        stops = len(self._stops)
        first = advance(None, event, request.method.algorithm)
        if first is None:
            raise LocalError("a submission changes nothing")
        try:
            save = save_of(None, event, first)
            await self._services.store.save(msgspec.structs.replace(save, submission=request.submission))
        except SaveRefused:
            raise
        except StoreFailed as failure:
            self._halt_for(failure)
            raise
        self._log_steps(first)
        actor = self._supervisor.hire(first.execution, request.method.algorithm)
        for reason in self._stops[stops:]:
            actor.end(reason)
        self._supervisor.start(actor)
        return execution_id

    def stop(self, reason: Reason) -> None:
        """End every execution, those being accepted too: cancel what is live, keep what is filled."""
        self._stops.append(reason)
        for actor in self.actors.values():
            actor.end(reason)

    async def cancel(self, execution_id: str, reason: Reason = "user") -> None:
        """End one execution; a quarantined one is loaded again for it. Returns when it has been told.

        Raises UserError for one that is not at work (any more), and what `resume_execution` raises.
        """
        if (actor := self.actors.get(execution_id)) is not None:
            actor.end(reason)
        elif execution_id in self._supervisor.quarantined:
            await self._supervisor.revive(execution_id, reason)
        else:
            raise UserError(f"{execution_id} is not at work; it has ended, or there is none of that name")

    async def resume_execution(self, execution_id: str) -> None:
        """Take a quarantined execution up again from its snapshot, with what the exchange holds.

        Raises UserError if it is not quarantined or cannot be taken up, LocalError if the engine does not run,
        VenueError and StoreFailed.
        """
        if self.state != "running":
            raise LocalError(f"the engine is {self.state} and takes nothing up")
        await self._supervisor.revive(execution_id)

    def halt(self, why: str = "asked to") -> None:
        """Accept nothing more and end every execution. `status().halt_within_s` says how long that may take."""
        if self.state in ("recovering", "running"):
            self._why_halted = why
            self.fire("halt")
            self.stop("halt")

    def resume(self) -> None:
        """Accept work again. Raises LocalError unless halted by `halt`, with everything recovered."""
        if self._failure is not None:
            raise LocalError(f"the engine cannot be resumed, only started again: {self._failure}")
        if not self._recovered.is_set():
            raise LocalError("the engine has not yet learned what the exchange holds; try again later")
        if self.state != "halted":
            raise LocalError(f"the engine is {self.state}, not halted")
        self._why_halted = None
        self.fire("resume")

    async def drain(self, *, cancel_orders: bool, within_s: float = DRAIN_WITHIN_S) -> bool:
        """Come to rest without ending any execution: all of them are taken up at the next start.

        With `cancel_orders` every live order is cancelled by a journaled decision; without, they stay live and are
        adopted. Nothing new is placed. False if orders were still live or unknown, or requests unanswered, after
        `within_s`: the next start looks them up. Raises LocalError if there is nothing to drain.
        """
        if self.state not in ("recovering", "running", "halted"):
            raise LocalError(f"the engine is {self.state}")
        self.fire("drain")
        if cancel_orders:
            for actor in self.actors.values():
                actor.inbox.offer(DrainRequested(at_us=self._services.wall.now_us()))
        else:
            self._supervisor.let_go()
        at_rest = False
        actors = list(self.actors.values())
        with trio.move_on_after(within_s):
            while not at_rest:
                await trio.sleep(DRAIN_POLL_S)  # nobody announces that the last of many has come to rest
                at_rest = not any(actor.under_way or (cancel_orders and actor.is_busy) for actor in actors)
        self._supervisor.let_go()
        return at_rest

    def status(self) -> EngineStatus:
        return status_of(
            self.state,
            self._why_halted,
            (actor.execution for actor in self.actors.values()),
            self._supervisor.quarantined,
            self.feeds,
            self._services.exchange.budget(),
            self._services.wall.now_us(),
            stream_connected=self._router.is_connected,
        )

    async def wait_idle(self) -> None:
        """Until no execution is at work. Raises StoreFailed or ServiceFailed if the engine had to halt."""
        await self._supervisor.wait_for_nobody()
        if self._failure is not None:
            raise self._failure

    async def leave(self) -> None:
        """The engine's owner failed: end every execution that can still end, so that no order is left behind."""
        self.stop("halt")
        with trio.move_on_after(LEAVING_S, shield=True):
            await self._supervisor.wait_for_nobody()

    # What its parts ask and tell.

    def known(self, execution_id: str) -> Known | None:
        """An execution as the reconciler needs it; None for one that is not here, or that a person must look at."""
        if (actor := self.actors.get(execution_id)) is not None:
            return Known(actor.execution, is_at_work=True, room=actor.inbox.room)
        ended = self.ended.get(execution_id)
        if ended is None or ended.quarantine is not None:
            return None
        return Known(ended.execution, is_at_work=False, room=0)

    def oldest_us(self) -> int | None:
        """When the first of the executions at work was accepted."""
        return min((actor.execution.accepted_at_us for actor in self.actors.values()), default=None)

    def deliver(self, execution_id: str, event: AnyEvent) -> bool:
        """Hand a fact to the execution that owns it, or to those that keep what has ended. Always taken."""
        actor = self.actors.get(execution_id)
        if actor is not None:
            actor.inbox.offer(event)
        elif execution_id in self._supervisor.quarantined:  # stays as its last save says until somebody looks at it
            self._services.log.warning("fact_for_quarantined", execution=execution_id, kind=type(event).__name__)
        else:
            self._past.learn(execution_id, event)
        return True

    def learn_of_strangers(self, fills: Sequence[FillReport]) -> None:
        """Fills of orders that nobody in memory has."""
        self._past.learn_of_strangers(fills)

    def orphaned(self, orders: Sequence[OrderReport]) -> None:
        """Orders of ours that rest and that nobody works."""
        self._services.requests.start_soon(cancel_orphans, orders, self._services)

    def clock_jumped(self, correction_us: int) -> None:
        """The wall clock was corrected: every wait is armed anew."""
        self._services.log.warning("clock_jumped", correction_us=correction_us)
        for actor in self.actors.values():
            actor.inbox.nudge()

    def _market_changed(self, ticker: str, status: MarketStatus) -> None:
        for actor in self.actors.values():
            if actor.execution.terms.ticker == ticker:
                actor.inbox.offer(MarketChanged(at_us=self._services.wall.now_us(), status=status))

    def fire(self, trigger: str) -> None:
        source = self.state
        self.state = step("engine", source, trigger)
        self._services.log.info(
            "transition", machine="engine", subject="engine", source=source, trigger=trigger, dest=self.state
        )

    async def keep(self, service: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task the engine cannot do without. If it ends in a bug, everything is ended instead of torn down: the
        executions can still cancel their orders and ask what became of them."""
        try:
            await service(*args)
        except Exception as failure:
            name = getattr(service, "__qualname__", "service")
            self._services.log.exception("service_failed", service=name)
            if (store := _store_failure(failure)) is not None:
                self._halt_for(store)
                return
            self._halt_for(ServiceFailed(f"{name} ended in {type(failure).__name__}: {failure}; see the log"))

    async def keep_learning(self) -> None:
        """About executions that have ended, for ever."""
        await self._past.run()

    def _halt_for(self, failure: StoreFailed | ServiceFailed) -> None:
        """No new work, and every execution is made to end now. After a failed save that makes each save once more,
        which fails, so that its orders are cancelled now and not when it next hears something."""
        if self._failure is not None:
            return
        self._failure = failure
        self.failed.set()
        self._why_halted = str(failure)
        if self.state in ("recovering", "running"):
            self.fire("halt")
        self.stop("halt")

    def _log_steps(self, first: Advance) -> None:
        for change in first.changes:
            self._services.log.info("transition", step=str(change))

    # The start.

    async def recover(self, tickers: Sequence[str], gone: str | None, stream: Callable[[], None]) -> None:
        """From `recovering` to `running`; `stream` is called when the feeds are there. What makes it impossible is
        raised by `wait_running`."""
        try:
            await self._recover(tickers, gone, stream)
        except ExecError as error:
            self.actors.clear()
            self._refusal = error
            if self.state in ("starting", "recovering"):
                self.fire("failed")
        finally:
            self._recovered.set()

    async def _score(self, execution: Execution) -> None:
        try:
            await score_what_had_ended(execution, self.feeds.get(execution.terms.ticker), self._services)
        except SaveRefused:
            self._services.log.exception("score_refused", execution=execution.execution_id)
        except StoreFailed as failure:
            self._halt_for(failure)

    async def _recover(self, tickers: Sequence[str], gone: str | None, stream: Callable[[], None]) -> None:
        loaded = await load(self._services, self._methods)
        self._count = loaded.count
        worked = [execution.terms for execution, _ in loaded.ready]
        worked += [execution.terms for execution in loaded.unscored]
        markets = await self._markets.add_all(tickers, worked)
        actors = [self._supervisor.hire(execution, algorithm) for execution, algorithm in loaded.ready]
        stream()  # before the listings: what they do not show any more comes by the stream
        executions = [execution for execution, _ in loaded.ready]
        found = await differences(executions, markets, loaded.last_saved_us, self._services)
        refuse_others(found, gone, self._services)
        if self.state == "draining":
            return  # nobody has begun: the next start does
        await self._go_on(loaded, actors, found)

    async def _go_on(self, loaded: Loaded, actors: list[Actor], found: Plan) -> None:
        self._supervisor.quarantined.update(loaded.quarantined)
        for name, why in loaded.unusable.items():
            self._services.log.error("quarantined", execution=name, why=why)
            await self._supervisor.quarantine(name, why)
        for number, (actor, (_, event)) in enumerate(zip(actors, found.events, strict=True), start=1):
            self._supervisor.start(actor, event)
            if number % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        self._services.requests.start_soon(cancel_orphans, found.orphans, self._services)
        self._past.learn_of_strangers(found.strangers)
        for actor in actors:
            await actor.taken_in.wait()
        for execution in loaded.unscored:
            self._services.requests.start_soon(self._score, execution)
        if self.state == "recovering":
            self.fire("reconciled")
        self._services.log.info(
            "recovered", executions=len(actors), orphans=len(found.orphans), quarantined=len(loaded.quarantined)
        )
        self._recovered.set()
        await self._supervisor.may_act.open()


def _store_failure(failure: BaseException) -> StoreFailed | None:
    """The database's failure that this is, or that a nursery wrapped."""
    if isinstance(failure, BaseExceptionGroup):
        return next((found for part in failure.exceptions if (found := _store_failure(part)) is not None), None)
    return failure if isinstance(failure, StoreFailed) else None


@asynccontextmanager
async def open_engine(
    store: Store,
    exchange: Exchange,
    wall: Wall,
    log: FilteringBoundLogger,
    tickers: Sequence[str],
    methods: Methods,
    *,
    other_engine_is_gone: str | None = None,
    wait: bool = True,
    rng: random.Random | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[Engine]:
    """An engine on these markets and those of the database's unfinished executions, which go on.

    It runs when the block begins; with `wait` False it may still be recovering, see `Engine.wait_running`. The body
    decides when work ends: leaving it ends every execution (`halt`), unless it was drained. `methods` finds the
    algorithm of a stored method. `other_engine_is_gone` names another database whose live orders are to be left alone.
    `rng` spreads restarts, by default from the database's own name. `observer` watches the markets beside the
    executions; without one no depth, forecasts and markouts are stored.

    Raises UserError (a market that is none; live orders of another database), VenueRefused (the exchange says no to
    reading, as for a revoked key) and StoreFailed; an exchange that does not answer is waited for.
    """
    feeds: dict[str, MarketFeed] = {}
    own = OwnOrders()
    async with trio.open_nursery() as outer:

        def deliver(execution_id: str, event: AnyEvent) -> bool:
            return engine.deliver(execution_id, event)

        router = Router(store.instance, feeds, wall, deliver, log)
        services = Services(store, exchange, wall, own, log, outer, deliver, router.learned)
        markets = Markets(exchange, store, wall, own, router, feeds, log, observer)
        async with trio.open_nursery() as executions:
            seeded = random.Random(f"restarts:{store.instance}") if rng is None else rng
            leaving = trio.Event()
            crew = await executions.start(_crew, leaving)
            engine = Engine(services, markets, router, methods, crew, seeded)
            reconciler = Reconciler(
                exchange, router, engine.known, engine.oldest_us, engine.learn_of_strangers, engine.orphaned, wall, log
            )
            router.when_connected(reconciler.connected)

            def begin_streaming() -> None:
                outer.start_soon(engine.keep, exchange.stream, router, tuple(feeds))
                outer.start_soon(engine.keep, router.watch_silence)
                outer.start_soon(engine.keep, engine.keep_learning)
                outer.start_soon(engine.keep, reconciler.run)
                if observer is not None:
                    outer.start_soon(engine.keep, observer.run)

            if observer is not None:
                await observer.resume()
            engine.fire("locked")
            outer.start_soon(engine.recover, tuple(tickers), other_engine_is_gone, begin_streaming)
            if wait:
                await engine.wait_running()
            try:
                yield engine
            except BaseException:
                await engine.leave()
                raise
            if engine.state not in ("stopped", "draining"):
                engine.fire("drain")
                engine.stop("halt")
            leaving.set()
        if engine.state == "draining":
            engine.fire("drained")
        outer.cancel_scope.cancel()


async def _crew(leaving: trio.Event, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """A nursery with nothing but executions in it, until `leaving` and the end of the last of them: so all of them can
    be let go at once, and none needs a cancel scope of its own."""
    async with trio.open_nursery() as crew:
        task_status.started(crew)
        await leaving.wait()
