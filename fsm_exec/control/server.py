"""Serving the control API: one socket on loopback, and nowhere else."""

from __future__ import annotations

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import Framework
from starlette.types import ASGIApp

from fsm_exec.core.errors import UserError

LOOPBACK: Final = "127.0.0.1"
SHUTDOWN_S: Final = 2
HEADERS_BYTES_MAX: Final = 16 * 1_024


def listening_socket(port: int) -> socket.socket:
    """Bound, so that the port is known before the server runs; 0: a free one. Raises UserError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"--port {port}: in use already; give another port, or none for a free one") from None
        raise UserError(f"--port {port}: {error.strerror}; give a port above 1023") from None
    return listening


def url_of(listening: socket.socket) -> str:
    return f"http://{LOOPBACK}:{listening.getsockname()[1]}"


@asynccontextmanager
async def serving(app: ASGIApp, listening: socket.socket) -> AsyncIterator[None]:
    """Answer on `listening` while the block runs; requests under way get a little time at its end."""
    stop = trio.Event()
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # the server owns and closes it from here on
    config.accesslog = None  # nothing of a request reaches a log: it carries the token
    config.errorlog = None
    config.graceful_timeout = SHUTDOWN_S
    config.h11_max_incomplete_size = HEADERS_BYTES_MAX
    config.include_server_header = False
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, cast("Framework", app), config, shutdown_trigger=stop.wait))
        try:
            yield
        finally:
            stop.set()
