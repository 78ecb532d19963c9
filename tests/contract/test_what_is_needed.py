"""Each field of each body and frame that the paper exchange really sends, left out and null in turn: whether the engine
needs it, by the lists below.

`NEEDED`: without it the answer, the row or the frame cannot be read, which is said; no other row is touched. `USED`:
without it something is told otherwise, or not told. Every other field makes no difference at all, whatever it holds.
"""

from __future__ import annotations

import copy
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import httpx
import msgspec
import pytest
import trio

from fsm_exec.core.errors import VenueError, VenueUnreadable
from fsm_exec.core.market.orders import (
    AmendOrder,
    CancelOrder,
    DecreaseOrder,
    FillListing,
    OrderListing,
    Placed,
    PlaceOrder,
    Unknown,
)
from fsm_exec.core.values.units import CountE2, MoneyE6, parse_count, parse_price
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.conversation import Conversation
from fsm_exec.kalshi.fee_changes import EVENT_CHANGES, SERIES_CHANGES
from fsm_exec.kalshi.listener_guard import StreamLost
from fsm_exec.kalshi.log import SilentLog
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.paper.tapes.tape import BookDelta, Trade
from tests.kalshi.conftest import Listener

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.contract.conftest import Stage

Json: TypeAlias = Any
Call: TypeAlias = Callable[[KalshiClient], Awaitable[object]]

