"""What every page is made with: where its facts come from, and how it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from structlog.typing import FilteringBoundLogger

from fsm_exec.control.service import Control
from fsm_exec.runtime.clock import WallClock
from fsm_exec.web.database import DatabaseReader
from fsm_exec.web.live.stream import BoardStream
from fsm_exec.web.live.tickers import Ticker, Tickers
from fsm_exec.web.sessions import Session, Sessions
from fsm_exec.web.static_files import StaticFiles
from fsm_exec.web.templates import Templates

SESSION: Final = "session"
"""In the request's `state`: the session, set by the guard."""

PAGES: Final = (("/", "Desk"), ("/executions", "Executions"), ("/methods", "Methods"), ("/submit", "Submit"))
"""Address and name of each page that the line at the top leads to."""
WITHOUT_ENGINE: Final = (("/", "Desk"), ("/executions", "Executions"), ("/methods", "Methods"))
"""The same, where a database alone is shown."""


@dataclass(frozen=True)
class PageParts:
    """The parts of all pages. `control` is the running engine's, None where a database alone is shown. What a database
    can tell is read from it by `reader`, never asked of the engine's writer. `environment` is the exchange's name."""

    control: Control | None
    database: Path
    reader: DatabaseReader
    environment: str
    templates: Templates
    static: StaticFiles
    sessions: Sessions
    tickers: Tickers
    wall: WallClock
    log: FilteringBoundLogger

    def respond(self, request: Request, template: str, status_code: int = 200, /, **values: object) -> HTMLResponse:
        """Answer with a page. `base.html` knows who sees it, where that is, and whether an engine runs."""
        here = request.scope["path"]
        return HTMLResponse(self.render(session_of(request), template, here=here, **values), status_code)

    def stream(self, request: Request, key: str, make: Callable[[], Ticker]) -> Response:
        """Answer with the events of a board, the one of all who watch `key`, until the session ends."""
        session = session_of(request)
        return BoardStream(
            request, self.tickers, key, make, lambda: session is not None and self.sessions.is_open(session)
        )

    def render(self, session: Session | None, template: str, *, here: str = "", **values: object) -> str:
        """Return a page as it looks in a session; None: for somebody who has none."""
        return self.templates.render(
            template,
            session=session,
            here=here,
            pages=PAGES if self.control is not None else WITHOUT_ENGINE,
            environment=self.environment,
            has_engine=self.control is not None,
            database_name=self.database.name,
            command="fsm-exec open" if self.control is not None else f"fsm-exec open --db {self.database.name}",
            **values,
        )


def session_of(request: Request) -> Session | None:
    """Return the session of a request that the guard let through; None: it needs none."""
    found: Session | None = request.scope.get("state", {}).get(SESSION)
    return found
