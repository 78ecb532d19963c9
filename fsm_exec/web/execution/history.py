"""The history of one execution: its journal folded once, so that any row of it can be shown at once.

What is kept does not grow with what a row holds: each STRIDE-th snapshot, each change of a state, and what the picture
needs. A row is folded again from the snapshot before it when it is asked for. A journal that grows is read on.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.execution.draft import StateChange
from fsm_exec.core.execution.events import DecisionDue, Submitted
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.journal.rows import JournalRow
from fsm_exec.lab.report.timeline import TimelineBuilder
from fsm_exec.store.reads.execution_history import StoredBook
from fsm_exec.store.reads.execution_reads import iterate_journal
from fsm_exec.web.execution.thinned_books import ThinnedBooks

STRIDE: Final = 64
ROWS_BETWEEN_RESTS: Final = 16

_MARK: Final = "SELECT at, event FROM execution_events WHERE execution_id = ? AND seq BETWEEN ? AND ?"


class Step(NamedTuple):
    """A change of a state, by the row that brought it."""

    seq: int
    at_us: int
    change: StateChange


class History:
    """The fold up to `seq`. `broken`: why its journal cannot be folded further; nothing after that is read."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self.timeline = TimelineBuilder()
        self.seen = ThinnedBooks()
        self.steps: list[Step] = []
        self.broken: str | None = None
        self._kept: list[Execution] = []
        self._last: Execution | None = None
        self._last_us = 0

    @property
    def seq(self) -> int:
        """The number of the last row that was folded; 0: none."""
        return 0 if self._last is None else self._last.seq

    @property
    def execution(self) -> Execution:
        """The execution after that row. Raises UserError if there is none."""
        if self._last is None:
            raise UserError(f"nothing of {self.execution_id} can be read: {self.broken or 'it has no journal'}")
        return self._last

    @property
    def last_us(self) -> int:
        """When that row was written."""
        return self._last_us

    def read_on(self, connection: sqlite3.Connection) -> bool:
        """Fold what the journal has beyond the last row. Returns whether there was anything."""
        if self.broken is not None:
            return False
        before = self.seq
        self._fold(iterate_journal(connection, self.execution_id, after=before))
        return self.seq > before or self.broken is not None

    def mark(self, connection: sqlite3.Connection) -> list[tuple[object, ...]]:
        """Return the last row that was folded as the database has it, and the one at which the journal broke. When they
        are others than after `read_on`, the file was replaced, and this history is of another one."""
        last = self.seq + (self.broken is not None)
        return connection.execute(_MARK, (self.execution_id, self.seq, last)).fetchall()

    def rows(self, connection: sqlite3.Connection, first: int, last: int) -> list[ReplayedRow]:
        """Fold the rows from `first` to `last` again. Both lie within what was folded."""
        start = self._kept[(first - 1) // STRIDE - 1] if first > STRIDE else None
        after = 0 if start is None else start.seq
        again = replay_rows(iterate_journal(connection, self.execution_id, after=after, until=last), start)
        return [one for one in again if one.row.seq >= first]

    def steps_until(self, seq: int) -> Sequence[Step]:
        """Return the changes of states up to and with a row."""
        if seq >= self.seq:
            return self.steps
        low, high = 0, len(self.steps)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.steps[middle].seq <= seq else (low, middle)
        return self.steps[:low]

    def _fold(self, rows: Iterable[JournalRow]) -> None:
        try:
            for one in replay_rows(rows, self._last):
                self._add(one)
                if one.row.seq % ROWS_BETWEEN_RESTS == 0:
                    time.sleep(0)  # let an engine in this process go on: it would else wait for its turn, row by row
        except CorruptSnapshot as error:
            self.broken = str(error)

    def _add(self, one: ReplayedRow) -> None:
        seq, at_us = one.row.seq, one.row.at_us
        self._last, self._last_us = one.advance.execution, max(at_us, self._last_us)
        if seq % STRIDE == 0:
            self._kept.append(self._last)
        self.steps += [Step(seq, at_us, change) for change in one.advance.changes]
        self.timeline.add(one)
        view = seen_by(one)
        if view is not None:
            self.seen.add(view)


def seen_by(one: ReplayedRow) -> StoredBook | None:
    """Return the book that a row saw, if it saw a live one."""
    event = one.event
    view = event.arrival if isinstance(event, Submitted) else event.view if isinstance(event, DecisionDue) else None
    if view is None or view.feed != "live":
        return None
    return StoredBook(view.at_us, view.bids, view.asks)