NEEDED: dict[str, str] = {
    "an order that rests": "orders[].order_id orders[].ticker orders[].status",
    "an order that was cancelled": "orders[].order_id orders[].ticker orders[].status orders[].initial_count_fp "
    "orders[].fill_count_fp",
    "an order that was executed": "orders[].order_id orders[].ticker orders[].status",
    "a fill": "fills[].order_id fills[].count_fp fills[].is_taker fills[].fee_cost",
    "until when listings are whole": "as_of_time",
    "placed": "order_id",
    "placed, immediate": "order_id fill_count",
    "amended": "order_id",
    "decreased": "order_id remaining_count",
    "cancelled": "order_id reduced_by",
    "a batch placed": "orders[].order_id",
    "a batch cancelled": "orders[].order_id orders[].reduced_by",
    "a group made": "order_group_id",
    "a market": "market market.event_ticker market.status market.price_ranges market.price_ranges[].start "
    "market.price_ranges[].end market.price_ranges[].step",
    "an event": "event event.series_ticker",
    "a series": "series series.fee_type series.fee_multiplier",
    "a listed market": "markets[].ticker markets[].event_ticker markets[].status markets[].price_ranges "
    "markets[].price_ranges[].start markets[].price_ranges[].end markets[].price_ranges[].step",
    "the balance": "",
    "a position": "market_positions[].ticker market_positions[].position_fp",
    "a settlement": "settlements[].ticker settlements[].event_ticker settlements[].market_result "
    "settlements[].settled_time settlements[].revenue settlements[].yes_count_fp settlements[].no_count_fp "
    "settlements[].yes_total_cost_dollars settlements[].no_total_cost_dollars settlements[].fee_cost",
    "an event's shape": "event event.event_ticker event.series_ticker event.markets event.markets[].ticker",
    "a market's facts": "markets[].ticker markets[].event_ticker markets[].status",
    "a search by words": "events[].event_ticker events[].markets[].ticker events[].markets[].event_ticker "
    "events[].markets[].status",
    "a place in the queue": "queue_positions[].order_id queue_positions[].queue_position_fp",
    "the limits": "read.refill_rate read.bucket_capacity write.refill_rate write.bucket_capacity",
    "the costs": "endpoint_costs[].method endpoint_costs[].path endpoint_costs[].cost",
    "the status": "",
    "a book": "orderbook_fp",
    "books": "orderbooks[].ticker orderbooks[].orderbook_fp",
    "a public trade": "trades[].trade_id trades[].ticker trades[].count_fp trades[].created_time",
    "a frame subscribed": "type msg msg.channel msg.sid",
    "a frame orderbook_snapshot": "type msg msg.market_ticker",
    "a frame orderbook_delta": "type msg msg.market_ticker msg.price_dollars msg.delta_fp msg.side",
    "a frame trade": "type msg msg.market_ticker msg.count_fp",
    "a frame fill": "type msg msg.trade_id msg.order_id msg.market_ticker msg.count_fp msg.is_taker msg.fee_cost "
    "msg.yes_price_dollars",
    "a frame user_order": "type msg msg.order_id msg.ticker msg.status msg.yes_price_dollars",
    "a frame market_lifecycle_v2": "type msg msg.market_ticker msg.event_type",
}
LISTS = {  # a page without its list is no page: it must not pass for an empty one
    "an order that rests": "orders",
    "an order that was cancelled": "orders",
    "an order that was executed": "orders",
    "a fill": "fills",
    "a batch placed": "orders",
    "a batch cancelled": "orders",
    "a listed market": "markets",
    "a position": "market_positions",
    "a settlement": "settlements",
    "a market's facts": "markets",
    "a search by words": "events",
    "books": "orderbooks",
    "a public trade": "trades",
}
FACTS = (
    "ROW.yes_bid_dollars ROW.yes_bid_size_fp ROW.yes_ask_dollars ROW.yes_ask_size_fp "
    "ROW.last_price_dollars ROW.volume_24h_fp ROW.close_time ROW.expected_expiration_time"
)
USED: dict[str, str] = {
    "an order that rests": "orders[].client_order_id orders[].expiration_time",
    "an order that was cancelled": "orders[].client_order_id orders[].expiration_time",
    "an order that was executed": "orders[].client_order_id",
    "a fill": "fills[].trade_id",
    "a series": "series.category",
    "amended": "fill_count remaining_count",
    "the balance": "portfolio_value balance_dollars",
    "a position": "market_positions[].total_traded_dollars market_positions[].market_exposure_dollars "
    "market_positions[].realized_pnl_dollars market_positions[].fees_paid_dollars",
    "a market's facts": "markets[].yes_sub_title " + FACTS.replace("ROW", "markets[]"),
    "a search by words": "events[].markets " + FACTS.replace("ROW", "events[].markets[]"),
    "a place in the queue": "queue_positions queue_positions[].market_ticker",
    "the limits": "usage_tier read write",
    "the costs": "default_cost endpoint_costs",
    "the status": "exchange_active trading_active",
    "a book": "orderbook_fp.yes_dollars orderbook_fp.no_dollars",
    "books": "orderbooks[].orderbook_fp.yes_dollars orderbooks[].orderbook_fp.no_dollars",
    "a frame orderbook_snapshot": "msg.yes_dollars_fp msg.no_dollars_fp sid seq",
    "a frame orderbook_delta": "sid seq",
    "a frame fill": "msg.client_order_id msg.post_position_fp",
    "a frame user_order": "msg.client_order_id msg.expiration_ts_ms",
    "a frame market_lifecycle_v2": "",
}


