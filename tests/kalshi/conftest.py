"""What the tests of the client share: a network that does as told, a stream server over memory, a listener that
writes down what it hears."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

import httpx
import msgspec
import pytest
import trio
import trio_websocket
from trio.testing import memory_stream_pair

from fsm_exec.core.market.account import GroupAnswer, GroupCreateAnswer
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAllAnswer,
    CancelAnswer,
    CancelOrder,
    DecreaseAnswer,
    DecreaseOrder,
    FillReport,
    OrderReport,
    PlaceAnswer,
    PlaceOrder,
)
from fsm_exec.core.market.terms import FeeChange, MarketStatus
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid
from fsm_exec.kalshi.http_wire import HttpWire
from fsm_exec.kalshi.market_poller import MarketPoller
from fsm_exec.kalshi.order_groups import KalshiGroups
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.signed_http import SignedHttp
from fsm_exec.kalshi.signing import Signer, SigningKey
from fsm_exec.kalshi.websocket import KalshiStream
from fsm_exec.wire.rest import WS_PATH

AnyAnswer: TypeAlias = (
    PlaceAnswer | AmendAnswer | DecreaseAnswer | CancelAnswer | CancelAllAnswer | GroupCreateAnswer | GroupAnswer
)

NOW_US = 1_790_856_000_123_456  # 2026-10-01T12:00:00.123456Z
KEY_ID = "3f1c7a52-93b4-4c1c-8a11-6f4a0c9d0001"
BASE_URL = "http://exchange.test/trade-api/v2"
ORDER_ID = "e5d8a5a0-0000-4000-8000-000000000001"
TICKER = "KXA-26OCT01-T50.99"


LONG_AGO = "2020-01-01T00:00:00Z"
ANNOUNCED: dict[str, dict[str, object]] = {
    "/trade-api/v2/series/fee_changes": {"series_fee_change_arr": []},
    "/trade-api/v2/events/fee_changes": {"event_fee_changes": [], "cursor": ""},
    "/trade-api/v2/historical/cutoff": {"orders_updated_ts": LONG_AGO, "trades_created_ts": LONG_AGO},
    "/trade-api/v2/historical/orders": {"orders": [], "cursor": ""},
    "/trade-api/v2/historical/fills": {"fills": [], "cursor": ""},
}


class Network(httpx.AsyncBaseTransport):
    """Answers each request with the next prepared answer (the last one for ever), or raises it; keeps the requests.
    What is announced of fees, and what is past the cutoff, is read beside all else, so it has answers and a list of its
    own: there is none of it, unless `announced` says so (a body, or a status). Paths in `hanging` get no answer."""

    def __init__(self) -> None:
        self.announced: dict[str, dict[str, object] | int] = {**ANNOUNCED}
        self.fee_requests: list[httpx.Request] = []
        self.hanging: set[str] = set()
        self.requests: list[httpx.Request] = []
        self._answers: list[httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]] = []

    def answer(self, status: int, body: object = b"", **headers: str) -> Network:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        self._answers.append(lambda _: httpx.Response(status, content=content, headers=headers))
        return self

    def fail(self, error: Exception) -> Network:
        self._answers.append(error)
        return self

    def route(self, answers: dict[str, object]) -> Network:
        """Answer 200 by path, whatever the order."""
        self._answers.append(
            lambda request: httpx.Response(200, content=msgspec.json.encode(answers[request.url.path]))
        )
        return self

    def each(self, answer: Callable[[httpx.Request], httpx.Response]) -> Network:
        """Let `answer` make every answer."""
        self._answers.append(answer)
        return self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        if (said := self.announced.get(request.url.path)) is not None:
            self.fee_requests.append(request)
            if request.url.path in self.hanging:
                await trio.sleep_forever()
            return httpx.Response(said) if isinstance(said, int) else httpx.Response(200, json=said)
        self.requests.append(request)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


class KeptLog:
    """Keeps every line as text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, event: str, **values: object) -> None:
        self.lines.append(f"{event} {values}")

    info = debug
    warning = debug
    exception = debug


