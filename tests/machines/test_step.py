"""`step` does what the rows say, for every state, trigger and answer of the guards, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import pytest

from fsm_exec.core.errors import IllegalTrigger
from fsm_exec.core.execution.draft import ChildGuards, ExecutionGuards
from fsm_exec.core.execution.machine import _GUARDS, bind, step
from states import TABLES, Row, Table


class Answers:
    """Guards that answer as told, by name; an unknown name is an error."""

    def __init__(self, truths: dict[str, bool]) -> None:
        self.state = "never read"
        self._truths = truths

    def __getattr__(self, name: str) -> Callable[[], bool]:
        if name in self._truths:
            return lambda: self._truths[name]
        raise AttributeError(name)


def cases(table: Table) -> Iterator[dict[str, bool]]:
    for values in product((True, False), repeat=len(table.guards)):
        yield dict(zip(table.guards, values, strict=True))


def row_of(table: Table, state: str, trigger: str, truths: dict[str, bool]) -> Row | None:
    """What a reader of the table would say: the first row whose guard holds."""
    for row in table.rows:
        if (row.source, row.trigger) == (state, trigger) and (row.guard is None or truths[row.guard]):
            return row
    return None


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_step_takes_the_first_row_whose_guard_holds(table: Table) -> None:
    """Every state, every trigger, every combination of guards; where no row applies it raises. Every row is taken."""
    driven = set()
    for state, trigger, truths in product(table.states, table.triggers, list(cases(table))):
        row = row_of(table, state, trigger, truths)
        for _ in range(2):  # asked again, the remembered verdict is the same
            if row is None:
                with pytest.raises(IllegalTrigger) as raised:
                    step(table.name, state, trigger, Answers(truths))
                assert (raised.value.table, raised.value.state, raised.value.trigger) == (table.name, state, trigger)
            else:
                assert step(table.name, state, trigger, Answers(truths)) == row.dest
                driven.add(row)
    assert driven == set(table.rows)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_nothing_leaves_a_terminal_state(table: Table) -> None:
    """Whatever the guards say."""
    for state, trigger, truths in product(table.terminal, table.triggers, list(cases(table))):
        with pytest.raises(IllegalTrigger):
            step(table.name, state, trigger, Answers(truths))


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_an_unknown_trigger_or_state_is_illegal(table: Table) -> None:
    """Names of the library's own are no triggers either."""
    truths = dict.fromkeys(table.guards, True)
    for trigger in ("", "nonsense", "to_filled", f"to_{table.states[-1]}", "trigger", "is_filled", "*"):
        with pytest.raises(IllegalTrigger):
            step(table.name, table.initial, trigger, Answers(truths))
    for state in ("", "nonsense", "*", table.initial.upper()):
        with pytest.raises(IllegalTrigger):
            step(table.name, state, table.triggers[0], Answers(truths))


def test_every_guard_of_every_table_is_bound() -> None:
    """A table with guards has a class with exactly these methods."""
    assert {"child_order": ChildGuards, "execution": ExecutionGuards} == _GUARDS
    assert [name for name, table in TABLES.items() if table.guards] == ["execution", "child_order"]


def test_a_missing_or_extra_guard_is_refused() -> None:
    """A misspelt guard is found at import, not when its row is tried."""
    bound = dict(_GUARDS)

    class Missing:
        def child_live_or_waiting(self) -> bool:
            return True

    class Extra:
        def misspelt(self) -> bool:
            return True

    with pytest.raises(TypeError, match="settled_at_target"):
        bind("execution")(Missing)
    with pytest.raises(TypeError, match="misspelt"):
        bind("engine")(Extra)
    assert bound == _GUARDS
