"""An actor's inbox: a bounded queue of events, and a nudge that takes no room.

An event is never dropped in silence: a full inbox means that the exchange sends faster than the execution can follow,
and its actor stops with InboxOverflow (the caller of `offer` reads the stream and must go on). A nudge only says that
the view may have changed; any number of them is one.
"""

from __future__ import annotations

import trio

from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    AnyEvent,
    CancelAnswered,
    OrderAccepted,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    WriteUnconfirmed,
)

INBOX_EVENTS_MAX = 256
ANSWERS = (
    OrderAccepted,
    OrderRefused,
    OrderNotSent,
    PlaceUnconfirmed,
    AmendAnswered,
    AmendRefused,
    CancelAnswered,
    WriteUnconfirmed,
)


class InboxOverflow(LocalError):
    """More events came than an actor can take in: it stops, and is reconciled from the exchange's listings."""


class Inbox:
    """A bounded queue of events with one reader, the actor."""

    __slots__ = ("_events", "_stop", "_waiting", "nudged")

    def __init__(self) -> None:
        self._events: list[AnyEvent] = []  # short, and mostly empty: an empty deque takes 600 bytes
        self._waiting: trio.lowlevel.Task | None = None  # its actor; an event for each wait would cost half a kilobyte
        self._stop: LocalError | None = None
        self.nudged = False

    @property
    def room(self) -> int:
        """How many more events fit."""
        return INBOX_EVENTS_MAX - len(self._events)

    def offer(self, event: AnyEvent) -> None:
        """Add an event. Never raises and never waits; one event too many stops the actor."""
        if self.room > 0:
            self._events.append(event)
        else:
            self._stop = self._stop or InboxOverflow(f"more than {INBOX_EVENTS_MAX} facts were waiting")
        self._wake()

    def stop(self, why: LocalError) -> None:
        """Have the actor stop with `why`, before it takes another event."""
        self._stop = why
        self._wake()

    def clear_stop(self) -> None:
        """Withdraw what `stop` was given, unless events were lost."""
        if not isinstance(self._stop, InboxOverflow):
            self._stop = None

    def nudge(self) -> None:
        """Wake the actor because its view may have changed. One that has not acted on the last nudge yet was woken by
        it, and waits as long as it must."""
        if not self.nudged:
            self.nudged = True
            self._wake()

    def wake(self) -> None:
        """Have the actor look again, how long it may wait too: the clock was set."""
        self.nudged = True
        self._wake()

    def has_events(self) -> bool:
        """Return whether an event waits."""
        return bool(self._events)

    def order_moment(self) -> None:
        """Put what came at one moment into an order that no task has decided: the answers to our own writes, by order,
        then all else as it came."""
        self._events.sort(key=_rank_at_one_moment)  # it is stable

    def take(self) -> AnyEvent | None:
        """Return the oldest event, or None. Raises InboxOverflow once an event found no room, and what `stop` was
        given."""
        if self._stop is not None:
            raise self._stop
        return self._events.pop(0) if self._events else None

    def drain(self) -> list[AnyEvent]:
        """Remove and return all events, for the actor's successor."""
        facts, self._events = self._events, []
        return facts

    async def wait(self, until: float) -> None:
        """Wait until something arrives, or until trio's time `until`. Spurious returns are fine."""
        if self._events or self._stop is not None:
            return
        with trio.move_on_at(until):
            self._waiting = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_wait)

    def _wake(self) -> None:
        if self._waiting is not None:
            trio.lowlevel.reschedule(self._waiting)
            self._waiting = None

    def _abort_wait(self, _: object) -> trio.lowlevel.Abort:
        """Give the wait up: the time is over, or the actor's task is cancelled."""
        self._waiting = None
        return trio.lowlevel.Abort.SUCCEEDED


def _rank_at_one_moment(event: AnyEvent) -> tuple[bool, str]:
    return (False, event.client_order_id) if isinstance(event, ANSWERS) else (True, "")
