"""The jobs of the writer that are about epochs and their order groups. Each may be done again with the same result."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from fsm_exec.core.epochs import EpochGroup
from fsm_exec.core.values.units import format_count
from fsm_exec.store.statements import Row, put_into

_GROUP = ("group_id", "epoch", "exchange_index", "contracts_limit", "state")
PUT_GROUP: Final = put_into("epoch_groups", ("group_id",), _GROUP)
BEGIN_FENCING: Final = "UPDATE epochs SET state = 'fencing' WHERE number < ? AND state <> 'fenced'"
END_FENCING: Final = "UPDATE epochs SET state = 'fenced' WHERE number < ? AND state = 'fencing'"

EPOCH_ORDER: Final = (PUT_GROUP, BEGIN_FENCING, END_FENCING)
ANY_NUMBER_OF_EPOCHS: Final = frozenset({BEGIN_FENCING, END_FENCING})


class GroupsSave(msgspec.Struct, frozen=True):
    groups: tuple[EpochGroup, ...]


class FencingBegun(msgspec.Struct, frozen=True):
    """All epochs before this one are to be fenced."""

    before: int


class FencingEnded(msgspec.Struct, frozen=True):
    """None of the epochs before this one that were to be fenced can have a live order."""

    before: int


EpochJob: TypeAlias = GroupsSave | FencingBegun | FencingEnded


def epoch_rows(job: EpochJob) -> Iterator[Row]:
    """Yield the rows of one job about epochs."""
    match job:
        case GroupsSave(groups):
            for group in groups:
                limit = format_count(group.limit_e2)
                yield PUT_GROUP, (group.group_id, group.epoch, group.exchange_index, limit, group.state)
        case FencingBegun(before):
            yield BEGIN_FENCING, (before,)
        case FencingEnded(before):
            yield END_FENCING, (before,)
