"""Reading the epochs of a database and their order groups."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from fsm_exec.core.epochs import Epoch, EpochGroup, StoredEpochs
from fsm_exec.core.errors import DamagedRow, UnitError
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import parse_count
from fsm_exec.store.damaged_rows import decode_rows, struct_of, text_of

_EPOCHS = "SELECT number, instance, epoch, opened_at, host, kind, state FROM epochs ORDER BY number"
_GROUPS = (
    "SELECT group_id, epoch, exchange_index, contracts_limit, state FROM epoch_groups WHERE state <> 'deleted' "
    "ORDER BY epoch, group_id"
)
_FORMER = "SELECT instance FROM meta_history ORDER BY replaced_at, instance"


def load_epochs(connection: sqlite3.Connection) -> StoredEpochs:
    """Load all epochs that are kept, and their groups that may be at the exchange. Rows that are damaged are left out,
    and named in it."""
    damage: list[str] = []
    return StoredEpochs(
        epochs=tuple(decode_rows(connection.execute(_EPOCHS), _epoch, damage)),
        groups=tuple(decode_rows(connection.execute(_GROUPS), _group, damage)),
        former=tuple(decode_rows(connection.execute(_FORMER), _instance, damage)),
        damage=tuple(damage),
    )


def _instance(row: Sequence[Any]) -> str:
    return text_of("meta_history", row[0], "instance", row[0])


def _epoch(row: Sequence[Any]) -> Epoch:
    try:
        opened_us = from_iso(text_of("epochs", row[0], "opened_at", row[3]))
    except ValueError as error:
        raise DamagedRow("epochs", row[0], "opened_at", str(error)) from None
    values = (*row[:3], opened_us, *row[4:])
    return struct_of(Epoch, "epochs", row[0], Epoch.__struct_fields__, values)


def _group(row: Sequence[Any]) -> EpochGroup:
    try:
        limit_e2 = parse_count(text_of("epoch_groups", row[0], "contracts_limit", row[3]))
    except UnitError as error:
        raise DamagedRow("epoch_groups", row[0], "contracts_limit", str(error)) from None
    return struct_of(EpochGroup, "epoch_groups", row[0], EpochGroup.__struct_fields__, (*row[:3], limit_e2, row[4]))
