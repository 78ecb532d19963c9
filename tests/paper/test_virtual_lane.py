"""The exchange on a virtual clock, over memory: latencies, heartbeat, play, and the same run twice."""

from __future__ import annotations

import hashlib
import time

import httpx
import pytest
import trio
from trio.testing import MockClock
from wsproto import ConnectionType, WSConnection
from wsproto.events import Ping, Request

from fsm_exec.paper.server.hosting import MemoryHost
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import NO_LATENCY, Latency
from fsm_exec.paper.timing.timeline import Rank, Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.wire.rest import WS_PATH
from tests.paper.support import START_US, TICKER, Stage, header, hear, say, snapshot, staged
from tests.paper.test_tape import recording

LEGS = Latency(feed_us=100_000, entry_us=200_000, response_us=150_000)


async def test_a_write_takes_the_entry_and_the_response_leg(autojump_clock: MockClock) -> None:
    """Matched at 0.2 s, answered at 0.35 s, and its time is the match's."""
    async with staged("memory", LEGS) as stage:
        answer = await stage.create("bid", "0.40", "1")
        assert stage.clock.now_us() - START_US == 350_000
        assert answer["ts_ms"] == (START_US + 200_000) // 1_000


async def test_a_refusal_travels_too(autojump_clock: MockClock) -> None:
    """An answer is an answer."""
    async with staged("memory", LEGS) as stage:
        answer = await stage.call("DELETE", "/portfolio/events/orders/00000000-0000-4000-8000-000000000000")
        assert answer.status_code == 404
        assert stage.clock.now_us() - START_US == 350_000


async def test_public_and_private_frames_have_legs_of_their_own(autojump_clock: MockClock) -> None:
    """A change of the book at 0.2 s is heard at 0.3 s, the order that made it at 0.35 s."""
    async with staged("memory", LEGS) as stage, trio.open_nursery() as nursery:
        connection = await stage.dial(nursery)
        params = {"channels": ["orderbook_delta", "user_orders"], "market_tickers": [TICKER]}
        await say(connection, {"id": 1, "cmd": "subscribe", "params": params})
        for _ in range(3):
            await hear(connection)
        started_us = stage.clock.now_us()
        nursery.start_soon(stage.create, "bid", "0.40", "1")
        assert (await hear(connection))["type"] == "orderbook_delta"
        assert stage.clock.now_us() - started_us == 300_000
        assert (await hear(connection))["type"] == "user_order"
        assert stage.clock.now_us() - started_us == 350_000
        await connection.aclose()


async def test_a_caller_that_gives_up_does_not_stop_the_exchange(autojump_clock: MockClock) -> None:
    """A read time-out of 0.1 s: the order is there all the same."""
    async with staged("memory", LEGS) as stage:
        stage.http.timeout = httpx.Timeout(0.1)
        with pytest.raises(httpx.ReadTimeout):
            await stage.create("bid", "0.40", "1", client_order_id="lost")
        stage.http.timeout = httpx.Timeout(5)
        await trio.sleep(1)
        listed = (await stage.call("GET", "/portfolio/orders")).json()["orders"]
        assert [order["client_order_id"] for order in listed] == ["lost"]


async def test_ties_are_broken_by_client_order_id(autojump_clock: MockClock) -> None:
    """Orders that arrive at one microsecond are matched in the order of their ids, whoever was sent first."""
    async with staged("memory", LEGS) as stage, trio.open_nursery() as nursery:
        stage.exchange.apply(TICKER, snapshot([("0.40", "1")], [("0.55", "4")]))

        async def take(name: str) -> None:
            await stage.create("bid", "0.45", "1", client_order_id=name, time_in_force="immediate_or_cancel")

        for name in "hcfadgbe":
            nursery.start_soon(take, name)
        await trio.sleep(1)
        filled = [order.client_order_id for order in stage.exchange.orders.values() if order.filled_e2]
        assert filled == ["a", "b", "c", "d"]


async def test_a_read_shows_all_that_was_due(autojump_clock: MockClock) -> None:
    """Also when the exchange's own loop has not come round yet: here it does not even run."""
    clock = Clock.starting_at(START_US)
    exchange = Exchange(Timeline(clock))
    market = exchange.add_market(header())
    change = snapshot([("0.40", "1")], [])
    exchange.timeline.at(START_US + 1_000_000, Rank.TAPE, TICKER, lambda: exchange.apply(TICKER, change))
    gateway = LatencyGateway(exchange, clock, NO_LATENCY)
    assert await gateway.read(lambda: market.book.best("yes")) is None
    await trio.sleep(1)
    assert await gateway.read(lambda: market.book.best("yes")) == (4_000, 100)


