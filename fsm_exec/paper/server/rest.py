"""The REST application: authenticate the caller, charge its buckets, decode the body, then call the endpoint.

It serves any host alike. The endpoints are listed in rest_public.py, rest_reads.py and rest_writes.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, compile_path
from starlette.types import Receive, Scope, Send

from fsm_exec.paper import errors
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rate_limit import DEFAULT_COST
from fsm_exec.paper.server.request_params import RequestParams
from fsm_exec.paper.server.rest_public import PublicReads
from fsm_exec.paper.server.rest_reads import MemberReads, Read
from fsm_exec.paper.server.rest_writes import NoBody, Write, Writes
from fsm_exec.paper.venue import public_reads
from fsm_exec.paper.venue.encoding import decode, encode, error_body
from fsm_exec.wire.rest import API_PREFIX

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
Place: TypeAlias = tuple[str, str]
"""Method and path, as templates: `{order_id}` stands for any part."""

BODY_BYTES_MAX = 1_048_576
GONE = (  # the order writes of the first version
    ("POST", "/portfolio/orders"),
    ("POST", "/portfolio/orders/batched"),
    ("DELETE", "/portfolio/orders/batched"),
    ("DELETE", "/portfolio/orders/{order_id}"),
    ("POST", "/portfolio/orders/{order_id}/amend"),
    ("POST", "/portfolio/orders/{order_id}/decrease"),
)


class RestApp:
    """Holds the endpoints; `app` is the ASGI application, and `answer` another one without Starlette's layers."""

    def __init__(self, gateway: LatencyGateway, gate: Authenticator) -> None:
        self._gateway = gateway
        self._gate = gate
        self._writes = Writes(gateway.exchange, gate.rate_limiter)
        public, own = PublicReads(gateway), MemberReads(gateway, gate)
        self._endpoints: dict[Place, Endpoint] = {
            ("GET", "/exchange/status"): self._status,
            **{("GET", read.path): self._reader(read, private=False) for read in public.all()},
            **{("GET", read.path): self._reader(read, private=True) for read in own.all()},
            ("GET", "/portfolio/events/orders"): _no_page,
            **{(write.method, write.path): self._writer(write) for write in self._writes.all()},
            **dict.fromkeys(GONE, self._refuse_v1),
        }
        self.places = tuple(self._endpoints)

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [_route(*place, endpoint) for place, endpoint in self._endpoints.items()]
        return Starlette(routes=routes, exception_handlers={404: _no_page, 405: _no_page})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. To find a path again, and to build no routes, is most of what a short session saves."""
        found = find_place(self.places, scope["method"], scope["path"])
        request = Request(scope if found is None else {**scope, "path_params": dict(found.params)}, receive, send)
        response = await (_no_page(request) if found is None else _answer(self._endpoints[found.place], request))
        await response(scope, receive, send)

    def _reader(self, read: Read, *, private: bool) -> Endpoint:
        async def answer(request: Request) -> Response:
            member = self._gate.authenticate(request.headers, "GET", _path(request)) if private else None
            payer = member if private else self._gate.find_claimed(request.headers)
            self._gate.rate_limiter.charge(payer, "read", read.cost)
            params = RequestParams(request, member, read.operation)
            if private:
                params.check_scope()
            return _json(await self._gateway.read(lambda: read.look(params)))

        return answer

    def _writer(self, write: Write) -> Endpoint:
        async def answer(request: Request) -> Response:
            member = self._gate.authenticate(request.headers, request.method, _path(request))
            if isinstance(write.cost, int):
                self._gate.rate_limiter.charge(member, "write", write.cost)
            raw = await _body(request)
            body = decode(raw or b"{}", NoBody) if write.body is NoBody else decode(raw, write.body)
            if not isinstance(write.cost, int):
                self._gate.rate_limiter.charge(member, "write", write.cost(body))
            params = RequestParams(request, member, write.operation)
            params.check_subaccount()
            key = self._writes.key_of(params, body)
            done = await self._gateway.write(key, lambda: write.act(params, body))
            return Response(status_code=write.status) if done is None else _json(done, write.status)

        return answer

    async def _status(self, request: Request) -> Response:
        """Answer 503 with the normal body while the exchange is down."""
        self._gate.rate_limiter.charge(self._gate.find_claimed(request.headers), "read", DEFAULT_COST)
        exchange = self._gateway.exchange
        body = await self._gateway.read(lambda: public_reads.status_body(exchange))
        return _json(body, 200 if body["exchange_active"] else 503)

    async def _refuse_v1(self, request: Request) -> Response:
        self._gate.authenticate(request.headers, request.method, _path(request))
        raise errors.deprecated_v1()


def _route(method: str, path: str, endpoint: Endpoint) -> Route:
    async def answered(request: Request) -> Response:
        return await _answer(endpoint, request)

    return Route(API_PREFIX + path, answered, methods=[method])


async def _answer(endpoint: Endpoint, request: Request) -> Response:
    try:
        return await endpoint(request)
    except ApiError as refusal:
        return _json(error_body(refusal), refusal.status)
    except ClientDisconnect:
        return Response(status_code=400)  # the client has gone: no one reads it


class FoundPlace(NamedTuple):
    """The place that a path fits, and its path parameters."""

    place: Place
    params: tuple[tuple[str, str], ...]


@lru_cache(maxsize=4_096)
def find_place(places: tuple[Place, ...], method: str, path: str) -> FoundPlace | None:
    """Return the first place that fits, as Starlette's router finds it; None without one."""
    for place in places:
        wanted_method, template = place
        if wanted_method != method:
            continue
        regex, _, convertors = compile_path(API_PREFIX + template)
        if (found := regex.match(path)) is not None:
            return FoundPlace(place, tuple((k, convertors[k].convert(v)) for k, v in found.groupdict().items()))
    return None


async def _no_page(_: Request, __: Exception | None = None) -> Response:
    return PlainTextResponse("404 page not found", 404)


def _json(body: object, status: int = 200) -> Response:
    return Response(encode(body), status, media_type="application/json")


def _path(request: Request) -> str:
    """Return the path as it was sent, which is what was signed."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


async def _body(request: Request) -> bytes:
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            raise errors.bad_request("body is too large")
    return raw
