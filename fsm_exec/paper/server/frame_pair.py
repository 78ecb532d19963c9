"""A connection within one process that carries whole frames: what a WebSocket carries, without its bytes.

A frame put in is there at once. A ping is answered as long as the other end is open.
"""

from __future__ import annotations

from collections import deque

import trio
from trio_websocket import CloseReason, ConnectionClosed

NORMAL_CLOSURE = 1_000


class FrameEnd:
    """One of two ends; each has one reader. Everything raises ConnectionClosed once either end is closed, but for
    frames that came before that."""

    def __init__(self) -> None:
        self._other: FrameEnd = self
        self._came: deque[str | bytes] = deque()
        self._reader: trio.lowlevel.Task | None = None
        self._closed = False

    @classmethod
    def pair(cls) -> tuple[FrameEnd, FrameEnd]:
        """Return two ends that are connected."""
        one, other = cls(), cls()
        one._other, other._other = other, one
        return one, other

    def put(self, frame: str | bytes) -> None:
        """Hand a frame to the other end. After a close nobody reads it."""
        self._other._came.append(frame)
        self._other._wake()

    async def send_message(self, message: str | bytes) -> None:
        """Hand a frame to the other end."""
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise _closed()
        self.put(message)

    async def get_message(self) -> str | bytes:
        """Return the next frame; wait for one."""
        while not self._came:
            if self._closed:
                raise _closed()
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort_wait)
        return self._came.popleft()

    async def ping(self, payload: bytes | None = None) -> None:
        """Return when the other end has answered."""
        del payload
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise _closed()

    async def aclose(self) -> None:
        """Close both ends."""
        self.hang_up()
        await trio.lowlevel.checkpoint()

    def hang_up(self) -> None:
        """Close both ends without waiting, as the kernel does for a process that is killed."""
        for end in (self, self._other):
            end._closed = True
            end._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None

    def _abort_wait(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED


def _closed() -> ConnectionClosed:
    return ConnectionClosed(CloseReason(NORMAL_CLOSURE, None))