class Listener:
    """Writes down what it is told, in order; `heard` apart, since everything is heard."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.heard_count = 0

    def connected(self) -> None:
        self.told.append(("connected",))

    def disconnected(self, why: str) -> None:
        self.told.append(("disconnected", why))

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        self.told.append(("snapshot", ticker, list(yes), list(no)))

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        self.told.append(("change", ticker, outcome, price, delta, at_us))

    def book_gap(self, tickers: Sequence[str]) -> None:
        self.told.append(("gap", list(tickers)))

    def book_broken(self, ticker: str) -> None:
        self.told.append(("broken", ticker))

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        self.told.append(("trade", ticker, taker, yes_price, count, at_us))

    def market_status(self, ticker: str, status: MarketStatus) -> None:
        self.told.append(("status", ticker, status))

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        self.told.append(("grid", ticker, grid))

    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None:
        self.told.append(("fees", ticker, fees, tuple(later)))

    def fill(self, report: FillReport) -> None:
        self.told.append(("fill", report))

    def order(self, report: OrderReport) -> None:
        self.told.append(("order", report))

    def order_group(self, group_id: str, change: str) -> None:
        self.told.append(("order_group", group_id, change))

    def heard(self) -> None:
        self.heard_count += 1

    def kinds(self) -> list[str]:
        return [entry[0] for entry in self.told]


class Peer:
    """The exchange's end of one connection."""

    def __init__(self, socket: trio_websocket.WebSocketConnection, line: trio.StapledStream[Any, Any]) -> None:
        self.socket = socket
        self._line = line

    def go_dead(self) -> None:
        """From now on nothing sent arrives, pongs included; nobody is told."""

        async def swallow(_: bytes) -> None:
            await trio.lowlevel.checkpoint()

        self._line.send_stream.send_all = swallow

    async def break_off(self) -> None:
        """End the connection without a word."""
        await trio.aclose_forcefully(self._line)

    async def command(self) -> dict[str, Any]:
        with trio.fail_after(60):
            command: dict[str, Any] = msgspec.json.decode(await self.socket.get_message())
        return command

    async def send(self, frame: object) -> None:
        text = frame if isinstance(frame, str | bytes) else msgspec.json.encode(frame).decode()
        await self.socket.send_message(text)

    async def accept_subscriptions(self) -> None:
        """Acknowledge all: sids 1 fill, 2 user_orders, 3 orderbook_delta, 4 trade, 5 market_lifecycle_v2, 6
        order_group_updates (3 and 4 where no market is wanted)."""
        sid, channel = 0, ""
        while channel != "order_group_updates":
            command = await self.command()
            for channel in command["params"]["channels"]:
                sid += 1
                await self.send({"type": "subscribed", "id": command["id"], "msg": {"channel": channel, "sid": sid}})

    async def snapshot(self, seq: int, ticker: str = TICKER, **sides: list[tuple[str, str]]) -> None:
        await self.send({"type": "orderbook_snapshot", "sid": 3, "seq": seq, "msg": {"market_ticker": ticker, **sides}})

    async def delta(self, seq: int, ticker: str = TICKER, price: str = "0.4800", change: str = "1.00") -> None:
        message = {"market_ticker": ticker, "price_dollars": price, "delta_fp": change, "side": "no", "ts_ms": 5}
        await self.send({"type": "orderbook_delta", "sid": 3, "seq": seq, "msg": message})


