"""What a journal row changed in the snapshot, field by field, in words. Pure.

It compares the two snapshots whatever fields they have: a field that is added is told without a line of this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from fsm_exec.core.execution.describe import UNITS, describe, short_id
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill
from fsm_exec.core.values.units import format_count, format_price

KEYS: Final = (
    ("client_order_id", "order"),
    ("fill_id", "fill"),
    ("effect_id", "request"),
    ("level", "slice"),
)
"""By which field the members of a list are known, and what such a member is called."""
UNTOLD: Final = frozenset({"seq"})
NOTHING: Final = "none"
FILL_ID_SHOWN: Final = 8


class Difference(NamedTuple):
    """One field that changed. `before` is empty for something that is new, `after` for something that is gone."""

    what: str
    before: str
    after: str


def differences(before: Execution | None, after: Execution) -> list[Difference]:
    """Return what the row changed. Of the first row, before which there was nothing, what it set."""
    if before is None:
        before = msgspec.structs.replace(after, state="", limits=None, slices=(), children=(), ending=None)
        found = list(_struct("", before, after))
        return [Difference("execution", "", "accepted"), *found]
    return list(_struct("", before, after))


def _struct(path: str, before: msgspec.Struct, after: msgspec.Struct) -> Iterator[Difference]:
    for name in after.__struct_fields__:
        if name not in UNTOLD:
            yield from _value(path, name, getattr(before, name), getattr(after, name))


def _value(path: str, name: str, before: object, after: object) -> Iterator[Difference]:
    if before == after:
        return
    label, unit = _label(name)
    what = f"{path}{label}"
    if isinstance(before, tuple) and isinstance(after, tuple) and (key := _key_of((*before, *after))):
        yield from _members(path, label, key, before, after)
    elif isinstance(before, msgspec.Struct) and isinstance(after, msgspec.Struct) and type(before) is type(after):
        yield from _struct(f"{what}, ", before, after)
    else:
        yield Difference(what, _text(before, unit), _text(after, unit))


def _members(
    path: str, label: str, key: str, before: tuple[object, ...], after: tuple[object, ...]
) -> Iterator[Difference]:
    old, new = ({getattr(one, key): one for one in members} for members in (before, after))
    kind = dict(KEYS)[key]
    late = "late " if label == "late" else ""
    for name in [*old, *(name for name in new if name not in old)]:
        shown = short_id(name) if kind == "order" else str(name)[:FILL_ID_SHOWN] if kind == "fill" else name
        what = f"{path}{late}{kind} {shown}"
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        if isinstance(was, msgspec.Struct) and isinstance(now, msgspec.Struct):
            yield from _struct(f"{what}, ", was, now)
        else:
            yield Difference(what, _text(was, "") if was else "", _text(now, "") if now else "")


def _key_of(members: tuple[object, ...]) -> str:
    """The field by which they are known; empty: there is none."""
    kinds = {type(member) for member in members}
    if len(kinds) != 1 or not isinstance(members[0], msgspec.Struct):
        return ""
    fields = members[0].__struct_fields__
    if "effect_id" in fields:
        return "effect_id"  # what waits in the outbox names its order, too
    if "fill_id" in fields:
        return "fill_id"
    return next((key for key, _ in KEYS if key in fields), "")


def _label(name: str) -> tuple[str, str]:
    label, _, unit = name.rpartition("_")
    if label and unit in UNITS:
        return label.replace("_", " "), unit
    return name.replace("_", " "), ""


def _text(value: object, unit: str) -> str:
    if value is None or value == ():
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and unit:
        text = UNITS[unit](value)
        return text[11:-1] if unit == "us" and text.endswith("Z") else text  # the time of day
    if isinstance(value, Fill | ChildOrder):
        return f"{format_count(value.count_e2)} at {format_price(value.price_e4)}"
    if isinstance(value, msgspec.Struct):
        return describe(value).partition(" ")[2] or "yes"
    if isinstance(value, tuple):
        return ", ".join(_text(one, "") for one in value)
    return " ".join(str(value).split())
