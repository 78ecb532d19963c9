"""One request on its way through the exchange: its kind, and the fate of its answer.

The gateway decides the fate when it executes the request; the wire, which alone can withhold or cut the answer, acts on
it. Between them lie the endpoints, which know nothing of faults: so the call travels in a context variable.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal, TypeAlias

from fsm_exec.wire.rest import API_PREFIX

CallKind: TypeAlias = Literal["place", "change", "cancel", "read"]
AnswerFate: TypeAlias = Literal["whole", "never", "cut"]

_ORDERS = API_PREFIX + "/portfolio/events/orders"


class Call:
    """`slow_us` is how much later than usual the answer leaves; a connection whose answer never comes is cut after
    `hold_us`."""

    def __init__(self, kind: CallKind) -> None:
        self.kind = kind
        self.fate: AnswerFate = "whole"
        self.slow_us = 0
        self.hold_us = 0


CURRENT_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


def kind_of(method: str, path: str) -> CallKind:
    """Return the kind of a request. A write that is neither a new order nor a cancel is a change."""
    if method == "GET":
        return "read"
    if method == "DELETE" and path.startswith(_ORDERS):
        return "cancel"
    return "place" if method == "POST" and path in (_ORDERS, _ORDERS + "/batched") else "change"
