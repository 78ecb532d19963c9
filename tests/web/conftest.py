"""The page of an engine in memory, and browsers that ask it: what a browser sends by itself, they send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from fsm_exec.control.limits import ControlLimits
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.runtime.logs import open_log
from fsm_exec.web.app import page_app
from fsm_exec.web.parts import PageParts
from fsm_exec.web.server import page_parts
from tests.control.conftest import Desk, a_desk

PORT = 8_443
ORIGIN = f"http://127.0.0.1:{PORT}"
"""The page is asked by this name; no socket is there."""


@dataclass
class PageOfDesk:
    """The page of a desk: engine, exchange and control API in memory, the database a file."""

    desk: Desk
    parts: PageParts
    app: ASGIApp

    def draw_code(self, *, read_only: bool = False) -> str:
        return self.parts.sessions.draw_code(read_only=read_only)

    def stranger(self, **headers: str) -> httpx.AsyncClient:
        """A browser that was never let in."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=ORIGIN, headers={"Sec-Fetch-Site": "none"} | headers
        )

    @asynccontextmanager
    async def browser(self, *, read_only: bool = False) -> AsyncIterator[httpx.AsyncClient]:
        """A browser that has opened a link."""
        async with self.stranger() as browser:
            entered = await browser.get("/enter", params={"code": self.draw_code(read_only=read_only)})
            assert entered.status_code == 200
            yield browser


@asynccontextmanager
async def a_page(
    directory: Path, limits: ControlLimits | None = None, risk: RiskLimits | None = None
) -> AsyncIterator[PageOfDesk]:
    database = directory / "engine.sqlite"
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(a_desk(limits or ControlLimits(), risk, database))
        log = open_log(desk.log_file, desk.wall)
        parts = await stack.enter_async_context(page_parts(desk.control, database, "paper", desk.wall, log))
        yield PageOfDesk(desk, parts, page_app(parts, PORT))


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[PageOfDesk]:
    async with a_page(tmp_path) as made:
        yield made
