"""The bending proxy: two ports of this machine before the two of an exchange, or the same within a process.

    async with bending_proxy(exchange.rest_url, exchange.ws_url) as proxy:
        rule = proxy.bends.on_request(requests.error(503), "GET", "/portfolio/orders")

`bent` does the same to an exchange in memory, on whatever clock runs. README.md beside this file tells it all.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import msgspec
import trio
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection

from fsm_exec.cli.exchange.paper_file import PaperReady
from fsm_exec.kalshi.websocket_dial import Dial, dial_url
from fsm_exec.paper.server.hosting import LOOPBACK, LoopbackHost, MemoryHost, open_websocket
from fsm_exec.wire.rest import API_PREFIX, WS_PATH
from tests.bending.bends import Bends
from tests.bending.http_front import HttpFront, forward_over
from tests.bending.memory import BentTransport
from tests.bending.stream_front import StreamFront

FORWARD_S = 60.0  # for an exchange that takes its time: clients give up earlier


class Proxy(NamedTuple):
    """Where the client is to go instead of the exchange."""

    rest_url: str
    ws_url: str
    bends: Bends

    def config(self, paper: PaperReady, path: Path) -> Path:
        """Write the configuration of a daemon that goes through this proxy to `paper`: `serve --config PATH`."""
        values = {
            "environment": "paper",
            "api_key_id": paper.api_key_id,
            "private_key_path": paper.private_key_path,
            "rest_url": self.rest_url,
            "ws_url": self.ws_url,
        }
        path.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items()))
        return path

    def ready(self, paper: PaperReady) -> PaperReady:
        """What `fsm-exec paper` would say if it stood where the proxy stands."""
        return msgspec.structs.replace(paper, rest_url=self.rest_url, ws_url=self.ws_url)


@asynccontextmanager
async def bending_proxy(rest_url: str, ws_url: str, bends: Bends | None = None) -> AsyncIterator[Proxy]:
    """Serve until the block ends. Both addresses are the exchange's, as `fsm-exec paper` prints them."""
    bends = Bends() if bends is None else bends
    # No time-out of ours but one: what the client thinks of a slow answer is the client's affair.
    async with (
        httpx.AsyncClient(base_url=_origin(rest_url), timeout=FORWARD_S, trust_env=False) as http,
        trio.open_nursery() as nursery,
    ):
        rest, stream = HttpFront(bends, forward_over(http)), StreamFront(bends, dial_url(ws_url))
        (rest_listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
        (ws_listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
        nursery.start_soon(trio.serve_listeners, rest.serve, [rest_listener])
        nursery.start_soon(trio.serve_listeners, stream.serve, [ws_listener])
        rest_port, ws_port = (listener.socket.getsockname()[1] for listener in (rest_listener, ws_listener))
        yield Proxy(f"http://{LOOPBACK}:{rest_port}{API_PREFIX}", f"ws://{LOOPBACK}:{ws_port}{WS_PATH}", bends)
        nursery.cancel_scope.cancel()


class Bent(NamedTuple):
    """What `open_client` takes, as a host has it."""

    base_url: str
    transport: httpx.AsyncBaseTransport
    dial: Dial
    bends: Bends


@asynccontextmanager
async def bent(host: MemoryHost | LoopbackHost, bends: Bends | None = None) -> AsyncIterator[Bent]:
    """The same before an exchange that this process hosts, without a port: virtual time stays virtual."""
    bends = Bends() if bends is None else bends
    async with (
        httpx.AsyncClient(
            base_url=_origin(host.base_url), transport=host.transport, timeout=FORWARD_S, trust_env=False
        ) as http,
        trio.open_nursery() as nursery,
    ):
        stream = StreamFront(bends, host.dial)

        async def dial(connection: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> WebSocketConnection:
            client, server = memory_stream_pair()
            nursery.start_soon(stream.serve, server)
            return await open_websocket(connection, client, "bent.memory", headers)

        yield Bent(host.base_url, BentTransport(nursery, bends, forward_over(http)), dial, bends)
        nursery.cancel_scope.cancel()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
