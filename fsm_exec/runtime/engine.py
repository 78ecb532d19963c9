"""The engine: the states of its table and the operations of its owner.

Starting is recovering: what the database left unfinished is taken up (runtime.recovery) before it accepts anything.
runtime.lifespan opens it; runtime.dispatch brings events from outside to the executions.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import trio
from msgspec.structs import replace

from fsm_exec.core.errors import (
    ExecError,
    Fenced,
    LocalError,
    OverCapacity,
    SaveRefused,
    ServiceFailed,
    StoreFailed,
    UserError,
)
from fsm_exec.core.execution.advance import Advance, advance
from fsm_exec.core.execution.cancel_capacity import CancelDemand, why_over_capacity
from fsm_exec.core.execution.events import Reason
from fsm_exec.core.execution.machine import step
from fsm_exec.core.journal.to_rows import edge_figures, save_of
from fsm_exec.core.market.client_order_id import execution_id_of
from fsm_exec.core.text import describe_failure
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.runtime.dispatch import Dispatch
from fsm_exec.runtime.ended_executions import EndedExecution as EndedExecution
from fsm_exec.runtime.ended_executions import EndedExecutions
from fsm_exec.runtime.health import Health
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.recovery import Recovery
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.status import EngineStatus, status_of
from fsm_exec.runtime.stored_executions import Methods
from fsm_exec.runtime.stream_state import StreamState
from fsm_exec.runtime.submission import GRACE_US, check_request, ends_of, submitted_event
from fsm_exec.runtime.submission import ExecutionRequest as ExecutionRequest
from fsm_exec.runtime.submission import MethodRef as MethodRef
from fsm_exec.runtime.supervisor import Supervisor

if TYPE_CHECKING:
    from fsm_exec.core.algorithm.algorithm import Algorithm
    from fsm_exec.core.algorithm.market_view import MarketView
    from fsm_exec.core.command_notes_port import CommandNotes
    from fsm_exec.core.execution.execution import Execution
    from fsm_exec.core.leadership_port import Leader
    from fsm_exec.core.market.account import BudgetFacts
    from fsm_exec.runtime.account.account import Account
    from fsm_exec.runtime.actor import Actor
    from fsm_exec.runtime.order_groups import EpochGroups
    from fsm_exec.runtime.order_lease import HostLease

LEAVING_S = 15.0  # how long executions may take to end when the engine's owner has failed
DRAIN_WITHIN_S = 60.0  # longer than an unknown order needs to be known
DRAIN_POLL_S = 0.05
CANCEL_DURABLE_WITHIN_S = (
    5.0  # an ending is durable long before, unless the execution waits for the exchange's listings
)
CANCEL_POLL_S = 0.01


class AcceptanceNotes(Protocol):
    """Notes of what is accepted, outside of the database: a copy of that may be behind."""

    async def note(self, execution_id: str, request: ExecutionRequest) -> None:
        """Note what is about to be accepted; return once that is durable. Raises NotNoted."""
        ...

    async def forget(self, request: ExecutionRequest) -> None:
        """Forget it: it was not accepted."""
        ...


class HaltStore(Protocol):
    """The part of a database that keeps whether the engine is halted."""

    async def save_halt(self, at_us: int, why: str | None) -> None: ...


class Engine:
    """Made by `lifespan.open_engine`. `actors` are at work, `ended` the newest that have ended and are measured."""

    def __init__(
        self,
        services: Services,
        markets: Markets,
        stream: StreamState,
        methods: Methods,
        executions: trio.Nursery,
        rng: random.Random,
        health: Health,
    ) -> None:
        self.state = "starting"
        self.feeds = markets.feeds
        self._ended = EndedExecutions(services, self._halt_for, services.names.forget)
        self._supervisor = Supervisor(services, markets, methods, self._ended, executions, rng, self._halt_for)
        self.actors = self._supervisor.actors
        self.ended = self._ended.ended
        self._services, self._markets, self._stream = services, markets, stream
        self.health = health
        self._count = 0
        self._reserved: dict[str, CancelDemand] = {}  # reserved for what is about to be submitted
        self._stops: list[Reason] = []  # all there have been: one may come while an execution is being accepted
        self._why_halted: str | None = None
        self.failure: StoreFailed | ServiceFailed | None = None  # what it halted for, if it cannot go on
        self.failed = trio.Event()  # there is one: `wait_idle` raises it, once everything has ended
        self._refusal: ExecError | None = None  # why it never began to run
        self._recovered = trio.Event()
        self.dispatch = Dispatch(self._supervisor, self._ended, services)
        self._recovery = Recovery(services, markets, methods, self._supervisor, self._ended, self._halt_for)
        self.account: Account | None = None  # given by `lifespan.open_engine`
        self.groups: EpochGroups | None = None  # the same
        self.notes: AcceptanceNotes | None = None  # given by the daemon, where a standby follows
        self.commands: CommandNotes | None = None  # the same
        self.status_left = self.status()  # as it stood when `drain` stopped waiting

    # Operations of its owner.

    def view(self, ticker: str, outcome: Outcome) -> MarketView:
        """Return the market as it is now, in the terms of `outcome`."""
        return self.feeds[ticker].view(outcome)

    def volume_24h(self, ticker: str) -> CountE2 | None:
        """Return the contracts traded in 24 hours, by the exchange's last word; None is unknown."""
        return self._services.exchange.volume_24h(ticker)

    def own_levels(self, ticker: str, outcome: Outcome) -> Mapping[PriceE4, CountE2]:
        """Return this account's own bids for an outcome, as far as they are known here; the caller changes nothing."""
        return self._services.own.levels(ticker, outcome)

    @property
    def host_lease(self) -> HostLease:
        """The lease of its resting orders."""
        return self._services.lease

    def budget(self) -> BudgetFacts:
        """Return what may still be written at the exchange, as it stands now."""
        return self._services.exchange.budget()

    async def open_market(self, ticker: str) -> None:
        """Watch one more market from now on. Raises as opening the engine does."""
        await self._markets.open(ticker)

    def close_market(self, ticker: str) -> None:
        """Stop watching a market. Raises LocalError while an execution works it."""
        working = [name for name, actor in self.actors.items() if actor.execution.terms.ticker == ticker]
        if working:
            raise LocalError(f"{ticker} is worked by {working[0]}")
        self._markets.close(ticker)

    async def wait_loaded(self) -> None:
        """Wait until every unfinished execution is known here, or the start has failed."""
        await self._recovery.loaded.wait()

    async def wait_running(self) -> None:
        """Wait until every unfinished execution has caught up. Raises what made the start impossible: UserError,
        VenueRefused, StoreFailed."""
        await self._recovered.wait()
        if self._refusal is not None:
            raise self._refusal
        if self.failure is not None:
            raise self.failure

    def reserve_capacity(self, name: str, deadline_us: int, algorithm: Algorithm) -> None:
        """Reserve the cancels of an execution that is about to be submitted, under a name of the caller's, until
        `release_capacity`; a second call moves it to another deadline. Raises OverCapacity for one that could not be
        cancelled in time beside all there are."""
        self._reserved.pop(name, None)
        now_us, new = self._services.wall.now_us(), ends_of(deadline_us, algorithm)
        others = [*(actor.ends for actor in self.actors.values()), *self._reserved.values()]
        why = why_over_capacity(new, others, self._services.exchange.budget(), grace_us=GRACE_US, now_us=now_us)
        if why is not None:
            raise OverCapacity(why)
        self._reserved[name] = new

    def release_capacity(self, name: str) -> None:
        """Release a reservation: the execution was submitted, or will not be."""
        self._reserved.pop(name, None)

    async def submit(self, request: ExecutionRequest) -> str:
        """Accept an execution and start working it; returns its id once it is durable.

        Raises LocalError if the engine does not run or the request breaks a rule of core, UserError for a method that
        cannot work it, and whatever made the engine halt.
        """
        if self.failure is not None:
            raise self.failure
        if self.state != "running":
            raise LocalError(f"the engine is {self.state} and accepts no work")
        check_request(request)
        if self.account is not None:
            await self.account.prepare(self.feeds[request.ticker].terms)
            if self.state != "running":
                raise LocalError(f"the engine is {self.state} and accepts no work")
        self._count += 1
        execution_id = execution_id_of(self._count)
        if self.account is None:
            return await self._accept(request, execution_id)
        self.account.reserve(execution_id, request, self.feeds[request.ticker].terms)
        try:
            return await self._accept(request, execution_id)
        finally:  # it is at work, and is its own reservation, or is not there
            self.account.release(execution_id)

    async def _accept(self, request: ExecutionRequest, execution_id: str) -> str:
        """Make an execution of a request that is let in: durable first, then at work."""
        named = self._services.store.instance + self._services.store.epoch
        event = submitted_event(request, execution_id, named, self.feeds[request.ticker])
        stops = len(self._stops)
        first = advance(None, event, request.method.algorithm)
        if first is None:
            raise LocalError("a submission changes nothing")
        try:
            save = save_of(None, event, first)
            edge = edge_figures(request.edge, self.volume_24h(request.ticker))
            if self.notes is not None:
                await self.notes.note(execution_id, request)
            await self._services.store.save(replace(save, submission=request.submission, edge=edge))
        except SaveRefused:
            if self.notes is not None:
                await self.notes.forget(request)
            raise
        except StoreFailed as failure:
            self._halt_for(failure)
            raise
        self._log_steps(first)
        actor = self._supervisor.add_actor(first.execution, request.method.algorithm)
        for reason in self._stops[stops:]:
            actor.end(reason)
        if self.state == "draining" and len(self._stops) == stops:  # begun while this was being saved
            actor.drain()
        self._supervisor.start(actor)
        return execution_id

    def stop(self, reason: Reason) -> None:
        """End every execution, those being accepted too: cancel what is live, keep what is filled."""
        self._stops.append(reason)
        for actor in list(self.actors.values()):  # some begin with it
            actor.end(reason)

    def end_execution(self, execution_id: str, reason: Reason = "user") -> None:
        """Tell one execution at work to end; nothing if there is none of that name."""
        if (actor := self.actors.get(execution_id)) is not None:
            actor.end(reason)

    async def cancel(self, execution_id: str, reason: Reason = "user") -> None:
        """End one execution; a quarantined one is loaded again for it. Returns when its ending is durable: no restart
        forgets it then.

        Raises UserError for one that is not at work, LocalError if it is asked to end and that is not durable yet, and
        what `resume_execution` raises.
        """
        actor = self.actors.get(execution_id)
        if execution_id in self._supervisor.quarantined:
            await self._supervisor.take_up_quarantined(execution_id, reason)
            actor = self.actors.get(execution_id)
        elif actor is not None:
            actor.end(reason)
        else:
            raise UserError(f"{execution_id} is not at work; it has ended, or there is none of that name")
        with trio.move_on_after(CANCEL_DURABLE_WITHIN_S):
            while (actor := self.actors.get(execution_id, actor)) is not None:
                if actor.execution.ending is not None or actor.execution.is_ended:
                    return
                if execution_id not in self.actors:
                    break  # given up, or its task was cancelled
                await trio.sleep(CANCEL_POLL_S)  # polled: no event marks it, and few wait for it
        raise LocalError(
            f"{execution_id} was told to end, but that is not durable yet (the engine is {self.state}); ask again"
        )

    async def resume_execution(self, execution_id: str) -> None:
        """Take a quarantined execution up again from its snapshot, with what the exchange holds.

        It goes on with what remains; that its orders were cancelled when it was given up does not end it.

        Raises UserError if it is not quarantined or cannot be taken up, LocalError if the engine does not run or is
        still busy giving it up, VenueError and StoreFailed.
        """
        if self.state != "running":
            raise LocalError(f"the engine is {self.state} and takes nothing up")
        stops = len(self._stops)
        await self._supervisor.take_up_quarantined(execution_id)
        for reason in self._stops[stops:]:  # while it was looked up
            self.actors[execution_id].end(reason)

    def halt(self, why: str = "asked to") -> None:
        """Accept nothing more and end every execution. `status().halt_within_s` says how long that may take.

        It depends on nothing that may be down: what the snapshots know is cancelled at once, and until the exchange
        confirms that nothing is live. A second call begins again with those that are quarantined. In a process that is
        leaving it ends the executions too, which would otherwise wait for the next process.
        """
        if self.state in ("recovering", "running"):
            self._why_halted = why
            self.fire("halt")
            self.stop("halt")
        elif self.state == "draining":
            self.stop("halt")
        if self.state in ("halted", "draining"):
            self._supervisor.cancel_quarantined()

    async def keep_halt(self, store: HaltStore) -> None:
        """Keep that it halted, in the database and, where a standby follows, beside it. Raises StoreFailed."""
        at_us, why = self._services.wall.now_us(), self._why_halted or "asked to"
        failure: StoreFailed | None = None
        async with trio.open_nursery() as nursery:  # neither waits for the other
            if self.commands is not None:
                nursery.start_soon(self.commands.note_halt, why, at_us)
            try:
                await store.save_halt(at_us, why)
            except StoreFailed as error:
                failure = error
        if failure is not None:
            raise failure

    def require_resumable(self) -> None:
        """Raises LocalError unless it was halted by `halt`, with everything recovered."""
        if self.failure is not None:
            raise LocalError(f"the engine cannot be resumed, only started again: {self.failure}")
        if not self._recovered.is_set():
            raise LocalError("the engine has not yet learned what the exchange holds; try again later")
        if self.state != "halted":
            raise LocalError(f"the engine is {self.state}, not halted")
        if self.account is not None:
            self.account.require_no_halt()

    def resume(self) -> None:
        """Accept work again. Raises as `require_resumable` does."""
        self.require_resumable()
        self._why_halted = None
        self.fire("resume")
        if self.groups is not None:
            self.groups.unblock()

    def stop_fenced(self, leader: Leader) -> None:
        """Stop because another engine leads: nothing is placed any more, what may be live is cancelled, and `wait_idle`
        raises Fenced."""
        why = f"{leader.holder} has taken over, in term {leader.term}: this engine stops, and must not be started again"
        self._halt_for(Fenced(why))
        if self.groups is not None:
            self.groups.block(why)

    async def drain(self, *, cancel_orders: bool, within_s: float = DRAIN_WITHIN_S) -> bool:
        """Come to rest without ending any execution: all of them are taken up at the next start.

        With `cancel_orders` every live order is cancelled by a journaled decision, as it is if every execution was
        asked to end before; without, they stay live and are adopted. Nothing new is placed. Returns False if orders
        were still live or unknown, or requests unanswered, after `within_s`: the next start looks them up. Before the
        exchange's listings have come, what the snapshots know is cancelled. Raises LocalError if there is nothing to
        drain.
        """
        if self.state not in ("recovering", "running", "halted"):
            raise LocalError(f"the engine is {self.state}")
        self.fire("drain")
        cancel_orders = cancel_orders or bool(self._stops)  # an execution that is to end keeps none
        at_rest = False
        asked: set[Actor] = set()
        with trio.move_on_after(within_s):
            await self._recovery.loaded.wait()
            if cancel_orders:
                self._supervisor.cancel_quarantined()
            while not at_rest:
                for actor in list(self.actors.values()):
                    if cancel_orders and actor not in asked:  # one that was there, or a successor after a failure
                        actor.drain()
                    asked.add(actor)
                if not cancel_orders:
                    self._supervisor.cancel_all_tasks()
                await trio.sleep(DRAIN_POLL_S)  # polled: no event marks that the last of many has come to rest
                at_rest = asked.issuperset(self.actors.values()) and not any(
                    actor.in_flight or (cancel_orders and self._is_busy(actor)) for actor in asked
                )
                at_rest = at_rest and not (cancel_orders and self._services.loose)
        self.status_left = self.status()
        self._supervisor.cancel_all_tasks()
        return at_rest

    def _is_busy(self, actor: Actor) -> bool:
        """Return whether an actor has orders that may be live, or has not yet taken in that it is to end. Those of an
        actor that is not at work any more belong to its successor, or are loose."""
        execution = actor.execution
        is_deaf = actor.stop_reason is not None and execution.ending is None and not execution.is_ended
        is_at_work = self.actors.get(execution.execution_id) is actor
        return is_at_work and (actor.is_busy or (is_deaf and not actor.is_waiting))

    @property
    def losses(self) -> list[str]:
        """What the database had acknowledged and did not have at the start, one line each. Complete once it runs."""
        return list(self._recovery.losses)

    def report_loss(self, loss: str) -> None:
        """Report one more loss."""
        self._recovery.losses.append(loss)

    def status(self) -> EngineStatus:
        """Return the state of the engine and of all orders."""
        return status_of(
            self.state,
            self._why_halted,
            (actor.execution for actor in self.actors.values()),
            self._supervisor.quarantined,
            self.feeds,
            self._services.exchange.budget(),
            self._services.wall.now_us(),
            loose=self._services.loose,
            has_listed=self._recovery.has_listed,
            why_degraded=self.health.why_degraded(),
            stream_connected=self._stream.is_connected,
            lease_wanted_s=self._services.lease.wanted_s,
            lease_s=self._services.lease.in_force_s(),
        )

    @property
    def why_halted(self) -> str | None:
        """Why it is, or was last, halted; None: it never was, or has been resumed since."""
        return self._why_halted

    def feed_changes(self) -> Mapping[str, int]:
        """Return how often the books made each transition since the start, by trigger: `gap` and `lost` among them."""
        return self._markets.feed_changes

    def stream_losses(self) -> int:
        """Return how many connections of the stream ended since the start."""
        return self._stream.losses

    def executions_at_work(self) -> list[Execution]:
        """Return the executions at work as they stand."""
        return [actor.execution for actor in self.actors.values()]

    def executions_quarantined(self) -> list[str]:
        """Return the ids of the executions in quarantine."""
        return list(self._supervisor.quarantined)

    def quarantined(self) -> dict[str, str]:
        """Return why each execution in quarantine is there, by its id."""
        return dict(self._supervisor.quarantined)

    def books_not_live(self) -> Iterable[tuple[str, str]]:
        """Return the worked and open markets whose book is not live, with the feed's state."""
        worked = dict.fromkeys(actor.feed for actor in self.actors.values())  # asked often, with thousands at work
        feeds = [feed for feed in worked if self.feeds.get(feed.terms.ticker) is feed]
        return [(feed.terms.ticker, feed.state) for feed in feeds if feed.status == "open" and feed.state != "live"]

    async def wait_idle(self) -> None:
        """Wait until no execution is at work. Raises StoreFailed or ServiceFailed if the engine had to halt."""
        await self._supervisor.wait_until_empty()
        if self.failure is not None:
            raise self.failure

    async def end_all(self) -> None:
        """End every execution that can still end, because the engine's owner failed: no order is to be left behind."""
        self.stop("halt")
        with trio.move_on_after(LEAVING_S, shield=True):
            await self._supervisor.wait_until_empty()

    # Calls of its parts.

    def on_clock_jump(self, correction_us: int) -> None:
        """Wake every actor: the wall clock was corrected, and every wait is computed anew."""
        self._services.log.warning("clock_jumped", correction_us=correction_us)
        for actor in self.actors.values():
            actor.inbox.wake()

    def fire(self, trigger: str) -> None:
        """Make a transition of the engine's table, and log it."""
        source = self.state
        self.state = step("engine", source, trigger)
        self._services.log.info(
            "transition", machine="engine", subject="engine", source=source, trigger=trigger, dest=self.state
        )

    async def run_service(self, service: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run a task the engine cannot do without. If it ends in a bug, everything is ended instead of torn down: the
        executions can still cancel their orders and look up what became of them."""
        try:
            await service(*args)
        except Exception as failure:
            name = getattr(service, "__qualname__", "service")
            self._services.log.exception("service_failed", service=name)
            if (store := _store_failure(failure)) is not None:
                self._halt_for(store)
                return
            self._halt_for(ServiceFailed(f"{name} ended in {describe_failure(failure)}; see the log"))

    async def process_late_facts(self) -> None:
        """Process events about executions that have ended, forever."""
        await self._ended.run(self.dispatch.deliver)

    def _halt_for(self, failure: StoreFailed | ServiceFailed) -> None:
        """Halt for a failure: no new work, and every execution is made to end now. After a failed save that makes each
        of them save once more, which fails, so that its orders are cancelled now and not at its next event."""
        if self.failure is not None:
            return
        self.failure = failure
        self.failed.set()
        self._why_halted = str(failure)
        if self.state in ("recovering", "running"):
            self.fire("halt")
        self.stop("halt")

    def _log_steps(self, first: Advance) -> None:
        for change in first.changes:
            self._services.log.info("transition", step=str(change))

    async def recover(self, tickers: Sequence[str], gone: str | None, stream: Callable[[], None]) -> None:
        """Bring the engine from `recovering` to `running`; `stream` is called when the feeds are there. What makes it
        impossible is raised by `wait_running`."""
        try:
            stored = await self._recovery.recover(
                tickers, gone, stream, lambda: self.state == "draining", self._apply_stops
            )
            if stored is None:
                return
            self._count = stored
            if self.state == "recovering":
                self.fire("reconciled")
            self._recovered.set()
            await self._supervisor.may_act.open()
            self._services.requests.start_soon(self._resume_healed)
        except ExecError as error:
            await self._recovery.abandon(LEAVING_S)
            self._refusal = error
            if self.state in ("starting", "recovering"):
                self.fire("failed")
        finally:
            self._recovery.close()
            self._recovered.set()

    async def _resume_healed(self) -> None:
        """Resume, one after the other, the executions that were quarantined because their algorithm was missing, and is
        there again. One that cannot be resumed stays as it is: `resume_execution` raises the reason."""
        for name in self._recovery.healed:
            try:
                await self.resume_execution(name)
                self._services.log.info("taken_up_again", execution=name)
            except ExecError as error:
                self._services.log.warning("not_taken_up_again", execution=name, why=str(error))
                if isinstance(error, StoreFailed) and not isinstance(error, SaveRefused):
                    self._halt_for(error)
                    return

    def _apply_stops(self) -> None:
        """Apply the stops that came before there were actors."""
        for reason in self._stops:
            for actor in list(self.actors.values()):
                actor.end(reason)
        if self._stops:
            self._supervisor.cancel_quarantined()


def _store_failure(failure: BaseException) -> StoreFailed | None:
    """Return the database's failure that this is, or that a nursery wrapped; None for any other."""
    if isinstance(failure, BaseExceptionGroup):
        return next((found for part in failure.exceptions if (found := _store_failure(part)) is not None), None)
    return failure if isinstance(failure, StoreFailed) else None
