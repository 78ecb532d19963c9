"""Two ways to serve one exchange: in memory, and on loopback sockets. The application and the handler are the same.

Both hosts offer what a client needs by the same names: `base_url`, `transport` (None: httpx's own) and `dial`.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple, cast

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import Framework
from starlette.applications import Starlette
from starlette.types import ASGIApp
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from fsm_exec.paper.faults import FaultPlan
from fsm_exec.paper.server.asgi_transport import MemoryTransport
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rest import RestApp
from fsm_exec.paper.server.venue_faults import VenueFaults
from fsm_exec.paper.server.wire_faults import FaultyApp, Relay, Serve, with_limited_life
from fsm_exec.paper.server.ws import WsHandler
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire.rest import API_PREFIX, WS_PATH

LOOPBACK = "127.0.0.1"
MEMORY_HOST = "exchange.memory"
SHUTDOWN_S = 2


class MemoryHost:
    """An exchange in this process. `base_url`, `transport` and `dial` are what a client needs."""

    base_url = f"http://{MEMORY_HOST}{API_PREFIX}"

    def __init__(self, nursery: trio.Nursery, app: ASGIApp, serve_stream: Serve) -> None:
        self._nursery = nursery
        self._serve_stream = serve_stream
        self.transport: httpx.AsyncBaseTransport = MemoryTransport(nursery, app)

    async def dial(self, nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        """Open a connection whose tasks run in `nursery`, where a refusal is raised as ConnectionRejected."""
        return await open_websocket(nursery, self.connect(), MEMORY_HOST, headers)

    def connect(self) -> trio.abc.Stream:
        """Return the client's end of a new connection, before any handshake."""
        client, server = memory_stream_pair()
        self._nursery.start_soon(self._serve_stream, server)
        return client


class LoopbackHost:
    """An exchange on two ports of this machine. `address` is the one it listens at."""

    def __init__(self, port: int, ws_port: int, address: str = LOOPBACK) -> None:
        self._address = LOOPBACK if ip_address(address).is_unspecified else address
        shown = f"[{self._address}]" if ":" in self._address else self._address
        self.rest_url = f"http://{shown}:{port}{API_PREFIX}"
        self.ws_url = f"ws://{shown}:{ws_port}{WS_PATH}"
        self.base_url = self.rest_url
        self.transport: httpx.AsyncBaseTransport | None = None
        self._ws_port = ws_port

    async def dial(self, nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        """Open a connection as in memory. Raises OSError if nothing listens."""
        stream = await trio.open_tcp_stream(self._address, self._ws_port)
        return await open_websocket(nursery, stream, f"{self._address}:{self._ws_port}", headers)


async def open_websocket(
    nursery: trio.Nursery, stream: trio.abc.Stream, host: str, headers: list[tuple[bytes, bytes]]
) -> WebSocketConnection:
    """Open a WebSocket over `stream`. A refusal is raised by the connection's own task, so in `nursery`, and closes the
    stream."""
    try:
        return await wrap_client_stream(nursery, stream, host, WS_PATH, extra_headers=headers)  # type: ignore[arg-type]  # any stream will do
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


class _Served(NamedTuple):
    app: Starlette
    stream: Serve


def _compose(
    exchange: Exchange, clock: Clock, gate: Authenticator, latency: Latency | None, faults: FaultPlan | None
) -> _Served:
    """Compose what every host serves. With `faults`, the faults of the venue begin now."""
    gateway = LatencyGateway(exchange, clock, latency or Latency(), faults)
    stream: Serve = WsHandler(gateway, gate).serve
    if faults is not None:
        VenueFaults(exchange, gate, gateway.stale_listings, faults).start()
        stream = with_limited_life(stream, faults, clock)
    return _Served(RestApp(gateway, gate).app, stream)


@asynccontextmanager
async def host_in_memory(
    exchange: Exchange,
    clock: Clock,
    gate: Authenticator,
    *,
    latency: Latency | None = None,
    faults: FaultPlan | None = None,
) -> AsyncIterator[MemoryHost]:
    """Serve `exchange` to this process until the block ends."""
    served = _compose(exchange, clock, gate, latency, faults)
    app: ASGIApp = served.app if faults is None else FaultyApp(served.app, clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.timeline.run, clock)
        yield MemoryHost(nursery, app, served.stream)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def host_on_loopback(
    exchange: Exchange,
    clock: Clock,
    gate: Authenticator,
    *,
    latency: Latency | None = None,
    port: int = 0,
    ws_port: int = 0,
    address: str = LOOPBACK,
    faults: FaultPlan | None = None,
) -> AsyncIterator[LoopbackHost]:
    """Serve `exchange` until the block ends, on 127.0.0.1 unless `address` is another one of this machine; port 0: a
    free one. Raises OSError if a port is taken or the address is not ours."""
    listeners: list[trio.SocketListener] = []
    try:
        listeners += await trio.open_tcp_listeners(ws_port, host=address)
        if faults is None:
            rest_socket = _listen(port, address)
            rest_port: int = rest_socket.getsockname()[1]
        else:  # clients talk to the relay, and the server only to it
            listeners += await trio.open_tcp_listeners(port, host=address)
            rest_port = listeners[1].socket.getsockname()[1]
            rest_socket = _listen(0, LOOPBACK)
    except OSError:
        for listener in listeners:
            await trio.aclose_forcefully(listener)
        raise
    served = _compose(exchange, clock, gate, latency, faults)
    app: ASGIApp = served.app
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.timeline.run, clock)
        nursery.start_soon(trio.serve_listeners, served.stream, listeners[:1])
        if faults is not None:
            relay = Relay(LOOPBACK, rest_socket.getsockname()[1])
            app = FaultyApp(app, clock, relay.cut)
            nursery.start_soon(trio.serve_listeners, relay.serve, listeners[1:])
        serve_rest = partial(serve, cast("Framework", app), _config(rest_socket), shutdown_trigger=stop.wait)
        async with trio.open_nursery() as rest_nursery:
            await rest_nursery.start(serve_rest)
            yield LoopbackHost(rest_port, listeners[0].socket.getsockname()[1], address)
            stop.set()
        nursery.cancel_scope.cancel()


def _listen(port: int, address: str) -> socket.socket:
    """Return a listening socket, so that a free port is known before the server runs."""
    listening = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
    except OSError:
        listening.close()
        raise
    return listening


def _config(listening: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # the server owns and closes it from here on
    config.accesslog = None
    config.errorlog = None
    config.graceful_timeout = SHUTDOWN_S
    config.include_server_header = False
    return config
