"""httpx to an ASGI application in the same process, running in a nursery that is not the caller's.

A caller that gives up waiting does not stop the exchange half-way, as it could not over a network: httpx's own
ASGITransport would, for it runs the application in the caller's task. A read time-out is honoured; the others cannot
happen here.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import httpx
import trio
from starlette.types import ASGIApp

SENT = "http11.send_request_body.complete"  # what httpcore reports to a request's `trace` extension


class MemoryTransport(httpx.AsyncBaseTransport):
    def __init__(self, nursery: trio.Nursery, app: ASGIApp) -> None:
        self._nursery = nursery
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _Call(request, await request.aread())
        if self._nursery.cancel_scope.cancel_called:
            raise httpx.ConnectError("the exchange has gone", request=request)
        self._nursery.start_soon(call.run, self._app)
        if (trace := request.extensions.get("trace")) is not None:
            await trace(SENT, {})
        read_s = request.extensions.get("timeout", {}).get("read")
        with trio.CancelScope() as waiting:
            if read_s is not None:
                waiting.deadline = trio.current_time() + read_s
            await call.ended.wait()
        if waiting.cancelled_caught:
            raise httpx.ReadTimeout("no answer in time", request=request)
        if not call.complete:
            raise httpx.RemoteProtocolError("the exchange ended without an answer", request=request)
        return httpx.Response(call.status, headers=call.headers, content=bytes(call.content), request=request)


class _Call:
    """One request and the answer to it."""

    def __init__(self, request: httpx.Request, body: bytes) -> None:
        self._body = body
        self._received = False
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("memory", 0),
            "root_path": "",
        }
        self.ended = trio.Event()
        self.complete = False
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.content = bytearray()

    async def run(self, app: ASGIApp) -> None:
        try:
            await app(self._scope, self._receive, self._send)
        finally:
            self.ended.set()

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._received:
            await trio.sleep_forever()  # the caller never hangs up on the application
        self._received = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.content += message.get("body", b"")
            self.complete = not message.get("more_body", False)
