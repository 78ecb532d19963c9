"""One execution at work: its own task, its own inbox, one event at a time. Decide, save, act.

The order of three things in `Actor.step` is the promise of the whole engine: `advance` decides, `store.save` puts the
decision and what it will send on disk, and only after that do the requests start.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import trio
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.metrics import DeadlineBook
from fsm_exec.core.errors import IllegalEvent, IllegalTrigger
from fsm_exec.core.execution.advance import Advance, advance
from fsm_exec.core.execution.cancel_capacity import CancelDemand
from fsm_exec.core.execution.closing_leg import closing_at_us
from fsm_exec.core.execution.events import (
    AnyEvent,
    DecisionDue,
    DrainRequested,
    FeesChanged,
    FillReported,
    OrderProven,
    Reason,
    RenewalDue,
    Restored,
    StopRequested,
    TimerFired,
    tag_of,
)
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.fee_guard import fee_news, guard_due_us
from fsm_exec.core.execution.invariants import InvariantBroken
from fsm_exec.core.execution.order_checks import resend_cancel_intents, wants_nothing_more
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.core.journal.rows import PartsTotal
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.market.orders import Write
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.recovery.proof import is_too_old
from fsm_exec.core.recovery.recovery import brings_only_epoch, unconfirmed_write_event
from fsm_exec.core.text import describe_failure
from fsm_exec.runtime.cancel_retry import CancelRetry
from fsm_exec.runtime.determinism import wait_settled
from fsm_exec.runtime.events import LazyEvent, Waitable
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.inbox import Inbox
from fsm_exec.runtime.logs import log_transitions
from fsm_exec.runtime.order_lease import RenewalTimer
from fsm_exec.runtime.order_lookup import OrderLookup
from fsm_exec.runtime.order_sender import send_write, unconfirmed_event
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.submission import ends_of

DECISION_INTERVAL_US = 250_000
CONTRADICTIONS = (IllegalEvent, IllegalTrigger, InvariantBroken)
"""What gives an execution up, but one whose owner gives it up himself: that one ends in spite of them."""


class Actor:
    """Holds the newest durable execution. Only its own task replaces it. `deliver` hands answers to the execution's
    actor when they come: that may be a successor by then, or none."""

    __slots__ = (  # thousands idle at once
        "_algorithm",
        "_cancel_retry",
        "_decided_us",
        "_deliver",
        "_epoch",
        "_first_event",
        "_grid",
        "_held_until_us",
        "_lookup",
        "_may_act",
        "_on_stop",
        "_parts_total",
        "_renewals",
        "_services",
        "_signals_read",
        "_terms_seen",
        "caught_up",
        "deadline_book",
        "ends_regardless",
        "execution",
        "feed",
        "in_flight",
        "inbox",
        "is_waiting",
        "measure_now",
        "on_deadline",
        "stop_reason",
    )

    def __init__(
        self,
        execution: Execution,
        algorithm: Algorithm,
        feed: MarketFeed,
        services: Services,
        deliver: Callable[[str, AnyEvent], None],
    ) -> None:
        self.execution = execution
        self.inbox = Inbox()
        self.measure_now = LazyEvent()  # set when the cost is to be measured now, not at the deadline
        self.on_deadline: Callable[[Actor], Awaitable[None]] | None = None  # called once, unless it has ended by then
        self.deadline_book: DeadlineBook | None = None  # what is unfilled is priced by it
        self.caught_up = LazyEvent()  # its first event is processed and durable
        self.stop_reason: Reason | None = None  # its successor has to stop for it, too
        self.in_flight = 0  # saves that have not returned, and requests without an answer yet
        self._first_event: AnyEvent | None = None
        self._epoch: Restored | None = None  # is applied directly before the next step
        self._may_act: Waitable | None = None
        self._algorithm = algorithm
        self._signals_read = algorithm.signals_read
        self._grid = execution.terms.grid.seen_from(execution.outcome)
        self.feed = feed
        self._terms_seen: MarketTerms | None = None  # the terms of the market that were compared last
        self._services = services
        self._deliver = deliver
        self._decided_us = -DECISION_INTERVAL_US
        self._held_until_us = 0
        self._lookup = OrderLookup(self, services, feed)
        self._cancel_retry: CancelRetry | None = None
        self._renewals = RenewalTimer(services.lease)
        self.ends_regardless = False  # its owner wants its end, whatever contradicts
        self.is_waiting = False  # held until the exchange's listings are known
        self._on_stop: Callable[[], None] | None = None
        self._parts_total: PartsTotal | None = None  # of the parts of the snapshot stored last; None: not known yet

    @property
    def ends(self) -> CancelDemand:
        """When the execution will send its cancels, and of how many orders."""
        return ends_of(self.execution.deadline_us, self._algorithm)

    @property
    def begins_with_drain(self) -> bool:
        """Whether its process began to leave before the exchange's listings had come."""
        return isinstance(self._first_event, DrainRequested)

    @property
    def is_busy(self) -> bool:
        """Whether an order of it is live, unknown or settling."""
        return any(child.is_open or child.suspicion is not None for child in self.execution.children)

    def hold_until_listed(self, on_stop: Callable[[], None] | None, may_act: Waitable | None = None) -> None:
        """Wait for what the exchange holds (`begin_with`). A stop before that is known begins the execution at once
        with what its snapshot knows, calls `on_stop`, and lets it go on when it `may_act`; with `on_stop` None it waits
        all the same."""
        self.is_waiting, self._on_stop, self._may_act = True, on_stop, may_act

    def begin_with(self, first: Restored, may_act: Waitable) -> None:
        """Have the execution process `first` before anything else, and nothing more until `may_act`."""
        self._first_event, self._may_act, self._on_stop = first, may_act, None
        self.is_waiting = False

    def end(self, reason: Reason) -> None:
        """Have the execution ended, and its cost measured now."""
        self.stop_reason = reason
        self._stop(StopRequested(at_us=self._services.wall.now_us(), reason=reason))
        self.measure_now.set()

    def drain(self) -> None:
        """Have the execution cancel what is live and come to rest without an end."""
        self._stop(DrainRequested(at_us=self._services.wall.now_us()))

    def expire(self) -> None:
        """Begin the execution because its deadline passed while it waited for what the exchange holds."""
        self._stop(TimerFired(at_us=self._services.wall.now_us()))

    def _stop(self, event: StopRequested | DrainRequested | TimerFired) -> None:
        """Offer a stop to the inbox; one that comes while the execution is held begins it."""
        if self._on_stop is None:
            self.inbox.offer(event)
            return
        on_stop, self._on_stop = self._on_stop, None
        self._first_event, self.is_waiting = event, False
        on_stop()

    def inherit_requests(self, before: Actor) -> None:
        """Take over what was asked of `before`, whose task failed."""
        if before.stop_reason is not None:
            self.end(before.stop_reason)
        if before.measure_now.is_set():
            self.measure_now.set()
        self.ends_regardless = self.ends_regardless or before.ends_regardless

    async def run(self) -> None:
        """Work the execution until it has ended. Raises what went wrong; the execution is then as its last save
        says."""
        name = self.execution.execution_id
        self.feed.subscribe(name, self.inbox.nudge)
        try:
            self.inbox.nudge()
            if self._first_event is not None:
                await self._process_first(self._first_event)
                self._first_event = None
                self.caught_up.set()
                if self._may_act is not None:
                    await self._may_act.wait()
            while not self.execution.is_ended:
                if self._lookup.is_needed:
                    async with trio.open_nursery() as nursery:  # only while a look-up is needed: it costs memory
                        await self._process_events_and_look_up(nursery)
                        nursery.cancel_scope.cancel()
                elif (until_s := await self._process_next()) is not None:
                    await self.inbox.wait(until_s)  # here: thousands wait at once, and each frame takes memory
        finally:
            self.feed.unsubscribe(name)

    async def _process_first(self, first: AnyEvent) -> None:
        """Process what the exchange holds; or, after a stop that came before it was known, cancel all that the snapshot
        knows. What the last process had in flight is then unconfirmed like any lost write, and the listings correct it
        when they come: a cancel too many does no harm."""
        if isinstance(first, Restored) and brings_only_epoch(self.execution, first, self._algorithm):
            self._epoch = first
            return
        left = () if isinstance(first, Restored) else self.execution.outbox
        await self.step(first)
        for entry in left:
            await self.step(unconfirmed_write_event(entry, self._services.wall.now_us()))
        if not isinstance(first, Restored) and resend_cancel_intents(self.execution):
            await self.step(TimerFired(at_us=self._services.wall.now_us()))

    async def _process_events_and_look_up(self, lookups: trio.Nursery) -> None:
        """Process events until the execution has ended, or until no look-up is needed any more."""
        while not self.execution.is_ended and self._lookup.is_needed:
            self._lookup.start_lookups(lookups)
            if (until_s := await self._process_next()) is not None:
                await self.inbox.wait(until_s)

    async def _process_next(self) -> float | None:
        """Process the next event, decision or timer that is due; return until when (of trio's clock) to wait for one if
        none is."""
        try:
            event = await self._next_event()
            if isinstance(event, float):
                return event
            if event is not None and not self._lookup.is_overtaken(event):
                await self.step(event)
        except CONTRADICTIONS as error:
            if not self.ends_regardless:
                raise
            self.inbox.clear_stop()
            self._services.log.error("not_taken_in", execution=self.execution.execution_id, why=str(error))  # noqa: TRY400 - no bug: what the exchange says
        return None

    async def step(self, event: AnyEvent) -> None:
        """Process one event; return when its consequences are durable and on their way."""
        before = self.execution
        is_fill = isinstance(event, FillReported)
        crashpoint("fill.before" if is_fill else "decision.before")
        step = advance(before, event, self._algorithm)
        crashpoint("decision.after")
        if step is None:
            return
        if self._epoch is not None:
            learned, self._epoch = self._epoch, None
            await self.step(learned)
            return await self.step(event)
        seen = None
        if isinstance(event, DecisionDue) and step.effects:
            seen = self.feed.seen_by_observer(step.execution, event.view)
        # Saved first, sent after: a process that dies between the two has the writes in its outbox and looks them up.
        # Sent first, it could die without knowing of an order that is live.
        self.in_flight += 1  # the decided writes are sent when this returns
        try:
            save = save_of(before, event, step, self._parts_total)
            await self._services.store.save(save)
        finally:
            self.in_flight -= 1
        # Not before the save: a save that fails leaves the last durable state.
        self.execution, self._parts_total = step.execution, save.parts_total
        if is_fill:
            crashpoint("fill.after")
        self._publish(before, event, step, seen)
        for write in step.effects:
            self.in_flight += 1
            self._services.requests.start_soon(self._send, write)

    async def process_after_end(self, until_s: float) -> None:
        """Process the next event about an execution that has ended, or wait for one until `until_s` of trio's clock.
        One that contradicts is logged and changes nothing. Raises InboxOverflow, and what a save raises."""
        try:
            event = self.inbox.take()
            if event is None:
                await self.inbox.wait(until_s)
            elif not (isinstance(event, OrderProven) and is_too_old(event, self.execution)):
                await self.step(event)
        except CONTRADICTIONS:
            self.inbox.clear_stop()
            self._services.log.exception("illegal_fact_after_end", execution=self.execution.execution_id)

    def _publish(self, before: Execution, event: AnyEvent, step: Advance, seen: MarketView | None) -> None:
        """Pass what is now durable on to the log, the order names, the account's own sizes and, of a decision that
        acts, with the market as it was `seen` then, to the observer."""
        after = step.execution
        if after.children is not before.children:
            self._services.own.update(after)
            known = {id(child) for child in before.children}
            for child in after.children:
                if child.order_id is not None and id(child) not in known:
                    self._services.names.learn(child.client_order_id, child.order_id)
        self.feed.refresh_own()
        if step.changes:
            log_transitions(self._services.log, self._services.wall, step.changes, tag_of(event), after.seq)
        log_notes(step, self._services)
        if seen is not None:
            self.feed.notify_acted(after, seen)
        self.inbox.nudge()

    async def _send(self, write: Write) -> None:
        """Send a write and deliver its answer."""
        answer: AnyEvent
        try:
            answer = await send_write(self._services.exchange, write, self._services.wall, self._lookup.mark_existing)
        except Exception as error:  # a bug of the client's: it proves nothing, and must not end the other executions
            self._services.log.exception("request_failed", effect=write.effect_id)
            answer = unconfirmed_event(write, describe_failure(error), self._services.wall.now_us())
        finally:
            self.in_flight -= 1
        self._deliver(self.execution.execution_id, answer)

    async def _next_event(self) -> AnyEvent | float | None:
        """Return the next event, or the next decision or timer that is due; else until when (of trio's clock) to wait
        for one; None to look again at once."""
        # Events first: a decision made while a fill waits in the inbox would be made from a state known to be old.
        if self.inbox.has_events() and await wait_settled(self.execution.execution_id):
            self.inbox.order_moment()  # and all that the books show of this moment is in them
        event = self.inbox.take()
        if event is not None:
            return event
        now_us = self._services.wall.now_us()
        execution = self.execution
        if execution.ending is None and (news := self._fee_news(now_us)) is not None:
            return news  # before anything is decided by fees that hold no more
        # The deadline's book comes before the deadline's timer: after that step, a save and cancels, it would be later.
        if self.on_deadline is not None and now_us >= execution.deadline_us:
            call, self.on_deadline = self.on_deadline, None
            await call(self)
            return None
        timer_us = self._timer_due_us()
        self._decided_us = min(self._decided_us, now_us)  # the clock may have been put back
        look_us = self._look_due_us()
        # Nudges are many and decisions are rare: at most one an interval, however fast the book moves.
        thinks = execution.ending is None and not execution.draining and (self.inbox.nudged or now_us >= look_us)
        decide_us = self._decided_us + DECISION_INTERVAL_US
        renew_us = self._renewal_due_us(now_us)
        if now_us >= min(timer_us, renew_us) or (thinks and now_us >= decide_us):
            # On virtual time, events of this very instant may still be on their way to the inbox.
            await wait_settled(execution.execution_id)
            if (event := self.inbox.take()) is not None:
                return event
        if now_us >= timer_us:  # before a decision: it may be the deadline, after which nothing is placed
            return TimerFired(at_us=now_us)
        if thinks and now_us >= decide_us:
            self.inbox.nudged = False
            self._decided_us = now_us
            return DecisionDue(at_us=now_us, view=self._view(), lease_s=self._services.lease.in_force_s())
        if now_us >= renew_us:
            self._renewals.record_turn(now_us)
            return RenewalDue(at_us=now_us, lease_s=self._services.lease.in_force_s())
        if execution.ending is None and self._held_until_us < execution.held_until_us <= now_us:
            self._held_until_us = execution.held_until_us  # a hold is over: decide again, once
            self.inbox.nudge()
            return None
        due_us = min(timer_us, look_us, renew_us)
        if self.on_deadline is not None:
            due_us = min(due_us, execution.deadline_us)
        if execution.held_until_us > now_us:
            due_us = min(due_us, execution.held_until_us)
        return self._services.wall.trio_time(min(due_us, decide_us) if thinks else due_us)

    def _fee_news(self, now_us: int) -> FeesChanged | None:
        """Return what is known of the market's fees and not yet of the execution's, once for each time they are
        told."""
        if self.feed.terms is self._terms_seen:
            return None
        self._terms_seen = self.feed.terms
        return fee_news(self.execution, self.feed.terms, now_us)

    def _view(self) -> MarketView:
        """Return the market for a decision: in the grid the execution was accepted under, whatever the market's is by
        now, and with the write tokens left: algorithms write less where they are scarce."""
        left = self._services.exchange.budget().write_left
        return replace(self.feed.view_for(self.execution, self._signals_read), grid=self._grid, write_tokens_left=left)

    def _timer_due_us(self) -> float:
        """Return when time alone moves core next: the closing leg begins, the deadline comes, or a cancel is due
        again."""
        execution = self.execution
        retry_us, now_us = math.inf, self._services.wall.now_us()
        if wants_nothing_more(execution):
            self._cancel_retry = self._cancel_retry or CancelRetry()
            retry_us = self._cancel_retry.due_us(execution, now_us)
        if execution.ending is not None:
            return retry_us
        if execution.closing is None and (guard_us := guard_due_us(execution, now_us)) is not None:
            retry_us = min(retry_us, guard_us)
        unready = execution.state == "pending" or execution.draining
        closing_us = None if unready else closing_at_us(execution, self._algorithm)
        return min(retry_us, execution.deadline_us, execution.deadline_us if closing_us is None else closing_us)

    def _renewal_due_us(self, now_us: int) -> float:
        """Return when the end of a resting order is to be put off next; infinity once nothing more is wanted."""
        return math.inf if wants_nothing_more(self.execution) else self._renewals.due_us(self.execution, now_us)

    def _look_due_us(self) -> float:
        """Return when the algorithm is called next although nothing has happened."""
        every_us = self._algorithm.look_every_us
        idle = self.execution.ending is not None or self.execution.draining
        return math.inf if every_us is None or idle else self._decided_us + every_us


def log_notes(step: Advance, services: Services) -> None:
    """Log what a step has to report to people."""
    for note in step.notes:
        log = services.log.error if note.is_alarm else services.log.warning
        log("alarm" if note.is_alarm else "note", order=note.subject, what=note.what, seq=step.execution.seq)
