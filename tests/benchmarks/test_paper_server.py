"""How fast the exchange matches, and what its REST costs beside a handler that does nothing on the same server.

Requests go over loopback from this process, one connection, one after the other: the ratio says how much of a request
is the exchange's own work, the client's share being the same on both sides.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import h11
import pytest
import trio
from hypercorn.trio import serve
from hypercorn.typing import Framework
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fsm_exec.core.values.units import MoneyE6
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.hosting import LOOPBACK, _config, _listen, host_on_loopback
from fsm_exec.paper.server.rate_limit import Rate, Tier
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.member_reads import Page, orders_page
from fsm_exec.runtime.clock import system_us
from fsm_exec.wire.rest import API_PREFIX, CreateOrder
from tests.paper.support import TICKER, Floor, Member, header, snapshot

COMMANDS = 20_000
MATCH_LEAST = 2_000  # operations a second: an alarm, not an aim
CROWD = 10_000
GROWTH_MOST = 6  # it is about 20 where each order looks at all others, and where each page walks through those before
REQUESTS, ROUNDS = 300, 5
SHARE_LEAST = 0.45  # aim 0.6; below the alarm something is badly wrong, also on a busy machine
ENDLESS = Tier("endless", Rate(10**9, 10**9), Rate(10**9, 10**9))
BODY = b'{"status":"ok"}'


def test_matching(figures: list[str]) -> None:
    """Creates, half of which trade, and cancels, by three members on one book: operations a second."""
    rng = random.Random(5)
    floor = Floor(cash=MoneyE6(10**15))
    members: list[Account] = [floor.account, *(floor.exchange.add_account(MoneyE6(10**15)) for _ in range(2))]
    requests = []
    for _ in range(COMMANDS):
        side = rng.choice(("bid", "ask"))
        cents = 50 + rng.randint(-12, 12)
        requests.append(
            CreateOrder(
                ticker=TICKER,
                side=side,  # type: ignore[arg-type]  # drawn from the two words
                price=f"0.{cents:02}",
                count=str(rng.randint(1, 40)),
                time_in_force="good_till_canceled",
                self_trade_prevention_type="maker",
            )
        )
    exchange = floor.exchange
    operations = 0
    began = time.perf_counter()
    for turn, request in enumerate(requests):
        account = members[turn % 3]
        exchange.create_order(account, request)
        operations += 1
        resting = account.resting_in(TICKER)
        if len(resting) > 30:
            exchange.cancel_order(account, next(iter(resting)))
            operations += 1
    rate = operations / (time.perf_counter() - began)
    fills = sum(len(account.fills) for account in members)
    figures.append(f"matching: {rate:,.0f} operations/s ({operations:,} operations, {fills:,} fills)")
    assert rate > MATCH_LEAST


def test_a_crowd_of_resting_orders_costs_no_more_each(figures: list[str]) -> None:
    """One member places orders that stay: what the last thousand of ten take beside the first, and listing them all in
    small pages beside large ones."""
    floor = Floor(cash=MoneyE6(10**15))
    exchange, took = floor.exchange, []
    for thousand in range(CROWD // 1_000):
        began = time.perf_counter()
        for number in range(1_000):
            exchange.create_order(
                floor.account,
                CreateOrder(
                    ticker=TICKER,
                    side="bid",
                    price=f"0.{1 + number % 30:02}",
                    count="1",
                    time_in_force="good_till_canceled",
                    self_trade_prevention_type="taker_at_cross",
                    client_order_id=f"c-{thousand}-{number}",
                ),
            )
        took.append(time.perf_counter() - began)
    growth = took[-1] / took[0]
    small, large = (_listing_s(floor, rows) for rows in (2, 1_000))
    figures.append(f"{CROWD:,} resting orders: the last thousand take {growth:.1f} times the first")
    figures.append(f"listing them in pages of 2 takes {small / large:.1f} times as long as in pages of 1,000")
    assert growth < GROWTH_MOST
    assert small / large < GROWTH_MOST


def _listing_s(floor: Floor, rows: int) -> float:
    began, cursor, listed = time.perf_counter(), "", 0
    while True:
        page = orders_page(floor.exchange, floor.account, Page(limit=rows, cursor=cursor))
        listed, cursor = listed + len(page.orders), page.cursor
        if not cursor:
            assert listed == CROWD
            return time.perf_counter() - began


async def _bare(_: Request) -> Response:
    return Response(BODY, media_type="application/json")


@asynccontextmanager
async def bare_server() -> AsyncIterator[int]:
    """The same server and settings around a handler that does nothing."""
    app = Starlette(routes=[Route("/{rest:path}", _bare, methods=["GET", "POST"])])
    listening = _listen(0, LOOPBACK)
    port: int = listening.getsockname()[1]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        run = partial(serve, cast("Framework", app), _config(listening), shutdown_trigger=stop.wait)
        await nursery.start(run)
        yield port
        stop.set()


class Caller:
    """A minimal HTTP client on one kept connection: its own cost would hide the server's."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def call(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
        wire = [("host", LOOPBACK), ("content-length", str(len(body))), *headers.items()]
        raw = self._http.send(h11.Request(method=method, target=path, headers=wire)) or b""
        raw += self._http.send(h11.Data(data=body)) or b""
        raw += self._http.send(h11.EndOfMessage()) or b""
        await self._stream.send_all(raw)
        status = 0
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._stream.receive_some(65_536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.EndOfMessage):
                self._http.start_next_cycle()
                return status


