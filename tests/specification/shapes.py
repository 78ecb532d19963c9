"""The words in which the tables beside this file say what a body holds, and the check of a body against them.

A shape has fields it needs, fields it may have, and fields beyond the exchange's specification, which are sent because
some clients want them. They are written as lines `TYPE: name name ...`. A type is one of

    text uuid time int number flag object    time: RFC 3339; object: any
    price count                              decimal strings: 4 or 6 decimals; 2 decimals
    1..100  0..                              whole numbers within bounds
    yes|no                                   one of these words; `=word` is exactly one
    Level                                    a price and a count, of a book
    [TYPE]  Name  TYPE?                      a list; another shape or named type; or null
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

SHAPES: Final[dict[str, Shape]] = {}
NAMED: Final[dict[str, str]] = {}
"""Types that are written once and used by name."""

_DIGITS = r"-?(0|[1-9][0-9]*)"
_PATTERNS: Final = {
    "uuid": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "time": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z"),
    "price": re.compile(_DIGITS + r"\.[0-9]{4}([0-9]{2})?"),
    "count": re.compile(_DIGITS + r"\.[0-9]{2}"),
}
_BOUNDS: Final = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)?")


class Shape(NamedTuple):
    """An object of the wire: its fields and their types, by how much they are needed."""

    name: str
    need: dict[str, str]
    may: dict[str, str]
    beyond: dict[str, str]

    def fields(self) -> dict[str, str]:
        return {**self.need, **self.may, **self.beyond}


def shape(name: str, need: str = "", may: str = "", beyond: str = "") -> Shape:
    """A shape, known by its name from here on."""
    made = Shape(name, fields(need), fields(may), fields(beyond))
    assert name not in SHAPES, f"two shapes are called {name}"
    SHAPES[name] = made
    return made


def fields(lines: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        kind, _, names = line.rpartition(":")
        found.update(dict.fromkeys(names.split(), kind.strip()))
    return found


def named(name: str, kind: str) -> None:
    NAMED[name] = kind


def bounds_of(kind: str) -> tuple[int, int | None] | None:
    """The bounds of a type of whole numbers that has some."""
    match = _BOUNDS.fullmatch(kind)
    return None if match is None else (int(match[1]), None if match[2] is None else int(match[2]))


def words_of(kind: str) -> tuple[str, ...] | None:
    """The words of a type that lists them."""
    return (kind[1:],) if kind.startswith("=") else tuple(kind.split("|")) if "|" in kind else None


def complaints(value: Any, kind: str, where: str = "") -> Iterator[str]:  # noqa: ANN401 - decoded JSON
    """What is wrong with `value` as a `kind`: nothing, if nothing is said."""
    if kind.endswith("?"):
        if value is not None:
            yield from complaints(value, kind[:-1], where)
    elif kind.startswith("["):
        if not isinstance(value, list):
            yield f"{where}: {value!r} is no list"
            return
        for number, item in enumerate(value):
            yield from complaints(item, kind[1:-1], f"{where}[{number}]")
    elif kind in NAMED:
        yield from complaints(value, NAMED[kind], where)
    elif kind in SHAPES:
        yield from _of_shape(value, SHAPES[kind], where)
    elif not _fits(value, kind):
        yield f"{where}: {value!r} is no {kind}"


def _of_shape(value: Any, wanted: Shape, where: str) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(value, dict):
        yield f"{where}: {value!r} is no {wanted.name}"
        return
    known = wanted.fields()
    yield from (f"{where}.{name}: missing in {wanted.name}" for name in wanted.need if name not in value)
    for name, item in value.items():
        if name in known:
            yield from complaints(item, known[name], f"{where}.{name}")
        else:
            yield f"{where}.{name}: {wanted.name} has no such field"


def _fits(value: Any, kind: str) -> bool:  # noqa: ANN401
    if (words := words_of(kind)) is not None:
        return value in words
    if (bounds := bounds_of(kind)) is not None:
        low, high = bounds
        return type(value) is int and low <= value and (high is None or value <= high)
    if (pattern := _PATTERNS.get(kind)) is not None:
        return isinstance(value, str) and pattern.fullmatch(value) is not None
    return _PLAIN[kind](value)


_PLAIN: Final[Mapping[str, Callable[[Any], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "int": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "flag": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "Level": lambda value: (
        isinstance(value, list) and len(value) == 2 and _fits(value[0], "price") and _fits(value[1], "count")
    ),
}
