"""How much the engine holds on to: the sum of the lengths of its containers, by class and attribute.

Found by walking from a few roots through every object of ours (the paper exchange excepted), so that what is added to
the engine later is watched too. What a leak is, resident memory tells late and never where.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping

import msgspec

OURS, NOT_OURS = "fsm_exec.", "fsm_exec.paper."
CONTAINERS = (dict, list, set, deque)


def sizes(*roots: object) -> Counter[str]:
    """`Class.attribute` -> how many things all containers there hold together, nested ones with what they hold."""
    found: Counter[str] = Counter()
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("", root) for root in roots]
    while waiting:
        where, thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, CONTAINERS):
            found[where] += len(thing)
            waiting.extend((where, item) for item in _items(thing))
        elif _is_ours(thing):
            waiting.extend((f"{type(thing).__name__}.{name}", value) for name, value in _attributes(thing))
    return found


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
