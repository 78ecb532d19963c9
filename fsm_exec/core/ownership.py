"""Whose an order is, as its client order id says: `fx{instance}-{execution}-{slice}-{attempt}`."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_OURS: Final = re.compile(r"fx([a-z2-7]{10})-([^-]+)-([0-9]+)-([0-9]+)")


class OrderName(msgspec.Struct, frozen=True):
    """What the client order id of one of our orders says."""

    instance: str
    execution_id: str
    level: int
    attempt: int


def name_of_ours(client_order_id: str) -> OrderName | None:
    """None for an order that no database of ours named."""
    found = _OURS.fullmatch(client_order_id)
    if found is None:
        return None
    return OrderName(found[1], found[2], int(found[3]), int(found[4]))
