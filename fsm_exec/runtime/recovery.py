"""Starting is recovering: the database's unfinished executions are compared with the exchange, and go on.

1. Snapshots are read (stored_executions.py); one that cannot be, or whose method is not known, is quarantined with the
   reason, and kept.
2. The markets' terms are read in few calls, then the account's orders and fills.
3. Live orders of another database of ours: the start is refused, before anything was sent, unless its engine is
   declared gone. Foreign orders are left alone. Resting orders of this database that no unfinished execution works are
   cancelled. Orders that bear its name and that it does not know prove that it lost what it had acknowledged, which is
   reported. After a takeover the orders of the engine before are ended first, so that the listings show what became of
   all of them (fence.py).
4. Each execution takes in what it missed, as one durable event. When all have, the engine runs.

An exchange that does not answer is asked again for as long as it takes. missed_facts.py fetches what its listings show;
here are the steps in their order, joined with the supervisor, the markets and the ended executions.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import trio

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import IllegalEvent, SaveRefused, ServiceFailed, StoreFailed, VenueRefused
from fsm_exec.core.execution.events import FillReported, OrderDisputed
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.fills import known_fill
from fsm_exec.core.market.client_order_id import INSTANCE_CHARS
from fsm_exec.core.recovery.recovery import RecoveryPlan, adopts
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.cost_measurement import measure_unscored
from fsm_exec.runtime.ended_executions import EndedExecutions
from fsm_exec.runtime.events import GATE_BATCH
from fsm_exec.runtime.exchange_reads import PAUSE_MAX_S
from fsm_exec.runtime.kill_switch import cancel_orphans
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.missed_facts import (
    ForgottenOrders,
    check_other_engines,
    fenced_instances,
    fetch_missed_since_the_fence,
    leave_out_reported,
    load_forgotten,
    load_misnamed,
)
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.stored_executions import LoadedExecutions, Methods, load_unconfirmed, load_unfinished
from fsm_exec.runtime.supervisor import Supervisor

CAUGHT_UP_WITHIN_S: Final = 5.0
CAUGHT_UP_POLL_S: Final = 0.01
LISTINGS_USUALLY_S: Final = 10.0  # of a start: a deadline that has passed waits for them no longer than this
DEADLINE_LOOK_S: Final = 1.0
REFUSED_POLL_S: Final = 0.05
SET_ASIDE_MIN: Final = 5_000  # objects with references, of which an execution has about twenty
T = TypeVar("T")


class Recovery:
    """The start of an engine. `halt_for` is called with a store's failure while earlier ends are measured."""

    def __init__(
        self,
        services: Services,
        markets: Markets,
        methods: Methods,
        supervisor: Supervisor,
        ended: EndedExecutions,
        halt_for: Callable[[StoreFailed | ServiceFailed], None],
    ) -> None:
        self._services, self._markets, self._methods = services, markets, methods
        self._supervisor, self._ended, self._halt_for = supervisor, ended, halt_for
        self.losses: list[str] = []  # what the database had acknowledged and does not have
        self.healed: tuple[str, ...] = ()  # quarantined for want of an algorithm that is there again
        self.has_listed = False  # the exchange has said what it holds
        self.loaded = trio.Event()  # every unfinished execution can be stopped
        self._has_set_aside = False  # the garbage collector leaves out what was loaded

    async def recover(
        self,
        tickers: Sequence[str],
        gone: str | None,
        stream: Callable[[], None],
        is_leaving: Callable[[], bool],
        apply_stops: Callable[[], None],
    ) -> int | None:
        """Take everything unfinished up; when this returns, all of it is at work, has caught up, and waits at
        `supervisor.may_act`.

        `stream` is called when the feeds are there; `apply_stops` when all actors are there that can be stopped, and
        have not begun: those that are stopped then begin at once, and what the exchange holds reaches them when it is
        known. Returns the highest number an execution of this database ever had; None if the engine began to leave
        before the listings had come.

        Raises UserError (a market that does not exist, live orders of another database), VenueRefused and StoreFailed.
        """
        self._report_loss(self._services.store.lost)
        with self._collector_paused():
            loaded = await load_unfinished(self._services, self._methods)
        worked = [execution.terms for execution, _ in loaded.ready]
        worked += [execution.terms for execution in loaded.unscored]
        await self._markets.add_provisional(worked)
        with self._collector_paused():
            actors = [self._hold(execution, algorithm, gone) for execution, algorithm in loaded.ready]
        await self._keep_quarantined(loaded)
        self.loaded.set()
        apply_stops()
        self._services.requests.start_soon(self._start_at_deadlines, actors)
        if not tickers:
            stream()  # all feeds are there, and actors that were stopped hear what comes of it
        markets = await self._retry_while_stopping(lambda: self._markets.add_all(tickers, worked))
        if tickers:
            stream()  # before the listings: what they do not show any more comes by the stream
        executions = [execution for execution, _ in loaded.ready]
        found = await self._retry_while_stopping(
            lambda: fetch_missed_since_the_fence(executions, markets, loaded.last_saved_us, self._services)
        )
        check_other_engines(found, gone, self._services)
        if is_leaving():
            return None
        forgot = await load_forgotten(found, self._services.store)
        self._report_loss(await leave_out_reported(forgot, self._services.store))
        for name, order in await load_misnamed(found, forgot, self._services.store):
            why = f"it is {order.order_id} at the exchange"
            dispute = OrderDisputed(at_us=self._services.wall.now_us(), client_order_id=order.client_order_id, why=why)
            self._ended.take_late_fact(name, dispute)
        with self._collector_paused():
            await self._start_all(loaded, actors, found)
        return max(loaded.number, 0 if forgot is None else forgot.number)

    def close(self) -> None:
        """End the start, whatever came of it: nobody waits any more for what is loaded."""
        self.loaded.set()
        if self._has_set_aside:
            gc.unfreeze()
            self._has_set_aside = False

    @contextmanager
    def _collector_paused(self) -> Iterator[None]:
        """Pause the garbage collector: what is loaded stays, and next to nothing else is made in that time; yet the
        collector would walk over all of it again and again while it grows, for a third of the time. What is much is
        also left out of its walks until the start has ended. Never around a wait for the exchange: that may be long."""
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if gc.get_count()[0] > SET_ASIDE_MIN:
                gc.freeze()
                self._has_set_aside = True
            if was_enabled:
                gc.enable()

    def _report_loss(self, loss: ForgottenOrders | str | None) -> None:
        if loss is not None:
            self._services.log.error("database_older", loss=str(loss))
            self.losses.append(str(loss))

    def _hold(self, execution: Execution, algorithm: Algorithm, gone: str | None) -> Actor:
        """Add an actor that waits for the listings. In a restored copy the orders of the snapshots may be another
        engine's now: nothing of it is cancelled before the listings have come, unless that engine is declared gone."""
        actor = self._supervisor.add_actor(execution, algorithm)
        instance = execution.instance[:INSTANCE_CHARS]  # whatever the epoch
        self._supervisor.hold_until_listed(
            actor, starts_on_stop=instance in {self._services.store.instance, gone, *fenced_instances(self._services)}
        )
        return actor

    def _is_stopping(self, actors: Iterable[Actor]) -> bool:
        """Return whether any of the actors was stopped and has orders that may be live."""
        return any(not actor.is_waiting and actor.is_busy for actor in actors)

    async def _keep_quarantined(self, loaded: LoadedExecutions) -> None:
        """Take over the quarantined executions, and quarantine those that cannot be used."""
        self._supervisor.quarantined.update(loaded.quarantined)
        self.healed = loaded.healed
        for execution in loaded.given_up:
            self._services.add_loose(execution)
        for name, why in loaded.unusable.items():
            self._services.log.error("quarantined", execution=name, why=why)
            await self._supervisor.quarantine(name, why)

    async def _retry_while_stopping(self, read: Callable[[], Awaitable[T]]) -> T:
        """Call `read`. A definite refusal ends the start, but not while an actor is being stopped: its cancels may be
        accepted all the same. Raises VenueRefused."""
        while True:
            try:
                return await read()
            except VenueRefused as refused:
                if not self._is_stopping(self._supervisor.actors.values()):
                    raise
                self._services.log.warning("exchange_refuses_to_tell", error=str(refused), again_in_s=PAUSE_MAX_S)
            await trio.sleep(PAUSE_MAX_S)

    async def abandon(self, within_s: float) -> None:
        """Give the start up: actors that were stopped have `within_s` to finish; the others do not begin."""
        actors = list(self._supervisor.actors.values())
        with trio.move_on_after(within_s):
            while self._is_stopping(actors):  # noqa: ASYNC110 - no event marks that the last one has come to rest
                await trio.sleep(REFUSED_POLL_S)
        self._supervisor.cancel_all_tasks()

    async def _start_at_deadlines(self, actors: Sequence[Actor]) -> None:
        """Start the actors whose deadline passes before the exchange has answered, with their cancels."""
        await trio.sleep(LISTINGS_USUALLY_S)
        for actor in sorted(actors, key=lambda actor: actor.execution.deadline_us):
            while actor.is_waiting and self._services.wall.now_us() < actor.execution.deadline_us:
                # In small steps: the wall clock may be corrected during the sleep.
                left_s = (actor.execution.deadline_us - self._services.wall.now_us()) / 1_000_000
                await trio.sleep(min(max(left_s, 0.0), DEADLINE_LOOK_S))
            if actor.is_waiting:
                actor.expire()

    async def _start_all(self, loaded: LoadedExecutions, actors: list[Actor], found: RecoveryPlan) -> None:
        """Start all actors with what they missed, and wait until they have caught up."""
        stopping: set[str] = set()
        missed: list[tuple[Actor, tuple[FillReported, ...]]] = []
        for number, (actor, (name, event)) in enumerate(zip(actors, found.events, strict=True), start=1):
            if (taken := found.conflicts.get(name)) is not None:
                actor.inbox.stop(IllegalEvent(taken))
            if not self._supervisor.start_recovered(actor, event):
                if adopts(actor.execution, event):  # also one that has ended meanwhile: its fills are of those orders
                    self._supervisor.deliver(name, event)
                for fill in event.fills:
                    self._supervisor.deliver(name, fill)
                missed.append((actor, event.fills))
                # Where its orders stand it asks itself, later than this listing.
                stopping.update(child.client_order_id for child in actor.execution.children)
            if number % GATE_BATCH == 0:
                await trio.lowlevel.checkpoint()
        self._supervisor.cancel_quarantined()
        self.has_listed = True
        orphans = [order for order in found.orphans if order.client_order_id not in stopping]
        cancel_orphans(orphans, self._services)
        self._ended.take_unknown_fills(found.unknown_fills)
        for execution in await load_unconfirmed(self._services):
            self._ended.track_unconfirmed(execution)
        for actor in actors:
            if not actor.caught_up.is_set():  # each wait is a round of the event loop, also for what is there
                await actor.caught_up.wait()
        with trio.move_on_after(CAUGHT_UP_WITHIN_S):  # what is not believed is asked about for longer
            for actor, fills in missed:
                await self._wait_caught_up(actor, fills)
            await self._ended.wait_processed()  # of those that ended meanwhile, and before
        for execution in loaded.unscored:
            self._services.requests.start_soon(self._measure, execution)
        self._services.log.info(
            "recovered", executions=len(actors), orphans=len(found.orphans), quarantined=len(loaded.quarantined)
        )

    async def _wait_caught_up(self, actor: Actor, fills: Iterable[FillReported]) -> None:
        """Wait until an actor that was stopped before the listings came has taken these fills in."""
        for fill in fills:
            while (  # noqa: ASYNC110 - no event marks what an actor has processed
                self._supervisor.actors.get(actor.execution.execution_id) is actor
                and (child := actor.execution.child(fill.client_order_id)) is not None
                and known_fill(child, fill) is None
            ):
                await trio.sleep(CAUGHT_UP_POLL_S)

    async def _measure(self, execution: Execution) -> None:
        """Measure an execution that an earlier process left unmeasured."""
        feed = self._markets.feeds.get(execution.terms.ticker)
        try:
            await measure_unscored(execution, feed, self._services)
        except SaveRefused:
            self._services.log.exception("score_refused", execution=execution.execution_id)
        except StoreFailed as failure:
            self._halt_for(failure)
