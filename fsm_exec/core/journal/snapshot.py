"""Snapshots: an execution as bytes that can be trusted, and journal entries as bytes.

A snapshot is JSON: {"version", "table", "checksum", "execution"}. `version` is that of the layout, `table` the versions
of the execution and child tables it was made under, the checksum covers the execution's own bytes. Fields carry their
units in their names (`price_e4` 7100 is $0.7100): decimal strings, which SQL columns and `--json` show, would take a
Python call for each price, on the path of every fact. What is encoded is decoded again at once: never store what cannot
be loaded.

What an older version wrote is raised to today's while it is read; `core.journal.upcasting` has the versions, and the
recipe for a new one. A journal row's version stands beside it in the database.
"""

from __future__ import annotations

import zlib

import msgspec

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.events import AnyEvent, AnyIntent
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.upcasting import (
    CURRENT_TABLES,
    VERSIONS,
    Json,
    Version,
    check_readable,
    upcast_entry,
    upcast_snapshot,
)

SNAPSHOT_VERSION = VERSIONS[-1].number
TABLE_VERSIONS = CURRENT_TABLES

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # the last for bytes nested without end


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    table: str
    checksum: str
    execution: msgspec.Raw


_ENCODER = msgspec.json.Encoder()
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_EXECUTION = msgspec.json.Decoder(Execution)
_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_INTENTS: msgspec.json.Decoder[tuple[AnyIntent, ...]] = msgspec.json.Decoder(tuple[AnyIntent, ...])
_OBJECT: msgspec.json.Decoder[Json] = msgspec.json.Decoder(Json)
_OBJECTS: msgspec.json.Decoder[list[Json]] = msgspec.json.Decoder(list[Json])


def _checksum(body: bytes | memoryview) -> str:
    return f"{zlib.crc32(body):08x}"


def encode_snapshot(execution: Execution) -> bytes:
    """Raises CorruptSnapshot if the bytes would not give the same execution back: a constructor was misused."""
    body = _ENCODER.encode(execution)
    try:
        if _EXECUTION.decode(body) != execution:
            raise CorruptSnapshot(f"{execution.execution_id} does not survive its own encoding")
    except msgspec.DecodeError as error:
        raise CorruptSnapshot(f"{execution.execution_id} cannot be decoded again: {error}") from error
    return _ENCODER.encode(_Envelope(SNAPSHOT_VERSION, TABLE_VERSIONS, _checksum(body), msgspec.Raw(body)))


def decode_snapshot(raw: bytes, versions: tuple[Version, ...] = VERSIONS) -> Execution:
    """Raises CorruptSnapshot for torn, altered, foreign or newer bytes; the message says which, and what to do."""
    try:
        envelope = _ENVELOPE.decode(raw)
        check_readable("snapshot", envelope.version, envelope.table, versions)
        if envelope.checksum != _checksum(bytes(envelope.execution)):
            raise CorruptSnapshot(
                "the snapshot is damaged, its checksum does not match: restore a backup, nothing was changed"
            )
        if envelope.version == versions[-1].number:
            return _EXECUTION.decode(envelope.execution)
        raised = upcast_snapshot(_OBJECT.decode(envelope.execution), envelope.version, versions)
        return _EXECUTION.decode(_ENCODER.encode(raised))
    except UNREADABLE as error:
        raise CorruptSnapshot(f"the snapshot cannot be read: {error}; restore a backup, nothing was changed") from error


def upgrade_snapshot(raw: bytes, versions: tuple[Version, ...] = VERSIONS) -> bytes:
    """The snapshot as the fold of its journal must encode to: itself if it is of today's version, else what it is
    when raised. Raises CorruptSnapshot."""
    execution = decode_snapshot(raw, versions)
    return raw if _ENVELOPE.decode(raw).version == versions[-1].number else encode_snapshot(execution)


def encode_event(event: AnyEvent) -> bytes:
    return _ENCODER.encode(event)


def encode_intents(intents: tuple[AnyIntent, ...]) -> bytes:
    return _ENCODER.encode(intents)


def decode_entry(
    event: bytes, intents: bytes, version: int = SNAPSHOT_VERSION, versions: tuple[Version, ...] = VERSIONS
) -> tuple[AnyEvent, tuple[AnyIntent, ...]]:
    """The two halves of a journal row that `version` wrote. Raises CorruptSnapshot."""
    check_readable("journal row", version, versions=versions)
    try:
        if version != versions[-1].number:
            raised = upcast_entry(_OBJECT.decode(event), _OBJECTS.decode(intents), version, versions)
            event, intents = _ENCODER.encode(raised[0]), _ENCODER.encode(raised[1])
        return _EVENT.decode(event), _INTENTS.decode(intents)
    except UNREADABLE as error:
        raise CorruptSnapshot(
            f"the journal row cannot be read: {error}; restore a backup, nothing was changed"
        ) from error
