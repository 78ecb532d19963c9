"""Two kinds of event for a crowd: one that costs nothing while nobody waits, one that lets thousands pass in turn."""

from __future__ import annotations

from typing import Protocol

import trio

GATE_BATCH = 64


class Waitable(Protocol):
    """What an execution waits for when it has taken in what it missed, before it acts."""

    async def wait(self) -> None: ...


class LazyEvent:
    """What trio.Event is, for what is rarely waited for: it has no waiting room until somebody comes. Every execution
    has two, and thousands idle at once."""

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


class StaggeredGate:
    """Shut until it is opened. Then those who wait pass a few at a time: between them the loop reads what has arrived
    and serves whoever asks, however many there are."""

    def __init__(self) -> None:
        self._is_open = False
        self._waiting = trio.lowlevel.ParkingLot()

    async def open(self) -> None:
        """Returns when all have passed that waited."""
        self._is_open = True
        while self._waiting:
            self._waiting.unpark(count=GATE_BATCH)
            await trio.lowlevel.checkpoint()

    async def wait(self) -> None:
        """Until it is open."""
        if self._is_open:
            await trio.lowlevel.checkpoint()
        else:
            await self._waiting.park()
