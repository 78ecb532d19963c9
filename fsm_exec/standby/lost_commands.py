"""What a person ordered of another engine of the pair and this database does not have: it is done here, and said.

A halt stands before the engine is there, so nothing is placed first; an execution that was cancelled, or that a halt
ended which was lifted since, is told to end before it has begun to recover. What is ordered of an engine that does not
lead any more, or noted where none runs, is found later and done by the one that leads. An execution is never taken up
out of its quarantine here: that is said, for a person to look.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, Protocol

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import ExecError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.standby.command_notes import (
    FOLDER,
    HALT,
    CommandKeeper,
    ExecutionNote,
    HaltNote,
    load_execution_note,
    load_execution_notes,
    load_halt_note,
    note_name,
)
from fsm_exec.standby.places.place import Place, PlaceUnreachable

KEPT_US: Final = 7 * 86_400 * US_PER_S
TIDY_EVERY_S: Final = 3_600.0
ENDED_WITHIN_US: Final = 60 * US_PER_S  # after a halt the endings of all executions are durable, at the latest


class CommandStore(Protocol):
    """The part of a database that knows how it stands with halts."""

    @property
    def instance(self) -> str: ...
    async def load_beat(self) -> str | None:
        """The newest sign of life in it."""
        ...

    async def load_halted_at(self) -> str | None: ...
    async def save_halt(self, at_us: int, why: str | None) -> None: ...
    async def load_acceptance(self, execution_id: str) -> str | None:
        """When the execution was accepted; None: there is none of that name here."""
        ...


class LostCommands:
    """Looks for what was ordered in the notes of `place`. `keeper` is the one of the engine on `store`."""

    def __init__(
        self, place: Place, store: CommandStore, keeper: CommandKeeper, wall: WallClock, log: FilteringBoundLogger
    ) -> None:
        self._place, self._store, self._keeper, self._wall, self._log = place, store, keeper, wall, log
        self._notes: dict[str, ExecutionNote] = {}  # as they were at the start
        self._ended_before = ""  # executions accepted until then were ended by a halt that the database may not have
        self._seen: set[str] = set()
        self._tidied_s = -TIDY_EVERY_S

    async def load(self) -> list[str]:
        """Load the notes at a start, before the first sign of life is saved; the database stands with halts as they
        say when this returns. Returns a line about each halt or resume that it did not have. Raises PlaceUnreachable
        and StoreFailed."""
        await self._delete_old()
        self._notes = await load_execution_notes(self._place)
        self._seen.update(self._notes)
        note = self._keeper.known_halt = await self._load_halt_note()
        beat, halted_at = await self._store.load_beat(), await self._store.load_halted_at()
        if note is None:
            return []
        if note.halted:
            if halted_at is not None:
                return []
            await self._store.save_halt(self._wall.now_us(), _why(note))
            return [f"{_whose(note)}: the halt of {note.at} ({note.why}): this engine is halted"]
        if beat is None or note.halted_at >= to_iso(from_iso(beat) - ENDED_WITHIN_US):
            self._ended_before = note.halted_at
        if halted_at is None or halted_at > note.at or note.instance == self._store.instance:
            return []
        await self._store.save_halt(self._wall.now_us(), None)
        return [f"{_whose(note)}: that work is accepted again, ordered at {note.at}: it is"]

    async def _load_halt_note(self) -> HaltNote | None:
        """Load how it stands with halts. A note that alone cannot be read counts as a halt. Raises PlaceUnreachable
        when nothing can be read."""
        try:
            return await load_halt_note(self._place)
        except PlaceUnreachable as error:
            await self._place.load_names(FOLDER)
            return HaltNote(halted=True, at=to_iso(self._wall.now_us()), halted_at="", why=str(error))

    def apply(self, engine: Engine) -> list[str]:
        """Tell the executions at work to end that were ordered to, before they have begun; return a line about each."""
        lines = []
        for execution in engine.executions_at_work():
            why = self._why_ended(execution)
            if why is not None:
                engine.end_execution(execution.execution_id, "halt" if why.startswith("the halt") else "user")
                lines.append(f"not in this database: {why}: {execution.execution_id} is ended now")
        return lines

    def _why_ended(self, execution: Execution) -> str | None:
        if execution.ending is not None or execution.is_ended:
            return None
        name, accepted_at = execution.execution_id, to_iso(execution.accepted_at_us)
        cancel = self._notes.get(note_name("cancel", name, execution.accepted_at_us))
        if cancel is not None:
            return f"the cancel of {name}, ordered at {cancel.at}"
        taken_up = self._notes.get(note_name("resume", name, execution.accepted_at_us))
        was_halted = accepted_at <= self._ended_before and (taken_up is None or taken_up.at < self._ended_before)
        return f"the halt of {self._ended_before}, which was lifted since" if was_halted else None

    async def apply_to_quarantined(self, engine: Engine) -> list[str]:
        """End the quarantined executions that were ordered to end, and say which were to be taken up, once the engine
        runs. Raises StoreFailed."""
        lines = []
        for name, note in self._notes.items():
            if note.execution_id not in engine.quarantined() or not await self._is_of(note):
                continue
            if note.command == "cancel":
                lines.append(await self._cancel(engine, note))
            elif note.instance != self._store.instance:
                lines.append(
                    f"{note.execution_id} was taken up again on the other host at {note.at}, and is quarantined here; "
                    f"see: fsm-exec show {note.execution_id}, and resume it again"
                )
                with suppress(ExecError):
                    await self._place.delete(name)
        return lines

    async def look(self, engine: Engine) -> list[str]:
        """Do what was ordered elsewhere since the last look; return a line about each. Raises PlaceUnreachable and
        StoreFailed."""
        lines = []
        halt = await load_halt_note(self._place)
        is_foreign = halt is not None and halt.instance != self._store.instance
        if halt is not None and halt.halted and is_foreign and halt != self._keeper.known_halt:
            self._keeper.known_halt = halt
            engine.halt(_why(halt))
            await self._store.save_halt(self._wall.now_us(), _why(halt))
            lines.append(f"ordered elsewhere: the halt of {halt.at} ({halt.why}): this engine is halted")
        if trio.current_time() - self._tidied_s >= TIDY_EVERY_S:
            await self._delete_old()
        names = [name for name in await self._place.load_names(FOLDER) if name != HALT]
        for name in names:
            if name in self._seen:
                continue
            note = await load_execution_note(self._place, name)
            is_foreign = note is not None and note.instance != self._store.instance
            if note is not None and is_foreign and note.command == "cancel" and await self._is_of(note):
                actor = engine.actors.get(note.execution_id)
                is_at_work = actor is not None and actor.execution.ending is None
                if is_at_work or note.execution_id in engine.quarantined():
                    lines.append(await self._cancel(engine, note))
            self._seen.add(name)
        self._seen.intersection_update(names)
        return lines

    async def _is_of(self, note: ExecutionNote) -> bool:
        """Whether the note is about an execution of this database, and not of one that was there before."""
        return await self._store.load_acceptance(note.execution_id) == note.accepted_at

    async def _cancel(self, engine: Engine, note: ExecutionNote) -> str:
        said = f"ordered elsewhere: the cancel of {note.execution_id}, at {note.at}"
        try:
            await engine.cancel(note.execution_id)
        except ExecError as error:
            self._log.error("cancel_not_done", execution=note.execution_id, why=str(error))
            return f"{said}: {error}"
        return f"{said}: it is ended now"

    async def _delete_old(self) -> None:
        """Delete the notes that a standby would have deleted long ago, if one followed: they must not pile up."""
        self._tidied_s = trio.current_time()
        before = to_iso(self._wall.now_us() - KEPT_US)
        for name, note in (await load_execution_notes(self._place)).items():
            if note.at < before:
                await self._place.delete(name)


def _whose(note: HaltNote) -> str:
    return "not in this database" if note.instance else "ordered where no engine ran"


def _why(note: HaltNote) -> str:
    return f"ordered elsewhere at {note.at}: {note.why}"
