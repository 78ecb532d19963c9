"""The bending proxy itself, before the paper exchange and the real client: over sockets and within the process."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

import httpx
import pytest
import trio

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.market.orders import CancelOrder, Placed, PlaceOrder, Refused, Unknown
from fsm_exec.core.values.units import MoneyE6, parse_count, parse_price
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.http_wire import HttpWire
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket_dial import Dial, dial_url
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator, Credentials
from fsm_exec.paper.server.hosting import MemoryHost, host_in_memory, host_on_loopback
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from tests.bending import frames, requests
from tests.bending.bends import Bends, Reply
from tests.bending.editing import GONE, edited, fields
from tests.bending.proxy import bending_proxy, bent
from tests.contract.conftest import Watcher

START_US = 1_790_856_000_000_000
TICKER = "KXTEST-26OCT01-A"
ORDERS = "/portfolio/events/orders"


class Scene(NamedTuple):
    """A client before a bent exchange."""

    bends: Bends
    client: KalshiClient
    account: Account
    clock: Clock

    def order(self, number: int = 1, count: str = "10") -> PlaceOrder:
        return PlaceOrder(
            effect_id=f"e1:{number}:0",
            client_order_id=f"fxaaaaaaaaaa-e1-1-{number}",
            ticker=TICKER,
            outcome="yes",
            price_e4=parse_price("0.40"),
            count_e2=parse_count(count),
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=self.clock.now_us() // 1_000_000 + 600,
        )

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Watcher]:
        watcher = Watcher()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.client.stream, watcher, (TICKER,))
            await watcher.until(lambda: watcher.ready)
            yield watcher
            nursery.cancel_scope.cancel()


@pytest.fixture(params=["memory", "sockets"])
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    async with a_scene(request.param) as made:
        yield made


@asynccontextmanager
async def a_scene(kind: str) -> AsyncIterator[Scene]:
    clock = Clock.starting_at(START_US)
    exchange = Exchange(Timeline(clock), seed=1)
    exchange.add_market(tape_header(TICKER, "linear_cent", category="Testing"))
    sides = [[("0.45", "10")], [("0.48", "5")]]
    opening = BookSnapshot(*(tuple((parse_price(p), parse_count(c)) for p, c in side) for side in sides))
    exchange.apply(TICKER, opening)
    gate = Authenticator(exchange, clock, tier=TIERS["prestige"])
    account, credentials = gate.open_account(MoneyE6(1_000_000_000), "ed25519")
    host = host_in_memory if kind == "memory" else host_on_loopback
    async with host(exchange, clock, gate, latency=NO_LATENCY) as hosted:
        if isinstance(hosted, MemoryHost):
            async with (
                bent(hosted) as way,
                _client(way.base_url, way.transport, way.dial, credentials, clock) as client,
            ):
                yield Scene(way.bends, client, account, clock)
        else:
            async with (
                bending_proxy(hosted.rest_url, hosted.ws_url) as proxy,
                _client(proxy.rest_url, None, dial_url(proxy.ws_url), credentials, clock) as client,
            ):
                yield Scene(proxy.bends, client, account, clock)


def _client(
    base_url: str,
    transport: httpx.AsyncBaseTransport | None,
    dial: Dial,
    credentials: Credentials,
    clock: Clock,
) -> AbstractAsyncContextManager[KalshiClient]:
    return open_client(
        base_url=base_url,
        api_key_id=credentials.api_key_id,
        key=SigningKey.from_pem(credentials.private_key_pem),
        dial=dial,
        wall_us=clock.now_us,
        rng=random.Random(1),
        transport=transport,
    )


async def test_without_a_rule_everything_passes(scene: Scene) -> None:
    """Reads, writes and frames; the record tells them all."""
    async with scene.watched() as watcher:
        placed = await scene.client.place(scene.order())
        assert isinstance(placed, Placed)
        await watcher.until(lambda: bool(watcher.orders))
        listing = await scene.client.fetch_orders()
        assert [order.client_order_id for order in listing.orders] == ["fxaaaaaaaaaa-e1-1-1"]
        await scene.client.cancel(_cancel(placed))
    bends = scene.bends
    assert [asked.sent_on for asked in bends.requests_made("POST", ORDERS)] == [1]
    (cancel,) = bends.requests_made("DELETE")
    assert cancel.reply is not None
    assert cancel.reply.status == 200
    assert cancel.ended_s is not None
    assert len(bends.handshakes) == 1
    assert bends.frames_told("orderbook_snapshot")
    assert any("subscribe" in str(command.text) for command in bends.commands)


def _cancel(placed: Placed) -> CancelOrder:
    return CancelOrder(
        effect_id="e1:9:0", client_order_id="fxaaaaaaaaaa-e1-1-1", order_id=placed.order_id, ticker=TICKER
    )


async def test_answered_without_being_sent_on_and_after_it(scene: Scene) -> None:
    """Once each; a rule whose times are over lets pass."""
    scene.bends.on_request(requests.error(503), "POST", ORDERS, times=1)
    assert isinstance(await scene.client.place(scene.order()), Unknown)
    assert list(scene.account.orders) == []
    scene.bends.on_request(requests.error(503, arrives=True), "POST", ORDERS, times=1)
    assert isinstance(await scene.client.place(scene.order()), Unknown)
    assert len(list(scene.account.orders)) == 1
    assert isinstance(await scene.client.place(scene.order(2)), Placed)


@pytest.mark.parametrize("half", [False, True])
async def test_cut_before_and_in_the_middle_of_an_answer(scene: Scene, half: bool) -> None:
    """An outcome unknown, and a client whose next request finds a new connection."""
    scene.bends.on_request(requests.cut(half=half, arrives=True), "POST", ORDERS, times=1)
    assert isinstance(await scene.client.place(scene.order()), Unknown)
    assert len(list(scene.account.orders)) == 1
    assert scene.bends.requests_made("POST", ORDERS)[0].was_cut
    assert len((await scene.client.fetch_orders()).orders) == 1


async def test_held_until_released_and_dropped(scene: Scene) -> None:
    """What is held waits for its event; a dropped one never returns, and may arrive."""
    released = trio.Event()
    rule = scene.bends.on_request(requests.hold(released), "POST", ORDERS, times=1)
    scene.bends.on_request(requests.drop(arrives=True), "DELETE")
    answers: list[object] = []

    async def place() -> None:
        answers.append(await scene.client.place(scene.order()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(place)
        await rule.until_bent()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert list(scene.account.orders) == []
        released.set()
    (placed,) = answers
    assert isinstance(placed, Placed)
    with trio.move_on_after(0.5) as scope:
        await scene.client.cancel(_cancel(placed))
    assert scope.cancelled_caught
    assert [order.status for order in scene.account.orders] == ["canceled"]


async def test_sent_twice(scene: Scene) -> None:
    """The exchange sees the order twice and refuses the second."""
    scene.bends.on_request(requests.sent_twice(), "POST", ORDERS, times=1)
    assert not isinstance(await scene.client.place(scene.order()), Placed)
    assert len(list(scene.account.orders)) == 1


async def test_an_answer_that_nobody_asked_for_is_no_answer_to_the_next_question(scene: Scene) -> None:
    """The connection that it stands on is not used again."""
    await scene.client.place(scene.order())
    scene.bends.on_request(requests.answered_twice(), times=3)
    for _ in range(4):
        assert len((await scene.client.fetch_orders()).orders) == 1
        assert isinstance(await scene.client.place(scene.order()), Refused | Unknown)


async def test_one_field_changed_removed_and_a_stale_answer(scene: Scene) -> None:
    """In an answer; and yesterday's answer to today's question, or another question's."""
    assert (await scene.client.fetch_orders()).orders == ()
    placed = await scene.client.place(scene.order())
    assert isinstance(placed, Placed)
    with scene.bends.on_request(requests.changed("orders.*.remaining_count_fp", "7.00"), "GET", "/portfolio/orders"):
        (order,) = (await scene.client.fetch_orders()).orders
        assert order.remaining_e2 == parse_count("7")
    with (
        scene.bends.on_request(requests.removed("orders"), "GET", "/portfolio/orders"),
        pytest.raises(VenueUnavailable),
    ):
        await scene.client.fetch_orders()
    with scene.bends.on_request(requests.stale(scene.bends, oldest=True), "GET", "/portfolio/orders"):
        assert (await scene.client.fetch_orders()).orders == ()
    with scene.bends.on_request(requests.stale(scene.bends, "POST", ORDERS), "DELETE"):
        assert isinstance(await scene.client.cancel(_cancel(placed)), Unknown)
    assert len((await scene.client.fetch_orders()).orders) == 1


