"""The client and the paper exchange, joined over memory and over loopback sockets: the same tests for both wires.

Every answer and frame of the exchange is checked against the tables of its specification (tests/specification)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest
import trio

from fsm_exec.core.market.book import Book, Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import FillReport, OrderReport, PlaceOrder
from fsm_exec.core.market.terms import FeeChange, MarketStatus
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4, PriceGrid, parse_count, parse_price
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket_dial import dial_url
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator, Credentials, KeyType
from fsm_exec.paper.server.hosting import LoopbackHost, MemoryHost, host_in_memory, host_on_loopback
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire.rest import OrderBookBody
from tests.specification.checking import Checker

START_US = 1_790_856_000_000_000
TICKER = "KXTEST-26OCT01-A"
CASH = MoneyE6(1_000_000_000)
WAIT_S = 10


class Watcher:
    """A listener that keeps books and the account's facts, and can be waited on. `book` is the stage's own market's."""

    def __init__(self) -> None:
        self.books: dict[str, Book] = {}
        self.trades: list[tuple[Outcome, PriceE4, CountE2]] = []
        self.fills: list[FillReport] = []
        self.orders: list[OrderReport] = []
        self.groups: list[tuple[str, str]] = []
        self.statuses: dict[str, MarketStatus] = {}
        self.market_told = trio.Event()  # of the next word about a market
        self.grids: dict[str, PriceGrid] = {}
        self.fees: dict[str, tuple[FeeTerms, tuple[FeeChange, ...]]] = {}
        self.gaps = 0
        self.ready = False
        self._moved = trio.Event()

    @property
    def book(self) -> Book:
        return self.books[TICKER]

    def connected(self) -> None:
        self.ready = False

    def disconnected(self, why: str) -> None:
        self.ready = False

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        self.books[ticker] = Book(yes, no)
        self.ready = True

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        self.books[ticker].change(outcome, price, delta)

    def book_gap(self, tickers: Sequence[str]) -> None:
        self.gaps += 1

    def book_broken(self, ticker: str) -> None:
        self.gaps += 1

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        self.trades.append((taker, yes_price, count))

    def market_status(self, ticker: str, status: MarketStatus) -> None:
        self.statuses[ticker] = status
        self.market_told.set()
        self.market_told = trio.Event()

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        self.grids[ticker] = grid

    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None:
        self.fees[ticker] = (fees, tuple(later))
        self.market_told.set()
        self.market_told = trio.Event()

    def fill(self, report: FillReport) -> None:
        self.fills.append(report)

    def order(self, report: OrderReport) -> None:
        self.orders.append(report)

    def order_group(self, group_id: str, change: str) -> None:
        self.groups.append((group_id, change))

    def heard(self) -> None:
        # Called before the frame is told: the waiter looks again after the reader's next step.
        self._moved.set()

    async def until_told(self, holds: Callable[[], bool]) -> None:
        """As `until`, for words about markets that come without a frame."""
        with trio.fail_after(WAIT_S):
            while not holds():
                await self.market_told.wait()

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(WAIT_S):
            while not holds():
                self._moved = trio.Event()
                await self._moved.wait()
                await trio.testing.wait_all_tasks_blocked()


class Stage:
    """A hosted exchange with one market, and clients of it."""

    ticker = TICKER
    account: Account  # of the client opened last

    def __init__(self, exchange: Exchange, clock: Clock, gate: Authenticator, host: MemoryHost | LoopbackHost) -> None:
        self.exchange, self.clock, self.gate, self.host = exchange, clock, gate, host
        self.checker = Checker()
        self.orders_made = 0

    @asynccontextmanager
    async def client(
        self, *, key_type: KeyType = "ed25519", skew_us: int = 0, cash: MoneyE6 = CASH
    ) -> AsyncIterator[KalshiClient]:
        self.account, credentials = self.gate.open_account(cash, key_type)
        async with self.client_of(credentials, skew_us=skew_us) as client:
            yield client

    @asynccontextmanager
    async def client_of(
        self, credentials: Credentials, *, skew_us: int = 0, subaccount: int | None = None
    ) -> AsyncIterator[KalshiClient]:
        async with open_client(
            base_url=self.host.base_url,
            api_key_id=credentials.api_key_id,
            key=SigningKey.from_pem(credentials.private_key_pem),
            dial=self.host.dial if isinstance(self.host, MemoryHost) else dial_url(self.host.ws_url),
            wall_us=lambda: self.clock.now_us() + skew_us,
            rng=random.Random(1),
            transport=self.checker.transport(self.host.transport),
            tap=self.checker.tap,
            subaccount=subaccount,
        ) as client:
            yield client

    @asynccontextmanager
    async def watched(self, client: KalshiClient) -> AsyncIterator[Watcher]:
        """A watcher whose first snapshot has arrived."""
        watcher = Watcher()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.stream, watcher, (TICKER,))
            await watcher.until(lambda: watcher.ready)
            yield watcher
            nursery.cancel_scope.cancel()

    def order(self, outcome: Outcome, price: str, count: str, **changes: object) -> PlaceOrder:
        self.orders_made += 1
        order = PlaceOrder(
            effect_id=f"e1:{self.orders_made}:0",
            client_order_id=f"fxaaaaaaaaaa-e1-1-{self.orders_made}",
            ticker=TICKER,
            outcome=outcome,
            price_e4=parse_price(price),
            count_e2=parse_count(count),
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=self.clock.now_us() // 1_000_000 + 600,
        )
        return msgspec.structs.replace(order, **changes)

    def now_or_never(self, outcome: Outcome, price: str, count: str, **changes: object) -> PlaceOrder:
        now = {"time_in_force": "immediate_or_cancel", "expiration_s": None}
        return self.order(outcome, price, count, **now, **changes)

    async def rest_book(self) -> Book:
        """The public order book as REST shows it."""
        transport = self.checker.transport(self.host.transport)
        async with httpx.AsyncClient(base_url=self.host.base_url, transport=transport, trust_env=False) as http:
            answer = await http.get(f"/markets/{TICKER}/orderbook")
        book = msgspec.json.decode(answer.content, type=OrderBookBody).orderbook_fp
        yes, no = ([(parse_price(p), parse_count(c)) for p, c in side] for side in (book.yes_dollars, book.no_dollars))
        return Book(yes, no)


@pytest.fixture(params=["memory", "loopback"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    clock = Clock.starting_at(START_US)
    exchange = Exchange(Timeline(clock), seed=1)
    exchange.add_market(tape_header(TICKER, "linear_cent", category="Testing"))
    opening = BookSnapshot(
        tuple((parse_price(p), parse_count(c)) for p, c in (("0.44", "20"), ("0.45", "10"))),
        tuple((parse_price(p), parse_count(c)) for p, c in (("0.47", "30"), ("0.48", "5"))),
    )
    exchange.apply(TICKER, opening)
    gate = Authenticator(exchange, clock, tier=TIERS["prestige"])  # what is tested here is not how much may be asked
    host = host_in_memory if request.param == "memory" else host_on_loopback
    async with host(exchange, clock, gate, latency=NO_LATENCY) as hosted:
        stage = Stage(exchange, clock, gate, hosted)
        yield stage
    stage.checker.verify()
