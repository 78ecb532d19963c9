"""Two ways to serve one exchange: in memory, and on loopback sockets. The application and the handler are the same.

Both hosts offer what a client needs by the same names: `base_url`, `transport` (None: httpx's own) and `dial`.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import httpx
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import Framework
from starlette.applications import Starlette
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream

from fsm_exec.paper.auth import Gate
from fsm_exec.paper.clock import Clock
from fsm_exec.paper.desk import Desk
from fsm_exec.paper.exchange import Exchange
from fsm_exec.paper.latency import Latency
from fsm_exec.paper.memory import MemoryTransport
from fsm_exec.paper.rest import RestApp
from fsm_exec.paper.ws import WsHandler
from fsm_exec.wire.rest import API_PREFIX, WS_PATH

LOOPBACK = "127.0.0.1"
MEMORY_HOST = "exchange.memory"
SHUTDOWN_S = 2


class MemoryHost:
    """An exchange in this process. `base_url`, `transport` and `dial` are what a client needs."""

    base_url = f"http://{MEMORY_HOST}{API_PREFIX}"

    def __init__(self, nursery: trio.Nursery, app: Starlette, handler: WsHandler) -> None:
        self._nursery = nursery
        self._handler = handler
        self.transport: httpx.AsyncBaseTransport = MemoryTransport(nursery, app)

    async def dial(self, nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        """A new connection whose tasks run in `nursery`, where a refusal is raised as ConnectionRejected."""
        return await _handshake(nursery, self.connect(), MEMORY_HOST, headers)

    def connect(self) -> trio.abc.Stream:
        """The client's end of a new connection, before any handshake."""
        client, server = memory_stream_pair()
        self._nursery.start_soon(self._handler.serve, server)
        return client


class LoopbackHost:
    """An exchange on two ports of this machine."""

    def __init__(self, port: int, ws_port: int) -> None:
        self.rest_url = f"http://{LOOPBACK}:{port}{API_PREFIX}"
        self.ws_url = f"ws://{LOOPBACK}:{ws_port}{WS_PATH}"
        self.base_url = self.rest_url
        self.transport: httpx.AsyncBaseTransport | None = None
        self._ws_port = ws_port

    async def dial(self, nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
        """As in memory. Raises OSError if nobody listens."""
        stream = await trio.open_tcp_stream(LOOPBACK, self._ws_port)
        return await _handshake(nursery, stream, f"{LOOPBACK}:{self._ws_port}", headers)


async def _handshake(
    nursery: trio.Nursery, stream: trio.abc.Stream, host: str, headers: list[tuple[bytes, bytes]]
) -> WebSocketConnection:
    """A refusal is raised by the connection's own task, so in `nursery`; the stream is closed then."""
    try:
        return await wrap_client_stream(nursery, stream, host, WS_PATH, extra_headers=headers)  # type: ignore[arg-type]  # any stream will do
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


@asynccontextmanager
async def host_in_memory(
    exchange: Exchange, clock: Clock, gate: Gate, *, latency: Latency | None = None
) -> AsyncIterator[MemoryHost]:
    """Serve `exchange` to this process until the block ends."""
    desk = Desk(exchange, clock, latency or Latency())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.timeline.run, clock)
        yield MemoryHost(nursery, RestApp(desk, gate).app, WsHandler(desk, gate))
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def host_on_loopback(
    exchange: Exchange, clock: Clock, gate: Gate, *, latency: Latency | None = None, port: int = 0, ws_port: int = 0
) -> AsyncIterator[LoopbackHost]:
    """Serve `exchange` on 127.0.0.1 until the block ends; port 0: a free one. Raises OSError if a port is taken."""
    desk = Desk(exchange, clock, latency or Latency())
    handler = WsHandler(desk, gate)
    listeners = await trio.open_tcp_listeners(ws_port, host=LOOPBACK)
    try:
        rest_socket = _bound(port)
    except OSError:
        for listener in listeners:
            await trio.aclose_forcefully(listener)
        raise
    rest_port: int = rest_socket.getsockname()[1]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange.timeline.run, clock)
        nursery.start_soon(trio.serve_listeners, handler.serve, listeners)
        serve_rest = partial(
            serve, cast("Framework", RestApp(desk, gate).app), _config(rest_socket), shutdown_trigger=stop.wait
        )
        async with trio.open_nursery() as rest_nursery:
            await rest_nursery.start(serve_rest)
            yield LoopbackHost(rest_port, listeners[0].socket.getsockname()[1])
            stop.set()
        nursery.cancel_scope.cancel()


def _bound(port: int) -> socket.socket:
    """A listening socket of our own: only so is a free port known before the server runs."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
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
