"""The addresses of the desk."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fsm_exec.web.parts import PageParts


def routes(parts: PageParts) -> list[Route]:
    """Return the routes of the desk."""

    async def show_desk(request: Request) -> Response:
        status = None if parts.control is None else await parts.control.status()
        return parts.respond(request, "desk.html", status=status)

    return [Route("/", show_desk, methods=["GET"])]
