"""What trio.Event is, for what is rarely waited for: it has no waiting room until somebody comes.

Every execution has two of these, and thousands idle at once.
"""

from __future__ import annotations

import trio


class Latch:
    __slots__ = ("_is_set", "_waited_for")

    def __init__(self) -> None:
        self._is_set = False
        self._waited_for: trio.Event | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        """Let everybody go on who waits, now and later."""
        self._is_set = True
        if self._waited_for is not None:
            self._waited_for.set()
            self._waited_for = None

    async def wait(self) -> None:
        """Until it is set. A checkpoint, also if it is."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            return
        if self._waited_for is None:
            self._waited_for = trio.Event()
        await self._waited_for.wait()
