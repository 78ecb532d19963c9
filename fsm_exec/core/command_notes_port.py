"""Notes of what a person orders of the engine, kept outside of the database: a copy of that may be behind.

What stops something is done first, and waits for no note: `unnoted` says what a takeover may not know of.
"""

from __future__ import annotations

from typing import Protocol


class CommandNotes(Protocol):
    """Times are microseconds since 1970, by the engine's wall clock."""

    async def note_halt(self, why: str, at_us: int) -> None:
        """Note that the engine halted. Returns within a second; what is not durable by then is tried again."""
        ...

    async def note_resume(self, at_us: int) -> None:
        """Note that the engine is about to accept work again; return once that is durable. Raises NotNoted, also for a
        halt that was ordered elsewhere and that this engine has not heard of."""
        ...

    async def note_cancel(self, execution_id: str, accepted_at_us: int, at_us: int) -> None:
        """Note that an execution is to end. Returns as `note_halt` does."""
        ...

    async def note_taking_up(self, execution_id: str, accepted_at_us: int, at_us: int) -> None:
        """Note that a quarantined execution is about to be taken up again; return once that is durable. Raises
        NotNoted."""
        ...

    def unnoted(self) -> list[str]:
        """Return what was ordered and is not durable beside the record, one line each."""
        ...
