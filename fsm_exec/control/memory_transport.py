"""The transport leads httpx to an ASGI application in this process. Its answers stream; httpx's own transport waits for
their end.

Nothing here waits for a socket or a thread, so it all happens on whatever clock trio has.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import trio
from starlette.types import ASGIApp, Message


class MemoryTransport(httpx.AsyncBaseTransport):
    """Runs `app` in `nursery`, a task for each request."""

    def __init__(self, nursery: trio.Nursery, app: ASGIApp) -> None:
        self._nursery, self._app = nursery, app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _AsgiCall(request, await request.aread())
        self._nursery.start_soon(call.run, self._app)
        await call.begun.wait()
        if call.start is None:
            raise httpx.RemoteProtocolError("the application ended without an answer", request=request)
        start = call.start
        return httpx.Response(start["status"], headers=start["headers"], stream=_Body(call), request=request)


class _AsgiCall:
    """One request, and its answer as it comes."""

    def __init__(self, request: httpx.Request, body: bytes) -> None:
        self._request, self._body = request, body
        self._is_sent = False
        self._send_chunk, self.chunks = trio.open_memory_channel[bytes](0)
        self.scope = trio.CancelScope()
        self.begun = trio.Event()
        self.start: Message | None = None

    async def run(self, app: ASGIApp) -> None:
        url = self._request.url
        environ = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": self._request.method,
            "headers": [(name.lower(), value) for name, value in self._request.headers.raw],
            "scheme": url.scheme,
            "path": url.path,
            "raw_path": url.raw_path.split(b"?")[0],
            "query_string": url.query,
            "server": (url.host, url.port),
            "client": None,
            "root_path": "",
        }
        try:
            with self.scope, self._send_chunk:
                await app(environ, self._receive, self._send)
        finally:
            self.begun.set()

    async def _receive(self) -> Message:
        if self._is_sent:
            await trio.sleep_forever()  # a caller that goes cancels the whole call
        self._is_sent = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            self.begun.set()
        elif message.get("body"):
            await self._send_chunk.send(message["body"])


class _Body(httpx.AsyncByteStream):
    def __init__(self, call: _AsgiCall) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with suppress(trio.ClosedResourceError):  # closed by its reader: there is no more
            async for chunk in self._call.chunks:
                yield chunk

    async def aclose(self) -> None:
        self._call.scope.cancel()
        self._call.chunks.close()
