"""What a person orders of the engine: to end an execution or take it up again, to halt, to accept work again."""

from __future__ import annotations

from fsm_exec.control import api_errors
from fsm_exec.control.schema import Acknowledged, ExecutionSummary
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.store import SqliteStore


class UserCommands:
    """Each raises Refusal and what the engine raises."""

    def __init__(self, engine: Engine, store: SqliteStore, wall: WallClock) -> None:
        self._engine, self._store, self._wall = engine, store, wall

    async def cancel(self, execution: ExecutionSummary) -> Acknowledged:
        """End an execution."""
        if execution.state in EXECUTION_ENDS:
            raise api_errors.conflict(f"execution {execution.execution_id} has ended already ({execution.state})")
        await self._engine.cancel(execution.execution_id)
        return Acknowledged(execution_id=execution.execution_id, state=execution.state)

    async def resume_execution(self, execution: ExecutionSummary) -> Acknowledged:
        """Take a quarantined execution up again."""
        name = execution.execution_id
        if execution.quarantine is None:
            raise api_errors.conflict(f"execution {name} is not quarantined, it is {execution.state}")
        await self._engine.resume_execution(name)
        return Acknowledged(execution_id=name, state=execution.state)

    async def halt(self) -> None:
        """End every execution, and accept none."""
        self._engine.halt()
        await self._store.save_halt(self._wall.now_us(), self._engine.status().why_halted or "asked to")

    async def resume(self) -> None:
        """Accept executions again."""
        self._engine.resume()
        await self._store.save_halt(self._wall.now_us(), None)