async def test_bends_stand_around_each_other(scene: Scene) -> None:
    """The newest outermost; the n-th occurrence alone."""
    scene.bends.on_request(requests.error(429), "GET", "/portfolio/orders", after=1, times=1)
    slow = scene.bends.on_request(requests.hold(0.2), "GET", "/portfolio/orders")
    await scene.client.fetch_orders()
    began_s = trio.current_time()
    with pytest.raises(VenueUnavailable):
        await scene.client.fetch_orders()
    assert trio.current_time() - began_s >= 0.2
    await scene.client.fetch_orders()
    assert (slow.met, slow.bent) == (3, 3)


async def test_frames_dropped_repeated_late_changed_and_said(scene: Scene) -> None:
    """Each to the client as bent; the record has what the exchange sent."""
    async with scene.watched() as watcher:
        bends = scene.bends
        with bends.on_frame(frames.drop(), "user_order", times=1) as dropped:
            placed = await scene.client.place(scene.order(1))
            await dropped.until_bent()
        assert isinstance(placed, Placed)
        bends.on_frame(frames.repeat(3), "user_order", times=1)
        await scene.client.place(scene.order(2))
        await watcher.until(lambda: len(watcher.orders) == 3)
        bends.on_frame(frames.late(0.3), "user_order", times=1)
        await scene.client.place(scene.order(3))
        await scene.client.place(scene.order(4))
        await watcher.until(lambda: len(watcher.orders) == 5)
        assert [order.client_order_id[-1] for order in watcher.orders[3:]] == ["4", "3"]
        bends.on_frame(frames.changed("msg.remaining_count_fp", "3.00"), "user_order", times=1)
        await scene.client.cancel(_cancel(placed))
        await watcher.until(lambda: len(watcher.orders) == 6)
        assert watcher.orders[-1].remaining_e2 == parse_count("3")
        assert len(bends.frames_told("user_order")) == 5
        last = bends.frames_told("user_order")[-1].text
        await bends.say(edited(last, "msg.remaining_count_fp", "4.00").decode())
        await watcher.until(lambda: watcher.orders[-1].remaining_e2 == parse_count("4"))


