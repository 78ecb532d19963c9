"""The doors of a process on a machine: to its disk, and to the exchange. Once its life is over they are shut."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

import trio

from fsm_exec.core.errors import StoreFailed
from fsm_exec.kalshi.direct_wire import DirectTransport
from fsm_exec.kalshi.websocket_dial import Dial, FrameConnection
from fsm_exec.lab.simulation.life import LIFE, Life, LifeOver
from fsm_exec.paper.server.direct_host import DirectHost
from fsm_exec.paper.server.frame_pair import FrameEnd
from fsm_exec.store.blocking_lane import BlockingLane
from fsm_exec.store.files.open_database import OpenRequest
from fsm_exec.wire.answer import Answer

T = TypeVar("T")


class AlwaysOn:
    """The power of a machine that is never frozen."""

    async def wait_on(self) -> None:
        await trio.lowlevel.checkpoint()


class DoorLane(BlockingLane):
    """The virtual lane on a file, within a life: once that is over nothing more is written."""

    def __init__(self, opening: OpenRequest, life: Life) -> None:
        super().__init__(opening)
        self._life = life

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        token = LIFE.set(self._life)
        try:
            self._life.door("disk")
            return await super().run(function)
        except LifeOver:
            assert self._connection is not None
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise StoreFailed("the process is gone") from None
        finally:
            LIFE.reset(token)


class DoorTransport:
    """Requests within a life: one that was handed over arrives, its answer does not once the life is over."""

    def __init__(self, inner: DirectTransport, life: Life) -> None:
        self._inner, self._life = inner, life

    async def call(
        self, api_key_id: str, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None
    ) -> Answer:
        if self._life.is_over:
            raise LifeOver
        answer = await self._inner.call(api_key_id, method, path, query, body)
        self._life.door("answer.arrives")
        return answer


class _DoorFrames:
    """The client's end of a connection within a life."""

    def __init__(self, end: FrameEnd, life: Life) -> None:
        self._end, self._life = end, life

    async def get_message(self) -> str | bytes:
        frame = await self._end.get_message()
        if self._life.is_over:
            raise LifeOver
        return frame

    async def send_message(self, message: str | bytes) -> None:
        self._life.door("frame")
        await self._end.send_message(message)

    async def ping(self, payload: bytes | None = None) -> None:
        await self._end.ping(payload)

    async def aclose(self) -> None:
        await self._end.aclose()


def dial_within(host: DirectHost, life: Life) -> Dial:
    async def dial(nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> FrameConnection:
        life.door("dial")
        end = await host.dial(nursery, headers)
        life.at_the_end(end.hang_up)
        return _DoorFrames(end, life)

    return dial
