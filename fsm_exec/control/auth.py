"""The authentication of the control API checks the host name of a request and the caller's token.

The Host header is checked because a web page can make a browser send requests to 127.0.0.1 under a name of its own (DNS
rebinding). Health alone needs no token: it tells no more than that something runs.
"""

from __future__ import annotations

import hmac
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from fsm_exec.control import api_errors
from fsm_exec.control.responses import error_response
from fsm_exec.control.schema import INSTANCE

OPEN_PATHS: Final = frozenset({"/v1/health"})
HOST_NAMES: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
SCHEME: Final = "bearer"
SINGLE_HEADERS: Final = (
    "authorization",
    "content-length",
    "content-type",
    "last-event-id",
    INSTANCE.lower(),
    "transfer-encoding",
)


HOLDS_TOKEN: Final = "holds_token"
"""Set in the request's `state` once that is known: such a caller keeps its connection when others must go."""


class AuthMiddleware:
    """Passes a request on to `app`, or refuses it. `instance` is the database's: a request that names another instance
    is refused, for that one has other keys and rows."""

    def __init__(self, app: ASGIApp, token: str, instance: str) -> None:
        self._app, self._token, self._instance = app, token.encode(), instance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._refusal(Request(scope))
            if refusal is not None:
                await error_response(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _refusal(self, request: Request) -> api_errors.Refusal | None:
        if not _is_our_name(request.headers):
            return api_errors.wrong_host()
        for name in SINGLE_HEADERS:
            if len(request.headers.getlist(name)) > 1:
                return api_errors.duplicate(f"the header {name}")
        if request.scope["path"] in OPEN_PATHS:
            return None
        if not self._holds_token(request.headers):
            return api_errors.unauthorized()
        if request.headers.get(INSTANCE, self._instance) != self._instance:
            return api_errors.other_database(self._instance)
        request.scope.setdefault("state", {})[HOLDS_TOKEN] = True
        return None

    def _holds_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        given_value = given.strip().encode("latin-1", errors="replace")
        return scheme.lower() == SCHEME and hmac.compare_digest(given_value, self._token)


def _is_our_name(headers: Headers) -> bool:
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return False
    name, colon, port = hosts[0].rpartition(":")
    if not colon or "]" in port:  # no port, or the colons of an address
        return hosts[0].lower() in HOST_NAMES
    return name.lower() in HOST_NAMES and port.isdigit()
