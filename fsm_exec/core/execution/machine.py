"""The one door to `transitions`: the tables of `states/` become machines here, and `step` is the only way to move.

One `Machine(model=None)` per table; models are throwaway guard objects that are never registered, so ten thousand
executions share the same few machines (registering costs kilobytes and a list search each). Callbacks are not used:
work in a callback would leave the new state behind when it raises.

Without callbacks a step depends on nothing but the state, the trigger and what the guards answer, so each such case is
put to the library once and its verdict remembered: asking again costs five times as much, and was a third of the
engine's own time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from transitions import Machine

from fsm_exec.core.errors import IllegalTrigger
from states import TABLES, Table

_MACHINES: dict[str, Machine] = {}
_GUARDS: dict[str, type] = {}
_ASKED: dict[tuple[str, str, str], tuple[str, ...]] = {}  # the guards of the rows of (table, state, trigger)
_VERDICTS: dict[tuple[str, str, str, tuple[bool, ...]], str] = {}
_T = TypeVar("_T", bound=type)


class Model(Protocol):
    state: str


class NoGuards:
    """The model of a table without guards."""

    __slots__ = ("state",)

    state: str


def bind(table_name: str) -> Callable[[_T], _T]:
    """Class decorator: this class's methods are the guards of that table. Refuses a name missing on either side."""

    def decorate(cls: _T) -> _T:
        wanted = set(TABLES[table_name].guards)
        offered = {name for name in vars(cls) if not name.startswith("_") and callable(getattr(cls, name))}
        if wanted != offered:
            raise TypeError(f"{table_name}: guards {sorted(wanted)} in the table, {sorted(offered)} in {cls.__name__}")
        _GUARDS[table_name] = cls
        return cls

    return decorate


def _machine(table: Table) -> Machine:
    if table.guards and table.name not in _GUARDS:
        raise TypeError(f"{table.name}: its guards {table.guards} are not bound")
    return Machine(
        model=None,
        states=list(table.states),
        initial=table.initial,
        auto_transitions=False,
        transitions=[
            {"trigger": r.trigger, "source": r.source, "dest": r.dest, "conditions": r.guard} for r in table.rows
        ],
    )


def step(table_name: str, state: str, trigger: str, guards: Model | None = None) -> str:
    """The state after `trigger` in `state`.

    `guards` is a fresh object of the class bound to the table (any object for a table without guards); it is scratch
    and only read through its guards. Raises IllegalTrigger if no row applies.
    """
    names = _ASKED.get((table_name, state, trigger))
    if names is None:
        names = _ASKED.setdefault((table_name, state, trigger), _guard_names(TABLES[table_name], state, trigger))
    case = (table_name, state, trigger, tuple([getattr(guards, name)() for name in names]))
    dest = _VERDICTS.get(case)
    if dest is None:
        dest = _VERDICTS.setdefault(case, _verdict(table_name, state, trigger, guards))
    return dest


def _guard_names(table: Table, state: str, trigger: str) -> tuple[str, ...]:
    rows = [row for row in table.rows if (row.source, row.trigger) == (state, trigger)]
    return tuple(dict.fromkeys(row.guard for row in rows if row.guard is not None))


def _verdict(table_name: str, state: str, trigger: str, guards: Model | None) -> str:
    machine = _MACHINES.get(table_name)
    if machine is None:
        machine = _MACHINES.setdefault(table_name, _machine(TABLES[table_name]))
    model: Model = NoGuards() if guards is None else guards
    model.state = state
    event = machine.events.get(trigger)
    if event is None or state not in event.transitions or not event.trigger(model):
        raise IllegalTrigger(table_name, state, trigger)
    return model.state
