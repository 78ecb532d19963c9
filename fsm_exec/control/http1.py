"""One connection of the control API: HTTP/1.1 by h11, each request handed to an ASGI application. No other protocol.

Everything a caller can make us wait for has a limit, and those that hold before a token was seen are short: a head that
does not come, a body that trickles, a reader that takes nothing. A request that is not read to its end, or that breaks
the protocol, is the last of its connection.

Hypercorn, which serves the paper exchange, does not serve this port: it goes over to HTTP/2 before a token was seen,
has no limit of connections, and a reader that takes nothing keeps its send for ever, shielded.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import h11
import msgspec
import trio
from starlette.types import ASGIApp, Message
from structlog.typing import FilteringBoundLogger

from fsm_exec.control.api_errors import Refusal
from fsm_exec.control.auth import HOLDS_TOKEN
from fsm_exec.control.responses import JSON
from fsm_exec.control.schema import ErrorBody, Failed

HEAD_S: Final = 5.0  # for a head to be there, after the connection or the last answer
BODY_S: Final = 10.0  # for a body to be there, after its head
SEND_S: Final = 30.0  # for a reader to take what it is sent: a stream's reader that sleeps longer may come again
LINGER_S: Final = 1.0  # of what is not read any more: closed at once, the answer would be lost with it
LINGER_BYTES: Final = 1_048_576
HEAD_BYTES_MAX: Final = 16 * 1_024
READ_BYTES: Final = 64 * 1_024

_Headers: TypeAlias = list[tuple[bytes, bytes]]


class Connection:
    """A connection. `idle_since` is when it last had nothing to do, on trio's clock."""

    def __init__(
        self, app: ASGIApp, stream: trio.SocketStream, log: FilteringBoundLogger, *, is_last: bool = False
    ) -> None:
        """`is_last`: the first request is the last."""
        self._app, self._stream, self._log = app, stream, log
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._scope = trio.CancelScope()
        self._is_last = is_last
        self._state: dict[str, Any] = {}  # what the application says of the request under way
        self.idle_since = trio.current_time()

    @property
    def is_droppable(self) -> bool:
        """The connection may be dropped: its request does not hold the token."""
        return not self._state.get(HOLDS_TOKEN)

    def drop(self) -> None:
        self._scope.cancel()

    def finish(self) -> None:
        """Answer the request under way, and take no more."""
        self._is_last = True
        if self.is_droppable:
            self.drop()

    async def serve(self) -> None:
        """Serve requests until either side closes the connection. Raises no error of the network."""
        try:
            with self._scope:
                try:
                    while await self._serve_one():
                        self._h11.start_next_cycle()
                    await self._linger()
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass  # the caller has gone
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _serve_one(self) -> bool:
        """Serve one request; return whether another may follow."""
        self.idle_since = trio.current_time()
        head: h11.Request | None = None
        refusal: Refusal | None = None
        with trio.move_on_after(HEAD_S):
            try:
                head = await self._head()
            except h11.RemoteProtocolError as error:
                refusal = Refusal(error.error_status_hint, "bad_request", f"the request is no HTTP/1.1: {error}")
        if head is not None:
            refusal = _refusal_of_head(head)
        if refusal is not None:
            await self._refuse(refusal)
            return False
        if head is None:
            return False
        exchange = _RequestResponse(self._h11, self._stream, head, is_last=self._is_last)
        with exchange.scope:
            try:
                await self._app({**exchange.asgi_scope(), "state": self._state}, exchange.receive, exchange.send)
            except Exception:  # a bug in one answer must not take the daemon down
                self._log.exception("control_failed", path=exchange.path)
                if self._h11.our_state is not h11.SEND_RESPONSE:
                    return False
                await self._refuse(Refusal(500, "internal", "the daemon failed at this; its log says more"))
                return False
            finally:
                self._state = {}
        return not self._is_last and exchange.is_complete()

    async def _head(self) -> h11.Request | None:
        """Read the next head; None if none will come. Raises RemoteProtocolError, also for one that is too long."""
        left = HEAD_BYTES_MAX + 1
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None
            data = await self._stream.receive_some(max(1, left))
            left -= len(data)
            self._h11.receive_data(data)

    async def _refuse(self, refusal: Refusal) -> None:
        with trio.move_on_after(LINGER_S):
            await self._stream.send_all(raw_response(refusal))

    async def _linger(self) -> None:
        with trio.move_on_after(LINGER_S):
            await self._stream.send_eof()
            left = LINGER_BYTES
            while left > 0 and (read := await self._stream.receive_some(READ_BYTES)):
                left -= len(read)