class Keeping(httpx.AsyncBaseTransport):
    """The exchange's own transport, whose last answer is kept."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.last: Json = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._inner.handle_async_request(request)
        content = await answer.aread()
        self.last = msgspec.json.decode(content) if content else None
        return httpx.Response(answer.status_code, content=content)


class Saying(httpx.AsyncBaseTransport):
    """Says what it was told to say, by path."""

    def __init__(self) -> None:
        self.bodies: dict[str, tuple[int, Json]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        path = request.url.path.removeprefix("/trade-api/v2")
        status, body = self.bodies[path]
        return httpx.Response(status, content=msgspec.json.encode(body))


class KeptLog(SilentLog):
    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **values: object) -> None:
        self.events.append(event)


@dataclass
class Kept:
    """One answer as it came, what asked for it, and what was understood."""

    name: str
    path: str
    status: int
    body: Json
    call: Call
    beside: dict[str, Json]


@asynccontextmanager
async def client_over(
    stage: Stage,
    transport: httpx.AsyncBaseTransport,
    tap: Callable[[str | bytes, int], None] | None = None,
    log: KeptLog | None = None,
) -> AsyncIterator[KalshiClient]:
    stage.account, credentials = stage.gate.open_account(MoneyE6(1_000_000_000), "ed25519")
    async with open_client(
        base_url=stage.host.base_url,
        api_key_id=credentials.api_key_id,
        key=SigningKey.from_pem(credentials.private_key_pem),
        dial=stage.host.dial,
        wall_us=stage.clock.now_us,
        rng=random.Random(1),
        transport=transport,
        tap=tap,
        log=log,
    ) as client:
        yield client


def fields(body: Json, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every field of every object; of a list's alike elements those of the first."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield (*at, name)
            yield from fields(value, (*at, name))
    elif isinstance(body, list) and body and isinstance(body[0], dict):
        yield from fields(body[0], (*at, 0))


def called(place: tuple[str | int, ...]) -> str:
    text = ""
    for part in place:
        text += "[]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def without(body: Json, place: tuple[str | int, ...], *, null: bool) -> Json:
    changed = copy.deepcopy(body)
    inner = changed
    for part in place[:-1]:
        inner = inner[part]
    if null:
        inner[place[-1]] = None
    else:
        del inner[place[-1]]
    return changed


def with_more(body: Json) -> Json:
    """With a field that nobody knows in every object."""
    if isinstance(body, dict):
        return {**{name: with_more(value) for name, value in body.items()}, "x_new": {"y": [1, None, "z"]}}
    return [with_more(item) for item in body] if isinstance(body, list) else body


TIMES = frozenset({"at_us", "changed_at_us"})


def told(result: object) -> object:
    """What was understood, without the times, which are made up for where they are missing."""

    def timeless(value: object) -> object:
        if isinstance(value, dict):
            return {name: timeless(inner) for name, inner in value.items() if name not in TIMES}
        return [timeless(inner) for inner in value] if isinstance(value, list | tuple) else value

    return timeless(msgspec.to_builtins(result, enc_hook=repr))


def is_read(result: object, log: KeptLog) -> bool:
    if isinstance(result, Unknown) or (isinstance(result, OrderListing | FillListing) and result.unread):
        return False
    if isinstance(result, tuple) and any(isinstance(item, Unknown) for item in result):
        return False
    return not {"row_left_out", "market_unreadable"} & set(log.events)


async def verdict(client: KalshiClient, log: KeptLog, kept: Kept, good: object) -> str:
    log.events.clear()
    try:
        result = await kept.call(client)
    except VenueUnreadable as error:
        return "needed" if "missing" in str(error) or "fit" in str(error) else f"needed, not saying so: {error}"
    except VenueError as error:
        raise AssertionError(f"{kept.name}: {error!r} does not say what could not be read") from error
    if not is_read(result, log):
        return "needed"
    return "-" if told(result) == told(good) else "used"


def cancel_of(order: PlaceOrder, order_id: str) -> CancelOrder:
    return CancelOrder(effect_id="x", client_order_id=order.client_order_id, order_id=order_id, ticker=order.ticker)


async def everything(stage: Stage) -> list[Kept]:
    """Ask the paper exchange for one of everything, and keep what it says."""
    keeping = Keeping(stage.host.transport)  # type: ignore[arg-type]  # of the host in memory
    found: list[Kept] = []
    async with client_over(stage, keeping) as client:

        async def keep(name: str, path: str, call: Call, status: int = 200, **beside: Json) -> object:
            result = await call(client)
            found.append(Kept(name, path, status, keeping.last, call, beside))
            return result

        orders = "/portfolio/events/orders"
        resting = stage.order("yes", "0.4300", "10.00")
        placed = await keep("placed", orders, lambda c: c.place(resting), 201)
        assert isinstance(placed, Placed)
        taking = stage.now_or_never("yes", "0.5200", "3.00")
        bought = await keep("placed, immediate", orders, lambda c: c.place(taking), 201)
        assert isinstance(bought, Placed)
        assert bought.filled_e2 == 300
        oid = placed.order_id
        change = AmendOrder(
            effect_id="x", client_order_id=resting.client_order_id, order_id=oid, ticker=stage.ticker, outcome="yes",
            price_e4=parse_price("0.42"), total_e2=parse_count("9"),
        )  # fmt: skip
        await keep("amended", f"{orders}/{oid}/amend", lambda c: c.amend(change))
        less = DecreaseOrder(
            effect_id="x", client_order_id=resting.client_order_id, order_id=oid, ticker=stage.ticker,
            reduce_by_e2=CountE2(100),
        )  # fmt: skip
        await keep("decreased", f"{orders}/{oid}/decrease", lambda c: c.decrease(less))
        ended = stage.order("no", "0.4300", "5.00")
        gone = await client.place(ended)
        assert isinstance(gone, Placed)
        await keep("cancelled", f"{orders}/{gone.order_id}", lambda c: c.cancel(cancel_of(ended, gone.order_id)))
        two = [stage.order("no", "0.4200", "5.00"), stage.order("no", "0.4100", "5.00")]
        both = await keep("a batch placed", f"{orders}/batched", lambda c: c.place_batch(two), 201)
        assert isinstance(both, tuple)
        ends = [cancel_of(order, answer.order_id) for order, answer in zip(two, both, strict=True)]
        await keep("a batch cancelled", f"{orders}/batched", lambda c: c._rest.cancel_batch(ends))
        await keep("a group made", "/portfolio/order_groups/create", lambda c: c.groups.create(CountE2(1_000)), 201)

        since_us = stage.clock.now_us() - 3_600_000_000  # so that nothing past the cutoff is asked for
        as_of = await client._rest.endpoints.fetch("/exchange/user_data_timestamp")
        now = {"/exchange/user_data_timestamp": msgspec.json.decode(as_of)}
        await keep("orders", "/portfolio/orders", lambda c: c.fetch_orders(since_us=since_us), **now)
        page = found.pop()
        by_status = {row["status"]: row for row in page.body["orders"]}
        for word, text in (("resting", "rests"), ("canceled", "was cancelled"), ("executed", "was executed")):
            body = {"orders": [by_status[word], by_status["resting"] | {"order_id": "another"}], "cursor": ""}
            found.append(Kept(f"an order that {text}", page.path, 200, body, page.call, now))
        await keep("a fill", "/portfolio/fills", lambda c: c.fetch_fills(since_us=since_us), **now)
        empty = {"/portfolio/orders": {"orders": [], "cursor": ""}}
        found.append(
            Kept(
                "until when listings are whole",
                "/exchange/user_data_timestamp",
                200,
                msgspec.json.decode(as_of),
                page.call,
                empty,
            )
        )

        market, event, series = f"/markets/{stage.ticker}", "/events/KXTEST-26OCT01", "/series/KXTEST"
        parts = {
            path: msgspec.json.decode(await client._rest.endpoints.fetch(path))
            for path in (market, event, series, EVENT_CHANGES, SERIES_CHANGES)
        }
        for name, path in (("a market", market), ("an event", event), ("a series", series)):
            found.append(Kept(name, path, 200, parts[path], lambda c: c.fetch_market_terms(stage.ticker), parts))
        await keep("a listed market", "/markets", lambda c: c._rest.terms.fetch_rows([stage.ticker]))
        listed = found.pop()
        found.append(Kept(listed.name, "/markets", 200, listed.body, lambda c: c.fetch_markets([stage.ticker]), parts))
        await keep("the balance", "/portfolio/balance", lambda c: c.account.fetch_balance())
        await keep("a position", "/portfolio/positions", lambda c: c.account.fetch_positions())
        await keep(
            "a place in the queue",
            "/portfolio/orders/queue_positions",
            lambda c: c.account.fetch_queue_positions([stage.ticker]),
        )
        await keep("the limits", "/account/limits", lambda c: c.account.fetch_limits())
        await keep("the costs", "/account/endpoint_costs", lambda c: c.account.fetch_endpoint_costs())
        await keep("the status", "/exchange/status", lambda c: c.public.fetch_status())
        await keep("a book", f"{market}/orderbook", lambda c: shown(c.public.fetch_order_book(stage.ticker)))
        await keep("books", "/markets/orderbooks", lambda c: all_shown(c.public.fetch_order_books([stage.ticker])))
        await keep("a public trade", "/markets/trades", lambda c: c.public.fetch_trades(stage.ticker))
        stage.exchange.exclusive_events.add("KXTEST-26OCT01")
        await keep("an event's shape", event, lambda c: c.fetch_event_shape("KXTEST-26OCT01"))
        await keep("a market's facts", "/markets", lambda c: c.fetch_market_facts([stage.ticker]))
        await keep("a search by words", "/events", lambda c: c.search_markets("kxtest a"))
        stage.exchange.close_market(stage.ticker)
        stage.exchange.determine_market(stage.ticker, "yes")
        await keep("a settlement", "/portfolio/settlements", lambda c: c.fetch_settlements())
    return found


async def shown(book: Awaitable[Any]) -> object:
    found = await book
    return [found.best_bid("yes"), found.best_bid("no")]


async def all_shown(books: Awaitable[dict[str, Any]]) -> object:
    return {ticker: [book.best_bid("yes"), book.best_bid("no")] for ticker, book in (await books).items()}


def listed(names: dict[str, str], name: str) -> set[str]:
    return set(names.get(name, "").split())


@pytest.mark.parametrize("stage", ["memory"], indirect=True)
async def test_each_field_of_each_body(stage: Stage, autojump_clock: MockClock) -> None:
    """What is needed is what the list says, whether it is left out or null; and what nobody knows changes nothing."""
    kept = await everything(stage)
    assert {one.name for one in kept} == {name for name in NEEDED if not name.startswith("a frame")}
    saying, log = Saying(), KeptLog()
    found: dict[str, dict[str, set[str]]] = {}
    async with client_over(stage, saying, log=log) as client:
        for one in kept:
            saying.bodies = {path: (200, body) for path, body in one.beside.items()}
            saying.bodies[one.path] = (one.status, one.body)
            good = await one.call(client)
            assert is_read(good, log), one.name
            saying.bodies[one.path] = (one.status, with_more(one.body))
            assert await verdict(client, log, one, good) == "-", f"{one.name}: a field that nobody knows matters"
            for place in fields(one.body):
                outcomes = set()
                for null in (False, True):
                    saying.bodies[one.path] = (one.status, without(one.body, place, null=null))
                    outcomes.add(await verdict(client, log, one, good))
                assert len(outcomes) == 1, f"{one.name}: {called(place)} left out is not the same as null"
                found.setdefault(one.name, {}).setdefault(outcomes.pop(), set()).add(called(place))
    wanted = {one.name: (listed(NEEDED, one.name) | listed(LISTS, one.name), listed(USED, one.name)) for one in kept}
    assert otherwise(found, wanted) == {}


def otherwise(found: dict[str, dict[str, set[str]]], wanted: dict[str, tuple[set[str], set[str]]]) -> dict[str, object]:
    """What was found where it differs from the lists."""
    pairs = {name: (verdicts.get("needed", set()), verdicts.get("used", set())) for name, verdicts in found.items()}
    return {name: {"found": pair, "listed": wanted[name]} for name, pair in pairs.items() if pair != wanted[name]}


# Frames


async def frames_of_a_day(stage: Stage) -> list[bytes]:
    """What one connection hears while orders are placed, filled and cancelled, and the market pauses."""
    heard: list[bytes] = []
    async with (
        client_over(stage, stage.host.transport, lambda frame, _: heard.append(as_bytes(frame))) as client,  # type: ignore[arg-type]
        stage.watched(client) as watcher,
    ):
        await watcher.until(lambda: len(heard) >= 6)
        placed = await client.place(stage.order("yes", "0.4600", "5.00"))
        assert isinstance(placed, Placed)
        await watcher.until(lambda: bool(watcher.orders))
        stage.exchange.apply(stage.ticker, Trade("no", parse_price("0.46"), parse_count("2.00")))
        stage.exchange.apply(stage.ticker, BookDelta("no", parse_price("0.47"), CountE2(-100)))
        await watcher.until(lambda: bool(watcher.fills and watcher.trades))
        stage.exchange.deactivate_market(stage.ticker)
        await watcher.until(lambda: any(b"lifecycle" in frame and b"deactivated" in frame for frame in heard))
    return heard


def as_bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def hear(frames: list[bytes], at: int, frame: bytes) -> tuple[list[object], list[object]]:
    """What a listener is told of the frame in this place, and of those that follow. Raises StreamLost."""
    ear = Listener()
    ticker = "KXTEST-26OCT01-A"
    conversation = Conversation(ear, {ticker: None}, lambda: 1_790_856_000_000_000, SilentLog())
    conversation.subscribe_all(0)
    for earlier in frames[:at]:
        conversation.receive(earlier, 0)
    before = len(ear.told)
    conversation.receive(frame, 0)
    own = len(ear.told)
    for later in frames[at + 1 :]:
        conversation.receive(later, 0)
    conversation.request_overdue(100, 15)  # what was never acknowledged costs the connection
    timeless = [told([part for part in entry if not is_time(part)]) for entry in ear.told]
    return timeless[before:own], timeless[own:]


def is_time(value: object) -> bool:
    return isinstance(value, int) and value > 10**12


@pytest.mark.parametrize("stage", ["memory"], indirect=True)
async def test_each_field_of_each_frame(stage: Stage, autojump_clock: MockClock) -> None:
    """As for the bodies."""
    frames = await frames_of_a_day(stage)
    places: dict[str, int] = {}
    for index, frame in enumerate(frames):
        places.setdefault(f"a frame {msgspec.json.decode(frame)['type']}", index)
    # Of the changes of books one that another follows, so that a number that is missing shows.
    assert set(places) >= {name for name in NEEDED if name.startswith("a frame")}
    found: dict[str, dict[str, set[str]]] = {}
    for name, at in places.items():
        if name not in NEEDED:
            continue
        body = msgspec.json.decode(frames[at])
        good = hear(frames, at, frames[at])
        assert hear(frames, at, msgspec.json.encode(with_more(body))) == good, name
        for place in fields(body):
            outcomes = set()
            for null in (False, True):
                changed = msgspec.json.encode(without(body, place, null=null))
                try:
                    own, rest = hear(frames, at, changed)
                except StreamLost:
                    outcomes.add("needed")
                    continue
                lost = len(own) < len(good[0]) or any("broken" in str(entry) for entry in own)
                if lost or (name == "a frame subscribed" and len(rest) < len(good[1])):
                    outcomes.add("needed")
                else:
                    outcomes.add("-" if (own, rest) == good else "used")
            assert len(outcomes) == 1, f"{name}: {called(place)} left out is not the same as null"
            found.setdefault(name, {}).setdefault(outcomes.pop(), set()).add(called(place))
    assert otherwise(found, {name: (listed(NEEDED, name), listed(USED, name)) for name in found}) == {}


@pytest.mark.parametrize("stage", ["memory"], indirect=True)
async def test_words_and_frames_nobody_knows_are_normal(stage: Stage, autojump_clock: MockClock) -> None:
    """A new type of frame, a new event in a market's life, a new reason: the connection and the books go on."""
    frames = await frames_of_a_day(stage)
    good = hear(frames, len(frames), b'{"type":"ok","id":9}')
    for frame in (
        b'{"type":"weather","sid":9,"seq":1,"msg":{"rain":true}}',
        b'{"type":"weather","msg":[1,2]}',
        b'{"type":"market_lifecycle_v2","sid":8,"msg":{"market_ticker":"KXTEST-26OCT01-A","event_type":"blessed"}}',
        b'{"type":"unsubscribed","id":77,"sid":77,"seq":12}',
    ):
        assert hear(frames, len(frames), frame) == good, frame
