"""The router: which fact goes to whom, and what is nobody's."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.execution.events import AnyEvent, FillReported, OrderReported
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.orders import FillReport, OrderReport, Placed, PlaceOrder
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.values.units import MoneyE6, PriceE4, PriceGrid, PriceRange
from fsm_exec.paper_session import PaperExchange, open_paper_session
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.stream_listener import EngineStreamListener
from fsm_exec.runtime.stream_state import StreamState
from tests.runtime.support import INSTANCE, T0_US, TERMS, TICKER, count, price

OURS = f"fx{INSTANCE}-e000007-1-1"


class Sink:
    """Whatever is handed over, as it comes; nobody is at work."""

    def __init__(self) -> None:
        self.delivered: list[tuple[str, AnyEvent]] = []
        self.strangers: list[FillReport] = []
        self.heard: list[tuple[str, str]] = []

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        self.delivered.append((execution_id, event))

    def execution_of(self, execution_id: str) -> Execution | None:
        return None

    def is_in_other_market(self, execution_id: str, client_order_id: str, report: OrderReport | FillReport) -> bool:
        return False

    def take_unknown_fills(self, fills: Sequence[FillReport]) -> None:
        self.strangers += fills

    def publish_market_status(self, ticker: str, status: MarketStatus) -> None:
        self.heard.append((ticker, status))


class Post(NamedTuple):
    router: EngineStreamListener
    stream: StreamState
    feed: MarketFeed
    sink: Sink
    log: io.StringIO

    @property
    def delivered(self) -> list[tuple[str, AnyEvent]]:
        return self.sink.delivered

    def logged(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.getvalue().splitlines()]


@pytest.fixture
async def post(autojump_clock: MockClock) -> Post:
    """A router of one market."""
    wall, log_file, sink = WallClock(T0_US), io.StringIO(), Sink()
    log = open_log(log_file, wall)
    feed = MarketFeed(TERMS, wall, OwnOrders(), lambda *_: None)
    stream = StreamState({TICKER: feed}, wall, log)
    router = EngineStreamListener(OrderNames(INSTANCE), stream, {TICKER: feed}, sink, wall, log)
    return Post(router, stream, feed, sink, log_file)


def fill(client_order_id: str | None, order_id: str = "o1") -> FillReport:
    return FillReport(
        fill_id="f1",
        order_id=order_id,
        client_order_id=client_order_id,
        ticker=TICKER,
        outcome="yes",
        price_e4=price(48),
        count_e2=count(2),
        fee_e6=MoneyE6(0),
        is_taker=False,
        at_us=T0_US + 5,
    )


def order(client_order_id: str) -> OrderReport:
    return OrderReport(
        order_id="o1",
        client_order_id=client_order_id,
        ticker=TICKER,
        outcome="yes",
        status="resting",
        price_e4=price(48),
        count_e2=count(5),
        filled_e2=count(0),
        remaining_e2=count(5),
        at_us=T0_US,
        reason=None,
    )


async def test_an_order_goes_to_the_execution_that_its_id_names(autojump_clock: MockClock, post: Post) -> None:
    """As a frame, not as a look-up: it may be older than it looks."""
    post.router.order(order(OURS))
    ((name, event),) = post.delivered
    assert name == "e000007"
    assert isinstance(event, OrderReported)
    assert not event.looked_up


async def test_a_fill_carries_the_mid_before_it(autojump_clock: MockClock, post: Post) -> None:
    """That of the feed at the exchange's time of the fill."""
    post.router.connected()
    post.router.book_snapshot(TICKER, [(price(48), count(9))], [(price(50), count(9))], T0_US)
    post.router.fill(fill(OURS))
    ((_, event),) = post.delivered
    assert isinstance(event, FillReported)
    assert event.mid_e5 == 49_000


async def test_a_fill_without_our_id_is_joined_by_its_order(autojump_clock: MockClock, post: Post) -> None:
    """Once the order's id at the exchange was learned, by an answer or by a frame; before, it is a stranger's."""
    post.router.fill(fill(None))
    assert post.delivered == []
    assert post.sink.strangers == [fill(None)]
    post.router.names.learn(OURS, "o1")
    post.router.fill(fill(None))
    assert [name for name, _ in post.delivered] == ["e000007"]


async def test_an_order_named_by_the_original_of_a_restored_copy_is_adopted(
    autojump_clock: MockClock, post: Post
) -> None:
    """Once an execution here has it, what the stream says of it arrives; another engine's never does."""
    theirs, other = "fxzzzzzzzzzz-e000007-1-1", "fxzzzzzzzzzz-e000007-1-2"
    post.router.names.learn(theirs, "o1")
    post.router.order(order(theirs))
    post.router.fill(fill(None))
    assert [name for name, _ in post.delivered] == ["e000007", "e000007"]
    post.router.order(order(other))
    post.router.names.forget(["o1"])
    post.router.order(order(theirs))
    assert len(post.delivered) == 2


