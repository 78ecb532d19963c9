"""A journal replayed: each row with what it did, and what today's code would decide there. Pure.

`replay_rows` folds with `apply` alone, so it needs neither an algorithm nor an exchange. `find_redecisions` asks an
algorithm at every row, from the state that the journal says it had then: it compares decisions, it does not play
another history. What was decided to be nothing was never journaled, so a decision that only today's algorithm would
make there is not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.errors import CorruptSnapshot, LocalError
from fsm_exec.core.execution.advance import Advance, apply, decide_at
from fsm_exec.core.execution.events import AnyEvent, AnyIntent
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import JournalRow
from fsm_exec.core.journal.snapshot import decode_entry

NOTED_SINCE = 3
"""The version of a journal row from which on its text has notes for people, too."""


class ReplayedRow(msgspec.Struct, frozen=True, gc=False):
    """One row: the execution before it (None before the first), the fact, the intents, and what came of them."""

    row: JournalRow
    before: Execution | None
    event: AnyEvent
    intents: tuple[AnyIntent, ...]
    advance: Advance

    @property
    def steps_differ(self) -> bool:
        """Whether today's tables move otherwise than the row's text for people says."""
        steps = self.advance.steps if self.row.version >= NOTED_SINCE else "; ".join(map(str, self.advance.changes))
        return steps != self.row.steps


class Redecision(msgspec.Struct, frozen=True, gc=False):
    """A row where today's code decides otherwise. `today` is the intents, or why it would refuse to decide."""

    seq: int
    journaled: tuple[AnyIntent, ...]
    today: tuple[AnyIntent, ...] | str


def replay_rows(rows: Iterable[JournalRow], start: Execution | None = None) -> Iterator[ReplayedRow]:
    """Yield each row in turn, from the first one or from the one after `start`. Raises CorruptSnapshot that names the
    first row that cannot be folded, after those before it."""
    execution = start
    for number, row in enumerate(rows, start=1 if start is None else start.seq + 1):
        if row.seq != number:
            raise CorruptSnapshot(f"row {number} of the journal is missing; the next one there is {row.seq}")
        try:
            event, intents = decode_entry(row.event, row.intents, row.version)
            advance = apply(execution, event, intents)
        except LocalError as error:
            raise CorruptSnapshot(f"row {row.seq} ({row.event_type}) cannot be folded: {error}") from error
        if advance is None:
            raise CorruptSnapshot(f"row {row.seq} ({row.event_type}) changes nothing")
        yield ReplayedRow(row, execution, event, intents, advance)
        execution = advance.execution


def fold_rows(rows: Iterable[JournalRow]) -> Execution:
    """Fold rows of any versions into the execution that they describe. Raises CorruptSnapshot."""
    execution: Execution | None = None
    for one in replay_rows(rows):
        execution = one.advance.execution
    if execution is None:
        raise CorruptSnapshot("the journal is empty")
    return execution


def find_redecisions(history: Sequence[ReplayedRow], algorithm: Algorithm) -> list[Redecision]:
    """The rows at which today's code, with this algorithm, decides otherwise than the journal says."""
    found = []
    for one in history:
        today: tuple[AnyIntent, ...] | str
        try:
            today = decide_at(one.before, one.event, algorithm)
        except LocalError as error:
            today = f"{type(error).__name__}: {error}"
        if today != one.intents:
            found.append(Redecision(one.row.seq, one.intents, today))
    return found
