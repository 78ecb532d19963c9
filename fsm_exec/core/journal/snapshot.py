"""Snapshots: an execution as bytes that can be trusted, and journal entries as bytes.

A snapshot is JSON: {"version", "table", "checksum", "execution"}. `version` is that of the layout, `table` the versions
of the execution and child tables it was made under, the checksum covers the execution's own bytes. Fields carry their
units in their names (`price_e4` 7100 is $0.7100): decimal strings, which SQL columns and `--json` show, would take a
Python call for each price, on the path of every fact. What is encoded is decoded again at once: never store what cannot
be loaded. A long execution's snapshot is in several pieces, which its "parts" counts (`core.journal.parts`).

What an older version wrote is raised to today's while it is read; `core.journal.upcasting` has the versions, and the
recipe for a new one. A journal row's version stands beside it in the database.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.events import AnyEvent, AnyIntent
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.head_text import encode_head
from fsm_exec.core.journal.parts import (
    NO_PARTS,
    changed_values,
    check_parts,
    encode_part,
    head_of,
    is_small,
    join_parts,
    places_apart,
    total_after,
    values_of,
)
from fsm_exec.core.journal.rows import PartsTotal, SnapshotPart, StoredExecution
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


_NO_TEXT = msgspec.Raw()


class _Envelope(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    version: int
    table: str
    checksum: str
    execution: msgspec.Raw
    parts: msgspec.Raw = _NO_TEXT


class EncodedStep(msgspec.Struct, frozen=True, gc=False):
    """What a step stores of the execution it leads to: the head, the parts that are new or changed, the names of those
    that are there no more, and the total of all it has then. `clears`: before them, whatever parts are stored go."""

    snapshot: bytes
    parts: tuple[SnapshotPart, ...]
    gone: tuple[str, ...]
    total: PartsTotal
    clears: bool = False


_ENVELOPE_TEXT = b'{"version":%d,"table":"%b","checksum":"%%b","execution":%%b%%b}' % (
    SNAPSHOT_VERSION,
    TABLE_VERSIONS.encode(),
)  # what encoding an _Envelope makes, without a copy of the execution on the way
_ENCODER = msgspec.json.Encoder()
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_EXECUTION = msgspec.json.Decoder(Execution)
_TOTAL = msgspec.json.Decoder(PartsTotal)
_EVENT: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_INTENTS: msgspec.json.Decoder[tuple[AnyIntent, ...]] = msgspec.json.Decoder(tuple[AnyIntent, ...])
_OBJECT: msgspec.json.Decoder[Json] = msgspec.json.Decoder(Json)
_OBJECTS: msgspec.json.Decoder[list[Json]] = msgspec.json.Decoder(list[Json])


def _checksum(body: bytes | memoryview, parts: bytes | memoryview = b"") -> str:
    return f"{zlib.crc32(parts, zlib.crc32(body)):08x}"


def encode_snapshot(execution: Execution) -> bytes:
    """The head of the snapshot; its parts come from `encode_parts`. Raises CorruptSnapshot if the bytes would not give
    the same execution back: a constructor was misused."""
    if is_small(execution):
        return _encode_head(execution, NO_PARTS)
    apart = places_apart(execution)
    return _encode_head(head_of(execution, apart), total_after(NO_PARTS, come=_encode_parts(execution, apart)))


def encode_parts(execution: Execution) -> tuple[SnapshotPart, ...]:
    """All parts of the snapshot, none for an execution of the usual size. Raises CorruptSnapshot."""
    return _encode_parts(execution, places_apart(execution))


def encode_whole(execution: Execution) -> bytes:
    """The snapshot in one piece, as it was written before there were parts. Raises CorruptSnapshot."""
    return _encode_head(execution, NO_PARTS)


def encode_step(before: Execution | None, after: Execution, known: PartsTotal | None) -> EncodedStep:
    """What the step from `before` stores. `known` is the total of the parts that are stored with `before`; None: nobody
    knows which are, and then all of them are written again. Raises CorruptSnapshot."""
    if is_small(after) and (known is NO_PARTS or before is None or is_small(before)):
        return EncodedStep(_encode_head(after, NO_PARTS), (), (), NO_PARTS)
    apart = places_apart(after)
    if before is None:
        parts = _encode_parts(after, apart)
        total = total_after(NO_PARTS, come=parts)
        return EncodedStep(_encode_head(head_of(after, apart), total), parts, (), total)
    were_apart = places_apart(before)
    if known is None:
        if values_of(before, were_apart) or values_of(after, apart):
            return replace(encode_step(None, after, None), clears=True)
        known = NO_PARTS
    old, new = changed_values(before, were_apart, after, apart)
    name = after.execution_id
    parts = tuple(encode_part(name, part, value) for part, value in new.items())
    total = total_after(known, (encode_part(name, part, value) for part, value in old.items()), parts)
    gone = tuple(part for part in old if part not in new)
    return EncodedStep(_encode_head(head_of(after, apart), total), parts, gone, total)


def _encode_parts(execution: Execution, apart: AbstractSet[int]) -> tuple[SnapshotPart, ...]:
    values = values_of(execution, apart)
    return tuple(encode_part(execution.execution_id, name, value) for name, value in values.items())


def _encode_head(head: Execution, total: PartsTotal) -> bytes:
    body = encode_head(head)
    if not total.count:
        return _ENVELOPE_TEXT % (_checksum(body).encode(), body, b"")
    said = _ENCODER.encode(total)
    return _ENVELOPE_TEXT % (_checksum(body, said).encode(), body, b',"parts":' + said)


def decode_stored(stored: StoredExecution) -> Execution:
    """The execution that is stored, head and parts. Raises CorruptSnapshot."""
    return decode_snapshot(stored.snapshot, parts=stored.parts)


def decode_snapshot(
    raw: bytes, versions: tuple[Version, ...] = VERSIONS, *, parts: Sequence[SnapshotPart] = ()
) -> Execution:
    """Raises CorruptSnapshot for torn, altered, foreign or newer bytes, and for parts that are not those of this head;
    the message says which, and what to do."""
    try:
        envelope = _ENVELOPE.decode(raw)
        check_readable("snapshot", envelope.version, envelope.table, versions)
        said = bytes(envelope.parts)
        if envelope.checksum != _checksum(bytes(envelope.execution), said):
            raise CorruptSnapshot(
                "the snapshot is damaged, its checksum does not match: restore a backup, nothing was changed"
            )
        total = _TOTAL.decode(said) if said else NO_PARTS
        is_of_today = envelope.version == versions[-1].number
        if is_of_today and not parts and total == NO_PARTS:
            return _EXECUTION.decode(envelope.execution)
        found = _OBJECT.decode(envelope.execution)
        check_parts(str(found.get("execution_id")), total, parts)
        if parts:
            found = join_parts(found, parts)
        if not is_of_today:
            found = upcast_snapshot(found, envelope.version, versions)
        return _EXECUTION.decode(_ENCODER.encode(found))
    except UNREADABLE as error:
        raise CorruptSnapshot(f"the snapshot cannot be read: {error}; restore a backup, nothing was changed") from error


def upgrade_snapshot(
    raw: bytes, versions: tuple[Version, ...] = VERSIONS, *, parts: Sequence[SnapshotPart] = ()
) -> bytes:
    """The snapshot as the fold of its journal must encode to: itself if it is of today's version, else what it is
    when raised. Raises CorruptSnapshot."""
    execution = decode_snapshot(raw, versions, parts=parts)
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
