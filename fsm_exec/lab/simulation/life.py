"""An engine's life: a process that can be killed, in a world that goes on.

Cancelling a task still lets every `finally` save and send, and nothing in Python stops it. So every way out of the
engine passes a door of its life first (the crash points of `core.journal.crashpoints`, the transport, the frames'
stream, the disk), and once the life is over each of them raises LifeOver: what still runs is powerless. Doors are
numbered as they are passed, so "dies at door n" names one moment of a history exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import trio

from fsm_exec.core.journal import crashpoints


class LifeOver(BaseException):
    """The process is dead: no handler of errors may catch this, as none could catch SIGKILL."""


class Power(Protocol):
    """What a life goes on by."""

    async def wait_on(self) -> None: ...


class Life:
    """`number` counts the lives of one world. Everything of the engine runs in `scope`, in a context where `LIFE` is
    this object. `power` is that of the machine on which it is lived."""

    def __init__(self, number: int, power: Power) -> None:
        self.number, self._power = number, power
        self.scope = trio.CancelScope()
        self.over = trio.Event()
        self.doors = 0
        self.died_at: str | None = None
        self._dies_at: int | None = None
        self._dies_where = ""
        self._goodbyes: list[Callable[[], None]] = []
        self._sockets: list[Callable[[], None]] = []

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def die_in(self, doors: int, where: str = "") -> None:
        """Die at the `doors`-th door from now on, counting only those called `where`, if that is said; 0: not."""
        self._dies_at, self._dies_where = (doors or None), where

    def inherit(self, before: Life) -> None:
        """A death that was waiting for a door the life before did not pass any more waits for it here."""
        if before.died_at is not None and before._dies_at:
            self._dies_at, self._dies_where = before._dies_at, before._dies_where

    def door(self, name: str) -> None:
        """Pass a door. Raises LifeOver if the life is over, or ends here."""
        if self.is_over:
            raise LifeOver
        self.doors += 1
        if self._dies_at is None or self._dies_where not in ("", name):
            return
        self._dies_at -= 1
        if self._dies_at == 0:
            self.end(name)
            raise LifeOver

    async def wait_on(self) -> None:
        """Wait while the machine is frozen. Raises LifeOver if the life was over then."""
        await self._power.wait_on()
        if self.is_over:
            raise LifeOver

    def add_socket(self, hang_up: Callable[[], None]) -> None:
        """Have a connection closed by `hang_up` at the end, or when the network breaks before."""
        self.at_the_end(hang_up)
        self._sockets.append(hang_up)

    def hang_up(self) -> None:
        """The other ends of all connections have gone."""
        for hang_up in self._sockets:
            hang_up()
        self._sockets.clear()

    def at_the_end(self, goodbye: Callable[[], None]) -> None:
        """Have what the kernel does for a dead process done: sockets closed, locks released."""
        if self.is_over:
            goodbye()
        else:
            self._goodbyes.append(goodbye)

    def end(self, where: str) -> None:
        """The process is gone, now."""
        if self.is_over:
            return
        self.died_at = where
        self.over.set()
        for goodbye in self._goodbyes:
            goodbye()
        self.scope.cancel()


LIFE: ContextVar[Life | None] = ContextVar("LIFE", default=None)


@contextmanager
def doors_at_crash_points() -> Iterator[set[str]]:
    """Every crash point is a door of the life in whose context it is visited. Gives the names visited."""
    visited: set[str] = set()

    def visit(name: crashpoints.PointName) -> None:
        life = LIFE.get()
        if life is not None:
            visited.add(name)
            life.door(name)

    before = crashpoints.install(visit)
    try:
        yield visited
    finally:
        crashpoints.install(before)