async def _rate(port: int, prepared: list[tuple[str, str, dict[str, str], bytes]], expected: int) -> float:
    """On a new connection: the server closes one after a thousand requests."""
    async with await trio.open_tcp_stream(LOOPBACK, port) as stream:
        caller = Caller(stream)
        began = time.perf_counter()
        for method, path, headers, body in prepared:
            assert await caller.call(method, path, headers, body) == expected
        return len(prepared) / (time.perf_counter() - began)


@pytest.mark.parametrize("kind", ["order book", "balance", "create"])
async def test_requests_beside_a_bare_handler(kind: str, figures: list[str]) -> None:
    """A public read, a signed read and a signed write: share of the bare handler's rate, the median of rounds that
    alternate between the two."""
    clock = Clock.starting_at(system_us())
    exchange = Exchange(Timeline(clock))
    exchange.add_market(header())
    cents = [f"0.{c}" for c in range(35, 45)]
    exchange.apply(TICKER, snapshot([(c, "100") for c in cents], [(c, "100") for c in cents]))
    gate = Authenticator(exchange, clock, tier=ENDLESS)
    member = Member(*gate.open_account(MoneyE6(10**15), "rsa"), clock)
    method, path = {
        "order book": ("GET", f"/markets/{TICKER}/orderbook"),
        "balance": ("GET", "/portfolio/balance"),
        "create": ("POST", "/portfolio/events/orders"),
    }[kind]
    order = (
        f'{{"ticker":"{TICKER}","side":"bid","count":"1.00","price":"0.3000","time_in_force":"immediate_or_cancel",'
        f'"self_trade_prevention_type":"taker_at_cross"}}'
    )
    body = order.encode() if kind == "create" else b""

    def prepared() -> list[tuple[str, str, dict[str, str], bytes]]:
        """Signed beforehand: signing is the client's work."""
        target = API_PREFIX + path
        return [(method, target, member.headers(method, target), body) for _ in range(REQUESTS)]

    rates: dict[str, list[float]] = {"paper": [], "bare": []}
    async with bare_server() as bare_port, host_on_loopback(exchange, clock, gate, latency=NO_LATENCY) as host:
        paper_port = int(host.rest_url.split(":")[2].split("/")[0])
        for _ in range(ROUNDS):
            rates["bare"].append(await _rate(bare_port, prepared(), 200))
            rates["paper"].append(await _rate(paper_port, prepared(), 201 if kind == "create" else 200))
    pairs = zip(rates["paper"], rates["bare"], strict=True)
    share = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(rates[name]) for name in ("paper", "bare"))
    figures.append(f"server, {kind}: {ours:,.0f} requests/s, bare handler {theirs:,.0f}: share {share:.2f}")
    assert share > SHARE_LEAST
