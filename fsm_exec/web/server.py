"""The page's own server: beside the control API on a port of its own, or alone over a copied database."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.control.server import run_server, url_of
from fsm_exec.control.service import Control
from fsm_exec.runtime.clock import WallClock
from fsm_exec.web.app import page_app
from fsm_exec.web.database import open_reader
from fsm_exec.web.guard import ENTER
from fsm_exec.web.live.tickers import Tickers
from fsm_exec.web.parts import PageParts
from fsm_exec.web.sessions import Sessions
from fsm_exec.web.static_files import StaticFiles
from fsm_exec.web.templates import Templates


class PageDoor:
    """The page that is served, as its daemon knows it: where it is, and a link that opens it once."""

    def __init__(self, url: str, sessions: Sessions) -> None:
        self.url, self._sessions = url, sessions

    def draw_link(self, *, read_only: bool) -> str:
        """Draw a link that opens one session within a minute."""
        code = self._sessions.draw_code(read_only=read_only)
        return f"{self.url}{ENTER}?{urlencode({'code': code})}"


@asynccontextmanager
async def page_parts(
    control: Control | None,
    database: Path,
    environment: str,
    wall: WallClock,
    log: FilteringBoundLogger,
    now_s: Callable[[], float] | None = None,
) -> AsyncIterator[PageParts]:
    """Make what every page is made with. Links and sessions age by `now_s`, by default trio's clock. Raises UserError
    for a database that is none of ours."""
    static = StaticFiles()
    with open_reader(database, is_own_engines=control is not None) as reader:
        async with trio.open_nursery() as nursery:
            tickers = Tickers(nursery, log)
            yield PageParts(
                control=control,
                database=database,
                reader=reader,
                environment=environment,
                templates=Templates(static),
                static=static,
                sessions=Sessions(now_s or trio.current_time),
                tickers=tickers,
                wall=wall,
                log=log,
            )
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def run_page(
    control: Control | None,
    database: Path,
    environment: str,
    listening: socket.socket,
    wall: WallClock,
    log: FilteringBoundLogger,
    now_s: Callable[[], float] | None = None,
) -> AsyncIterator[PageDoor]:
    """Serve the page on `listening`, which the server owns from here on, while the block runs. Without `control` the
    database alone is shown. `now_s` as in `page_parts`. Raises UserError for a database that is none of ours."""
    url, port = url_of(listening), listening.getsockname()[1]
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(page_parts(control, database, environment, wall, log, now_s))
        await stack.enter_async_context(run_server(page_app(parts, port), listening, log))
        stack.callback(parts.tickers.close)  # before the server waits for the streams to end
        yield PageDoor(url, parts.sessions)
