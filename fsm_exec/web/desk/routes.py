"""The addresses of the desk: the page, and its events."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fsm_exec.web.desk.stored import load_endings, load_newest_alerts, load_stored_desk
from fsm_exec.web.desk.ticker import DeskTicker
from fsm_exec.web.parts import PageParts

EVENTS: Final = "/events/desk"


def routes(parts: PageParts) -> list[Route]:
    """Return the routes of the desk."""
    control = parts.control
    if control is None:
        return _stored_routes(parts)
    ticker = DeskTicker(control, parts.reader, parts.templates, parts.wall)

    async def show_desk(request: Request) -> Response:
        await ticker.refresh()
        board = ticker.board
        return parts.respond(
            request,
            "desk.html",
            board=board,
            rows=ticker.rows(),
            events=EVENTS,
            now_ms=parts.wall.now_us() // 1_000,
        )

    async def send_events(request: Request) -> Response:
        return parts.stream(request, "desk", lambda: ticker)

    return [Route("/", show_desk, methods=["GET"]), Route(EVENTS, send_events, methods=["GET"])]


def _stored_routes(parts: PageParts) -> list[Route]:
    async def show_desk(request: Request) -> Response:
        desk, endings, alerts = await parts.reader.read(
            lambda found: (load_stored_desk(found), load_endings(found), load_newest_alerts(found))
        )
        return parts.respond(request, "desk_stored.html", desk=desk, endings=endings, alerts=alerts)

    async def send_nothing(_: Request) -> Response:
        return PlainTextResponse("without an engine nothing changes", 404)

    return [Route("/", show_desk, methods=["GET"]), Route(EVENTS, send_nothing, methods=["GET"])]
