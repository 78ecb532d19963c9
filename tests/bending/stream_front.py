"""The streaming half of the proxy: a WebSocket from a client, and one of its own to the exchange.

Pings are answered by either end for itself, so a stream whose frames are all dropped still looks alive, as a stream
does that has nothing to tell; `Bends.stall` is for one that is dead.
"""

from __future__ import annotations

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_server_stream,
)

from fsm_exec.kalshi.websocket_dial import Dial, FrameConnection
from tests.bending.bends import Bends, Cut, Deliver, Frame, Line, Reply, Request
from tests.bending.http_front import OF_ONE_CONNECTION

HANDSHAKE_S = 60
CLOSE_S = 1
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
GONE = (
    ConnectionClosed,
    Cut,
    HandshakeError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,  # killed, or stopped, in the middle of the handshake
)
OF_THE_HANDSHAKE = OF_ONE_CONNECTION | {
    b"upgrade",
    b"sec-websocket-key",
    b"sec-websocket-version",
    b"sec-websocket-extensions",
}


class StreamFront:
    """Serves connections; one instance for all of them. `dial` leads to the exchange."""

    def __init__(self, bends: Bends, dial: Dial) -> None:
        self._bends, self._dial = bends, dial

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, to its end."""
        line = _Stallable(stream, self._bends)
        try:
            async with trio.open_nursery() as nursery:
                await self._serve(nursery, line)
                nursery.cancel_scope.cancel()
        except* GONE:
            pass  # either end has gone, or a bend cut it
        finally:
            with trio.CancelScope(shield=True):
                await line.reset()

    async def _serve(self, nursery: trio.Nursery, stream: trio.abc.Stream) -> None:
        upstream: FrameConnection | None = None

        async def dial(request: Request) -> Reply:
            nonlocal upstream
            refusals: list[ConnectionRejected] = []
            try:
                upstream = await nursery.start(self._upstream, list(request.headers))
            except* ConnectionRejected as group:
                refusals = [error for error in group.exceptions if isinstance(error, ConnectionRejected)]
            if upstream is None:
                return _refused(refusals[0])
            return Reply(101)

        with trio.fail_after(HANDSHAKE_S):
            asked = await wrap_server_stream(nursery, stream, max_message_size=MESSAGE_BYTES_MAX)
            headers = tuple(pair for pair in asked.headers if pair[0].lower() not in OF_THE_HANDSHAKE)
            request = Request("GET", asked.path, headers)
        reply = await self._bends.pass_handshake(request, dial)
        if reply.status != 101 or upstream is None:
            await asked.reject(reply.status, extra_headers=list(reply.headers), body=reply.body)
            return
        client = await asked.accept()
        await self._carry(nursery, client, upstream)
        with trio.move_on_after(CLOSE_S):
            await client.aclose()

    async def _upstream(
        self, headers: list[tuple[bytes, bytes]], task_status: trio.TaskStatus[FrameConnection]
    ) -> None:
        """A connection to the exchange, with a nursery of its own: a refusal is raised by the connection's task."""
        async with trio.open_nursery() as nursery:
            task_status.started(await self._dial(nursery, headers))
            await trio.sleep_forever()

    async def _carry(self, nursery: trio.Nursery, client: WebSocketConnection, exchange: FrameConnection) -> None:
        """Until either end closes or the line is cut."""
        over = trio.Event()

        def cut() -> None:
            nursery.cancel_scope.cancel()

        async def deliver(text: str | bytes) -> None:
            try:
                await client.send_message(text)
            except ConnectionClosed:
                over.set()

        line = Line(deliver, cut)
        self._bends.lines.add(line)
        try:
            nursery.start_soon(self._frames, nursery, exchange, deliver, over)
            nursery.start_soon(self._commands, nursery, client, exchange, over)
            await over.wait()
        finally:
            self._bends.lines.discard(line)

    async def _frames(
        self, nursery: trio.Nursery, exchange: FrameConnection, deliver: Deliver, over: trio.Event
    ) -> None:
        try:
            while True:
                await self._bends.pass_frame(Frame(await exchange.get_message(), nursery.start_soon), deliver)
        except ConnectionClosed:
            over.set()

    async def _commands(
        self, nursery: trio.Nursery, client: WebSocketConnection, exchange: FrameConnection, over: trio.Event
    ) -> None:
        try:
            while True:
                command = Frame(await client.get_message(), nursery.start_soon)
                await self._bends.pass_command(command, exchange.send_message)
        except ConnectionClosed:
            over.set()


class _Stallable(trio.abc.Stream):
    """A stream that carries nothing while the bends are stalled, in either direction."""

    def __init__(self, inner: trio.abc.Stream, bends: Bends) -> None:
        self._inner, self._bends = inner, bends

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._bends.until_unstalled()
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        await self._bends.until_unstalled()
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def reset(self) -> None:
        """Close without a word. Of sockets and of memory."""
        await trio.aclose_forcefully(self._inner)


def _refused(refusal: ConnectionRejected) -> Reply:
    kept = tuple((name, value) for name, value in refusal.headers or () if name.lower() not in OF_ONE_CONNECTION)
    return Reply(refusal.status_code, refusal.body or b"", kept)
