"""The shortest way to an exchange: the same answers without HTTP, frames without a WebSocket."""

from __future__ import annotations

from contextlib import suppress

import httpx
import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from fsm_exec.kalshi.http_wire import HttpWire
from fsm_exec.kalshi.log import SilentLog
from fsm_exec.kalshi.signing import Signer, SigningKey
from fsm_exec.paper.server.asgi_transport import MemoryTransport
from fsm_exec.paper.server.direct_host import DirectTransport
from fsm_exec.paper.server.frame_pair import FrameEnd
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.server.rest import RestApp
from fsm_exec.paper.timing.latency import NO_LATENCY, Latency
from fsm_exec.paper_session import PLAY_CASH_E6, PaperExchange
from fsm_exec.wire.rest import API_PREFIX, CreateOrder

START_US = 1_767_625_200_000_000


async def test_every_path_is_answered_as_over_http(autojump_clock: MockClock) -> None:
    """Each place as a member calls it, with other methods too, paths that are too long and paths that there are not:
    the same status and body, by a call and over HTTP with its signature."""
    paper = PaperExchange.starting_at(START_US, tier=TIERS["prestige"])
    paper.open_market("KXA-B-C", yes=[("0.40", "10")], no=[("0.50", "10")])
    _, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    signer = Signer(credentials.api_key_id, SigningKey.from_pem(credentials.private_key_pem))
    app = RestApp(LatencyGateway(paper.exchange, paper.clock, NO_LATENCY), paper.gate)
    direct = DirectTransport(app, paper.gate)
    paths = {template.replace("{ticker}", "KXA-B-C").replace("{", "").replace("}", "") for _, template in app.places}
    paths -= {"/portfolio/order_groups/create", "/account/api_usage_level/upgrade"}  # the second time is another one
    tried = refused = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(paper.exchange.timeline.run, paper.clock)
        http = httpx.AsyncClient(base_url=f"http://exchange{API_PREFIX}", transport=MemoryTransport(nursery, app.app))
        over_http = HttpWire(http, signer, SilentLog())
        for path in sorted({*paths, "/nothing", "/markets/KXA-B-C/nothing/more", "/markets//orderbook"}):
            for method in ("GET", "POST", "DELETE", "PUT"):
                for query, body in (((), None), ([("limit", "0"), ("status", "odd")], b"{}")):
                    await trio.sleep(1)  # the buckets are full again
                    one = await over_http.carry(method, path, query, body, paper.clock.now_us())
                    other = await direct.call(signer.key_id, method, path, query, body)
                    assert other == one, f"{method} {path}"
                    tried += one.status == 200
                    refused += one.status in (400, 410)
        nursery.cancel_scope.cancel()
    assert tried > 20, "hardly any read was answered"
    assert refused > 20, "hardly any parameter was refused"


async def test_a_key_that_nobody_has_is_refused_and_a_closed_exchange_not_reached(autojump_clock: MockClock) -> None:
    """The first as over HTTP, the second as a connection that cannot be had."""
    paper = PaperExchange.starting_at(START_US)
    async with paper.directly(NO_LATENCY) as host:
        answer = await host.transport.call("nobody", "GET", "/portfolio/orders", (), None)
        assert (answer.status, b"authentication_error" in answer.body) == (401, True)
        assert (await host.transport.call("nobody", "GET", "/exchange/status", (), None)).status == 200
    with pytest.raises(httpx.ConnectError):
        await host.transport.call("nobody", "GET", "/exchange/status", (), None)


async def test_a_write_is_executed_though_its_caller_has_gone(autojump_clock: MockClock) -> None:
    """It is on its way: giving up waiting does not take it back."""
    paper = PaperExchange.starting_at(START_US)
    paper.open_market("KXA-B-C", yes=[("0.40", "10")], no=[("0.50", "10")])
    account, credentials = paper.gate.open_account(PLAY_CASH_E6, "ed25519")
    order = CreateOrder(
        ticker="KXA-B-C",
        side="bid",
        count="1",
        price="0.41",
        time_in_force="good_till_canceled",
        self_trade_prevention_type="taker_at_cross",
    )
    async with paper.directly(Latency(feed_us=100_000, entry_us=200_000, response_us=100_000)) as host:
        with trio.move_on_after(0.1):
            body = msgspec.json.encode(order)
            await host.transport.call(credentials.api_key_id, "POST", "/portfolio/events/orders", (), body)
            raise AssertionError("answered before it can have arrived")
        assert not paper.exchange.orders
        await trio.sleep(1)
        assert [each.account_id for each in paper.exchange.orders.values()] == [account.account_id]


async def test_frames_arrive_in_order_and_a_close_ends_both(autojump_clock: MockClock) -> None:
    """What came before the close is still read; after it everything says that the connection is closed."""
    one, other = FrameEnd.pair()
    heard: list[str | bytes] = []

    async def listen() -> None:
        with suppress(ConnectionClosed):
            while True:
                heard.append(await other.get_message())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        one.put("first")
        await one.send_message("second")
        await one.ping()
        one.put("third")
        await one.aclose()
    assert heard == ["first", "second", "third"]
    for end in (one, other):
        for call in (end.get_message(), end.send_message("late"), end.ping()):
            with pytest.raises(ConnectionClosed):
                await call


async def test_a_reader_that_is_cancelled_can_read_again(autojump_clock: MockClock) -> None:
    """No frame is lost by it."""
    one, other = FrameEnd.pair()
    with trio.move_on_after(1):
        await other.get_message()
    one.put("frame")
    assert await other.get_message() == "frame"
