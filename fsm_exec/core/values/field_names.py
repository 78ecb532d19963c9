"""What may have been meant by a field that does not exist, or by a word that is none of those there are.

msgspec's errors name the wrong one and where it stands; the right ones are in the type.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from msgspec import inspect

from fsm_exec.core.text import suggestion

SHOWN_MAX: Final = 40
_WRONG: Final = re.compile(
    r"(?:Object contains unknown field `(?P<field>.*?)`|Invalid enum value '?(?P<word>.*?)'?)"
    r"(?: - at `\$(?P<path>.*)`)?",
    re.DOTALL,
)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[[^\]]*\]")


class WrongName(NamedTuple):
    """`known` are the names there are at that place, in their order."""

    given: str
    known: tuple[str, ...]


def find_wrong_name(error: str, kind: type) -> WrongName | None:
    """Find what an error of msgspec about a value of `kind` says is unknown; None: it is about something else."""
    found = _WRONG.fullmatch(error)
    if found is None:
        return None
    reached = inspect.type_info(kind)
    for step in _STEP.finditer(found["path"] or ""):
        reached = _step_into(reached, step[1])
    if found["field"] is not None:
        known = tuple(field.encode_name for one in _structs(reached) for field in one.fields)
        return WrongName(found["field"], known) if known else None
    words = tuple(str(word) for one in _parts(reached) if isinstance(one, inspect.LiteralType) for word in one.values)
    return WrongName(found["word"], words) if words else None


def suggest_name(error: str, kind: type) -> str:
    """Return `; did you mean risk?`, or `; give one of: ...`, to go on an error of msgspec with; empty if it is not
    about a name."""
    wrong = find_wrong_name(error, kind)
    if wrong is None:
        return ""
    nearly = suggestion(wrong.given, wrong.known)
    return nearly if nearly != ";" else f"; give one of: {', '.join(wrong.known[:SHOWN_MAX])}"


def _parts(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return tuple(kind.types) if isinstance(kind, inspect.UnionType) else (kind,)


def _structs(kind: inspect.Type) -> list[inspect.StructType]:
    return [one for one in _parts(kind) if isinstance(one, inspect.StructType)]


def _step_into(kind: inspect.Type, field: str | None) -> inspect.Type:
    """Return the type of a field, or with None that of what a list or a table has in it."""
    for one in _parts(kind):
        match one:
            case inspect.StructType() if field is not None:
                for candidate in one.fields:
                    if candidate.encode_name == field:
                        return candidate.type
            case inspect.DictType():
                return one.value_type
            case inspect.CollectionType() if field is None:
                return one.item_type
    return inspect.AnyType()
