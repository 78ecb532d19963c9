"""What leaves a simulated engine: requests and frames, past the doors of its life.

A request that has been handed over arrives whatever becomes of its sender; an answer to a dead one is lost.
When a life ends its streams are closed, as the kernel closes a dead process's sockets. Where the exchange is not
reached, a request does not arrive, or its answer does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream
from trio_websocket import WebSocketConnection

from fsm_exec.kalshi.websocket_dial import Dial
from fsm_exec.lab.simulation.history import History
from fsm_exec.lab.simulation.life import Life
from fsm_exec.paper.server.hosting import MEMORY_HOST, MemoryHost, open_websocket

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.machine import Network

UNREACHED_S = 1.0
Sending = Callable[[httpx.Request], None]


class DoorTransport(httpx.AsyncBaseTransport):
    """The exchange's transport within one life. `sending` looks at each request just before it is handed over."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, life: Life, history: History, sending: Sending, network: Network
    ) -> None:
        self._inner, self._life, self._history, self._sending = inner, life, history, sending
        self._network = network
        self._requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._life.wait_on()
        if not self._network.reaches_exchange:
            await trio.sleep(UNREACHED_S)
            raise httpx.ConnectTimeout("no route", request=request)
        cuts = self._network.cuts
        self._requests += 1
        number = f"{self._life.number}.{self._requests}"
        path = request.url.raw_path.decode("ascii")
        self._history.add("request", number, request.method, path, request.content.decode())
        self._sending(request)
        response = await self._inner.handle_async_request(request)
        await self._life.wait_on()
        if self._network.cuts != cuts:
            raise httpx.ReadError("the connection is gone", request=request)
        self._life.door("answer.arrives")
        self._history.add("answer", number, response.status_code, response.content.decode())
        return response


def dial_in_memory(host: MemoryHost, life: Life, network: Network) -> Dial:
    """A dial whose connections belong to `life`."""

    async def dial(nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        await life.wait_on()
        life.door("dial")
        if not network.reaches_exchange:
            raise OSError("no route")
        return await open_websocket(nursery, _DoorStream(host.connect(), life), MEMORY_HOST, headers)

    return dial


class _DoorStream(trio.abc.Stream):
    """The client's end of a connection."""

    def __init__(self, inner: trio.abc.Stream, life: Life) -> None:
        self._inner, self._life, self._hung_up = inner, life, False
        life.add_socket(self._hang_up)

    def _hang_up(self) -> None:
        self._hung_up = True
        assert isinstance(self._inner, trio.StapledStream)
        for end in (self._inner.send_stream, self._inner.receive_stream):
            assert isinstance(end, MemorySendStream | MemoryReceiveStream)  # these close without waiting
            end.close()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._life.wait_on()
        self._life.door("frame")
        with self._as_the_network_says():
            await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        with self._as_the_network_says():
            received = await self._inner.receive_some(max_bytes)
        await self._life.wait_on()
        return received

    @contextmanager
    def _as_the_network_says(self) -> Iterator[None]:
        """An end that was closed under way is a broken connection for who uses it."""
        try:
            yield
        except trio.ClosedResourceError:
            if self._hung_up:
                raise trio.BrokenResourceError from None
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()
