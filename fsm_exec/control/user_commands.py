"""What a person orders of the engine: to end an execution or take it up again, to halt, to accept work again.

Where a standby follows, each is noted beside the lease record before it is acknowledged. A halt and a cancel depend on
nothing that may be down: they are done at once, and their answers say what could not be noted.
"""

from __future__ import annotations

import trio

from fsm_exec.control import api_errors
from fsm_exec.control.schema import Acknowledged, ExecutionSummary
from fsm_exec.core.errors import ExecError
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.values.times import from_iso
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.store import SqliteStore


class UserCommands:
    """Each raises Refusal and what the engine raises."""

    def __init__(self, engine: Engine, store: SqliteStore, wall: WallClock) -> None:
        self._engine, self._store, self._wall = engine, store, wall
        self._halts = 0

    def not_noted(self) -> list[str]:
        """Return what a takeover may not know of, one line each."""
        return [] if self._engine.commands is None else self._engine.commands.unnoted()

    async def cancel(self, execution: ExecutionSummary) -> Acknowledged:
        """End an execution."""
        name = execution.execution_id
        if execution.state in EXECUTION_ENDS:
            raise api_errors.conflict(f"execution {name} has ended already ({execution.state})")
        failure: ExecError | None = None
        async with trio.open_nursery() as nursery:
            if (notes := self._engine.commands) is not None and (accepted_us := _accepted_us(execution)) is not None:
                nursery.start_soon(notes.note_cancel, name, accepted_us, self._wall.now_us())
            try:
                await self._engine.cancel(name)
            except ExecError as error:
                failure = error
        if failure is not None:
            raise failure
        return Acknowledged(execution_id=name, state=execution.state, not_noted=self.not_noted())

    async def resume_execution(self, execution: ExecutionSummary) -> Acknowledged:
        """Take a quarantined execution up again. Raises NotNoted too."""
        name = execution.execution_id
        if execution.quarantine is None:
            raise api_errors.conflict(f"execution {name} is not quarantined, it is {execution.state}")
        if (notes := self._engine.commands) is not None and (accepted_us := _accepted_us(execution)) is not None:
            await notes.note_taking_up(name, accepted_us, self._wall.now_us())
        await self._engine.resume_execution(name)
        return Acknowledged(execution_id=name, state=execution.state, not_noted=self.not_noted())

    async def halt(self) -> None:
        """End every execution, and accept none."""
        self._halts += 1
        self._engine.halt()
        await self._engine.keep_halt(self._store)

    async def resume(self) -> None:
        """Accept executions again. Raises NotNoted too."""
        self._engine.require_resumable()
        halts = self._halts
        if (notes := self._engine.commands) is not None:
            await notes.note_resume(self._wall.now_us())
            if self._halts != halts:  # while it was noted: a halt wins
                await self._engine.keep_halt(self._store)
                raise api_errors.conflict("the engine was halted again meanwhile; resume it if that is over too")
        self._engine.resume()
        await self._store.save_halt(self._wall.now_us(), None)


def _accepted_us(execution: ExecutionSummary) -> int | None:
    """Return when it was accepted; None for a damaged row, which says no time."""
    try:
        return from_iso(execution.accepted_at)
    except ValueError:
        return None
