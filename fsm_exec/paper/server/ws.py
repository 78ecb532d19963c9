"""One WebSocket connection, from the handshake to its end: commands in, frames out, a heartbeat every 10 s.

Serves any trio-websocket connection, whatever stream is under it. What a command does stands in ws_commands.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, Protocol, TypeAlias, TypeVar

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, wrap_server_stream
from wsproto.utilities import LocalProtocolError

from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.outbox import Outbox
from fsm_exec.paper.server.ws_commands import CommandHandler
from fsm_exec.paper.venue.encoding import encode, error_body
from fsm_exec.wire.rest import WS_PATH

HEARTBEAT = b"heartbeat"
HEARTBEAT_S = 10
HANDSHAKE_S = 60
CLOSE_S = 5
MESSAGE_BYTES_MAX = 1_048_576


class WsHandler:
    """Serves connections; one instance for all of them."""

    def __init__(self, gateway: LatencyGateway, gate: Authenticator) -> None:
        self._gateway = gateway
        self._gate = gate

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, to its end. Returns when the client has gone or was refused."""
        try:
            async with trio.open_nursery() as nursery:
                try:
                    with trio.fail_after(HANDSHAKE_S):
                        request = await wrap_server_stream(nursery, stream, max_message_size=MESSAGE_BYTES_MAX)
                        account = await self._authenticate(request)
                    if account is not None:
                        connection = await request.accept()
                        await MemberSession(self._gateway, account, connection, send_when_due).run()
                        with trio.move_on_after(CLOSE_S):  # a dead client never answers the closing handshake
                            await connection.aclose()
                except (ConnectionClosed, trio.TooSlowError):
                    pass  # the client has gone, or never finished its handshake: nothing is owed to it
                finally:
                    nursery.cancel_scope.cancel()
                    with trio.CancelScope(shield=True):
                        await trio.aclose_forcefully(stream)
        except* LocalProtocolError:
            pass  # a ping that comes once we are closing: the library answers it, which it then must not

    async def _authenticate(self, request: WebSocketRequest) -> Account | None:
        """The member behind a handshake, or None after it was refused."""
        if request.path.split("?")[0] != WS_PATH:
            await request.reject(404, body=b"404 page not found")
            return None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        try:
            self._gateway.exchange.require_up()
            return self._gate.authenticate(headers, "GET", WS_PATH)
        except ApiError as refusal:
            body = encode(error_body(refusal))
            await request.reject(refusal.status, extra_headers=[(b"Content-Type", b"application/json")], body=body)
            return None


class MemberConnection(Protocol):
    """What a session needs of a connection: a WebSocketConnection, or what stands for one."""

    async def get_message(self) -> str | bytes: ...
    async def send_message(self, message: str) -> None: ...
    async def ping(self, payload: bytes | None = None) -> None: ...


C = TypeVar("C", bound=MemberConnection)
Carry: TypeAlias = Callable[[Outbox, C], Awaitable[None]]
"""Carries an outbox's frames over a connection, until cancelled or until that has ended."""


async def send_when_due(outbox: Outbox, connection: MemberConnection) -> None:
    """Send each frame when its leg of latency is over."""
    await outbox.run(connection.send_message)


class MemberSession(Generic[C]):
    """An admitted connection: its commands and its outbox, until one of both sides ends it."""

    def __init__(self, gateway: LatencyGateway, account: Account, connection: C, carry: Carry[C]) -> None:
        self._exchange = gateway.exchange
        self._connection = connection
        self._carry = carry
        self._outbox = Outbox(gateway.clock, gateway.legs, gateway.faults)
        self._commands = CommandHandler(gateway.exchange, account, self._outbox, gateway.clock)

    async def run(self) -> None:
        hang_up = trio.Event()
        self._exchange.hang_ups.add(hang_up.set)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._run_part, nursery, self._receive_commands)
                nursery.start_soon(self._run_part, nursery, self._send)
                nursery.start_soon(self._run_part, nursery, self._send_heartbeats)
                nursery.start_soon(self._run_part, nursery, self._outbox.overflowed.wait)
                nursery.start_soon(self._run_part, nursery, hang_up.wait)
        finally:
            self._exchange.hang_ups.discard(hang_up.set)
            self._commands.close_all()

    async def _run_part(self, nursery: trio.Nursery, part: Callable[[], Awaitable[None]]) -> None:
        """Run one part of the session; when it ends, or the client has gone, the session ends."""
        with suppress(ConnectionClosed):
            await part()
        nursery.cancel_scope.cancel()

    async def _send(self) -> None:
        await self._carry(self._outbox, self._connection)

    async def _send_heartbeats(self) -> None:
        """Ends when a ping stays unanswered for a whole interval: the client is dead."""
        while True:
            await trio.sleep(HEARTBEAT_S)
            with trio.move_on_after(HEARTBEAT_S) as waiting:
                await self._connection.ping(HEARTBEAT)
            if waiting.cancelled_caught:
                return

    async def _receive_commands(self) -> None:
        while True:
            message = await self._connection.get_message()
            self._exchange.timeline.advance()
            self._commands.handle(message)
