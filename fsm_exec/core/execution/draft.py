"""A draft of the next execution: the only place where states move.

A draft starts from a frozen execution, takes changes, and is read at the end. If anything raises on the way the draft
is dropped and the execution is as it was.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.events import Reason
from fsm_exec.core.execution.execution import CHILD_ENDS, CHILD_LIVE, ChildOrder, Ending, Execution
from fsm_exec.core.execution.machine import bind, step


class StateChange(msgspec.Struct, frozen=True, gc=False):
    """One transition that happened. `subject` is the execution's or the order's id."""

    machine: str
    subject: str
    source: str
    trigger: str
    dest: str

    def __str__(self) -> str:
        return f"{self.machine} {self.subject}: {self.source} -{self.trigger}-> {self.dest}"


class Note(msgspec.Struct, frozen=True, gc=False):
    """Something a person should know of a step. `is_alarm`: the exchange said what cannot be, or was corrected."""

    subject: str
    what: str
    is_alarm: bool

    def __str__(self) -> str:
        return f"{'ALARM' if self.is_alarm else 'note'} {self.subject}: {self.what}"


@bind("child_order")
class ChildGuards:
    __slots__ = ("_child", "_goes_on", "state")

    state: str

    def __init__(self, child: ChildOrder, goes_on: bool) -> None:
        self._child, self._goes_on = child, goes_on

    def execution_goes_on(self) -> bool:
        return self._goes_on

    def nothing_remains(self) -> bool:
        return self._child.counted_e2 == self._child.count_e2

    def some_filled(self) -> bool:
        return self._child.counted_e2 > 0

    def fills_missing(self) -> bool:
        return self._child.counted_e2 < self._child.reported_e2

    def all_counted(self) -> bool:
        return self._child.counted_e2 == self._child.reported_e2 < self._child.count_e2


@bind("execution")
class ExecutionGuards:
    __slots__ = ("_execution", "state")

    state: str

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def child_live_or_waiting(self) -> bool:
        return any(child.state in CHILD_LIVE or child.filled_e2 > 0 for child in self._execution.children)

    def settled_at_target(self) -> bool:
        return self._nothing_open() and self._execution.filled_e2 >= self._execution.target_e2

    def settled_below_target(self) -> bool:
        return self._nothing_open() and self._execution.filled_e2 < self._execution.target_e2

    def _nothing_open(self) -> bool:
        return not any(
            child.state not in CHILD_ENDS or child.suspicion is not None for child in self._execution.children
        )


class Draft:
    __slots__ = ("changes", "execution", "notes")

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.changes: list[StateChange] = []
        self.notes: list[Note] = []

    def note(self, subject: str, what: str) -> None:
        """Keep something for people in the step."""
        self.notes.append(Note(subject, what, False))

    def alarm(self, subject: str, what: str) -> None:
        self.notes.append(Note(subject, what, True))

    def update(self, **fields: object) -> None:
        self.execution = replace(self.execution, **fields)

    def child(self, client_order_id: str) -> ChildOrder:
        """Raises IllegalEvent if the order is not this execution's."""
        child = self.execution.child(client_order_id)
        if child is None:
            raise IllegalEvent(f"order {client_order_id} is not of execution {self.execution.execution_id}")
        return child

    def put(self, child: ChildOrder, **fields: object) -> ChildOrder:
        """Replace the child of the same id, or add it."""
        if fields:
            child = replace(child, **fields)
        children = self.execution.children
        for i in range(len(children) - 1, -1, -1):  # of thousands it is mostly the newest
            old = children[i]
            if old.client_order_id == child.client_order_id:
                if old is not child:
                    self.update(children=(*children[:i], child, *children[i + 1 :]))
                return child
        self.update(children=(*children, child))
        return child

    def fire_child(self, child: ChildOrder, trigger: str) -> ChildOrder:
        """Move the child (as given, which may be newer than the draft's). Raises IllegalTrigger."""
        guards = ChildGuards(child, self.execution.works_with(child))
        dest = step("child_order", child.state, trigger, guards)
        self.changes.append(StateChange("child_order", child.client_order_id, child.state, trigger, dest))
        return self.put(replace(child, state=dest))

    def fire(self, trigger: str) -> None:
        """Move the execution. Raises IllegalTrigger."""
        source = self.execution.state
        dest = step("execution", source, trigger, ExecutionGuards(self.execution))
        self.changes.append(StateChange("execution", self.execution.execution_id, source, trigger, dest))
        self.update(state=dest)

    def end(self, reason: Reason, at_us: int) -> None:
        """Raise the ending flag; the first reason stays."""
        if self.execution.ending is None and not self.execution.is_ended:
            self.update(ending=Ending(reason, at_us))

    def clear_outbox(self, client_order_id: str, *kinds: str) -> None:
        kept = tuple(e for e in self.execution.outbox if not (e.client_order_id == client_order_id and e.kind in kinds))
        if len(kept) != len(self.execution.outbox):
            self.update(outbox=kept)

    def clear_effect(self, client_order_id: str, effect_id: str, *kinds: str) -> None:
        """One write's outcome is known; whatever else is in flight stays in the outbox."""
        for entry in self.execution.outbox:
            if (entry.client_order_id, entry.effect_id) == (client_order_id, effect_id) and entry.kind in kinds:
                self.clear_outbox(client_order_id, entry.kind)  # one write of a kind in flight per order

    def settle(self, at_us: int) -> None:
        """After every fact: fire whichever ending row holds, and `working` once an order has been live."""
        execution = self.execution
        guards = ExecutionGuards(execution)
        if execution.state == "split" and guards.child_live_or_waiting():
            self.fire("working")
        if execution.is_ended:
            return
        if execution.state != "pending" and guards.settled_at_target():
            self.fire("filled_all")
            self.update(reason="completed", ended_at_us=at_us)
        elif execution.ending is not None and guards.settled_below_target():
            self.fire("gave_up")
            self.update(reason=execution.ending.reason, ended_at_us=at_us)
