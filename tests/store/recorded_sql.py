"""Every statement that this process gives SQLite, with its plan and the steps that it took."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pytest

from fsm_exec.store.files.held_file import HoldingConnection

_PLANNED: Final = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
STEPS_EACH: Final = 10  # how exactly the steps of SQLite's machine are counted


@dataclass
class Recorded:
    """By statement: the lines of its plan, and the most steps that one execution of it took."""

    plans: dict[str, list[str]] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)


class _WatchedConnection(HoldingConnection):
    """Whatever kind the program chose, this one can do it too."""

    recorded: Recorded | None = None
    _statement = ""
    _steps = 0

    def execute(self, statement: str, values: object = (), /) -> sqlite3.Cursor:
        self._begin(statement, values)
        return super().execute(statement, values)  # type: ignore[arg-type]  # whatever the program gave

    def executemany(self, statement: str, rows: Iterable[object], /) -> sqlite3.Cursor:
        kept = list(rows)
        if kept:
            self._begin(statement, kept[0])
        return super().executemany(statement, kept)  # type: ignore[arg-type]

    def _begin(self, statement: str, values: object) -> None:
        self._statement, self._steps = "", 0
        if self.recorded is None or not _PLANNED.match(statement):
            return
        if statement not in self.recorded.plans:
            plan = super().execute(f"EXPLAIN QUERY PLAN {statement}", values)  # type: ignore[arg-type]
            self.recorded.plans[statement] = [row[3] for row in plan]
            self.recorded.steps[statement] = 0
        self._statement, self._steps = statement, 0

    def count_steps(self) -> int:
        if self.recorded is not None and self._statement:
            self._steps += STEPS_EACH
            self.recorded.steps[self._statement] = max(self.recorded.steps[self._statement], self._steps)
        return 0


@contextmanager
def recorded_sql() -> Iterator[Recorded]:
    """Record what is executed on connections that are opened in the block, by whatever part of the program."""
    recorded = Recorded()
    connect = sqlite3.connect

    def connect_watched(
        path: str, *, factory: type[sqlite3.Connection] = sqlite3.Connection, **options: object
    ) -> sqlite3.Connection:
        assert issubclass(_WatchedConnection, factory), factory
        made = partial(connect, path, factory=_WatchedConnection)(**options)
        assert isinstance(made, _WatchedConnection)
        made.recorded = recorded
        made.set_progress_handler(made.count_steps, STEPS_EACH)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_watched)
        yield recorded
