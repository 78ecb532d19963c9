"""Two kinds of event for thousands of waiters: one that costs nothing while it is not waited for, one that releases
waiters in batches."""

from __future__ import annotations

from typing import Protocol

import trio

GATE_BATCH = 64


class Waitable(Protocol):
    """What an execution waits for after it has caught up and before it acts."""

    async def wait(self) -> None: ...


class LazyEvent:
    """A trio.Event that allocates its waiting room only when a task waits. Every execution has two, and thousands idle
    at once."""

    __slots__ = ("_is_set", "_waited_for")

    def __init__(self) -> None:
        self._is_set = False
        self._waited_for: trio.Event | None = None

    def is_set(self) -> bool:
        """Return whether `set` has been called."""
        return self._is_set

    def set(self) -> None:
        """Release all waiters, present and future."""
        self._is_set = True
        if self._waited_for is not None:
            self._waited_for.set()
            self._waited_for = None

    async def wait(self) -> None:
        """Wait until it is set. A checkpoint even if it is already."""
        if self._is_set:
            await trio.lowlevel.checkpoint()
            return
        if self._waited_for is None:
            self._waited_for = trio.Event()
        await self._waited_for.wait()


class StaggeredGate:
    """A gate that is closed until `open`, then releases its waiters in small batches: between two batches the event
    loop reads what has arrived and answers requests, however many wait."""

    def __init__(self) -> None:
        self._is_open = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def open(self) -> None:
        """Open the gate; return when all that waited have passed."""
        self._is_open = True
        while self._waiting:
            self._waiting.unpark(count=GATE_BATCH)
            await trio.lowlevel.checkpoint()

    async def wait(self) -> None:
        """Wait until the gate is open."""
        if self._is_open:
            await trio.lowlevel.checkpoint()
        else:
            await self._waiting.park()
