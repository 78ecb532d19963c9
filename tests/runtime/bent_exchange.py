"""The exchange as an engine's tests have it: the real client, the paper exchange behind it in memory, and between them
a path that does to single requests and frames what a test says. In virtual time.

Everything that is asked goes as bytes through the client, the bends and the exchange's own checks: what a request does
not say, a listing from the year 2096 on or a market left out, the exchange does not guess. What the paper exchange does
not do by itself stands here and is named: answers lost or late, a stream that says nothing, rows that lie, an exchange
whose clock is as wrong as ours. What a test does at the exchange itself is in paper_account.

The account is not empty: a day ago somebody else with a key of it has traded, and another market has an order of theirs
that rests and a trade of today. Every listing is held against what was asked: nothing of another market, nothing older.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import msgspec
import trio

from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.market.account import (
    Balance,
    BudgetFacts,
    EventShape,
    MarketFacts,
    MarketSearch,
    Position,
    QueuePosition,
    Settlement,
)
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.incentives import IncentiveListing
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    CancelOrder,
    FillListing,
    OrderListing,
    PlaceAnswer,
    PlaceOrder,
    Write,
)
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, MoneyE6
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.timing.timeline import Rank
from fsm_exec.paper_session import PaperExchange, access_to, levels_of
from fsm_exec.runtime.clock import WallClock
from fsm_exec.session import connect
from tests.bending import frames, requests
from tests.bending.bends import Bends, Forward, Reply, Request, RequestBend, Rule
from tests.bending.proxy import bent
from tests.runtime.paper_account import TICKER, PaperAccount, bid

NEIGHBOUR = "KXOTHER-B-1"
DAY_US = 86_400_000_000
S = 1_000_000
WAY_US = 100_000  # a request's way there, and its answer's way back
YES, NO = [("0.48", "500")], [("0.50", "500")]
CASH_E6 = MoneyE6(1_000_000_000_000)
ORDERS = "/portfolio/events/orders"

Fate: TypeAlias = Literal["lost there", "lost back", "refused"]
"""What becomes of a write: it never arrives; it is done and its answer is lost; it is refused and nothing is done."""


class BentExchange(PaperAccount):
    """What `core.exchange_port.Exchange` asks for, as the client does it; a test may put a function of its own in the
    place of any call. `place_fates` and `cancel_fates` are those of the next writes, then all is well; while `mute` no
    frame about orders and fills arrives; `answer_s` is how much longer the answer to a new order takes."""

    def __init__(
        self, client: KalshiClient, paper: PaperExchange, account: Account, bends: Bends, wall: WallClock
    ) -> None:
        super().__init__(paper.exchange, account)
        self.client, self.gate, self.clock, self.bends = client, paper.gate, paper.clock, bends
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
        self._past_us = wall.now_us() - DAY_US // 2
        bends.on_request(self._answer_late, "POST", ORDERS)
        bends.on_request(_meets(lambda: self.place_fates), "POST", ORDERS)
        bends.on_request(_meets(lambda: self.cancel_fates), "DELETE", f"{ORDERS}/*")
        for kind in ("user_order", "fill"):
            bends.on_frame(frames.drop(), kind, where=lambda _: self.mute)

    # What the engine asks.

    async def fetch_market_terms(self, ticker: str) -> MarketTerms:
        return await self.client.fetch_market_terms(ticker)

    async def fetch_markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        return await self.client.fetch_markets(tickers)

    async def fetch_positions(self) -> tuple[Position, ...]:
        return await self.client.fetch_positions()

    async def fetch_balance(self) -> Balance:
        return await self.client.fetch_balance()

    async def fetch_settlements(self, since_us: int | None = None) -> tuple[Settlement, ...]:
        return await self.client.fetch_settlements(since_us)

    async def fetch_event_shape(self, event: str) -> EventShape:
        return await self.client.fetch_event_shape(event)

    async def fetch_market_facts(self, tickers: Sequence[str]) -> dict[str, MarketFacts]:
        return await self.client.fetch_market_facts(tickers)

    async def search_markets(self, text: str = "", *, only_open: bool = True, limit: int = 50) -> MarketSearch:
        return await self.client.search_markets(text, only_open=only_open, limit=limit)

    async def fetch_order_book(self, ticker: str) -> Book:
        return await self.client.fetch_order_book(ticker)

    async def fetch_queue_positions(self, tickers: Sequence[str]) -> tuple[QueuePosition, ...]:
        return await self.client.fetch_queue_positions(tickers)

    async def fetch_incentives(self) -> IncentiveListing:
        return await self.client.fetch_incentives()

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

    async def fetch_orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        listing = await self.client.fetch_orders(ticker, since_us=since_us, resting=resting)
        for row in listing.orders:
            self._hold(f"orders of {ticker} since {since_us}", ticker, since_us, row.order_id)
        return listing

    async def fetch_fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        listing = await self.client.fetch_fills(ticker, order_id, since_us=since_us)
        needed_us = (
            self._past_us if since_us is None and order_id is None else since_us
        )  # nobody needs all there ever were
        for row in listing.fills:
            self._hold(f"fills of {ticker} since {since_us}", ticker, needed_us, row.order_id, row.at_us)
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
    def places(self) -> list[PlaceOrder]:
        return [write for _, write in self.requests if isinstance(write, PlaceOrder)]

    @property
    def cancels(self) -> list[CancelOrder]:
        return [write for _, write in self.requests if isinstance(write, CancelOrder)]

    # What a test does to the way between.

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


@asynccontextmanager
async def open_bent_exchange(wall: WallClock) -> AsyncIterator[BentExchange]:
    """One account of a paper exchange with one market: 500 YES are bid for at 0.48 and offered at 0.50. Needs a virtual
    clock."""
    paper = PaperExchange.starting_at(wall.now_us() - DAY_US, tier=TIERS["prestige"])  # budgets are not tested here
    for ticker in (TICKER, NEIGHBOUR):
        paper.open_market(ticker, yes=YES, no=NO, category="Test")
    account, credentials = paper.gate.open_account(CASH_E6, "ed25519")
    paper.exchange.create_order(account, bid("somebody-elses-first", TICKER, 50, 3))  # takes what is offered
    paper.clock.origin_us += DAY_US
    paper.exchange.apply(TICKER, BookSnapshot(levels_of(YES), levels_of(NO)))
    paper.exchange.create_order(account, bid("somebody-elses-second", NEIGHBOUR, 50, 3))
    paper.exchange.create_order(account, bid("somebody-elses-third", NEIGHBOUR, 40, 3))
    async with (
        paper.in_memory(latency=Latency(feed_us=0, entry_us=WAY_US, response_us=WAY_US)) as host,
        bent(host) as way,
        connect(access_to(way, credentials), wall, seed=1) as client,
    ):
        exchange = BentExchange(client, paper, account, way.bends, wall)
        yield exchange
        assert exchange.told_too_much == []
