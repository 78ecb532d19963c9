"""The pages of a database without an engine, asked as a browser asks."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path

import httpx

from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import open_log
from fsm_exec.web.app import page_app
from fsm_exec.web.server import page_parts
from tests.store.histories import AT_US

PORT = 8_444


@asynccontextmanager
async def pages_of(database: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has opened the pages of this database; nothing but a database is there."""
    wall = WallClock(AT_US)
    log = open_log(io.StringIO(), wall)
    async with page_parts(None, database, "paper", wall, log) as parts:
        transport = httpx.ASGITransport(page_app(parts, PORT))
        async with httpx.AsyncClient(
            transport=transport, base_url=f"http://127.0.0.1:{PORT}", headers={"Sec-Fetch-Site": "none"}
        ) as browser:
            code = parts.sessions.draw_code(read_only=True)
            assert (await browser.get("/enter", params={"code": code})).status_code == 200
            yield browser


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str | None] = []
        self.texts: dict[str, list[str]] = {}
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "link", "input", "br"):
            self.open.append(dict(attrs).get("id"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for name in self.open:
            if name is not None:
                self.texts.setdefault(name, []).append(data)


def read(html: str) -> _Texts:
    """Its elements' tags, and texts by the ids of the elements around them."""
    reader = _Texts()
    reader.feed(html)
    return reader


def text_of(html: str, element_id: str) -> str:
    """The text of one element, spaces as one."""
    return re.sub(r"\s+", " ", "".join(read(html).texts.get(element_id, []))).strip()
