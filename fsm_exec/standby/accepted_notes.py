"""Notes of accepted submissions beside the lease record: what the copy of the database may not have yet.

A note is durable before an order of its execution can be sent. After a takeover a note whose key the restored database
does not know is a submission that was lost in the lag. A note that a copy has is deleted by who made the copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from fsm_exec.core.errors import ExecError, NotNoted
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_count
from fsm_exec.runtime.submission import ExecutionRequest
from fsm_exec.standby.places.place import Place

FOLDER: Final = "keys"


class AcceptedNote(msgspec.Struct, frozen=True, kw_only=True):
    """What was accepted under a key, by which database. `quantity` is decimal, `noted_at` ISO 8601 UTC."""

    key: str
    execution_id: str
    instance: str
    ticker: str
    outcome: str
    quantity: str
    noted_at: str


def note_name(key: str) -> str:
    """Return the name of the note of a key, which may have any letters."""
    return f"{FOLDER}/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


async def save_note(place: Place, note: AcceptedNote) -> None:
    """Save a note; return once it is durable. One of the same key is replaced: its save failed, or it was lost and
    reported. Raises PlaceUnreachable and PlaceChanged."""
    name = note_name(note.key)
    there = await place.load(name)
    await place.save(name, msgspec.json.encode(note), None if there is None else there.tag)


async def delete_note(place: Place, key: str) -> None:
    """Delete the note of a key. Raises PlaceUnreachable."""
    await place.delete(note_name(key))


async def load_note(place: Place, name: str) -> AcceptedNote | None:
    """Load a note by its name; None for one that is gone, or cannot be read: it was never whole, so nothing was sent
    for it. Raises PlaceUnreachable."""
    stored = await place.load(name)
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored.content, type=AcceptedNote)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def load_notes(place: Place) -> list[AcceptedNote]:
    """Load all notes, the oldest first. Raises PlaceUnreachable."""
    found = [note for name in await place.load_names(FOLDER) if (note := await load_note(place, name)) is not None]
    return sorted(found, key=lambda note: (note.noted_at, note.execution_id))


class KeyNotes:
    """Notes what the engine of a database accepts; implements `runtime.engine.AcceptanceNotes`."""

    def __init__(self, place: Place, instance: str, wall_us: Callable[[], int]) -> None:
        self._place, self._instance, self._wall_us = place, instance, wall_us

    async def note(self, execution_id: str, request: ExecutionRequest) -> None:
        """Note what is about to be accepted, if it has a key. Raises NotNoted."""
        if request.submission is None:
            return
        note = AcceptedNote(
            key=request.submission.key,
            execution_id=execution_id,
            instance=self._instance,
            ticker=request.ticker,
            outcome=request.outcome,
            quantity=format_count(request.target_e2),
            noted_at=to_iso(self._wall_us()),
        )
        try:
            await save_note(self._place, note)
        except ExecError as error:
            raise NotNoted(
                f"it cannot be noted for the standby, and might be lost with this host: {error}; try again"
            ) from error

    async def forget(self, request: ExecutionRequest) -> None:
        """Delete the note of what was not accepted. What stays is found out by the next start."""
        if request.submission is not None:
            with suppress(ExecError):
                await delete_note(self._place, request.submission.key)
