"""The engine: opens the markets, accepts executions, keeps each under its own guard, and comes to rest.

It walks the states of the engine table. Executions run in one nursery, requests and the stream in an outer one, and
the store outside of both, so that an answer on its way and a save under way always find somebody to receive them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.advance import Advance, advance
from fsm_exec.core.algorithm import Algorithm
from fsm_exec.core.errors import LocalError, SaveRefused, ServiceFailed, StoreFailed, UserError, VenueError
from fsm_exec.core.events import AnyEvent, Reason, StopRequested, Submitted
from fsm_exec.core.execution import Execution
from fsm_exec.core.limits import Limits
from fsm_exec.core.machine import step
from fsm_exec.core.metrics import DeadlineBook, metrics
from fsm_exec.core.ports import Exchange, MetricsRow, Store, StoredExecution
from fsm_exec.core.rows import save_of
from fsm_exec.core.units import CountE2, Outcome
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.emergency import cancel_all_orders_of
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.reconciler import Known, Reconciler
from fsm_exec.runtime.router import Router
from fsm_exec.runtime.scoring import run_and_score
from fsm_exec.runtime.services import Services

if TYPE_CHECKING:
    from fsm_exec.core.view import View

GRACE_US = 5_000_000
NAMES_SHOWN = 3  # of unfinished executions, in a refusal
LEAVING_S = 15.0  # how long executions may take to end when the engine's owner has failed


class MethodRef(msgspec.Struct, frozen=True):
    """What the engine needs to know of a method: its full name and the algorithm it binds."""

    full_name: str
    algorithm: Algorithm


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """An execution to accept. `limits` None: no price could be formed, for want of a book."""

    ticker: str
    outcome: Outcome
    target_e2: CountE2
    method: MethodRef
    limits: Limits | None
    horizon_us: int


class Ended(msgspec.Struct, frozen=True):
    """An execution that has ended, with its metrics; `metrics` None if it was quarantined instead."""

    execution: Execution
    metrics: MetricsRow | None
    quarantine: str | None = None


class Engine:
    """Made by `open_engine`. `actors` are at work, `ended` have ended and are measured."""

    def __init__(self, services: Services, markets: Markets, nursery: trio.Nursery) -> None:
        self.state = "starting"
        self.feeds = markets.feeds
        self._markets = markets
        self.actors: dict[str, Actor] = {}
        self.ended: dict[str, Ended] = {}
        self._services = services
        self._nursery = nursery
        self._books: dict[str, DeadlineBook | None] = {}
        self._count = 0
        self._idle = trio.lowlevel.ParkingLot()  # whoever waits for executions to end
        self._stops: list[Reason] = []  # all there have been: one may come while an execution is being accepted
        self._late = trio.Lock()  # facts about ended executions are taken in one after the other
        self._failure: StoreFailed | ServiceFailed | None = None

    def count_from(self, executions: int) -> None:
        """Ids go on where the database stops."""
        self._count = executions

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
            deadline_us=view.at_us + request.horizon_us,
            grace_us=GRACE_US,
            terms=feed.terms,
            arrival=view,
        )
        stops = len(self._stops)
        first = advance(None, event, request.method.algorithm)
        if first is None:
            raise LocalError("a submission changes nothing")
        try:
            await self._services.store.save(save_of(None, event, first))
        except SaveRefused:
            raise
        except StoreFailed as failure:
            self._halt_for(failure)
            raise
        self._log_steps(first)
        actor = Actor(first.execution, request.method.algorithm, feed, self._services)
        self.actors[execution_id] = actor
        for reason in self._stops[stops:]:
            self._end(actor, reason)
        self._nursery.start_soon(self._guard, actor, feed)
        return execution_id

    def stop(self, reason: Reason) -> None:
        """End every execution, those being accepted too: cancel what is live, keep what is filled."""
        self._stops.append(reason)
        for actor in self.actors.values():
            self._end(actor, reason)

    def _end(self, actor: Actor, reason: Reason) -> None:
        actor.inbox.offer(StopRequested(at_us=self._services.wall.now_us(), reason=reason))
        actor.hurry.set()

    async def wait_idle(self) -> None:
        """Until no execution is at work. Raises StoreFailed or ServiceFailed if the engine had to halt."""
        await self._wait_for_nobody()
        if self._failure is not None:
            raise self._failure

    async def leave(self) -> None:
        """The engine's owner failed: end every execution that can still end, so that no order is left behind."""
        self.stop("halt")
        with trio.move_on_after(LEAVING_S, shield=True):
            await self._wait_for_nobody()

    async def _wait_for_nobody(self) -> None:
        while self.actors:
            await self._idle.park()

    def deliver(self, execution_id: str, event: AnyEvent) -> bool:
        """Hand a fact to the execution that owns it; False if nobody does."""
        actor = self.actors.get(execution_id)
        if actor is not None:
            actor.inbox.offer(event)
            return True
        ended = self.ended.get(execution_id)
        if ended is None:
            return False
        if ended.quarantine is not None:  # stays as its last save says until a person, or a restart, looks at it
            self._services.log.warning("fact_for_quarantined", execution=execution_id, kind=type(event).__name__)
            return True
        self._nursery.start_soon(self._learn_late, execution_id, event)
        return True

    def clock_jumped(self, correction_us: int) -> None:
        """The wall clock was corrected: every wait is armed anew."""
        self._services.log.warning("clock_jumped", correction_us=correction_us)
        for actor in self.actors.values():
            actor.inbox.nudge()

    def fire(self, trigger: str) -> None:
        source = self.state
        self.state = step("engine", source, trigger)
        self._services.log.info(
            "transition", machine="engine", subject="engine", source=source, trigger=trigger, dest=self.state
        )

    async def _guard(self, actor: Actor, feed: MarketFeed) -> None:
        """Run one execution; whatever goes wrong with it stays its own."""
        name = actor.execution.execution_id
        ended: Ended
        try:
            row, self._books[name] = await run_and_score(actor, feed, self._services)
            ended = Ended(actor.execution, row)
        except* Exception as group:  # the guard of one execution: its fault must not stop the others
            failure = _first(group)
            why = f"{type(failure).__name__}: {failure}"
            if isinstance(failure, StoreFailed) and not isinstance(failure, SaveRefused):
                self._halt_for(failure)
            self._services.log.exception("quarantined", execution=name, why=why)
            await cancel_all_orders_of(actor.execution, self._services)
            await self._quarantine(name, why)
            ended = Ended(actor.execution, None, why)
        finally:
            del self.actors[name]
            self._idle.unpark_all()
        self.ended[name] = ended
        for fact in actor.inbox.drain():  # came while its cost was being reckoned
            self.deliver(name, fact)

    async def keep(self, service: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task the engine cannot do without. If it ends in a bug, everything is ended instead of torn down: the
        executions can still cancel their orders and ask what became of them."""
        try:
            await service(*args)
        except Exception as failure:
            name = getattr(service, "__qualname__", "service")
            self._services.log.exception("service_failed", service=name)
            self._halt_for(ServiceFailed(f"{name} ended in {type(failure).__name__}: {failure}; see the log"))

    def _halt_for(self, failure: StoreFailed | ServiceFailed) -> None:
        """No new work, and every execution is made to end now. After a failed save that makes each save once more,
        which fails, so that its orders are cancelled now and not when it next hears something."""
        if self._failure is not None:
            return
        self._failure = failure
        if self.state in ("recovering", "running"):
            self.fire("halt")
        self.stop("halt")

    async def _quarantine(self, execution_id: str, why: str) -> None:
        try:
            await self._services.store.quarantine(execution_id, why)
        except StoreFailed as failure:
            self._halt_for(failure)

    async def _learn_late(self, execution_id: str, event: AnyEvent) -> None:
        """A fact about an execution that has ended: a repeat changes nothing, a late fill rewrites its metrics."""
        async with self._late:
            ended = self.ended[execution_id]
            try:
                late = advance(ended.execution, event, _NoAlgorithm())
                if late is None:
                    return
                await self._services.store.save(save_of(ended.execution, event, late))
                self._services.log.error("fact_after_end", execution=execution_id, seq=late.execution.seq)
                row = metrics(late.execution, self._books.get(execution_id))
                await self._services.store.save_metrics(row, self._services.wall.now_us())
            except SaveRefused:
                self._services.log.exception("late_fact_refused", execution=execution_id)
            except StoreFailed as failure:
                self._halt_for(failure)
            except Exception:  # one ended execution's trouble stays its own
                self._services.log.exception("illegal_fact_after_end", execution=execution_id)
            else:
                self.ended[execution_id] = Ended(late.execution, row, ended.quarantine)

    def _log_steps(self, first: Advance) -> None:
        for change in first.changes:
            self._services.log.info("transition", step=str(change))


class _NoAlgorithm:
    """An ended execution decides nothing."""

    look_every_us: int | None = None
    closing_lead_us: int | None = None

    def plan(self, *_: object) -> tuple[()]:
        return ()

    def replan(self, *_: object) -> tuple[()]:
        return ()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    failure: BaseException = group
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def refuse_unfinished(unfinished: Sequence[StoredExecution], database: str) -> None:
    """Raises UserError: what a killed process left is not silently mixed with new work."""
    if unfinished:
        names = ", ".join(e.execution_id for e in unfinished[:NAMES_SHOWN])
        more = f" and {len(unfinished) - NAMES_SHOWN} more" if len(unfinished) > NAMES_SHOWN else ""
        raise UserError(f"{database} holds unfinished executions ({names}{more}); give another path for new work")


@asynccontextmanager
async def open_engine(
    store: Store,
    exchange: Exchange,
    wall: Wall,
    log: FilteringBoundLogger,
    tickers: Sequence[str],
) -> AsyncIterator[Engine]:
    """A running engine on these markets. The body decides when work ends; leaving it stops the stream.

    Raises UserError for a database with unfinished executions, VenueError if a market's terms cannot be read.
    """
    feeds: dict[str, MarketFeed] = {}
    own = OwnOrders()
    async with trio.open_nursery() as outer:

        def deliver(execution_id: str, event: AnyEvent) -> bool:
            return engine.deliver(execution_id, event)

        router = Router(store.instance, feeds, wall, deliver, log)
        services = Services(store, exchange, wall, own, log, outer, deliver, router.learned)
        markets = Markets(exchange, store, wall, own, router, feeds, log)
        async with trio.open_nursery() as executions:
            engine = Engine(services, markets, executions)
            engine.fire("locked")
            try:
                refuse_unfinished(await store.unfinished(), "the database")
                engine.count_from(len(await store.executions()))
                for ticker in tickers:
                    await markets.add(ticker)
            except (UserError, VenueError, StoreFailed):
                engine.fire("failed")
                raise
            engine.fire("reconciled")
            outer.start_soon(engine.keep, exchange.stream, router, tuple(tickers))
            outer.start_soon(engine.keep, router.watch_silence)
            reconciler = Reconciler(exchange, router, engine.known, engine.oldest_us, wall, log)
            router.when_connected(reconciler.connected)
            outer.start_soon(engine.keep, reconciler.run)
            try:
                yield engine
            except BaseException:
                await engine.leave()
                raise
            engine.fire("drain")
            engine.stop("halt")
        engine.fire("drained")
        outer.cancel_scope.cancel()
