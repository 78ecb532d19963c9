"""Changing one place of a JSON document, named by a path: `orders.*.status`, `msg.count_fp`, `fills.0.fee_cost`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

GONE: Final = object()
"""As the new value: the field is removed."""


def edited(content: str | bytes, path: str, to: Any) -> bytes:  # noqa: ANN401 - whatever JSON holds
    """The document with what stands at `path` replaced by `to`: a value, or a function of the old one (None where there
    was none). A place that does not exist is made if its parent does; `*` is every element or field."""
    document = msgspec.json.decode(content)
    _edit(document, path.split("."), to if callable(to) else lambda _: to)
    return msgspec.json.encode(document)


def fields(document: Any, at: str = "") -> list[str]:  # noqa: ANN401 - whatever JSON holds
    """The path of every field of an object, lists through `*`: for a test that removes each in turn."""
    found: dict[str, None] = {}
    if isinstance(document, dict):
        for name, value in document.items():
            here = f"{at}.{name}" if at else name
            found[here] = None
            found.update(dict.fromkeys(fields(value, here)))
    elif isinstance(document, list):
        for value in document:
            found.update(dict.fromkeys(fields(value, f"{at}.*" if at else "*")))
    return list(found)


def _edit(node: Any, path: list[str], to: Callable[[Any], Any]) -> None:  # noqa: ANN401
    name, *rest = path
    if isinstance(node, list):
        for index in range(len(node)) if name == "*" else [int(name)]:
            if index < len(node):
                _edit_at(node, index, rest, to)
    elif isinstance(node, dict):
        for key in list(node) if name == "*" else [name]:
            _edit_at(node, key, rest, to)


def _edit_at(node: Any, key: Any, rest: list[str], to: Callable[[Any], Any]) -> None:  # noqa: ANN401
    old = node[key] if isinstance(node, list) else node.get(key)
    if rest:
        _edit(old, rest, to)
        return
    new = to(old)
    if new is not GONE:
        node[key] = new
    elif isinstance(node, dict):
        node.pop(key, None)
    else:
        raise AssertionError("a field is removed, not an element of a list: give a function for the list")