class StreamServer:
    """A WebSocket server over memory; every connection waits to be taken by `next`."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.dialled_at_s: list[float] = []
        self.handshakes: list[list[tuple[bytes, bytes]]] = []
        self.refuse_with: tuple[int, bytes] | None = None
        self.is_mute = False
        self.dial_error: Exception | None = None
        self._nursery = nursery
        self._send, self._receive = trio.open_memory_channel[Peer](10)

    async def dial(
        self, nursery: trio.Nursery, headers: list[tuple[bytes, bytes]]
    ) -> trio_websocket.WebSocketConnection:
        self.dialled_at_s.append(trio.current_time())
        if self.dial_error is not None:
            raise self.dial_error
        mine, theirs = memory_stream_pair()
        self._nursery.start_soon(self._serve, theirs)
        return await trio_websocket.wrap_client_stream(
            nursery,
            mine,  # type: ignore[arg-type]  # any trio stream works; the library's annotation is narrower
            "exchange.test",
            WS_PATH,
            extra_headers=headers,
        )

    async def _serve(self, stream: trio.StapledStream[Any, Any]) -> None:
        if self.is_mute:
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            request = await trio_websocket.wrap_server_stream(nursery, stream)
            self.handshakes.append(request.headers)
            if self.refuse_with is not None:
                status, body = self.refuse_with
                await request.reject(status, body=body)
                nursery.cancel_scope.cancel()
                return
            await self._send.send(Peer(await request.accept(), stream))

    async def next(self) -> Peer:
        with trio.fail_after(120):
            return await self._receive.receive()


class Kit:
    """Makes the parts under test."""

    now_us = NOW_US
    key_id = KEY_ID
    base_url = BASE_URL
    order_id = ORDER_ID
    ticker = TICKER

    def __init__(self, key: SigningKey) -> None:
        self.key = key
        self.signer = Signer(KEY_ID, key)
        self.log = KeptLog()
        self.doubts = 0  # how often an expired signature was told of

    def doubt(self) -> None:
        self.doubts += 1

    def http(self, network: Network) -> SignedHttp:
        client = httpx.AsyncClient(base_url=BASE_URL, transport=network)
        return SignedHttp(
            HttpWire(client, self.signer, self.log), lambda: NOW_US, self.log, on_expired_signature=self.doubt
        )

    def rest(self, network: Network) -> KalshiRest:
        return KalshiRest(self.http(network), lambda: NOW_US, self.log)

    def stream(self, server: StreamServer, network: Network | None = None) -> KalshiStream:
        """With a network, the markets' status is read as well."""
        poller = None
        if network is not None:
            poller = MarketPoller(self.rest(network).terms, lambda: NOW_US, self.log)
        return KalshiStream(
            server.dial, self.signer, lambda: NOW_US, random.Random(7), self.log, None, poller, self.doubt
        )

    def place(self, **changes: object) -> PlaceOrder:
        order = PlaceOrder(
            effect_id="e1:1:0",
            client_order_id="fxaaaaaaaaaa-e1-1-1",
            ticker=TICKER,
            outcome="yes",
            price_e4=PriceE4(4_700),
            count_e2=CountE2(1_000),
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=1_790_860_000,
        )
        return msgspec.structs.replace(order, **changes)

    def amend(self, **changes: object) -> AmendOrder:
        order = AmendOrder(
            effect_id="e1:2:0",
            client_order_id="fxaaaaaaaaaa-e1-1-1",
            order_id=ORDER_ID,
            ticker=TICKER,
            outcome="yes",
            price_e4=PriceE4(4_800),
            total_e2=CountE2(1_000),
        )
        return msgspec.structs.replace(order, **changes)

    def cancel(self, **changes: object) -> CancelOrder:
        order = CancelOrder(effect_id="e1:3:0", client_order_id="fxaaaaaaaaaa-e1-1-1", order_id=ORDER_ID, ticker=TICKER)
        return msgspec.structs.replace(order, **changes)

    def decrease(self, **changes: object) -> DecreaseOrder:
        order = DecreaseOrder(
            effect_id="e1:4:0",
            client_order_id="fxaaaaaaaaaa-e1-1-1",
            order_id=ORDER_ID,
            ticker=TICKER,
            reduce_by_e2=CountE2(100),
        )
        return msgspec.structs.replace(order, **changes)

    async def write(self, kind: str, rest: KalshiRest) -> AnyAnswer:
        """One write of each kind; of a batch the answer its first order got."""
        groups = KalshiGroups(rest.endpoints)
        match kind:
            case "place":
                return await rest.place(self.place())
            case "amend":
                return await rest.amend(self.amend())
            case "decrease":
                return await rest.decrease(self.decrease())
            case "cancel":
                return await rest.cancel(self.cancel())
            case "batch_place":
                return (await rest.place_batch([self.place(), self.place(client_order_id="second")]))[0]
            case "batch_cancel":
                return (await rest.cancel_batch([self.cancel(), self.cancel(order_id="second")]))[0]
            case "cancel_all":
                return await rest.cancel_all()
            case "group_make":
                return await groups.create(CountE2(500))
            case "group_change":
                return await groups.reset("g-1")
            case other:
                raise AssertionError(other)


@pytest.fixture(scope="session")
def signing_key() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture
def kit(signing_key: SigningKey) -> Kit:
    return Kit(signing_key)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    async with trio.open_nursery() as nursery:
        yield StreamServer(nursery)
        nursery.cancel_scope.cancel()
