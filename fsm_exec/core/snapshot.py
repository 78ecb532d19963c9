"""Snapshots: an execution as bytes that can be trusted, and journal entries as bytes.

A snapshot is JSON: {"version", "table", "checksum", "execution"}. `version` is that of this layout, `table` the
version of the execution and child tables it was made under, the checksum covers the execution's own bytes. Fields
carry their units in their names (`price_e4` 7100 is $0.7100). What is encoded is decoded again at once: never store
what cannot be loaded.
"""

from __future__ import annotations

import zlib

import msgspec

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.events import AnyEvent, AnyIntent
from fsm_exec.core.execution import Execution
from states import TABLES

SNAPSHOT_VERSION = 1
TABLE_VERSIONS = f"{TABLES['execution'].version}.{TABLES['child_order'].version}"

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


def decode_snapshot(raw: bytes) -> Execution:
    """Raises CorruptSnapshot for torn, altered, foreign or newer bytes."""
    try:
        envelope = _ENVELOPE.decode(raw)
        if envelope.version != SNAPSHOT_VERSION or envelope.table != TABLE_VERSIONS:
            raise CorruptSnapshot(
                f"snapshot of version {envelope.version} (tables {envelope.table}); "
                f"this program reads {SNAPSHOT_VERSION} (tables {TABLE_VERSIONS})"
            )
        if envelope.checksum != _checksum(bytes(envelope.execution)):
            raise CorruptSnapshot("the checksum does not match: the snapshot is damaged")
        return _EXECUTION.decode(envelope.execution)
    except UNREADABLE as error:
        raise CorruptSnapshot(f"the snapshot cannot be read: {error}") from error


def encode_event(event: AnyEvent) -> bytes:
    return _ENCODER.encode(event)


def encode_intents(intents: tuple[AnyIntent, ...]) -> bytes:
    return _ENCODER.encode(intents)


def decode_entry(event: bytes, intents: bytes) -> tuple[AnyEvent, tuple[AnyIntent, ...]]:
    """A journal row's two halves. Raises CorruptSnapshot."""
    try:
        return _EVENT.decode(event), _INTENTS.decode(intents)
    except UNREADABLE as error:
        raise CorruptSnapshot(f"the journal entry cannot be read: {error}") from error
