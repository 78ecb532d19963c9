"""Supervision: each execution under its own guard, one for one. The trouble of one is never that of another.

What follows a failure depends on whether a retry can help:

* A contradiction (IllegalEvent, IllegalTrigger, InvariantBroken, an unreadable snapshot): quarantined at once. The
  event that raised is still true at the exchange; a fresh start would look it up and meet it again.
* A save that the database refuses: quarantined at once. It would refuse the same row again; above all, it refuses a
  step whose number another engine has written.
* A store that failed: the engine halts, and every execution with it.
* All else (an inbox that overflowed, a bug in an algorithm or in this program that one moment brought about): the task
  restarts from its last durable snapshot, after a growing, jittered pause, with what the listings show. More than
  RESTARTS_MAX times in RESTART_INTERVAL_S: quarantined.

Quarantined: the reason is kept in the database and shown, its orders are cancelled, its snapshot stays. An execution
leaves it by `take_up_quarantined`, once the cancels are done and no answer is to come any more that was meant for the
task that failed: the snapshot is loaded again, what the exchange holds is looked up, and it goes on with what remains,
until its deadline, or ends. We cancelled its orders ourselves, so their absence does not end it: its owner resumed it
to have it worked.

One that is taken up to be ended ends, whatever contradicts: what cannot be processed is logged and left out, and an
order that listings still do not agree about after twice the signature window and the read lag is given up with the
fills that are listed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

import trio

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import (
    CorruptSnapshot,
    LocalError,
    SaveRefused,
    ServiceFailed,
    StoreFailed,
    UserError,
    first_of,
)
from fsm_exec.core.execution.events import AnyEvent, Reason, Restored, tag_of
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.text import describe_failure
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.cost_measurement import measure_ended, record_deadline_book
from fsm_exec.runtime.ended_executions import EndedExecution, EndedExecutions
from fsm_exec.runtime.events import StaggeredGate
from fsm_exec.runtime.inbox import InboxOverflow
from fsm_exec.runtime.kill_switch import cancel_all_orders, cancel_until_gone
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.missed_facts import fetch_missed
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.stored_executions import Methods, decode_if_readable, decode_with_algorithm

RESTARTS_MAX = 3
RESTART_INTERVAL_S = 60.0
FIRST_PAUSE_MS = 500
PAUSE_MAX_MS = 8_000
JITTER_PER_MILLE = 500  # of the pause, at most, are added to it
ANSWERS_POLL_S = 0.05
GIVE_UP_WAIT_S = 30.0  # how long `take_up_quarantined` waits for an actor that is being given up

TRANSIENT = (InboxOverflow, IllegalAction)
"""Local errors that a moment brought about: a flood of facts, a book an algorithm was not made for."""


def is_restartable(failure: BaseException) -> bool:
    """Return whether the same execution may do better from its last snapshot; see the module."""
    return isinstance(failure, TRANSIENT) or not isinstance(failure, LocalError)


class Supervisor:
    """`actors` are at work; `quarantined` are not, with the reasons. `nursery` has nothing else in it: it is cancelled
    to stop all actors. `halt_for` is called with a store's failure."""

    def __init__(
        self,
        services: Services,
        markets: Markets,
        methods: Methods,
        ended: EndedExecutions,
        nursery: trio.Nursery,
        rng: random.Random,
        halt_for: Callable[[StoreFailed | ServiceFailed], None],
    ) -> None:
        self.actors: dict[str, Actor] = {}
        self.quarantined: dict[str, str] = {}
        self.may_act = StaggeredGate()  # opens when all have caught up with what happened before the start
        self._services, self._markets, self._methods, self._ended = services, markets, methods, ended
        self._nursery, self._rng, self._halt_for = nursery, rng, halt_for
        self._being_taken_up: set[str] = set()
        self._clearing: set[str] = set()  # quarantined executions whose orders are being cancelled, or have been
        self._record_book = self._record_deadline_book  # one method object for all actors
        self._removals = trio.lowlevel.ParkingLot()  # tasks that wait for an actor to be removed

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Hand an event to the execution that owns it, at work or ended. It is always accepted."""
        actor = self.actors.get(execution_id)
        if actor is not None:
            actor.inbox.offer(event)
        elif execution_id in self.quarantined:  # stays as its last save says until a person looks at it
            self._services.log.warning("fact_for_quarantined", execution=execution_id, kind=tag_of(event))
        else:
            self._ended.take_late_fact(execution_id, event)

    def add_actor(self, execution: Execution, algorithm: Algorithm) -> Actor:
        """Add an actor that takes events from now on, and acts on them once it is started."""
        self._services.own.update(execution)
        for child in execution.children:
            if child.order_id is not None:
                self._services.names.learn(child.client_order_id, child.order_id)
        actor = Actor(execution, algorithm, self._markets.feeds[execution.terms.ticker], self._services, self.deliver)
        self.actors[execution.execution_id] = actor
        return actor

    def hold_until_listed(self, actor: Actor, *, starts_on_stop: bool) -> None:
        """Hold an actor that is taken up again until the exchange's listings are known; with `starts_on_stop` a stop
        starts it earlier."""
        actor.hold_until_listed(partial(self.start, actor) if starts_on_stop else None)

    def start_recovered(self, actor: Actor, news: Restored) -> bool:
        """Start an actor that is held, to act no sooner than all may; return False if a stop has started it already."""
        if not actor.is_waiting:
            return False
        actor.begin_with(news, self.may_act)
        self.start(actor)
        return True

    def start(self, actor: Actor) -> None:
        """Run an actor under its guard. Once `cancel_all_tasks` was called it is not begun: it is durable, and the next
        start takes it up."""
        if self._nursery.cancel_scope.cancel_called:
            self._remove(actor)
        else:
            self._nursery.start_soon(self._guard, actor, name="execution")

    def cancel_all_tasks(self) -> None:
        """Stop working every execution where it is: what is durable is all that stays of it."""
        self._nursery.cancel_scope.cancel()
        for actor in [actor for actor in self.actors.values() if actor.is_waiting]:
            self._remove(actor)

    async def wait_until_empty(self) -> None:
        """Wait until no execution is at work."""
        while self.actors:
            await self._removals.park()

    async def quarantine(self, execution_id: str, why: str) -> None:
        """Record the reason of a quarantine, here and in the database."""
        self.quarantined[execution_id] = why
        try:
            await self._services.store.quarantine(execution_id, why, self._services.wall.now_us())
        except SaveRefused:  # a row so damaged that it takes no reason: the next start finds it again
            self._services.log.exception("quarantine_not_kept", execution=execution_id, why=why)
        except StoreFailed as failure:
            self._halt_for(failure)

    def cancel_quarantined(self) -> None:
        """Start cancelling the orders of all quarantined executions, until the exchange confirms that they are gone."""
        for name in self.quarantined:
            if name not in self.actors:  # one that is being given up cancels its own
                self._services.requests.start_soon(self._cancel_stored, name)

    async def _cancel_stored(self, execution_id: str) -> None:
        try:
            stored = await self._services.store.load_execution(execution_id)
        except StoreFailed as failure:
            self._halt_for(failure)
            return
        for execution in () if stored is None else decode_if_readable(stored):
            await self._cancel_quarantined(execution)

    async def _cancel_quarantined(self, execution: Execution) -> None:
        name = execution.execution_id
        if name in self._clearing:
            return
        self._clearing.add(name)  # for good, once it is done: nothing is placed for it any more
        if not await cancel_until_gone(execution, self._services, lambda: name in self.quarantined):
            self._clearing.discard(name)

    async def take_up_quarantined(self, execution_id: str, stop_for: Reason | None = None) -> None:
        """Take a quarantined execution up again; with `stop_for` to end it. Returns when it is at work.

        To end it nothing is read first: its cancels depend on nothing that may be down. Raises UserError if it is not
        quarantined, cannot be read or has no known method, LocalError if it is still being given up, VenueError and
        StoreFailed.
        """
        await self._wait_until_given_up(execution_id)
        stored = await self._services.store.load_execution(execution_id)
        why = self.quarantined.get(execution_id)
        if stored is None or why is None or execution_id in self._being_taken_up:
            raise UserError(f"{execution_id} is not quarantined")
        self._being_taken_up.add(execution_id)
        actor: Actor | None = None
        try:
            execution, algorithm = decode_with_algorithm(stored, self._methods, only_ends=stop_for is not None)
            await self._markets.open_worked(execution.terms)
            actor = self.add_actor(execution, algorithm)
            del self.quarantined[execution_id]  # it is the one or the other at any moment: what it may buy is reserved
            actor.ends_regardless = stop_for is not None
            await self._catch_up_before_start(actor, stop_for, was_quarantined=True)
        except BaseException as error:
            self.quarantined[execution_id] = why
            if actor is not None:
                self.actors.pop(execution_id, None)
                self._services.own.remove(actor.execution)
            if isinstance(error, CorruptSnapshot):
                raise UserError(f"{execution_id} cannot be taken up: {error}") from error
            raise
        finally:
            self._being_taken_up.discard(execution_id)
        self._ended.remove(execution_id)
        self._services.remove_loose(execution_id)
        self._clearing.discard(execution_id)
        self.start(actor)

    async def _catch_up_before_start(
        self, actor: Actor, stop_for: Reason | None = None, *, was_quarantined: bool = False
    ) -> None:
        """Fetch what the exchange holds of an execution, unless it is to stop, or is stopped during the read. Raises
        VenueRefused, and LocalError if the process starts to leave while a quarantined one is looked up."""
        cleared = _QuarantineLift(actor.execution.execution_id, self._services) if was_quarantined else None
        with trio.CancelScope() as reading:
            actor.hold_until_listed(reading.cancel, cleared)
            if stop_for is not None:
                actor.end(stop_for)
            await self._markets.fetch_worked(actor.execution.terms)
            news = await fetch_missed(
                actor.execution, actor.feed.status, self._services, was_quarantined=was_quarantined
            )
            if actor.is_waiting:
                actor.begin_with(news, self.may_act if cleared is None else cleared)
        if was_quarantined and actor.begins_with_drain:  # no journal would show that its orders were ended by us
            name = actor.execution.execution_id
            raise LocalError(f"{name} stays quarantined: the engine is leaving; ask the next one")

    async def _wait_until_given_up(self, execution_id: str) -> None:
        """Wait until the failed actor of a quarantined execution is gone. Raises LocalError if that takes too long."""
        with trio.move_on_after(GIVE_UP_WAIT_S):
            while execution_id in self.quarantined and execution_id in self.actors:
                await self._removals.park()
            return
        raise LocalError(f"{execution_id} is still being given up, its orders are being cancelled; ask again later")

    async def _guard(self, actor: Actor) -> None:
        """Run one execution until it has ended and is measured, is quarantined, or its task is cancelled; restart it
        after failures that a restart may mend. All in one call: thousands wait here, and each frame takes memory."""
        name, failures = actor.execution.execution_id, tuple[float, ...]()
        try:
            while True:
                failure: Exception | None = None
                actor.on_deadline = self._record_book
                try:
                    await actor.run()
                    row, book = await measure_ended(actor, self._services)
                except* Exception as group:
                    failure = first_of(group)
                else:
                    self._ended.add(EndedExecution(actor.execution, row), book)
                if failure is None:
                    break
                now_s = trio.current_time()
                # Only failures close together count: one a day is what restarts are for, four a minute are a fault that
                # stays.
                failures = (*(at_s for at_s in failures if now_s - at_s <= RESTART_INTERVAL_S), now_s)
                successor = await self._restart_or_give_up(actor, failure, len(failures))
                actor.caught_up.set()
                if successor is None:
                    break
                actor = successor
        finally:
            self._remove(actor)
        for fact in actor.inbox.drain():  # came while its cost was being measured
            self.deliver(name, fact)

    async def _record_deadline_book(self, actor: Actor) -> None:
        await record_deadline_book(actor, self._services)

    def _remove(self, actor: Actor) -> None:
        """Remove an actor whose task has ended."""
        actor.caught_up.set()
        self.actors.pop(actor.execution.execution_id, None)
        self._removals.unpark_all()

    async def _restart_or_give_up(self, actor: Actor, failure: Exception, times: int) -> Actor | None:
        """Return the successor of an actor that has now failed `times` times, close together, with all that was asked
        of it; None if the execution was quarantined."""
        name = actor.execution.execution_id
        why = describe_failure(failure)
        if is_restartable(failure) and times <= RESTARTS_MAX:
            self._services.log.warning("restarting", execution=name, why=why, times=times, exc_info=failure)
            try:
                return await self._load_successor(actor, times)
            except Exception as second:  # the start of the successor failed: both reasons are kept
                failure, why = second, f"{why}; then {describe_failure(second)}"
        elif isinstance(failure, SaveRefused):
            number = actor.execution.seq + 1
            why += f"; the database did not take step {number}: another engine may have written it, see the journal"
        elif is_restartable(failure):
            why += f" ({times} times in {RESTART_INTERVAL_S:.0f} s)"
        await self._give_up(actor, failure, why)
        return None

    async def _load_successor(self, before: Actor, times: int) -> Actor:
        """Make an actor from the last durable snapshot and what the listings show. Events that waited in the old inbox
        are dropped: after the answers that are still to come, the listings show all of them."""
        name = before.execution.execution_id
        pause_ms = min(FIRST_PAUSE_MS << (times - 1), PAUSE_MAX_MS)
        await trio.sleep((pause_ms + self._rng.randrange(pause_ms * JITTER_PER_MILLE // 1_000 + 1)) / 1_000)
        while before.in_flight:  # noqa: ASYNC110 - no event marks an answer, and few wait for them
            await trio.sleep(ANSWERS_POLL_S)
        stored = await self._services.store.load_execution(name)
        if stored is None:
            raise CorruptSnapshot(f"{name} is not in the database any more")
        execution, algorithm = decode_with_algorithm(stored, self._methods)
        actor = self.add_actor(execution, algorithm)
        await self._catch_up_before_start(actor, before.stop_reason)
        actor.inherit_requests(before)
        return actor

    async def _give_up(self, actor: Actor, failure: Exception, why: str) -> None:
        """Quarantine an execution and cancel its orders."""
        name = actor.execution.execution_id
        self._services.log.error("quarantined", execution=name, why=why, exc_info=failure)
        self.quarantined[name] = why
        if isinstance(failure, StoreFailed) and not isinstance(failure, SaveRefused):
            self._halt_for(failure)
            clean = await cancel_all_orders(actor.execution, self._services)
            await self.quarantine(name, why)  # in case that it can be kept after all
        else:
            await self.quarantine(name, why)  # first: a process that dies now leaves known why the orders are gone
            clean = await cancel_all_orders(actor.execution, self._services)
            while actor.in_flight:  # noqa: ASYNC110 - no event marks an answer, and few wait for them
                await trio.sleep(ANSWERS_POLL_S)
        self._services.own.remove(actor.execution)
        self._ended.add(EndedExecution(actor.execution, None, why), None)
        if not clean:
            self._services.requests.start_soon(self._cancel_quarantined, actor.execution)


class _QuarantineLift:
    """What a resumed execution waits for after it has taken in that we ended its orders: it is quarantined until then.
    A process that dies before finds it as it was; otherwise the next process would take their end for another's doing.
    """

    def __init__(self, execution_id: str, services: Services) -> None:
        self._execution_id, self._services = execution_id, services

    async def wait(self) -> None:
        """Remove the quarantine in the database."""
        await self._services.store.quarantine(self._execution_id, None, self._services.wall.now_us())
