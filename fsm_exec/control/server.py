"""The server of the control API listens on one socket on loopback, for so many connections and no more.

The process has only so many descriptors, and needs them for the exchange and the database: a caller without a token
must not be able to take them. When all places are taken, the connection that has waited longest without the token makes
room; when callers with the token have taken all, there are some more for what stops something and for what says how
things stand. So a halt gets through, whatever else is connected.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from fsm_exec.control.api_errors import too_many_connections
from fsm_exec.control.http1 import HEAD_BYTES_MAX, Connection, raw_response
from fsm_exec.control.limits import CONNECTIONS_MAX
from fsm_exec.control.responses import error_response
from fsm_exec.core.errors import UserError

LOOPBACK: Final = "127.0.0.1"
SHUTDOWN_S: Final = 2
BACKLOG: Final = 128
SPARE: Final = 16  # places for what is urgent
URGENT: Final = frozenset({"/v1/halt", "/v1/status", "/v1/health", "/actions/halt", "/actions/halt/review"})
TURNED_AWAY_MAX: Final = 16  # at once, that get a reason
TURN_AWAY_S: Final = 0.2


def bind_socket(port: int, *, option: str = "--port") -> socket.socket:
    """Bind a socket, so that the port is known before the server runs; 0: a free one. Raises UserError, which names
    the option that gave the port."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"{option} {port}: in use already; give another port, or none for a free one") from None
        raise UserError(f"{option} {port}: {error.strerror}; give a port above 1023") from None
    return listening


def url_of(listening: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


class Server:
    """The server holds all connections; each is served by a task of its own."""

    def __init__(self, app: ASGIApp, log: FilteringBoundLogger) -> None:
        self._app, self._log = app, log
        self._all: set[Connection] = set()
        self._turned_away = 0  # now

    async def serve(self, stream: trio.SocketStream) -> None:
        is_full = len(self._all) >= CONNECTIONS_MAX and not self._make_room()
        if is_full and len(self._all) >= CONNECTIONS_MAX + SPARE:
            await self._turn_away(stream)
            return
        connection = Connection(self._serve_urgent_only if is_full else self._app, stream, self._log, is_last=is_full)
        self._all.add(connection)
        try:
            await connection.serve()
        finally:
            self._all.discard(connection)

    async def _serve_urgent_only(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is urgent although there is no place left; refuse the rest."""
        path = scope["path"]
        app = self._app if path in URGENT or path.endswith("/cancel") else error_response(too_many_connections())
        await app(scope, receive, send)

    def _make_room(self) -> bool:
        """Drop the connection that has waited longest; False: the callers of all of them hold the token."""
        longest = min((one for one in self._all if one.is_droppable), key=lambda one: one.idle_since, default=None)
        if longest is None:
            return False
        self._all.discard(longest)
        longest.drop()
        return True

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        if self._turned_away < TURNED_AWAY_MAX:
            self._turned_away += 1
            with trio.move_on_after(TURN_AWAY_S), suppress(trio.BrokenResourceError):
                await stream.send_all(raw_response(too_many_connections()))
                await stream.send_eof()
                await stream.receive_some(HEAD_BYTES_MAX)  # closed with something unread, the answer would be lost
            self._turned_away -= 1
        await trio.aclose_forcefully(stream)

    def finish(self) -> None:
        for connection in list(self._all):
            connection.finish()


@asynccontextmanager
async def run_server(app: ASGIApp, listening: socket.socket, log: FilteringBoundLogger) -> AsyncIterator[None]:
    """Answer on `listening`, which the server owns from here on, while the block runs. Requests under way get
    SHUTDOWN_S at its end."""
    listening.listen(BACKLOG)
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
    server = Server(app, log)
    async with trio.open_nursery() as connections, trio.open_nursery() as accepting:

        async def accept() -> None:
            await trio.serve_listeners(server.serve, [listener], handler_nursery=connections)

        accepting.start_soon(accept)
        try:
            yield
        finally:
            accepting.cancel_scope.cancel()
            server.finish()
            connections.cancel_scope.deadline = trio.current_time() + SHUTDOWN_S
