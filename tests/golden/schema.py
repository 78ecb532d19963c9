"""What is stored, described as text: every struct of snapshots, events and intents with its fields, and the tables.

One line a field, so that a difference names what changed. Rendered by hand, because Python's own spelling of types
differs between its versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

import msgspec

from fsm_exec.core.execution.events import AnyEvent, AnyIntent
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal import parts
from fsm_exec.core.journal.snapshot import SNAPSHOT_VERSION
from states import TABLES

CALLED = {
    "Amend": "Reprice",
    "Cancel": "Withdraw",
    "ChildOrder": "Child",
    "DropUnsent": "Forgo",
    "MarketView": "View",
    "OrderNotFound": "OrderAbsent",
    "OrderNotSent": "OrderWithdrawn",
    "PlaceUnconfirmed": "OrderDoubted",
    "ResendCancel": "WithdrawAgain",
    "ResendPlace": "PlaceAgain",
    "TimerFired": "ClockStruck",
    "WriteUnconfirmed": "WriteLost",
}
"""What the descriptions call a class that has another name since the first of them was written: they never change."""


def schema() -> str:
    """All of it, for the version of today."""
    structs: dict[str, type[msgspec.Struct]] = {}
    for root in (Execution, AnyEvent, AnyIntent):
        _collect(root, structs)
    lines = [f"version {SNAPSHOT_VERSION}"]
    for name in sorted(structs):
        config = structs[name].__struct_config__
        layout = "array" if config.array_like else "object"
        lines += ["", f"struct {name}: {layout}, tag {config.tag!r}", *_fields(structs[name])]
    lines += ["", f"snapshot: weight kept in the head {parts.WEIGHT_KEPT}, fills a part {parts.FILLS_A_PART}"]
    for name in ("execution", "child_order"):
        table = TABLES[name]
        lines += ["", f"table {name}: version {table.version}, from {table.initial}, ends {', '.join(table.terminal)}"]
        lines += [f"    {row.source} -{row.trigger} [{row.guard or 'always'}]-> {row.dest}" for row in table.rows]
    return "\n".join(lines) + "\n"


def _fields(struct: type[msgspec.Struct]) -> Iterator[str]:
    for field in msgspec.structs.fields(struct):
        default = "" if field.default is msgspec.NODEFAULT else f" = {field.default!r}"
        if field.default_factory is not msgspec.NODEFAULT:
            default = f" = {field.default_factory!r}()"
        yield f"    {field.encode_name}: {_spelled(field.type)}{default}"


def _collect(kind: object, found: dict[str, type[msgspec.Struct]]) -> None:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        name = CALLED.get(kind.__name__, kind.__name__)
        if found.setdefault(name, kind) is not kind:
            raise TypeError(f"two structs are called {name}")
        for field in msgspec.structs.fields(kind):
            _collect(field.type, found)
    for part in get_args(kind):
        _collect(part, found)


def _spelled(kind: object) -> str:
    origin = get_origin(kind)
    parts = get_args(kind)
    if kind is NoneType or kind is None:
        return "None"
    if kind is Ellipsis:
        return "..."
    if origin is Literal:
        return f"one of {', '.join(map(repr, parts))}"
    if origin in (Union, UnionType):
        return " | ".join(_spelled(part) for part in parts)
    if isinstance(origin, type):
        return f"{origin.__name__}[{', '.join(_spelled(part) for part in parts)}]"
    name = getattr(kind, "__name__", None)
    if name is None:
        raise TypeError(f"no spelling for {kind!r}")
    return CALLED.get(str(name), str(name))
