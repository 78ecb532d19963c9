"""The REST application: paths, queries, success codes and error bodies of the trade API v2. Serves any host alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from fsm_exec.paper import errors, reading
from fsm_exec.paper.accounts import Account
from fsm_exec.paper.auth import Gate
from fsm_exec.paper.desk import Desk
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.ids import is_uuid
from fsm_exec.paper.reading import Page
from fsm_exec.paper.times import rfc3339
from fsm_exec.wire import rest as wire

T = TypeVar("T")
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
LIMIT_MAX = 1_000
DEPTH_MAX = 100
BODY_BYTES_MAX = 1_048_576
_ENCODER = msgspec.json.Encoder(decimal_format="number")  # fee_multiplier is a JSON number on the wire


class RestApp:
    """Holds the endpoints; `app` is the ASGI application."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self._desk = desk
        self._exchange = desk.exchange
        self._gate = gate
        table: list[tuple[str, str, Endpoint]] = [
            ("GET", "/exchange/status", self._status),
            ("GET", "/exchange/user_data_timestamp", self._user_data_timestamp),
            ("GET", "/account/limits", self._limits),
            ("GET", "/portfolio/balance", self._balance),
            ("GET", "/portfolio/positions", self._positions),
            ("GET", "/portfolio/orders", self._orders),
            ("GET", "/portfolio/orders/{order_id}", self._order),
            ("GET", "/portfolio/fills", self._fills),
            ("GET", "/markets/{ticker}", self._market),
            ("GET", "/markets/{ticker}/orderbook", self._order_book),
            ("GET", "/events/{event}", self._event),
            ("GET", "/series/{series}", self._series),
            ("POST", "/portfolio/events/orders", self._create),
            ("DELETE", "/portfolio/events/orders/{order_id}", self._cancel),
            ("POST", "/portfolio/events/orders/{order_id}/amend", self._amend),
            ("GET", "/portfolio/events/orders", _no_collection),
            ("POST", "/portfolio/orders", self._gone),
            ("POST", "/portfolio/orders/batched", self._gone),
            ("DELETE", "/portfolio/orders/batched", self._gone),
            ("DELETE", "/portfolio/orders/{order_id}", self._gone),
            ("POST", "/portfolio/orders/{order_id}/amend", self._gone),
            ("POST", "/portfolio/orders/{order_id}/decrease", self._gone),
        ]
        self.app = Starlette(
            routes=[
                Route(wire.API_PREFIX + path, _with_errors(endpoint), methods=[method])
                for method, path, endpoint in table
            ]
        )

    # Public

    async def _status(self, _: Request) -> Response:
        return _json(await self._desk.read(lambda: wire.ExchangeStatus(exchange_active=True, trading_active=True)))

    async def _user_data_timestamp(self, _: Request) -> Response:
        as_of = self._desk.as_of_us
        return _json(await self._desk.read(lambda: wire.UserDataTimestamp(as_of_time=rfc3339(as_of()))))

    async def _market(self, request: Request) -> Response:
        ticker = request.path_params["ticker"]
        market = await self._desk.read(lambda: reading.market_body(reading.market_of(self._exchange, ticker)))
        return _json(wire.MarketBody(market=market))

    async def _order_book(self, request: Request) -> Response:
        ticker = request.path_params["ticker"]
        depth = _number(request, "depth", "GetMarketOrderbook", "Depth", default=0, low=0, high=DEPTH_MAX)
        look = self._desk.read(lambda: reading.order_book(reading.market_of(self._exchange, ticker), depth))
        return _json(await look)

    async def _event(self, request: Request) -> Response:
        event = request.path_params["event"]
        return _json(await self._desk.read(lambda: reading.event_body(self._exchange, event)))

    async def _series(self, request: Request) -> Response:
        series = request.path_params["series"]
        return _json(await self._desk.read(lambda: reading.series_body(self._exchange, series)))

    # The member's own

    async def _limits(self, request: Request) -> Response:
        self._member(request)
        limits = {
            "usage_tier": "basic",
            "read": {"refill_rate": 200, "bucket_capacity": 200},
            "write": {"refill_rate": 100, "bucket_capacity": 100},
            "grants": [],
        }
        return _json(await self._desk.read(lambda: limits))

    async def _balance(self, request: Request) -> Response:
        account = self._member(request)
        return _json(await self._desk.read(lambda: reading.balance(self._exchange, account)))

    async def _positions(self, request: Request) -> Response:
        account, page = self._member(request), _page(request, "GetPositions")
        return _json(await self._desk.read(lambda: reading.positions_page(self._exchange, account, page)))

    async def _orders(self, request: Request) -> Response:
        account, page = self._member(request), _page(request, "GetOrders")
        return _json(await self._desk.read(lambda: reading.orders_page(self._exchange, self._desk.seen(account), page)))

    async def _order(self, request: Request) -> Response:
        account, order_id = self._member(request), request.path_params["order_id"]
        if not is_uuid(order_id):
            raise ApiError(400, "invalid_UUID", "invalid UUID")
        return _json(await self._desk.read(lambda: reading.order_of(self._exchange, account, order_id)))

    async def _fills(self, request: Request) -> Response:
        account, page = self._member(request), _page(request, "GetFills")
        return _json(await self._desk.read(lambda: reading.fills_page(self._desk.seen(account), page)))

    async def _create(self, request: Request) -> Response:
        account = self._member(request)
        asked = await _body(request, wire.CreateOrder)
        key = asked.client_order_id or ""
        return _json(await self._desk.write(key, lambda: self._exchange.create_order(account, asked)), 201)

    async def _cancel(self, request: Request) -> Response:
        account, order_id = self._member(request), request.path_params["order_id"]
        ticker = request.query_params.get("market_ticker")
        key = self._key_of(order_id)
        return _json(await self._desk.write(key, lambda: self._exchange.cancel_order(account, order_id, ticker)))

    async def _amend(self, request: Request) -> Response:
        account, order_id = self._member(request), request.path_params["order_id"]
        asked = await _body(request, wire.AmendOrder)
        key = self._key_of(order_id)
        return _json(await self._desk.write(key, lambda: self._exchange.amend_order(account, order_id, asked)))

    async def _gone(self, request: Request) -> Response:
        self._member(request)
        raise errors.deprecated_v1()

    def _member(self, request: Request) -> Account:
        return self._gate.member(request.headers, request.method, request.url.path)

    def _key_of(self, order_id: str) -> str:
        order = self._exchange.orders.get(order_id)
        return order_id if order is None else order.client_order_id


