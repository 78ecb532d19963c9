"""What the tests of the paper exchange share: a signing member, a hand-moved clock, short ways to say things."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx
import msgspec
import trio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from trio_websocket import WebSocketConnection

from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4, parse_count, parse_price
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.server.auth import Authenticator, Credentials, KeyType
from fsm_exec.paper.server.hosting import LoopbackHost, MemoryHost, host_in_memory, host_on_loopback
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, TapeHeader, Trade, tape_header
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY, Latency
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire.rest import API_PREFIX, WS_PATH, CreateOrder, CreateOrderAnswer
from tests.specification.checking import Checker

START_US = 1_790_000_000_000_000
TICKER = "KXTEST-26OCT01-A"
RICH = MoneyE6(10_000_000_000)


def price(text: str) -> PriceE4:
    return parse_price(text)


def count(text: str) -> CountE2:
    return parse_count(text)


def levels(*pairs: tuple[str, str]) -> tuple[tuple[PriceE4, CountE2], ...]:
    return tuple((price(p), count(c)) for p, c in pairs)


def snapshot(yes: Iterable[tuple[str, str]], no: Iterable[tuple[str, str]]) -> BookSnapshot:
    return BookSnapshot(levels(*yes), levels(*no))


def delta(outcome: Outcome, at: str, change: str) -> BookDelta:
    sign = -1 if change.startswith("-") else 1
    return BookDelta(outcome, price(at), CountE2(sign * count(change.lstrip("-"))))


def trade(taker: Outcome, yes_price: str, size: str) -> Trade:
    return Trade(taker, price(yes_price), count(size))


def header(ticker: str = TICKER, fee_type: str = "quadratic") -> TapeHeader:
    return tape_header(ticker, "linear_cent", category="Testing", fee_type=fee_type)


class HandClock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.at_us = START_US

    def now_us(self) -> int:
        return self.at_us


class Floor:
    """A synchronous exchange with one market and one account, without any wire."""

    def __init__(
        self,
        fee_type: str = "quadratic",
        cash: MoneyE6 = RICH,
        queue_model: QueueModel = "conservative",
        fill_model: FillModel = "recorded",
    ) -> None:
        self.clock = HandClock()
        self.exchange = Exchange(Timeline(self.clock))
        self.market = self.exchange.add_market(header(fee_type=fee_type), queue_model, fill_model)
        self.account = self.exchange.add_account(cash)

    def play(self, *changes: BookSnapshot | BookDelta | Trade) -> None:
        for change in changes:
            self.exchange.apply(TICKER, change)

    def later(self, seconds: int) -> None:
        self.clock.at_us += seconds * 1_000_000
        self.exchange.timeline.advance()

    def bid(self, at: str, size: str, *, account: Account | None = None, **more: object) -> CreateOrderAnswer:
        return self._order("bid", at, size, account, more)

    def ask(self, at: str, size: str, *, account: Account | None = None, **more: object) -> CreateOrderAnswer:
        return self._order("ask", at, size, account, more)

    def _order(
        self, side: Literal["bid", "ask"], at: str, size: str, account: Account | None, more: dict[str, object]
    ) -> CreateOrderAnswer:
        fields: dict[str, Any] = {
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
            **more,
        }
        request = CreateOrder(side=side, price=at, count=size, **{"ticker": TICKER, **fields})
        return self.exchange.create_order(account or self.account, request)

    def filled(self, answer: CreateOrderAnswer) -> int:
        return self.exchange.orders[answer.order_id].filled_e2

    def shown(self, outcome: Outcome) -> dict[int, int]:
        return {int(p): int(c) for p, c in self.market.book.displayed(outcome)}


class Member:
    """One account's client: signs as a client does, over any host."""

    def __init__(self, account: Account, credentials: Credentials, clock: Clock) -> None:
        self.account = account
        self.credentials = credentials
        self._clock = clock
        self._key = serialization.load_pem_private_key(credentials.private_key_pem, None)

    def headers(self, method: str, path: str, *, at_ms: int | None = None) -> dict[str, str]:
        stamp = str(self._clock.now_us() // 1_000 if at_ms is None else at_ms)
        message = f"{stamp}{method}{path}".encode()
        if isinstance(self._key, RSAPrivateKey):
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            raw = self._key.sign(message, pss, hashes.SHA256())
        else:
            assert isinstance(self._key, Ed25519PrivateKey)
            raw = self._key.sign(message)
        return {
            "KALSHI-ACCESS-KEY": self.credentials.api_key_id,
            "KALSHI-ACCESS-TIMESTAMP": stamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(raw).decode(),
        }


class Stage:
    """A hosted exchange with one market and one member, and plain clients of it."""

    def __init__(self, exchange: Exchange, clock: Clock, gate: Authenticator, host: MemoryHost | LoopbackHost) -> None:
        self.exchange, self.clock, self.gate, self.host = exchange, clock, gate, host
        self.member = self.new_member()
        self.checker = Checker()
        self.http = httpx.AsyncClient(
            base_url=host.base_url,
            transport=host.transport,
            trust_env=False,
            event_hooks={"response": [self.checker.response]},
        )

    def new_member(self, cash: MoneyE6 = RICH, key_type: KeyType = "ed25519") -> Member:
        return Member(*self.gate.open_account(cash, key_type), self.clock)

    async def call(
        self,
        method: str,
        path: str,
        body: object | None = None,
        *,
        member: Member | None = None,
        query: dict[str, str] | None = None,
    ) -> httpx.Response:
        headers = (member or self.member).headers(method, API_PREFIX + path)
        content = None if body is None else msgspec.json.encode(body)
        return await self.http.request(method, path, content=content, headers=headers, params=query)

    async def create(
        self, side: str, at: str, size: str, *, member: Member | None = None, **more: object
    ) -> dict[str, Any]:
        body = {
            "ticker": TICKER,
            "side": side,
            "price": at,
            "count": size,
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
            **more,
        }
        answer = await self.call("POST", "/portfolio/events/orders", body, member=member)
        assert answer.status_code == 201, answer.text
        return msgspec.json.decode(answer.content, type=dict[str, Any])

    async def dial(self, nursery: trio.Nursery, member: Member | None = None) -> WebSocketConnection:
        signed = (member or self.member).headers("GET", WS_PATH)
        return await self.host.dial(nursery, [(name.encode(), value.encode()) for name, value in signed.items()])


@asynccontextmanager
async def staged(wire: str, latency: Latency = NO_LATENCY) -> AsyncIterator[Stage]:
    """An exchange served over `wire` ("memory" or "loopback")."""
    clock = Clock.starting_at(START_US)
    exchange = Exchange(Timeline(clock), seed=7)
    exchange.add_market(header())
    gate = Authenticator(exchange, clock)
    hosting = host_in_memory if wire == "memory" else host_on_loopback
    async with hosting(exchange, clock, gate, latency=latency) as host:
        stage = Stage(exchange, clock, gate, host)
        async with stage.http:
            yield stage
        stage.checker.verify()


async def say(connection: WebSocketConnection, command: object) -> None:
    await connection.send_message(msgspec.json.encode(command).decode())


async def hear(connection: WebSocketConnection) -> dict[str, Any]:
    """The next frame, which must be as specified; fails after 5 s of the test's clock."""
    with trio.fail_after(5):
        frame = await connection.get_message()
    checker = Checker()
    checker.frame(frame)
    checker.verify()
    return msgspec.json.decode(frame, type=dict[str, Any])