class BareClient:
    """A WebSocket client that answers pings only if told to."""

    def __init__(self, stage: Stage) -> None:
        assert isinstance(stage.host, MemoryHost)
        self._clock = stage.clock
        self._signed = stage.member.headers("GET", WS_PATH)
        self._stream = stage.host.connect()
        self._wire = WSConnection(ConnectionType.CLIENT)
        self.pings: list[tuple[int, bytes]] = []

    async def run(self, *, answers: bool) -> None:
        """Until the server ends the connection. `pings` are (second of the run, payload)."""
        headers = [(name.encode(), value.encode()) for name, value in self._signed.items()]
        await self._stream.send_all(self._wire.send(Request(host="x", target=WS_PATH, extra_headers=headers)))
        while data := await self._stream.receive_some():
            self._wire.receive_data(bytes(data))
            for event in self._wire.events():
                if isinstance(event, Ping):
                    self.pings.append(((self._clock.now_us() - START_US) // 1_000_000, bytes(event.payload)))
                    if answers:
                        await self._stream.send_all(self._wire.send(event.response()))


async def test_a_heartbeat_every_ten_seconds(autojump_clock: MockClock) -> None:
    """The ping carries `heartbeat`; a client that answers stays."""
    async with staged("memory") as stage:
        client = BareClient(stage)
        with trio.move_on_after(35) as waiting:
            await client.run(answers=True)
        assert waiting.cancelled_caught
        assert client.pings == [(10, b"heartbeat"), (20, b"heartbeat"), (30, b"heartbeat")]


async def test_a_client_that_does_not_answer_is_dropped(autojump_clock: MockClock) -> None:
    """Its ping is unanswered for a whole interval: the server ends the connection."""
    async with staged("memory") as stage:
        client = BareClient(stage)
        with trio.fail_after(120):
            await client.run(answers=False)
        assert client.pings == [(10, b"heartbeat")]


async def test_the_market_closes_at_the_end_of_its_tape(autojump_clock: MockClock) -> None:
    """What rests is cancelled with its reason; the market says closed."""
    async with staged("memory") as stage:
        tape = generate(1, 20, ticker="KXPLAY-1-A")
        player = TapePlayer(stage.exchange, tape)
        player.start(START_US + 1_000_000)
        await trio.sleep(5)
        answer = await stage.create("bid", "0.01", "1", ticker="KXPLAY-1-A")
        await player.ended.wait()
        assert stage.clock.now_us() == START_US + 1_000_000 + tape.length_us
        assert stage.exchange.orders[answer["order_id"]].reason == "CloseCancel"
        body = (await stage.call("GET", "/markets/KXPLAY-1-A")).json()["market"]
        assert body["status"] == "closed"


async def _session(tape: Tape) -> tuple[str, int]:
    """Play a tape with a member that orders and listens; the digest of all it was told, and how many frames."""
    digest, frames = hashlib.sha256(), 0
    async with staged("memory", Latency()) as stage, trio.open_nursery() as nursery:
        player = TapePlayer(stage.exchange, tape)
        player.start(START_US + 1_000_000)
        connection = await stage.dial(nursery)
        channels = ["orderbook_delta", "trade", "fill", "user_orders"]
        params = {"channels": channels, "market_tickers": [player.ticker]}
        await say(connection, {"id": 1, "cmd": "subscribe", "params": params})

        async def listen() -> None:
            nonlocal frames
            while True:
                digest.update(str(await connection.get_message()).encode())
                frames += 1

        nursery.start_soon(listen)
        turn = 0
        while not player.ended.is_set():
            turn += 1
            with trio.move_on_after(20):
                await player.ended.wait()
            best = stage.exchange.markets[player.ticker].book.best("yes")
            if best is not None and not player.ended.is_set() and turn < 200:
                price = f"0.{best[0] // 100:02}"
                await stage.create("bid", price, "5", client_order_id=f"t-{turn}", ticker=player.ticker)
        await trio.sleep(1)
        fills = await stage.call("GET", "/portfolio/fills", query={"limit": "1000"})
        digest.update(fills.content)
        nursery.cancel_scope.cancel()
    return digest.hexdigest(), frames


def virtual(tape: Tape) -> tuple[str, int]:
    return trio.run(_session, tape, clock=MockClock(autojump_threshold=0))


def test_a_run_repeats_byte_for_byte() -> None:
    """Ids, times, frames and listings of two runs with one seed are the same."""
    tape = generate(5, 600, ticker="KXPLAY-1-A")
    assert virtual(tape) == virtual(tape)


def test_a_whole_day_plays_in_a_fraction_of_a_minute() -> None:
    """6.5 hours and 28,000 events, every frame over the WebSocket."""
    tape = read_tape(recording("index-2023-04-10"))
    began = time.perf_counter()
    _, frames = virtual(tape)
    took = time.perf_counter() - began
    assert frames > 28_000
    assert took < 60, f"{took:.1f} s"