async def test_a_stream_refused_cut_and_silent(scene: Scene) -> None:
    """A cut stream is dialled again, a refused handshake too; where all frames are dropped nothing is heard."""
    scene.bends.on_handshake(requests.error(401, "authentication_error"), times=1)
    async with scene.watched() as watcher:
        assert [asked.reply.status for asked in scene.bends.handshakes if asked.reply] == [401, 101]
        scene.bends.cut_streams()
        watcher.ready = False
        await watcher.until(lambda: watcher.ready)
        assert len(scene.bends.handshakes) == 3
        scene.bends.on_frame(frames.drop())
        await scene.client.place(scene.order())
        with trio.fail_after(5):
            while not scene.bends.frames_told("user_order"):  # noqa: ASYNC110 - the record tells nobody
                await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert watcher.orders == []


async def test_a_stalled_stream_gives_no_sign_of_life(autojump_clock: trio.testing.MockClock) -> None:
    """The client misses its pong and dials again; a line that is only silent it keeps."""
    async with a_scene("memory") as scene, scene.watched() as watcher:
        with scene.bends.on_frame(frames.drop()):
            await trio.sleep(120)
            assert len(scene.bends.handshakes) == 1
        scene.bends.stall()
        await trio.sleep(60)
        assert not watcher.ready
        scene.bends.calm()
        await trio.sleep(60)
        assert watcher.ready
        assert len(scene.bends.handshakes) >= 2


async def test_a_duplicate_answer_and_a_half_one_as_they_stand_on_the_socket() -> None:
    """What a client without any mercy reads."""

    async with a_scene("sockets") as scene:
        wire = scene.client._rest.endpoints._http._wire
        assert isinstance(wire, HttpWire)
        url = httpx.URL(str(wire._http.base_url))
        scene.bends.on_request(requests.answer(200, b"12345678", arrives=False), "GET", "/mine")
        scene.bends.on_request(requests.answered_twice(), "GET", "/mine", times=1)
        assert (await _read_all(url)).count(b"12345678") == 2
        scene.bends.on_request(requests.cut(half=True), "GET", "/mine", times=1)
        assert (await _read_all(url)).endswith(b"\r\n\r\n1234")


async def _read_all(url: httpx.URL) -> bytes:
    """Whatever comes within a moment, or until the end."""
    stream = await trio.open_tcp_stream(url.host, url.port or 80)
    content = b""
    async with stream:
        await stream.send_all(b"GET /trade-api/v2/mine HTTP/1.1\r\nhost: x\r\n\r\n")
        with trio.move_on_after(0.3):
            try:
                while data := await stream.receive_some(1_000):
                    content += data
            except trio.BrokenResourceError:
                pass
    return content


def test_editing_names_every_field() -> None:
    """Paths through lists; a value, a function, and nothing."""
    document = b'{"a":[{"b":1,"c":{"d":2}},{"b":3}],"e":null}'
    assert fields({"a": [{"b": 1, "c": {"d": 2}}, {"b": 3}], "e": None}) == ["a", "a.*.b", "a.*.c", "a.*.c.d", "e"]
    assert edited(document, "a.*.b", lambda old: old + 1) == b'{"a":[{"b":2,"c":{"d":2}},{"b":4}],"e":null}'
    assert edited(document, "a.0.c.d", GONE) == b'{"a":[{"b":1,"c":{}},{"b":3}],"e":null}'
    assert edited(document, "f", 1).endswith(b'"e":null,"f":1}')


def test_a_reply_is_read_as_json() -> None:
    """What the proxy keeps of a body, and what the client makes of a refusal."""
    assert Reply(200, b"[1]").json == [1]
    assert isinstance(Refused(code="x", message="y"), Refused)
