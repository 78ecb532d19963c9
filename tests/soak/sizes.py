"""How much the engine holds on to: the sum of the lengths of its containers, by class and attribute.

Found by walking from a few roots through every object of ours (the paper exchange excepted), so that what is added to
the engine later is watched too. What a leak is, resident memory tells late and never where.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping

import msgspec

OURS, NOT_OURS = "fsm_exec.", "fsm_exec.paper."
CONTAINERS = (dict, list, set, deque)


def sizes(*roots: object) -> Counter[str]:
    """`Class.attribute` -> how many things all containers there hold together, nested ones with what they hold."""
    found: Counter[str] = Counter()
    for where, thing in _walk(roots):
        if isinstance(thing, CONTAINERS):
            found[where] += len(thing)
    return found


def weights(*roots: object) -> Counter[str]:
    """`Class.attribute` -> bytes of everything there, records and text included, each thing once. What a container
    holds, however deep, is in its own."""
    found: Counter[str] = Counter()
    for where, thing in _walk(roots, whole=True):
        found[where] += sys.getsizeof(thing)
    return found


def _walk(roots: Iterable[object], *, whole: bool = False) -> Iterator[tuple[str, object]]:
    """Yield everything that hangs on `roots`, once, and where it hangs. `whole`: the parts of records and tuples too,
    and all that a container holds hangs there."""
    seen: set[int] = set()
    waiting: list[tuple[str, object, bool]] = [("", root, False) for root in roots]
    while waiting:
        where, thing, is_held = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield where, thing
        if isinstance(thing, CONTAINERS):
            waiting.extend((where, item, whole) for item in _items(thing))
            if whole and isinstance(thing, Mapping | set):
                waiting.extend((where, key, True) for key in thing)
        elif whole and isinstance(thing, tuple | frozenset):
            waiting.extend((where, item, is_held) for item in thing)
        elif whole and isinstance(thing, msgspec.Struct):
            waiting.extend((where, getattr(thing, name), is_held) for name in thing.__struct_fields__)
        elif _is_ours(thing):
            named = ((f"{type(thing).__name__}.{name}", value) for name, value in _attributes(thing))
            waiting.extend((where if is_held else name, value, is_held) for name, value in named)


def _is_ours(thing: object) -> bool:
    module = type(thing).__module__
    return module.startswith(OURS) and not module.startswith(NOT_OURS) and not isinstance(thing, msgspec.Struct)


def _items(container: Iterable[object]) -> Iterator[object]:
    """What may hold more; what is in a set holds nothing."""
    if isinstance(container, Mapping):
        yield from container.values()
    elif not isinstance(container, set):
        yield from container


def _attributes(thing: object) -> Iterator[tuple[str, object]]:
    yield from getattr(thing, "__dict__", {}).items()
    for cls in type(thing).__mro__:
        for name in getattr(cls, "__slots__", ()):
            if hasattr(thing, name):
                yield name, getattr(thing, name)
