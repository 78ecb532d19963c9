"""Opens the stream's connection: a socket, TLS where the address says so, and the WebSocket handshake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeAlias
from urllib.parse import urlsplit

import trio
import trio_websocket
from trio_websocket import WebSocketConnection

from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.listener_guard import StreamLost
from fsm_exec.kalshi.tls import shared_context, trust_again_after
from fsm_exec.wire.rest import WS_PATH


class FrameConnection(Protocol):
    """What the stream needs of a connection: a WebSocketConnection, or what stands for one. All of it raises
    trio_websocket.ConnectionClosed once the connection has ended."""

    async def get_message(self) -> str | bytes: ...
    async def send_message(self, message: str | bytes) -> None: ...
    async def ping(self, payload: bytes | None = None) -> None: ...
    async def aclose(self) -> object: ...


Dial: TypeAlias = Callable[[trio.Nursery, list[tuple[bytes, bytes]]], Awaitable[FrameConnection]]
"""Opens a connection: its tasks run in the nursery, the headers go with the handshake."""

MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024  # a full snapshot of 10,000 levels takes 300 KB
HANDSHAKE_MAX_BYTES: Final = 256 * 1024  # of an answer to the handshake: a refusal has a body


def dial_url(url: str) -> Dial:
    """Return a dial over real sockets, ws:// or wss://. Raises UserError for any other address, and for trusted
    certificates that cannot be read."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("ws", "wss") or not host:
        raise UserError(f"stream address {url!r}: expected ws://127.0.0.1:PORT{WS_PATH}")
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    tls = shared_context() if secure else None

    async def dial(nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]
        if secure:
            stream = await trio.open_ssl_over_tcp_stream(host, port, https_compatible=True, ssl_context=tls)
        else:
            stream = await trio.open_tcp_stream(host, port)
        nursery.start_soon(_close_when_cancelled, stream)
        if isinstance(stream, trio.SSLStream):
            try:
                await stream.do_handshake()  # here, so that a refused certificate is an error of its own
            except trio.BrokenResourceError as error:
                trust_again_after(error)
                raise
        with trio.CancelScope() as opening:
            bounded = _BoundedStream(stream, opening)
            connection = await trio_websocket.wrap_client_stream(
                nursery,
                bounded,  # type: ignore[arg-type]  # any trio stream works; the library's annotation is narrower
                parts.netloc.rpartition("@")[2],
                parts.path or "/",
                extra_headers=headers,
                max_message_size=MESSAGE_MAX_BYTES,
            )
            bounded.left = None
            return connection
        raise StreamLost(f"the handshake's answer is longer than {HANDSHAKE_MAX_BYTES} bytes")

    return dial


class _BoundedStream(trio.abc.Stream):
    """A stream that breaks, and cancels its opening, if more bytes arrive than any answer to a handshake needs: the
    library would keep them all. `left` None: no bound any more, since messages have their own."""

    def __init__(self, stream: trio.abc.Stream, opening: trio.CancelScope) -> None:
        self._stream, self._opening = stream, opening
        self.left: int | None = HANDSHAKE_MAX_BYTES

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        if self.left is not None:
            self.left -= len(data)
            if self.left < 0:
                self._opening.cancel()
                raise trio.BrokenResourceError
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _close_when_cancelled(stream: trio.abc.AsyncResource) -> None:
    """Close the socket when the connection's nursery ends. The library leaves it open where the other end closed first,
    and where the handshake fails."""
    try:
        await trio.sleep_forever()
    finally:
        await trio.aclose_forcefully(stream)
