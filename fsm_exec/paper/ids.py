"""Identifiers that look like the exchange's and are the same in every run with the same seed.

A counter per kind, hashed with the seed into the shape of a UUID: a whole run repeats byte for byte, and two
exchanges with different seeds do not hand out the same ids. One that is started again for the same clients begins a
life of its own: they remember the ids of the one before.
"""

from __future__ import annotations

import hashlib
import uuid


class Ids:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._life = ""
        self._counters: dict[str, int] = {}

    def begin_life(self, name: str) -> None:
        """From here on hand out ids that no life of another name has."""
        self._life = f"{name}:"

    def new(self, kind: str) -> str:
        number = self._counters.get(kind, 0) + 1
        self._counters[kind] = number
        return named_id(f"{self._seed}:{self._life}{kind}:{number}")


def named_id(name: str) -> str:
    """The id of `name`: always the same."""
    return str(uuid.UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4))


def is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def subaccount_id(account_id: str, number: int) -> str:
    """The id of a member's numbered subaccount; that of the primary one is the member's own."""
    return f"{account_id}/{number}"


def member_of(account_id: str) -> str:
    """The id of the member whose account or subaccount this is."""
    return account_id.partition("/")[0]


def is_of(account_id: str, owner_id: str) -> bool:
    """Whether an account is the owner: the same one, or the member whose subaccount it is."""
    return owner_id in (account_id, member_of(account_id))


def subaccount_of(account_id: str) -> int:
    """The number of a subaccount, 0 for a member's primary one."""
    return int(account_id.partition("/")[2] or 0)
