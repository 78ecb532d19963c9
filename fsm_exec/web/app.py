"""The application of the page: every page's routes behind the guard, and the door that lets a browser in."""

from __future__ import annotations

import sqlite3
from typing import Final

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from fsm_exec.core.errors import ExecError
from fsm_exec.web.actions.routes import routes as action_routes
from fsm_exec.web.desk.routes import routes as desk_routes
from fsm_exec.web.execution.routes import routes as execution_routes
from fsm_exec.web.guard import ENTER, Guard, cookie_name
from fsm_exec.web.methods.routes import routes as method_routes
from fsm_exec.web.parts import PageParts, session_of
from fsm_exec.web.sessions import SESSION_S

CODE_CHARACTERS_MAX: Final = 100
REFUSED_EVERY_S: Final = 10.0  # how often the log says so


def page_app(parts: PageParts, port: int) -> ASGIApp:
    """Return the application that answers on `port`."""
    routes = [
        _enter_route(parts, port),
        parts.static.route(),
        *desk_routes(parts),
        *execution_routes(parts),
        *method_routes(parts),
        *action_routes(parts),
    ]

    async def say_error(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        title = "No such page" if status == 404 else f"{request.method} is not for this address"
        return parts.respond(request, "message.html", status, title=title)

    async def say_failure(request: Request, error: Exception) -> Response:
        parts.log.error("page_failed", path=request.url.path, exc_info=error)
        return parts.respond(request, "message.html", 500, title="This page failed; the log says more")

    inner = Starlette(
        routes=routes, exception_handlers={HTTPException: say_error, ExecError: say_failure, sqlite3.Error: say_failure}
    )
    inner.router.redirect_slashes = False
    return Guard(inner, parts, port)


def _enter_route(parts: PageParts, port: int) -> Route:
    quiet_until_s = 0.0  # any site can make a browser come here as often as it likes: that must not fill the disk

    async def enter(request: Request) -> Response:
        """Answer with a page that goes on by itself, not with a redirect: of one that began at another program's link
        a browser would not send the Strict cookie."""
        given = request.query_params.getlist("code")
        session = None
        if request.method == "GET" and len(given) == 1 and len(given[0]) <= CODE_CHARACTERS_MAX:
            session = parts.sessions.use_code(given[0], session_of(request))
        if session is None:
            nonlocal quiet_until_s
            if trio.current_time() >= quiet_until_s:
                quiet_until_s = trio.current_time() + REFUSED_EVERY_S
                parts.log.warning("page_code_refused")
            return parts.respond(
                request,
                "refused.html",
                401,
                title="This link does not open anything",
                text="It was used already, or it is older than a minute. Run this for another one:",
            )
        response = parts.respond(request, "entered.html")
        response.set_cookie(
            cookie_name(port), session.secret, max_age=SESSION_S, path="/", httponly=True, samesite="strict"
        )
        return response

    return Route(ENTER, enter, methods=["GET"])
