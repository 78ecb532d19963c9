"""The page on a real socket, for what streams: events are read as a browser reads them, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import h11
import httpx
import msgspec
import trio

from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.server import bind_socket, run_server
from fsm_exec.runtime.logs import open_log
from fsm_exec.web.app import page_app
from fsm_exec.web.live.board import Change, Changes
from tests.web.conftest import PageOfDesk, a_page

WITHIN_S = 20
READ_BYTES = 65_536


@dataclass
class ServedPage(PageOfDesk):
    """A page that answers on `port` of the loopback."""

    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stranger(self, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.origin, headers={"Sec-Fetch-Site": "none"} | headers)

    def cookie(self, *, read_only: bool = False) -> str:
        """The header of a session of its own."""
        session = self.parts.sessions.use_code(self.draw_code(read_only=read_only), None)
        assert session is not None
        return f"fsm_exec_{self.port}={session.secret}"

    @asynccontextmanager
    async def watched(
        self, place: str, cookie: str | None = None, *, address: str = "/events/desk", **headers: str
    ) -> AsyncIterator[Events]:
        """A stream from this place on, of the desk unless another one is named."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            connection = h11.Connection(h11.CLIENT)
            request = h11.Request(
                method="GET",
                target=f"{address}?after={place}",
                headers=[
                    ("Host", f"127.0.0.1:{self.port}"),
                    ("Cookie", self.cookie() if cookie is None else cookie),
                    *headers.items(),
                ],
            )
            await stream.send_all((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
            events = Events(stream, connection)
            await events.begin()
            yield events


@asynccontextmanager
async def a_served_page(directory: Path, limits: ControlLimits | None = None) -> AsyncIterator[ServedPage]:
    async with a_page(directory, limits) as page:
        listening = bind_socket(0)
        port = listening.getsockname()[1]
        app, log = page_app(page.parts, port), open_log(page.desk.log_file, page.desk.wall)
        async with run_server(app, listening, log):
            yield ServedPage(page.desk, page.parts, app, port)
            page.parts.tickers.close()


class Events:
    """One open stream. `status` is that of its answer, `place` the id of the newest event."""

    def __init__(self, stream: trio.SocketStream, connection: h11.Connection) -> None:
        self.stream, self._h11 = stream, connection
        self.status, self.place = 0, ""
        self._text = b""

    async def begin(self) -> None:
        head = await self._event()
        assert isinstance(head, h11.Response)
        self.status = head.status_code

    async def line(self) -> str | None:
        """The next line; None at the end."""
        while b"\n" not in self._text:
            event = await self._event()
            if not isinstance(event, h11.Data):
                return None
            self._text += event.data
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    async def next(self) -> Changes:
        """The changes of the next event."""
        while (line := await self.line()) is not None:
            name, _, value = line.partition(": ")
            if name == "id":
                self.place = value
            elif name == "data":
                return msgspec.json.decode(value, type=Changes)
        raise AssertionError("the stream has ended")

    async def until(self, holds: Callable[[Change], bool]) -> Change:
        """The first change that is wanted."""
        with trio.fail_after(WITHIN_S):
            while True:
                for change in (await self.next()).changes:
                    if holds(change):
                        return change

    async def rest(self) -> list[str]:
        """All lines to the end."""
        lines = []
        with trio.fail_after(WITHIN_S):
            while (line := await self.line()) is not None:
                lines += [line] if line else []
        return lines

    async def _event(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            self._h11.receive_data(await self.stream.receive_some(READ_BYTES))
        return event


def place_of(text: str) -> str:
    """Where a page begins."""
    return text.partition('data-place="')[2].partition('"')[0]
