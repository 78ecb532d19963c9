"""The REST half of the proxy: HTTP/1.1 from a client, through the bends, to the exchange.

The client's side is h11 over a bare socket, because a connection has to be cut in the middle of an answer, and answered
twice; no server would do either.
"""

from __future__ import annotations

from contextlib import suppress

import h11
import httpx
import trio

from tests.bending.bends import Bends, Cut, Forward, Reply, Request

GONE = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError)
OF_ONE_CONNECTION = frozenset({b"host", b"connection", b"keep-alive", b"content-length", b"transfer-encoding"})
BYTES = 65_536
RESET_AT_CLOSE = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # lingering for nothing: the kernel answers with a reset


class HttpFront:
    """Serves connections; one instance for all of them."""

    def __init__(self, bends: Bends, forward: Forward) -> None:
        self._bends, self._forward = bends, forward

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, to its end."""
        connection = h11.Connection(h11.SERVER)
        with suppress(*GONE):
            async with stream:
                while (request := await _next_request(connection, stream)) is not None:
                    try:
                        reply = await self._bends.pass_request(request, self._forward)
                    except Cut as cut:
                        if cut.reply is not None:
                            head, body = _written(connection, cut.reply)
                            await stream.send_all(head + body[: len(body) // 2])
                        reset(stream)
                        return
                    head, body = _written(connection, reply)
                    await stream.send_all((head + body) * reply.copies)
                    if connection.our_state is not h11.DONE:
                        return
                    connection.start_next_cycle()


def forward_over(http: httpx.AsyncClient) -> Forward:
    """To the exchange and back. An exchange that is not there is a cut."""

    async def forward(request: Request) -> Reply:
        headers = [pair for pair in request.headers if pair[0].lower() not in OF_ONE_CONNECTION]
        url = http.base_url.copy_with(raw_path=request.target.encode("ascii"))
        try:
            answer = await http.request(request.method, url, headers=headers, content=request.body)
        except httpx.TransportError:
            raise Cut from None
        kept = [pair for pair in answer.headers.raw if pair[0].lower() not in OF_ONE_CONNECTION]
        return Reply(answer.status_code, answer.content, tuple(kept))

    return forward


def reset(stream: trio.SocketStream) -> None:
    """End a connection as a crash does."""
    with suppress(OSError, trio.ClosedResourceError):
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET_AT_CLOSE)
    stream.socket.close()


async def _next_request(connection: h11.Connection, stream: trio.SocketStream) -> Request | None:
    """None: the client has gone."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            return Request(head.method.decode(), head.target.decode(), tuple(head.headers.raw_items()), bytes(body))
        else:
            return None


def _written(connection: h11.Connection, reply: Reply) -> tuple[bytes, bytes]:
    """Head and body as they go over the wire."""
    headers = [pair for pair in reply.headers if pair[0].lower() not in OF_ONE_CONNECTION]
    headers.append((b"content-length", str(len(reply.body)).encode()))
    head = connection.send(h11.Response(status_code=reply.status, headers=headers))
    body = connection.send(h11.Data(data=reply.body))
    end = connection.send(h11.EndOfMessage())
    return head or b"", (body or b"") + (end or b"")
