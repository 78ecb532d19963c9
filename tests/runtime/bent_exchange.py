"""The exchange as an engine's tests have it: the real client, the paper exchange behind it in memory, and between them
a path that does to single requests and frames what a test says. In virtual time.

Everything that is asked goes as bytes through the client, the bends and the exchange's own checks: what a request does
not say, a listing from the year 2096 on or a market left out, the exchange does not guess. What the paper exchange does
not do by itself stands here and is named: answers lost or late, a stream that says nothing, a trade with one order out
of its turn, an exchange whose clock is as wrong as ours.

The account is not empty: a day ago somebody else with a key of it has traded, and another market has an order of theirs
that rests and a trade of today. Every listing is held against what was asked: nothing of another market, nothing older.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import msgspec
import trio

from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    CancelOrder,
    FillListing,
    FillReport,
    OrderListing,
    OrderReport,
    PlaceAnswer,
    PlaceOrder,
    Write,
)
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4, format_count, format_price, in_outcome
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market_book import BookEvent, Match
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import host_in_memory
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade, tape_header
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.timing.timeline import Rank, Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.runtime.clock import Wall
from fsm_exec.wire import rest
from tests.bending import frames, requests
from tests.bending.bends import Bends, Forward, Reply, Request, RequestBend, Rule
from tests.bending.proxy import bent

TICKER = "KXTEST-A-1"
NEIGHBOUR = "KXOTHER-B-1"
DAY_US = 86_400_000_000
S = 1_000_000
WAY_US = 100_000  # a request's way there, and its answer's way back
CASH_E6 = MoneyE6(1_000_000_000_000)
ORDERS = "/portfolio/events/orders"

Fate: TypeAlias = Literal["lost there", "lost back", "refused"]
"""What becomes of a write: it never arrives; it is done and its answer is lost; it is refused and nothing is done."""


class BentExchange:
    """What `core.exchange_port.Exchange` asks for, as the client does it; a test may put a function of its own in the
    place of any call. `place_fates` and `cancel_fates` are those of the next writes, then all is well; while `mute` no
    frame about orders and fills arrives; `answer_s` is how much longer the answer to a new order takes."""

    def __init__(
        self,
        client: KalshiClient,
        paper: Exchange,
        account: Account,
        gate: Authenticator,
        clock: Clock,
        bends: Bends,
        wall: Wall,
    ) -> None:
        self.client, self.paper, self.account, self.gate = client, paper, account, gate
        self.clock, self.bends = clock, bends
        self.place_fates: deque[Fate] = deque()
        self.cancel_fates: deque[Fate] = deque()
        self.mute = False
        self.stream_bug = trio.Event()
        self.answer_s = 0.0
        self.happened: list[str] = []
        self.requests: list[tuple[int, Write]] = []  # when each was handed over, by our clock
        self.listener: StreamListener | None = None
        self.told_too_much: list[str] = []  # by listings
        self._wall = wall
        self._past = {order.order_id for order in account.orders}  # before any engine
        bends.on_request(self._answer_late, "POST", ORDERS)
        bends.on_request(_meets(lambda: self.place_fates), "POST", ORDERS)
        bends.on_request(_meets(lambda: self.cancel_fates), "DELETE", f"{ORDERS}/*")
        for kind in ("user_order", "fill"):
            bends.on_frame(frames.drop(), kind, where=lambda _: self.mute)

    # What the engine asks.

    async def market_terms(self, ticker: str) -> MarketTerms:
        return await self.client.market_terms(ticker)

    async def markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        return await self.client.markets(tickers)

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        self._note(order)
        return await self.client.place(order)

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        self._note(order)
        return await self.client.amend(order)

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        self._note(order)
        return await self.client.cancel(order)

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        for order in orders:
            self._note(order)
        return await self.client.cancel_batch(orders)

    def budget(self) -> BudgetFacts:
        return self.client.budget()

    def volume_24h(self, ticker: str) -> CountE2 | None:
        return self.client.volume_24h(ticker)

    async def orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        listing = await self.client.orders(ticker, since_us=since_us, resting=resting)
        for row in listing.orders:
            self._hold(f"orders of {ticker} since {since_us}", ticker, since_us, row.order_id)
        return listing

    async def fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        listing = await self.client.fills(ticker, order_id, since_us=since_us)
        for row in listing.fills:
            self._hold(f"fills of {ticker} since {since_us}", ticker, since_us, row.order_id, row.at_us)
        return listing

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        self.listener = listener
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.client.stream, listener, tickers)
            await self.stream_bug.wait()
            nursery.cancel_scope.cancel()
        raise RuntimeError("a bug in the stream")

    def watch(self, ticker: str) -> None:
        self.client.watch(ticker)

    def unwatch(self, ticker: str) -> None:
        self.client.unwatch(ticker)

    def stream_trouble(self) -> str | None:
        return self.client.stream_trouble()

    # What a test sees.

    @property
    def held(self) -> dict[str, OrderReport]:
        """The account's orders as they stand at the exchange, by client order id."""
        return {order.client_order_id: _report(order) for order in self._orders()}

    def all(self) -> list[OrderReport]:
        return list(self.held.values())

    @property
    def resting(self) -> list[str]:
        return [order.client_order_id for order in self._orders() if order.status == "resting"]

    @property
    def places(self) -> list[PlaceOrder]:
        return [write for _, write in self.requests if isinstance(write, PlaceOrder)]

    @property
    def cancels(self) -> list[CancelOrder]:
        return [write for _, write in self.requests if isinstance(write, CancelOrder)]

    # What a test does at the exchange, behind the engine's back.

    def fill(self, contracts: int, client_order_id: str) -> FillReport:
        """Somebody trades with this order, whoever else stands at its price; with one that has ended: the trade was
        before that, and the exchange only says so now."""
        order, count = self.order(client_order_id), CountE2(contracts * 100)
        market = self.paper.markets[order.ticker]
        happened: list[BookEvent] = [Match(order, None, order.outcome, order.price_e4, count)]
        if order.status == "resting":
            level = market.book._ladders[order.outcome][order.price_e4]
            happened.clear()
            market.book._fill(happened, level, order, None, count)  # the book itself would keep to the queue
        self.paper._publish(market, happened)
        return _fill_report(self.account.fills[-1])

    def strange_order(
        self, client_order_id: str, *, ticker: str = TICKER, cents: int = 40, contracts: int = 10
    ) -> OrderReport:
        """Somebody else with a key of this account places an order for YES that rests."""
        self.paper.create_order(self.account, _bid(client_order_id, ticker, cents, contracts))
        return self.held[client_order_id]

    def end(self, client_order_id: str, reason: str | None = None) -> None:
        """The exchange ends an order that rests, or (without a reason) its owner does, by hand."""
        self.paper.cancel(self.order(client_order_id), reason)

    def amend_by_hand(self, client_order_id: str, *, cents: int) -> None:
        """Its owner moves an order to another price."""
        order = self.order(client_order_id)
        request = rest.AmendOrder(
            ticker=order.ticker,
            side=order.book_side,
            price=format_price(in_outcome(PriceE4(cents * 100), order.outcome)),
            count=format_count(order.initial_e2),
        )
        self.paper.amend_order(self.account, order.order_id, request)

    def move(self, outcome: Outcome, cents: int, contracts: int) -> None:
        """Others bid for so much more, at this price of their outcome."""
        self.paper.apply(TICKER, BookDelta(outcome, PriceE4(cents * 100), CountE2(contracts * 100)))

    def trade(self, taker: Outcome, yes_cents: int, contracts: int) -> None:
        """Others trade, with whoever's turn it is."""
        self.paper.apply(TICKER, Trade(taker, PriceE4(yes_cents * 100), CountE2(contracts * 100)))

    def lists_as(self, client_order_id: str, change: Callable[[dict[str, Any]], None]) -> None:
        """From now on listings show the row of this order changed: a lie."""

        def changed(reply: Reply) -> Reply:
            body = reply.json
            for row in body.get("orders", []):
                if row["client_order_id"] == client_order_id:
                    change(row)
            return reply._replace(body=msgspec.json.encode(body))

        self.bends.on_request(requests.rewritten(changed), "GET", "/portfolio/orders")

    def lists_also(self, what: Literal["orders", "fills"], changed: dict[str, str]) -> None:
        """From now on each page of a listing has its newest row a second time, with these fields: a lie."""

        def longer(reply: Reply) -> Reply:
            body = reply.json
            if rows := body.get(what):
                rows.append(rows[0] | changed)
            return reply._replace(body=msgspec.json.encode(body))

        self.bends.on_request(requests.rewritten(longer), "GET", f"/portfolio/{what}")

    def order(self, client_order_id: str) -> Order:
        (found,) = [order for order in self._orders() if order.client_order_id == client_order_id]
        return found

    def set_our_clock(self, by_us: int) -> int:
        """Our clock goes wrong, or right again, by so much, and signatures are taken all the same: how an expired one
        is met is for tests/contract. Returns the correction."""
        self.gate.skew_ms += by_us // 1_000
        return self._wall.set_us(self._wall.now_us() + by_us)

    def silence(self, path: str = "/portfolio/*") -> Rule[Request]:
        """Reads of this path are never answered, until the rule ends."""
        return self.bends.on_request(requests.drop(), "GET", path)

    def sleep(self, by_us: int) -> None:
        """This machine sleeps: for everybody else so much time has passed, and our own tasks know nothing of it."""
        self.clock.origin_us += by_us
        self._wall.set_us(self._wall.now_us() + by_us)
        self.paper.timeline.at(self.clock.now_us(), Rank.TAPE, "", lambda: None)  # what is due meanwhile is done now

    # Between.

    def _orders(self) -> list[Order]:
        return [order for order in self.account.orders if order.order_id not in self._past]

    def _hold(
        self, asked: str, ticker: str | None, since_us: int | None, order_id: str, at_us: int | None = None
    ) -> None:
        """Hold one row of a listing against what was asked; whole seconds are asked for."""
        if (order := self.paper.orders.get(order_id)) is None:
            return  # a test's own invention
        at_us = order.created_us if at_us is None else at_us
        if (ticker is not None and order.ticker != ticker) or (since_us is not None and at_us < since_us // S * S):
            self.told_too_much.append(f"{asked}: {order.client_order_id} of {order.ticker} at {at_us}")

    def _note(self, write: Write) -> None:
        self.happened.append(f"asked {write.effect_id}")
        self.requests.append((self._wall.now_us(), write))

    async def _answer_late(self, request: Request, forward: Forward) -> Reply:
        reply = await forward(request)
        await trio.sleep(self.answer_s)
        return reply


def _meets(fates_now: Callable[[], deque[Fate]]) -> RequestBend:
    """A bend that lets each request meet the next fate."""
    bends = {
        "lost there": requests.cut(),
        "lost back": requests.cut(arrives=True),
        "refused": requests.error(400, "invalid_order"),
    }

    async def bend(request: Request, forward: Forward) -> Reply:
        if not (fates := fates_now()):
            return await forward(request)
        fate = fates.popleft()
        if fate != "lost back":
            await trio.sleep(WAY_US / 1_000_000)
        return await bends[fate](request, forward)

    return bend


def _bid(client_order_id: str, ticker: str, cents: int, contracts: int) -> rest.CreateOrder:
    return rest.CreateOrder(
        ticker=ticker,
        side="bid",
        count=format_count(CountE2(contracts * 100)),
        price=format_price(PriceE4(cents * 100)),
        time_in_force="good_till_canceled",
        self_trade_prevention_type="taker_at_cross",
        client_order_id=client_order_id,
    )


def _report(order: Order) -> OrderReport:
    return OrderReport(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        ticker=order.ticker,
        outcome=order.outcome,
        status=order.status,
        price_e4=order.price_e4,
        count_e2=order.initial_e2,
        filled_e2=order.filled_e2,
        remaining_e2=order.remaining_e2,
        at_us=order.updated_us,
        reason=order.reason,
    )


def _fill_report(fill: FillRecord) -> FillReport:
    return FillReport(
        fill_id=fill.trade_id,
        trade_id=fill.trade_id,
        order_id=fill.order.order_id,
        client_order_id=fill.order.client_order_id,
        ticker=fill.order.ticker,
        outcome=fill.order.outcome,
        price_e4=fill.price_e4,
        count_e2=fill.count_e2,
        fee_e6=fill.fee_e6,
        is_taker=fill.is_taker,
        at_us=fill.at_us,
    )


@asynccontextmanager
async def open_bent_exchange(wall: Wall) -> AsyncIterator[BentExchange]:
    """One account of a paper exchange with one market: 500 YES are bid for at 0.48 and offered at 0.50. Needs a virtual
    clock."""
    clock = Clock.starting_at(wall.now_us() - DAY_US)
    paper = Exchange(Timeline(clock), seed=1)
    many = CountE2(50_000)
    book = BookSnapshot(((PriceE4(4_800), many),), ((PriceE4(5_000), many),))
    for ticker in (TICKER, NEIGHBOUR):
        paper.add_market(tape_header(ticker, "linear_cent", category="Test"))
        paper.apply(ticker, book)
    gate = Authenticator(
        paper, clock, tier=TIERS["prestige"]
    )  # how much may be asked is not what these tests are about
    account, credentials = gate.open_account(CASH_E6, "ed25519")
    paper.create_order(account, _bid("somebody-elses-first", TICKER, 50, 3))  # takes what is offered
    clock.origin_us += DAY_US
    paper.apply(TICKER, book)
    paper.create_order(account, _bid("somebody-elses-second", NEIGHBOUR, 50, 3))
    paper.create_order(account, _bid("somebody-elses-third", NEIGHBOUR, 40, 3))
    latency = Latency(feed_us=0, entry_us=WAY_US, response_us=WAY_US)
    async with (
        host_in_memory(paper, clock, gate, latency=latency) as host,
        bent(host) as way,
        open_client(
            base_url=way.base_url,
            api_key_id=credentials.api_key_id,
            key=SigningKey.from_pem(credentials.private_key_pem),
            dial=way.dial,
            wall_us=wall.now_us,
            rng=random.Random(1),
            transport=way.transport,
        ) as client,
    ):
        exchange = BentExchange(client, paper, account, gate, clock, way.bends, wall)
        yield exchange
        assert exchange.told_too_much == []
