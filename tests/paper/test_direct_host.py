"""The shortest way to an exchange: the same answers without Starlette's layers, frames without a WebSocket."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed

from fsm_exec.paper.server.asgi_transport import MemoryTransport
from fsm_exec.paper.server.frame_pair import FrameEnd
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rest import RestApp
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.paper_session import PaperExchange
from fsm_exec.wire.rest import API_PREFIX

START_US = 1_767_625_200_000_000


async def test_every_path_is_answered_as_with_all_layers(autojump_clock: MockClock) -> None:
    """Each place with other methods too, paths that are too long and paths that there are not: the same status, body
    and headers."""
    paper = PaperExchange.starting_at(START_US)
    paper.open_market("KXA-B-C", yes=[("0.40", "10")], no=[("0.50", "10")])
    rest = RestApp(LatencyGateway(paper.exchange, paper.clock, NO_LATENCY), paper.gate)
    paths = {template.replace("{ticker}", "KXA-B-C").replace("{", "").replace("}", "") for _, template in rest.places}
    tried = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(paper.exchange.timeline.run, paper.clock)
        whole, direct = (MemoryTransport(nursery, app) for app in (rest.app, rest.answer))
        for path in sorted({*paths, "/nothing", "/markets/KXA-B-C/nothing/more", "/markets//orderbook"}):
            for method in ("GET", "POST", "DELETE", "PUT"):
                request = httpx.Request(method, f"http://exchange{API_PREFIX}{path}")
                one, other = [await transport.handle_async_request(request) for transport in (whole, direct)]
                assert (one.status_code, one.content) == (other.status_code, other.content), f"{method} {path}"
                assert one.headers == other.headers, f"{method} {path}"
                tried += one.status_code == 200
        nursery.cancel_scope.cancel()
    assert tried > 5, "hardly any public read was answered"


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
