"""Notes of what a person ordered, beside the lease record: what the copy of the database may not have yet.

There is one note about halts, which says how it stands, and one of each execution that is to end, or to be taken up
again. A halt and a cancel are done first and noted within a second: if the place does not answer, the answer says so
and the note is tried again. What sets to work is noted first.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import ExecError, NotNoted
from fsm_exec.core.values.times import to_iso
from fsm_exec.standby.places.place import Place, PlaceChanged, PlaceUnreachable

FOLDER: Final = "commands"
HALT: Final = f"{FOLDER}/halt.json"
NOTED_WITHIN_S: Final = 1.0  # a halt and a cancel wait no longer
AGAIN_AFTER_S: Final = 2.0
TRIES_MAX: Final = 5


class HaltNote(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with halts. `at`: since when; `halted_at`: when the newest halt was, which ended all executions
    accepted before. `instance`: of whose database; empty: ordered where no engine runs. Times are ISO 8601 UTC."""

    halted: bool
    at: str
    halted_at: str
    why: str
    instance: str = ""


class ExecutionNote(msgspec.Struct, frozen=True, kw_only=True):
    """What was ordered of one execution, which id and time of acceptance name together. Times are ISO 8601 UTC."""

    command: Literal["cancel", "resume"]
    execution_id: str
    accepted_at: str
    at: str
    instance: str


def note_name(command: str, execution_id: str, accepted_at_us: int) -> str:
    """Return the name of the note about an execution."""
    return f"{FOLDER}/{command}-{execution_id}-{accepted_at_us}.json"


async def save_over(place: Place, name: str, content: bytes) -> None:
    """Save a note, whatever is there. Raises PlaceUnreachable."""
    for _ in range(TRIES_MAX):
        there = await place.load(name)
        if there is not None and there.content == content:
            return
        try:
            await place.save(name, content, None if there is None else there.tag)
            return
        except PlaceChanged:
            continue
    raise PlaceUnreachable(f"{place.url}/{name} changes all the time")


async def load_halt_note(place: Place) -> HaltNote | None:
    """Load how it stands with halts; None: nothing was ever noted. Raises PlaceUnreachable, also for a note that is
    none: it may be a halt."""
    stored = await place.load(HALT)
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored.content, type=HaltNote)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlaceUnreachable(
            f"{place.url}/{HALT} is no note of a halt ({error}); remove it if nothing is to be halted"
        ) from None


async def load_execution_note(place: Place, name: str) -> ExecutionNote | None:
    """Load the note about an execution; None: it is gone, or is none. Raises PlaceUnreachable."""
    stored = await place.load(name)
    if stored is None:
        return None
    try:
        return msgspec.json.decode(stored.content, type=ExecutionNote)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def load_execution_notes(place: Place) -> dict[str, ExecutionNote]:
    """Load all notes about executions, by their names. Raises PlaceUnreachable."""
    names = [name for name in await place.load_names(FOLDER) if name != HALT]
    return {name: note for name in names if (note := await load_execution_note(place, name)) is not None}


async def save_halt_without_engine(place: Place, why: str, at_us: int) -> None:
    """Save a halt that no engine here can be told: whoever leads hears of it, whoever takes over begins with it. Raises
    PlaceUnreachable."""
    at = to_iso(at_us)
    await save_over(place, HALT, msgspec.json.encode(HaltNote(halted=True, at=at, halted_at=at, why=why)))


class CommandKeeper:
    """Keeps the notes of an engine; implements `core.command_notes_port.CommandNotes`."""

    def __init__(self, place: Place, instance: str, log: FilteringBoundLogger) -> None:
        self._place, self._instance, self._log = place, instance, log
        self._lock = trio.Lock()  # the notes are written in the order in which things were ordered
        self._waiting: dict[str, tuple[bytes, str]] = {}  # content, and what it is for people
        self.known_halt: HaltNote | None = None  # what this engine knows of halts

    async def note_halt(self, why: str, at_us: int) -> None:
        at = to_iso(at_us)
        self.known_halt = note = HaltNote(halted=True, at=at, halted_at=at, why=why, instance=self._instance)
        await self._save_soon(HALT, msgspec.json.encode(note), f"the halt of {at}")

    async def note_cancel(self, execution_id: str, accepted_at_us: int, at_us: int) -> None:
        name, note = self._note_of("cancel", execution_id, accepted_at_us, at_us)
        await self._save_soon(name, msgspec.json.encode(note), f"the cancel of {execution_id}, ordered at {note.at}")

    async def note_taking_up(self, execution_id: str, accepted_at_us: int, at_us: int) -> None:
        name, note = self._note_of("resume", execution_id, accepted_at_us, at_us)
        try:
            async with self._lock:
                await save_over(self._place, name, msgspec.json.encode(note))
        except ExecError as error:
            raise _not_noted(error) from error

    async def note_resume(self, at_us: int) -> None:
        try:
            async with self._lock:
                there = await load_halt_note(self._place)
                if there is not None and there.halted and there.instance != self._instance and there != self.known_halt:
                    self.known_halt = there
                    raise NotNoted(
                        f"another halt was ordered at {there.at}: {there.why}; resume again if that is over too"
                    )
                halts = [note.halted_at for note in (there, self.known_halt) if note is not None]
                note = HaltNote(
                    halted=False, at=to_iso(at_us), halted_at=max(halts, default=""), why="", instance=self._instance
                )
                self._waiting.pop(HALT, None)
                await save_over(self._place, HALT, msgspec.json.encode(note))
                self.known_halt = note
        except PlaceUnreachable as error:
            raise _not_noted(error) from error

    def unnoted(self) -> list[str]:
        return [words for _, words in self._waiting.values()]

    async def run(self) -> None:
        """Try again what could not be noted, for ever."""
        while True:
            await trio.sleep(AGAIN_AFTER_S)
            if self._waiting:
                await self._save_waiting()

    def _note_of(
        self, command: Literal["cancel", "resume"], execution_id: str, accepted_at_us: int, at_us: int
    ) -> tuple[str, ExecutionNote]:
        note = ExecutionNote(
            command=command,
            execution_id=execution_id,
            accepted_at=to_iso(accepted_at_us),
            at=to_iso(at_us),
            instance=self._instance,
        )
        return note_name(command, execution_id, accepted_at_us), note

    async def _save_soon(self, name: str, content: bytes, words: str) -> None:
        """Save a note if that can be done within a second; otherwise it waits for `run`."""
        self._waiting.pop(name, None)  # the newest comes last
        self._waiting[name] = content, words
        with trio.move_on_after(NOTED_WITHIN_S):
            await self._save_waiting()

    async def _save_waiting(self) -> None:
        async with self._lock:
            for name, waiting in list(self._waiting.items()):
                try:
                    await save_over(self._place, name, waiting[0])
                except ExecError as error:
                    self._log.warning("command_not_noted", what=waiting[1], why=str(error))
                    return  # the place is one for all of them
                if self._waiting.get(name) is waiting:
                    del self._waiting[name]


def _not_noted(error: ExecError) -> NotNoted:
    return NotNoted(f"it cannot be noted for the standby, and might be lost with this host: {error}; try again")
