"""The guard stands before every page: who asks, by which name, from where, and what may be done.

Whoever runs a program as this user can read the token and trade; the guard keeps out what runs in a browser. A page of
another site can make a browser send requests here (so the session's cookie is Strict and other sites' requests are
refused by what the browser says of them), under a name of its own (so the Host header must be ours), or in a frame (so
framing is forbidden). What changes something needs, beside the cookie, a secret that only our own page can read.
"""

from __future__ import annotations

import hmac
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fsm_exec.control.auth import HOLDS_TOKEN
from fsm_exec.web.parts import SESSION, PageParts
from fsm_exec.web.sessions import Session
from fsm_exec.web.static_files import PREFIX

ENTER: Final = "/enter"
ACTION_HEADER: Final = "Fsm-Exec-Action"
READING: Final = frozenset({"GET", "HEAD"})
OWN_SITES: Final = frozenset({"same-origin", "none"})
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SAFETY: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def cookie_name(port: int) -> str:
    """Return the name of the session's cookie. A browser keeps cookies of a host without its port, so two daemons need
    two names."""
    return f"fsm_exec_{port}"


class Guard:
    """Passes a request on to `app`, or refuses it. `port` is the one that answers."""

    def __init__(self, app: ASGIApp, parts: PageParts, port: int) -> None:
        self._app, self._parts = app, parts
        self._cookie = cookie_name(port)
        self._hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        session = self._session(headers)
        scope.setdefault("state", {})[SESSION] = session
        if session is not None:
            scope["state"][HOLDS_TOKEN] = True
        refused = self._refuse(scope["method"], scope["path"], headers, session)
        await (self._app if refused is None else refused)(scope, receive, _with_safety(send))

    def _session(self, headers: Headers) -> Session | None:
        """Return the session of the request's cookies; None: of none, or of several. Every program that serves on this
        host name puts its cookies into the same header, in whatever form: they are passed over, not read."""
        pairs = [pair for header in headers.getlist("cookie") for pair in header.split(";")]
        values = [
            value.strip() for name, _, value in (pair.partition("=") for pair in pairs) if name.strip() == self._cookie
        ]
        return self._parts.sessions.find(values[0]) if len(values) == 1 else None

    def _refuse(self, method: str, path: str, headers: Headers, session: Session | None) -> Response | None:
        """Return the answer to a request that may not be made; None: it may."""
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return PlainTextResponse("this page answers as 127.0.0.1 or localhost only", 403)
        is_entering = path == ENTER and method == "GET"
        if not is_entering and headers.get("sec-fetch-site", "none") not in OWN_SITES:
            return self._say(403, "Another site asked", "Open this page from its own address, not from a link.")
        if path.startswith(PREFIX) and method in READING:
            return None
        if is_entering:
            return None
        if session is None:
            return self._say(401, "Not signed in", "Run this in a terminal; the browser opens with a link of its own:")
        if method not in READING:
            return _refuse_action(headers, hosts[0].lower(), session)
        return None

    def _say(self, status: int, title: str, text: str) -> Response:
        return HTMLResponse(self._parts.render(None, "refused.html", title=title, text=text), status)


def _refuse_action(headers: Headers, host: str, session: Session) -> Response | None:
    """Return the answer to what may change something and may not be done; None: it may."""
    if session.action is None:
        return PlainTextResponse("this session may only look; open another one: fsm-exec open", 403)
    origins = headers.getlist("origin")
    if len(origins) != 1 or origins[0].lower() != f"http://{host}":
        return PlainTextResponse("this does not come from the page itself", 403)
    given = headers.getlist(ACTION_HEADER)
    if len(given) != 1 or not hmac.compare_digest(given[0].encode("utf-8", errors="replace"), session.action.encode()):
        return PlainTextResponse("the page is out of date; load it again", 403)
    return None


def _with_safety(send: Send) -> Send:
    async def send_safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in SAFETY.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return send_safely
