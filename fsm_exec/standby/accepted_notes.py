"""Notes of accepted submissions beside the lease record: what the copy of the database may not have yet.

A note is durable before an order of its execution can be sent. After a takeover a note whose key the restored database
does not know is a submission that was lost in the lag. A note that a copy has is deleted by who made the copy.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

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


async def load_notes(place: Place) -> list[AcceptedNote]:
    """Load all notes, the oldest first. One that cannot be read is left out: it was never whole, so nothing was sent
    for it. Raises PlaceUnreachable."""
    found = []
    for name in await place.load_names(FOLDER):
        stored = await place.load(name)
        if stored is None:
            continue
        try:
            found.append(msgspec.json.decode(stored.content, type=AcceptedNote))
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return sorted(found, key=lambda note: (note.noted_at, note.execution_id))
