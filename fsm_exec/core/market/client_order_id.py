"""Whose an order is, as its client order id says: `fx{instance}-{execution}-{slice}-{attempt}[-{epoch}]`.

The instance is the database's, the epoch that of one opening of it: six characters drawn each time, none for the first.
A database that lost its newest commits numbers executions and attempts a second time; in another epoch they get other
names. An execution keeps both in one text, the instance and then the epoch. All of it is computed, none of it random:
random names could not be recognised, and a replay would differ.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

INSTANCE_CHARS: Final = 10
EPOCH_CHARS: Final = 6
_OURS: Final = re.compile(r"fx([a-z2-7]{10})-([^-]+)-([0-9]+)-([0-9]+)(?:-([a-z2-7]{6}))?")
_NUMBERED: Final = re.compile(r"e([0-9]{1,15})")


class OrderName(msgspec.Struct, frozen=True):
    """What the client order id of one of our orders says. `epoch` is empty for a database's first opening."""

    instance: str
    execution_id: str
    level: int
    attempt: int
    epoch: str = ""


def client_order_id(named: str, execution_id: str, level: int, attempt: int) -> str:
    """The same after every restart, never the same from another database or another epoch. `named`: instance and
    epoch."""
    instance, epoch = named[:INSTANCE_CHARS], named[INSTANCE_CHARS:]
    return f"fx{instance}-{execution_id}-{level}-{attempt}{'-' if epoch else ''}{epoch}"


def order_prefix(instance: str) -> str:
    """How the client order ids of a database's orders begin, and those of no other database."""
    return f"fx{instance}-"


def is_of_instance(client_order_id: str, named: str) -> bool:
    """Whether an order's name is of this database. `named`: instance and epoch, or the instance alone."""
    return client_order_id.startswith(order_prefix(named[:INSTANCE_CHARS]))


def parse_order_name(client_order_id: str) -> OrderName | None:
    """None for an order that no database of ours named."""
    found = _OURS.fullmatch(client_order_id)
    if found is None:
        return None
    return OrderName(found[1], found[2], int(found[3]), int(found[4]), found[5] or "")


def execution_id_of(number: int) -> str:
    """The id of the execution that was accepted as this one of its database."""
    return f"e{number:06d}"


def number_of(execution_id: str) -> int:
    """Its number; 0 for an id that is none of `numbered`."""
    found = _NUMBERED.fullmatch(execution_id)
    return 0 if found is None else int(found[1])
