"""The address of the page of the methods.

What it shows is reckoned anew when something was stored since, by one at a time and at most every few seconds: many
who look cost no more than one.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fsm_exec.web.methods.view import MethodsView, load_methods
from fsm_exec.web.parts import PageParts

KEPT_S: Final = 5


class MethodsPage:
    """The page of the methods of one database."""

    def __init__(self, parts: PageParts) -> None:
        self._parts = parts
        self._lock = trio.Lock()
        self._view: MethodsView | None = None
        self._stamp: tuple[object, ...] = ()
        self._until_s = 0.0

    async def show(self, request: Request) -> Response:
        """Answer with the page."""
        async with self._lock:
            if self._view is None or trio.current_time() >= self._until_s:
                await self._look()
        return self._parts.respond(request, "methods.html", view=self._view)

    async def _look(self) -> None:
        stamp = await self._parts.reader.read(_load_stamp)
        if self._view is None or stamp != self._stamp:
            self._view = await self._parts.reader.read(load_methods)
        self._stamp, self._until_s = stamp, trio.current_time() + KEPT_S


def routes(parts: PageParts) -> list[Route]:
    """Return the routes of the methods."""
    return [Route("/methods", MethodsPage(parts).show, methods=["GET"])]


def _load_stamp(connection: sqlite3.Connection) -> tuple[object, ...]:
    """Load what changes with every execution that is accepted, moves or is reckoned."""
    query = (
        "SELECT (SELECT max(rowid) FROM execution_state), (SELECT max(rowid) FROM execution_metrics), "
        "(SELECT max(rowid) FROM execution_events), (SELECT max(rowid) FROM markouts)"
    )
    found: tuple[object, ...] = connection.execute(query).fetchone()
    return found
