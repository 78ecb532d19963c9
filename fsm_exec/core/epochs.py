"""Epochs: the openings of a database by an engine, and the order groups at the exchange that belong to them. Pure.

Every order of an epoch is in a group of that epoch. The exchange ends all orders of a group that is triggered and
takes no more for it: that is how a successor fences an engine that may still live.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.values.units import CountE2

EpochKind: TypeAlias = Literal["start", "takeover"]
EpochState: TypeAlias = Literal["open", "closed", "fencing", "fenced"]
GroupState: TypeAlias = Literal["live", "spent", "triggered", "deleted"]

NUMBERS_A_BLOCK: Final = 1_000_000
BLOCKS_DRAWN: Final = 9_999
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """One opening. `epoch` is what the names of its orders have of it. `state`: open; closed, by the lock that the next
    opening holds; fencing, while a successor elsewhere ends its orders; fenced, once none of them can live."""

    number: int
    instance: str
    epoch: str
    opened_at_us: int
    host: str
    kind: EpochKind
    state: EpochState


class EpochGroup(msgspec.Struct, frozen=True, kw_only=True):
    """An order group. `epoch` None: of an epoch that this database does not know. `state`: live, it may take orders;
    spent, none of its orders is live and it is to be deleted; triggered, by a successor; deleted."""

    group_id: str
    epoch: int | None
    exchange_index: int
    limit_e2: CountE2
    state: GroupState


class StoredEpochs(msgspec.Struct, frozen=True, kw_only=True):
    """What a database knows of its epochs, oldest first. `former` are the instances it had before it was copied.
    `damage` names the rows that cannot be read."""

    epochs: tuple[Epoch, ...]
    groups: tuple[EpochGroup, ...]
    former: tuple[str, ...]
    damage: tuple[str, ...] = ()


def note_of_group(group_id: str, exchange_index: int) -> str:
    """Return the text by which a successor finds a group."""
    return f"{group_id}@{exchange_index}" if exchange_index else group_id


def parse_group_note(note: str) -> tuple[str, int]:
    """Return a group's id and its shard."""
    group_id, _, index = note.partition("@")
    return group_id, int(index) if index.isdecimal() else 0


def first_number_of_copy(known: int, instance: str) -> int:
    """Return the number above which a copy numbers its executions, `known` being the highest that it knows.

    The original may have given numbers since, in a tail that was lost: the copy leaves out the rest of that million and
    the whole next one. Which million after that it takes, its instance says, which is drawn: two copies of one database
    do not give the same numbers, but for one pair in ten thousand."""
    drawn = 0
    for letter in instance:
        drawn = drawn * len(_LETTERS) + max(0, _LETTERS.find(letter))
    return (known // NUMBERS_A_BLOCK + 2 + drawn % BLOCKS_DRAWN) * NUMBERS_A_BLOCK
