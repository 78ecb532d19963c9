"""An actor's inbox: facts in order, bounded, and a nudge that needs no room.

A fact is never dropped in silence: a full inbox means that the exchange outruns us, and its actor stops with
InboxOverflow (whoever offers is a reader that must go on). A nudge only says that the view may have changed; any
number of them is one.
"""

from __future__ import annotations

import trio

from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.events import AnyEvent

INBOX_EVENTS_MAX = 256


class InboxOverflow(LocalError):
    """More facts than an actor can take in: it stops, and is reconciled from the exchange's listings."""


class Inbox:
    __slots__ = ("_events", "_stop", "_waiting", "nudged")

    def __init__(self) -> None:
        self._events: list[AnyEvent] = []  # short, and mostly empty: an empty deque takes 600 bytes
        self._waiting: trio.lowlevel.Task | None = None  # its actor; an event for each wait would cost half a kilobyte
        self._stop: LocalError | None = None
        self.nudged = False

    @property
    def room(self) -> int:
        return INBOX_EVENTS_MAX - len(self._events)

    def offer(self, event: AnyEvent) -> None:
        """Never raises and never waits; one fact too many stops the actor."""
        if self.room > 0:
            self._events.append(event)
        else:
            self._stop = self._stop or InboxOverflow(f"more than {INBOX_EVENTS_MAX} facts were waiting")
        self._wake()

    def stop(self, why: LocalError) -> None:
        """Have the actor stop with `why`, before it takes in anything else."""
        self._stop = why
        self._wake()

    def clear_stop(self) -> None:
        """What it was to stop for stops it no more, unless facts were lost."""
        if not isinstance(self._stop, InboxOverflow):
            self._stop = None

    def nudge(self) -> None:
        self.nudged = True
        self._wake()

    def take(self) -> AnyEvent | None:
        """The oldest fact, or None. Raises InboxOverflow once a fact found no room, and what `stop` was given."""
        if self._stop is not None:
            raise self._stop
        return self._events.pop(0) if self._events else None

    def drain(self) -> list[AnyEvent]:
        """All facts that nobody took, for whoever comes after the actor."""
        facts, self._events = self._events, []
        return facts

    async def wait(self, until: float) -> None:
        """Until something arrives, or trio's time `until`. Spurious returns are fine."""
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
        """The time is up, or the actor is let go."""
        self._waiting = None
        return trio.lowlevel.Abort.SUCCEEDED