@pytest.mark.parametrize("name", ["manual-1", "fxzzzzzzzzzz-e000007-1-1", "", f"xfx{INSTANCE}-e000007-1-1"])
async def test_orders_of_others_are_left_alone(autojump_clock: MockClock, post: Post, name: str) -> None:
    """Foreign ones, and those of another database's engine."""
    post.router.order(order(name))
    post.router.fill(fill(name, order_id="o9"))
    assert post.delivered == []


async def test_books_of_unknown_markets_are_ignored(autojump_clock: MockClock, post: Post) -> None:
    """Whatever is said about them."""
    post.router.book_snapshot("KXOTHER", [], [], None)
    post.router.book_change("KXOTHER", "yes", price(1), count(1), T0_US)
    post.router.book_gap(["KXOTHER"])
    post.router.book_broken("KXOTHER")
    assert post.feed.book_seq == 0


async def test_a_book_that_breaks_is_an_error_in_the_log(autojump_clock: MockClock, post: Post) -> None:
    """With the change that broke it; the feed is gapped."""
    post.router.connected()
    post.router.book_snapshot(TICKER, [(price(48), count(1))], [], T0_US)
    post.router.book_change(TICKER, "yes", price(48), count(-2), T0_US)
    assert post.feed.state == "gapped"
    assert post.logged() == ["book_broken"]


async def test_frames_that_cannot_be_read_and_gaps_distrust_the_book(autojump_clock: MockClock, post: Post) -> None:
    """Until its next snapshot."""
    for broken in (True, False):
        post.router.connected()
        post.router.book_snapshot(TICKER, [(price(48), count(1))], [], T0_US)
        assert post.feed.state == "live"
        if broken:
            post.router.book_broken(TICKER)
        else:
            post.router.book_gap([TICKER])
        assert post.feed.state == "gapped"


async def test_a_markets_status_is_told_once_and_stands_in_every_view(autojump_clock: MockClock, post: Post) -> None:
    """The stream repeats what holds; whoever asked hears of a change, and of nothing that is nobody's."""
    for status in ("paused", "paused", "closed"):
        post.router.market_status(TICKER, status)
        post.router.market_status("KXOTHER-1", status)
    assert post.sink.heard == [(TICKER, "paused"), (TICKER, "closed")]
    assert post.feed.view("no").status == "closed"


async def test_a_new_grid_stands_in_every_view(autojump_clock: MockClock, post: Post) -> None:
    """In each outcome's own prices, and in the terms the next execution is accepted under; told twice it is one."""
    nudges: list[None] = []
    post.feed.subscribe("e1", lambda: nudges.append(None))
    grid = PriceGrid((PriceRange(price(0), price(90), price(1)), PriceRange(price(90), price(100), PriceE4(10))))
    for _ in range(2):
        post.router.market_grid(TICKER, grid)
        post.router.market_grid("KXOTHER-1", grid)
    assert post.feed.terms.grid == post.feed.view("yes").grid == grid
    assert post.feed.view("no").grid == grid.mirrored()
    assert len(nudges) == 1


async def test_a_lost_stream_is_told_to_every_feed(autojump_clock: MockClock, post: Post) -> None:
    """And logged with its reason; that another connection follows is for whoever looks for what was missed."""
    post.router.connected()
    assert not post.stream.reconnected.is_set()
    post.router.disconnected("reset by peer")
    assert post.feed.state == "disconnected"
    assert post.logged() == ["stream_lost"]
    post.router.connected()
    assert post.stream.reconnected.is_set()


async def test_silence_is_noticed_and_any_word_ends_it(autojump_clock: MockClock, post: Post) -> None:
    """25 s without a frame or a ping: stale; a ping, or a trade, makes it live again. Pings every 10 s keep it so."""
    post.router.connected()
    post.router.book_snapshot(TICKER, [(price(48), count(1))], [], T0_US)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(post.stream.watch_silence)
        for _ in range(4):
            await trio.sleep(10)
            post.router.heard()
            assert post.feed.state == "live"
        await trio.sleep(24)
        assert post.feed.state == "live"
        await trio.sleep(3)
        assert post.feed.state == "stale"
        post.router.trade(TICKER, "yes", price(48), count(1), T0_US)
        assert post.feed.state == "live"
        nursery.cancel_scope.cancel()


async def test_an_order_of_ours_that_nobody_owns_is_an_error_in_the_log(autojump_clock: MockClock) -> None:
    """Not dropped in silence: an order that bears this database's name, of an execution that it does not have."""
    log, paper = io.StringIO(), PaperExchange.starting_at(T0_US)
    paper.open_market(TICKER, yes=[("0.45", "10")], no=[("0.47", "10")])
    async with open_paper_session(paper, instance=INSTANCE, log_file=log) as session:
        await trio.sleep(1)
        stray = PlaceOrder(
            effect_id="e000099:1:0",
            client_order_id=f"fx{INSTANCE}-e000099-1-1",
            ticker=TICKER,
            outcome="yes",
            price_e4=price(40),
            count_e2=count(1),
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=T0_US // 1_000_000 + 600,
        )
        assert isinstance(await session.client.place(stray), Placed)
        await trio.sleep(1)
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["execution"] for line in lines if line["event"] == "order_without_owner"] == ["e000099"]
