"""The REST application: authenticate the caller, charge its buckets, decode the body, then call the endpoint.

It serves any host alike. The endpoints are listed in rest_public.py, rest_reads.py and rest_writes.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol, TypeAlias

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, compile_path

from fsm_exec.paper import errors
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rate_limit import DEFAULT_COST
from fsm_exec.paper.server.request_params import CallTarget, RequestParams, RequestTarget
from fsm_exec.paper.server.rest_public import PublicReads
from fsm_exec.paper.server.rest_reads import MemberReads, Read
from fsm_exec.paper.server.rest_writes import NoBody, Write, Writes
from fsm_exec.paper.venue import public_reads
from fsm_exec.paper.venue.encoding import decode, encode, error_body
from fsm_exec.wire.rest import API_PREFIX

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


class Reply(NamedTuple):
    """What an endpoint answers: a status, a body, and what that is, empty for no body."""

    status: int
    body: bytes = b""
    media_type: str = ""


class Caller(Protocol):
    """Who asks, as far as is known before it is checked."""

    def authenticate(self) -> Account:
        """Return the member who asks. Raises ApiError 401."""

    def find_claimed(self) -> Account | None:
        """Return the member that a public request names: only to charge it."""


Endpoint: TypeAlias = Callable[[RequestTarget, Caller, Callable[[], Awaitable[bytes]]], Awaitable[Reply]]
"""Takes the target of a request, who asks, and what reads the request's body."""


class RestApp:
    """Holds the endpoints; `app` is the ASGI application, `answer` a call without HTTP."""

    def __init__(self, gateway: LatencyGateway, gate: Authenticator) -> None:
        self._gateway = gateway
        self._gate = gate
        self._writes = Writes(gateway.exchange, gate.rate_limiter)
        public, own = PublicReads(gateway), MemberReads(gateway, gate)
        self._endpoints: dict[Place, Endpoint] = {
            ("GET", "/exchange/status"): self._status,
            **{("GET", read.path): self._reader(read, private=False) for read in public.all()},
            **{("GET", read.path): self._reader(read, private=True) for read in own.all()},
            ("GET", "/portfolio/events/orders"): _answer_nothing,
            **{(write.method, write.path): self._writer(write) for write in self._writes.all()},
            **dict.fromkeys(GONE, self._refuse_v1),
        }
        self.places = tuple(self._endpoints)

    @property
    def app(self) -> Starlette:
        """The ASGI application."""
        routes = [self._route(*place, endpoint) for place, endpoint in self._endpoints.items()]
        return Starlette(routes=routes, exception_handlers={404: _no_page, 405: _no_page})

    async def answer(
        self, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None, caller: Caller
    ) -> Reply:
        """Serve one request that came as a call: to the endpoint it is the same. `path` has the API's prefix."""
        found = find_place(self.places, method, path)
        if found is None:
            return NO_PAGE

        async def receive_body() -> bytes:
            return checked_body(body or b"")

        target = CallTarget(method, dict(found.params), QueryParams([*query]))
        return await _answer(self._endpoints[found.place], target, caller, receive_body)

    def _route(self, method: str, path: str, endpoint: Endpoint) -> Route:
        async def answered(request: Request) -> Response:
            async def receive_body() -> bytes:
                return await _body(request)

            reply = await _answer(endpoint, request, _HttpCaller(self._gate, request), receive_body)
            return Response(reply.body or None, reply.status, media_type=reply.media_type or None)

        return Route(API_PREFIX + path, answered, methods=[method])

    def _reader(self, read: Read, *, private: bool) -> Endpoint:
        async def answer(target: RequestTarget, caller: Caller, _: object) -> Reply:
            self._gateway.exchange.require_up()
            member = caller.authenticate() if private else None
            payer = member if private else caller.find_claimed()
            self._gate.rate_limiter.charge(payer, "read", read.cost)
            params = RequestParams(target, member, read.operation, self._gateway.exchange)
            if private:
                params.check_scope()
            return _json(await self._gateway.read(lambda: read.look(params)))

        return answer

    def _writer(self, write: Write) -> Endpoint:
        async def answer(target: RequestTarget, caller: Caller, receive_body: Callable[[], Awaitable[bytes]]) -> Reply:
            self._gateway.exchange.require_up()
            member = caller.authenticate()
            if isinstance(write.cost, int):
                self._gate.rate_limiter.charge(member, "write", write.cost)
            raw = await receive_body()
            body = decode(raw or b"{}", NoBody) if write.body is NoBody else decode(raw, write.body)
            if not isinstance(write.cost, int):
                self._gate.rate_limiter.charge(member, "write", write.cost(body))
            params = RequestParams(target, member, write.operation, self._gateway.exchange)
            params.check_subaccount()
            key = self._writes.key_of(params, body)
            done = await self._gateway.write(key, lambda: write.act(params, body))
            return Reply(write.status) if done is None else _json(done, write.status)

        return answer

    async def _status(self, _: RequestTarget, caller: Caller, __: object) -> Reply:
        """Answer 503 with the normal body while the exchange is down."""
        self._gate.rate_limiter.charge(caller.find_claimed(), "read", DEFAULT_COST)
        exchange = self._gateway.exchange
        body = await self._gateway.read(lambda: public_reads.status_body(exchange))
        return _json(body, 200 if body["exchange_active"] else 503)

    async def _refuse_v1(self, _: RequestTarget, caller: Caller, __: object) -> Reply:
        caller.authenticate()
        raise errors.deprecated_v1()


class _HttpCaller:
    """Who sent a request over HTTP, by its headers."""

    def __init__(self, gate: Authenticator, request: Request) -> None:
        self._gate, self._request = gate, request

    def authenticate(self) -> Account:
        return self._gate.authenticate(self._request.headers, self._request.method, _path(self._request))

    def find_claimed(self) -> Account | None:
        return self._gate.find_claimed(self._request.headers)


async def _answer(
    endpoint: Endpoint, target: RequestTarget, caller: Caller, receive_body: Callable[[], Awaitable[bytes]]
) -> Reply:
    try:
        return await endpoint(target, caller, receive_body)
    except ApiError as refusal:
        return _json(error_body(refusal), refusal.status)
    except ClientDisconnect:
        return Reply(400)  # the client has gone: no one reads it


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


NO_PAGE = Reply(404, b"404 page not found", "text/plain")


async def _no_page(_: Request, __: Exception | None = None) -> Response:
    return Response(NO_PAGE.body, NO_PAGE.status, media_type=NO_PAGE.media_type)


async def _answer_nothing(_: RequestTarget, __: Caller, ___: object) -> Reply:
    return NO_PAGE


def _json(body: object, status: int = 200) -> Reply:
    return Reply(status, encode(body), "application/json")


def _path(request: Request) -> str:
    """Return the path as it was sent, which is what was signed."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("latin-1")


async def _body(request: Request) -> bytes:
    raw = b""
    async for chunk in request.stream():
        raw = checked_body(raw + chunk)
    return raw


def checked_body(raw: bytes) -> bytes:
    """Return a body, or as much of it as has come. Raises ApiError if it is too large."""
    if len(raw) > BODY_BYTES_MAX:
        raise errors.bad_request("body is too large")
    return raw