async def _no_collection(_: Request) -> Response:
    return PlainTextResponse("404 page not found", 404)


def _with_errors(endpoint: Endpoint) -> Endpoint:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except ApiError as refusal:
            return _json(error_body(refusal), refusal.status)

    return answered


def error_body(refusal: ApiError) -> object:
    """A refusal in the shape the wire has for it."""
    detail = wire.ErrorDetail(code=refusal.code, message=refusal.message, details=refusal.details)
    match refusal.shape:
        case "nested":
            return wire.NestedError(error=detail)
        case "flat":
            return detail
        case "msg":
            return {"msg": refusal.message}
        case "text":
            return {"error": refusal.message}


def _json(body: object, status: int = 200) -> Response:
    return Response(_ENCODER.encode(body), status, media_type="application/json")


async def _body(request: Request, struct: type[T]) -> T:
    """The decoded body. A wrong JSON type is a `bad_request`, a missing or unknown value an `invalid_parameters`."""
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_BYTES_MAX:
            raise errors.bad_request("body is too large")
    try:
        return msgspec.json.decode(raw, type=struct)
    except msgspec.ValidationError as error:
        if str(error).startswith("Expected"):
            raise errors.bad_request(f"json: cannot unmarshal: {error}") from error
        raise errors.invalid_parameters(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.bad_request(f"json: {error}") from error


def _page(request: Request, operation: str) -> Page:
    query = request.query_params
    return Page(
        limit=_number(request, "limit", operation, "Limit", default=100, low=1, high=LIMIT_MAX),
        cursor=query.get("cursor", ""),
        tickers=tuple(ticker for ticker in query.get("ticker", "").split(",") if ticker),
        event=query.get("event_ticker"),
        status=query.get("status"),
        order_id=query.get("order_id"),
        min_s=_optional_number(request, "min_ts", operation, "MinTs"),
        max_s=_optional_number(request, "max_ts", operation, "MaxTs"),
    )


def _number(request: Request, name: str, operation: str, field: str, *, default: int, low: int, high: int) -> int:
    value = _optional_number(request, name, operation, field)
    if value is None:
        return default
    if value < low:
        raise errors.invalid_query(operation, field, "gte")
    if value > high:
        raise errors.invalid_query(operation, field, "lte")
    return value


def _optional_number(request: Request, name: str, operation: str, field: str) -> int | None:
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 18):
        raise errors.invalid_query(operation, field, "number")
    return int(text)