class _RequestResponse:
    """One request and its answer, as ASGI has them. `scope` is cancelled when the caller has gone."""

    def __init__(
        self, connection: h11.Connection, stream: trio.SocketStream, head: h11.Request, *, is_last: bool
    ) -> None:
        self._h11, self._stream, self._head, self._is_last = connection, stream, head, is_last
        self._read_until = trio.current_time() + BODY_S
        self._has_body = True  # there may be more of it
        self.scope = trio.CancelScope()
        self._start: Message = {}
        raw, _, self._query = head.target.partition(b"?")
        self._raw_path, self.path = raw, unquote(raw.decode("ascii"))

    def asgi_scope(self) -> dict[str, Any]:
        """Return what ASGI calls the scope."""
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": self._head.method.decode("ascii"),
            "scheme": "http",
            "path": self.path,
            "raw_path": self._raw_path,
            "query_string": self._query,
            "root_path": "",
            "headers": list(self._head.headers),
            "client": None,
            "server": None,
        }

    async def receive(self) -> Message:
        """Return the next piece of the body; after the last one, wait until the caller has gone and say so."""
        if not self._has_body:
            await self._wait_until_gone()
            return {"type": "http.disconnect"}
        if self._h11.they_are_waiting_for_100_continue:
            await self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while True:
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError:
                return {"type": "http.disconnect"}
            if isinstance(event, h11.Data):
                return {"type": "http.request", "body": bytes(event.data), "more_body": True}
            if event is not h11.NEED_DATA:
                self._has_body = False
                return {"type": "http.request", "body": b"", "more_body": False}
            data = None
            with trio.move_on_at(self._read_until):
                data = await self._read()
            if not data:
                return {"type": "http.disconnect"}
            self._h11.receive_data(data)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if self._start:
            headers: _Headers = [*self._start["headers"], *([(b"connection", b"close")] if self._is_last else [])]
            await self._send(h11.Response(status_code=self._start["status"], headers=headers))
            self._start = {}
        body = message.get("body", b"")
        if body and self._head.method != b"HEAD":
            await self._send(h11.Data(data=body))
        if not message.get("more_body", False):
            await self._send(h11.EndOfMessage())

    def is_complete(self) -> bool:
        """Return whether both sides have ended their messages, so that another request can follow."""
        try:
            while self._h11.our_state is h11.DONE and self._h11.their_state is h11.SEND_BODY:
                if self._h11.next_event() is h11.NEED_DATA:
                    return False
        except h11.RemoteProtocolError:
            return False
        return self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE

    async def _send(self, event: h11.Event) -> None:
        data = self._h11.send(event)
        taken = False
        with trio.move_on_after(SEND_S):
            try:
                await self._stream.send_all(data or b"")
                taken = True
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        if not taken:
            self._h11.send_failed()
            self.scope.cancel()
            await trio.lowlevel.checkpoint()

    async def _read(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(READ_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def _wait_until_gone(self) -> None:
        """Wait until the caller has gone. What it sends until then is the beginning of the next request; more than a
        head's worth of it counts as gone."""
        left = HEAD_BYTES_MAX
        while left > 0 and (data := await self._read()):
            self._h11.receive_data(data)
            left -= len(data)


def raw_response(refusal: Refusal) -> bytes:
    """Return the last answer of a connection on which no request can be answered by the rules."""
    body = msgspec.json.encode(Failed(error=ErrorBody(code=refusal.code, message=refusal.message)))
    head = (
        f"HTTP/1.1 {refusal.status} {refusal.code}\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + body


def _refusal_of_head(head: h11.Request) -> Refusal | None:
    names = [name for name, _ in head.headers]
    if head.http_version != b"1.1":
        return Refusal(505, "http_version", "this daemon speaks HTTP/1.1 and nothing else")
    if not head.target.startswith(b"/"):
        return Refusal(400, "bad_request", "the target of a request is a path; they begin with /v1/")
    if b"transfer-encoding" in names and b"content-length" in names:
        return Refusal(400, "bad_request", "a body has a length or comes in chunks, not both")
    return None
