"""One viewer's events: always from the version it has to the newest, however slowly it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from fsm_exec.web.live.board import Place, parse_place
from fsm_exec.web.live.tickers import Ticker, Tickers, TooManyStreams

ALIVE_S: Final = 15
ALIVE: Final = b": alive\n\n"
RELOAD: Final = b"event: reload\ndata:\n\n"
START: Final[Message] = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/event-stream; charset=utf-8")],
}


class BoardStream(Response):
    """Streams the board of the ticker `key` to one viewer, from the place that the request names: `after` of the page's
    own address, or after a cut the header Last-Event-ID. A viewer that changes cannot bring up to date is told to load
    the page again. `is_allowed` is asked before each event: a session may end while its stream is open."""

    def __init__(
        self, request: Request, tickers: Tickers, key: str, make: Callable[[], Ticker], is_allowed: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._place = parse_place(request.headers.get("last-event-id") or request.query_params.get("after", ""))
        self._tickers, self._key, self._make, self._is_allowed = tickers, key, make, is_allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._tickers.watch(self._key, self._make) as ticker:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
                    await send(START)
                    await self._stream(ticker, send)
                    nursery.cancel_scope.cancel()
        except TooManyStreams:
            refused = PlainTextResponse("too many pages are open; close one of them", 503, {"Retry-After": "10"})
            await refused(scope, receive, send)
            return
        with trio.move_on_after(1):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _stream(self, ticker: Ticker, send: Send) -> None:
        board, place = ticker.board, self._place
        if place is None or not board.is_known(place):
            await send(_body(RELOAD))
            return
        await send(_body(ALIVE))
        while self._is_allowed():
            with trio.move_on_after(ALIVE_S) as waiting:
                await board.wait_for_news(place)
            if waiting.cancelled_caught:
                await send(_body(ALIVE))
                continue
            if not board.is_known(place):
                await send(_body(RELOAD))
                return
            newest = board.place
            await send(_body(_event(newest, board.changes_since(place))))
            place = newest
        await send(_body(RELOAD))


def _event(place: Place, changes: bytes) -> bytes:
    return b"id: %s\ndata: %s\n\n" % (str(place).encode(), changes)


def _body(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
