"""What leaves a simulated engine: requests and frames, past the doors of its life.

A request that has been handed over arrives whatever becomes of its sender; an answer to a dead one is lost.
When a life ends its streams are closed, as the kernel closes a dead process's sockets.
"""

from __future__ import annotations

from collections.abc import Callable

import httpx
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream
from trio_websocket import WebSocketConnection

from fsm_exec.kalshi.websocket_dial import Dial
from fsm_exec.lab.simulation.history import History
from fsm_exec.lab.simulation.life import Life, LifeOver
from fsm_exec.paper.server.hosting import MEMORY_HOST, MemoryHost, open_websocket

Sending = Callable[[httpx.Request], None]


class DoorTransport(httpx.AsyncBaseTransport):
    """The exchange's transport within one life. `sending` looks at each request just before it is handed over."""

    def __init__(self, inner: httpx.AsyncBaseTransport, life: Life, history: History, sending: Sending) -> None:
        self._inner, self._life, self._history, self._sending = inner, life, history, sending
        self._requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._life.is_over:
            raise LifeOver
        self._requests += 1
        number = f"{self._life.number}.{self._requests}"
        path = request.url.raw_path.decode("ascii")
        self._history.add("request", number, request.method, path, request.content.decode())
        self._sending(request)
        response = await self._inner.handle_async_request(request)
        self._life.door("answer.arrives")
        self._history.add("answer", number, response.status_code, response.content.decode())
        return response


def dial_in_memory(host: MemoryHost, life: Life) -> Dial:
    """A dial whose connections belong to `life`."""

    async def dial(nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        life.door("dial")
        return await open_websocket(nursery, _DoorStream(host.connect(), life), MEMORY_HOST, headers)

    return dial


class _DoorStream(trio.abc.Stream):
    """The client's end of a connection."""

    def __init__(self, inner: trio.abc.Stream, life: Life) -> None:
        self._inner, self._life = inner, life
        life.at_the_end(self._hang_up)

    def _hang_up(self) -> None:
        assert isinstance(self._inner, trio.StapledStream)
        for end in (self._inner.send_stream, self._inner.receive_stream):
            assert isinstance(end, MemorySendStream | MemoryReceiveStream)  # these close without waiting
            end.close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._life.door("frame")
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received = await self._inner.receive_some(max_bytes)
        if self._life.is_over:
            raise LifeOver
        return received

    async def aclose(self) -> None:
        await self._inner.aclose()
