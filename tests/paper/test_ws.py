"""The WebSocket, over memory and over loopback sockets: handshake, commands, channels, sequence numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from fsm_exec.paper.server.hosting import MEMORY_HOST, MemoryHost, open_websocket
from fsm_exec.wire.rest import WS_PATH
from tests.paper.support import TICKER, Stage, delta, header, hear, say, snapshot, staged, trade


@pytest.fixture(params=["memory", "loopback"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request.param) as stage:
        stage.exchange.apply(TICKER, snapshot([("0.45", "10")], [("0.48", "5")]))
        yield stage


@pytest.fixture
async def stream(stage: Stage, nursery: trio.Nursery) -> AsyncIterator[WebSocketConnection]:
    connection = await stage.dial(nursery)
    yield connection
    await connection.aclose()


def subscribe(*channels: str, command: int = 1, ticker: str | None = TICKER) -> dict[str, object]:
    params: dict[str, object] = {"channels": list(channels)}
    if ticker is not None:
        params["market_tickers"] = [ticker]
    return {"id": command, "cmd": "subscribe", "params": params}


async def refusal_of(stage: Stage, headers: dict[str, str]) -> ConnectionRejected:
    """The library raises a refused handshake in the nursery of the connection."""
    with pytest.raises(ExceptionGroup) as group:
        async with trio.open_nursery() as nursery:
            await stage.host.dial(nursery, [(name.encode(), value.encode()) for name, value in headers.items()])
    refused = group.value.exceptions[0]
    assert isinstance(refused, ConnectionRejected)
    return refused


async def test_an_unsigned_handshake_is_refused(stage: Stage) -> None:
    """401 with the wire's body."""
    refused = await refusal_of(stage, {})
    assert refused.status_code == 401
    assert b"signature_is_missing_from_headers" in (refused.body or b"")


async def test_a_book_is_subscribed_with_its_snapshot(stage: Stage, stream: WebSocketConnection) -> None:
    """One answer per channel with its sid; then the snapshot, seq 1; then changes, seq 2 and on."""
    await say(stream, subscribe("orderbook_delta", "trade"))
    assert await hear(stream) == {"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}}
    opening = await hear(stream)
    assert (opening["type"], opening["sid"], opening["seq"]) == ("orderbook_snapshot", 1, 1)
    assert opening["msg"]["yes_dollars_fp"] == [["0.4500", "10.00"]]
    assert opening["msg"]["no_dollars_fp"] == [["0.4800", "5.00"]]
    assert await hear(stream) == {"type": "subscribed", "id": 1, "msg": {"channel": "trade", "sid": 2}}

    stage.exchange.apply(TICKER, trade("no", "0.45", "3"))
    stage.exchange.apply(TICKER, delta("yes", "0.45", "-3"))
    printed, changed = await hear(stream), await hear(stream)
    assert (printed["type"], printed["sid"], printed["seq"]) == ("trade", 2, 1)
    assert printed["msg"]["taker_outcome_side"] == "no"
    assert printed["msg"]["taker_book_side"] == "ask"
    assert printed["msg"]["is_block_trade"] is False
    assert (changed["type"], changed["sid"], changed["seq"]) == ("orderbook_delta", 1, 2)
    assert (changed["msg"]["delta_fp"], changed["msg"]["side"]) == ("-3.00", "yes")
    assert "client_order_id" not in changed["msg"]


async def test_an_empty_side_is_absent(stage: Stage, stream: WebSocketConnection) -> None:
    """Not an empty list."""
    stage.exchange.apply(TICKER, snapshot([("0.45", "10")], []))
    await say(stream, subscribe("orderbook_delta"))
    await hear(stream)
    assert "no_dollars_fp" not in (await hear(stream))["msg"]


async def test_a_member_hears_of_its_own_orders_alone(stage: Stage, stream: WebSocketConnection) -> None:
    """Fills and orders, without seq, and the client order id on changes it caused; another member hears none of it."""
    other = stage.new_member()
    async with trio.open_nursery() as nursery:
        theirs = await stage.dial(nursery, other)
        for connection in (stream, theirs):
            await say(connection, subscribe("orderbook_delta", "fill", "user_orders"))
            for _ in range(4):
                await hear(connection)
        await stage.create("bid", "0.52", "2", client_order_id="mine")

        frames = [await hear(stream) for _ in range(3)]
        by_type = {frame["type"]: frame for frame in frames}
        assert by_type["orderbook_delta"]["msg"]["client_order_id"] == "mine"
        fill = by_type["fill"]
        assert "seq" not in fill
        assert fill["msg"]["exchange_index"] == 0
        assert (fill["msg"]["post_position_fp"], fill["msg"]["is_taker"]) == ("2.00", True)
        order = by_type["user_order"]
        assert "seq" not in order
        assert (order["msg"]["status"], order["msg"]["last_update_reason"]) == ("executed", "Trade")

        seen = await hear(theirs)
        assert seen["type"] == "orderbook_delta"
        assert "client_order_id" not in seen["msg"]
        stage.exchange.apply(TICKER, delta("yes", "0.45", "1"))
        assert (await hear(theirs))["type"] == "orderbook_delta"
        await theirs.aclose()


async def test_markets_come_and_go_within_a_subscription(stage: Stage, stream: WebSocketConnection) -> None:
    """The answer lists them all and takes a seq; a new market brings its snapshot; get_snapshot carries the id."""
    stage.exchange.add_market(header("KXTEST-26OCT01-B"))
    await say(stream, subscribe("orderbook_delta"))
    await hear(stream), await hear(stream)
    change = {"sid": 1, "action": "add_markets", "market_tickers": ["KXTEST-26OCT01-B"]}
    await say(stream, {"id": 2, "cmd": "update_subscription", "params": change})
    added = await hear(stream)
    assert (added["type"], added["id"], added["sid"], added["seq"]) == ("ok", 2, 1, 2)
    assert added["msg"]["market_tickers"] == [TICKER, "KXTEST-26OCT01-B"]
    assert (await hear(stream))["seq"] == 3
    await say(
        stream,
        {"id": 3, "cmd": "update_subscription", "params": {**change, "action": "get_snapshot"}},
    )
    asked = await hear(stream)
    assert (asked["type"], asked["id"], asked["seq"]) == ("orderbook_snapshot", 3, 4)
    await say(stream, {"id": 4, "cmd": "update_subscription", "params": {**change, "action": "delete_markets"}})
    assert (await hear(stream))["msg"]["market_tickers"] == [TICKER]
    await say(stream, {"id": 5, "cmd": "list_subscriptions"})
    assert await hear(stream) == {"type": "ok", "id": 5, "msg": [{"channel": "orderbook_delta", "sid": 1}]}
    await say(stream, {"id": 6, "cmd": "unsubscribe", "params": {"sids": [1]}})
    assert await hear(stream) == {"type": "unsubscribed", "id": 6, "sid": 1, "seq": 6}


async def test_the_clock_of_a_market_orders_its_changes(stage: Stage, stream: WebSocketConnection) -> None:
    """A snapshot holds all up to its clock, the changes after it have later ones, and one order that sweeps two levels
    makes two changes of one clock."""
    stage.exchange.apply(TICKER, delta("no", "0.47", "5"))
    await say(stream, subscribe("orderbook_delta"))
    await hear(stream)
    opening = (await hear(stream))["msg"]["clock"]
    await stage.create("bid", "0.53", "10")
    swept = [(await hear(stream))["msg"]["clock"] for _ in range(2)]
    stage.exchange.apply(TICKER, delta("yes", "0.44", "1"))
    later = (await hear(stream))["msg"]["clock"]
    assert opening < swept[0] == swept[1] < later
    async with trio.open_nursery() as nursery:
        second = await stage.dial(nursery)
        await say(second, subscribe("orderbook_delta"))
        await hear(second)
        assert (await hear(second))["msg"]["clock"] == later
        await second.aclose()


async def test_a_book_that_never_changed_has_clock_0(stage: Stage, stream: WebSocketConnection) -> None:
    """As a market that was just opened."""
    stage.exchange.add_market(header("KXTEST-26OCT01-B"))
    await say(stream, subscribe("orderbook_delta", ticker="KXTEST-26OCT01-B"))
    await hear(stream)
    assert (await hear(stream))["msg"]["clock"] == 0


@pytest.mark.parametrize("channel", ["orderbook_delta", "trade", "ticker", "fill", "user_orders", "market_positions"])
async def test_an_end_is_numbered_on_every_channel(stage: Stage, stream: WebSocketConnection, channel: str) -> None:
    """Also where messages are not: the answer to unsubscribe needs its seq."""
    await say(stream, subscribe(channel))
    await hear(stream)
    numbered = 1
    if channel == "orderbook_delta":
        await hear(stream)
        numbered = 2
    await say(stream, {"id": 2, "cmd": "unsubscribe", "params": {"sids": [1]}})
    assert await hear(stream) == {"type": "unsubscribed", "id": 2, "sid": 1, "seq": numbered}


async def test_an_empty_ticker_is_none(stage: Stage, stream: WebSocketConnection) -> None:
    """`""` for the market counts as left out: every market where that is allowed, code 14 where it is not."""
    command = {"id": 1, "cmd": "subscribe", "params": {"channels": ["trade"], "market_ticker": "", "market_id": ""}}
    await say(stream, command)
    assert (await hear(stream))["type"] == "subscribed"
    stage.exchange.apply(TICKER, trade("no", "0.45", "3"))
    assert (await hear(stream))["type"] == "trade"
    command["params"]["channels"] = ["orderbook_delta"]  # type: ignore[index]
    await say(stream, command)
    assert (await hear(stream))["msg"]["code"] == 14


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("nonsense", 1),
        ({"id": -1, "cmd": "list_subscriptions"}, 1),
        ({"id": 1, "cmd": "subscribe"}, 2),
        ({"id": 1, "cmd": "subscribe", "params": {}}, 3),
        ({"id": 1, "cmd": "unsubscribe", "params": {}}, 4),
        ({"id": 1, "cmd": "shout", "params": {}}, 5),
        ({"id": 1, "cmd": "unsubscribe", "params": {"sids": [9]}}, 7),
        (subscribe("weather"), 8),
        (subscribe("orderbook_delta", ticker="NONE"), 11),
        ({"id": 1, "cmd": "update_subscription", "params": {"sids": [1, 2]}}, 12),
        (subscribe("orderbook_delta", ticker=None), 14),
    ],
)
async def test_a_wrong_command_has_its_code(stream: WebSocketConnection, command: object, code: int) -> None:
    """And the connection goes on."""
    await say(stream, command)
    answer = await hear(stream)
    assert (answer["type"], answer["msg"]["code"]) == ("error", code)
    await say(stream, {"id": 2, "cmd": "list_subscriptions"})
    assert (await hear(stream))["id"] == 2


async def test_use_yes_price_quotes_offers(stage: Stage, stream: WebSocketConnection) -> None:
    """The no side comes as YES prices, ascending, in snapshot and changes."""
    command = subscribe("orderbook_delta")
    command["params"]["use_yes_price"] = True  # type: ignore[index]
    await say(stream, command)
    await hear(stream)
    assert (await hear(stream))["msg"]["no_dollars_fp"] == [["0.5200", "5.00"]]
    stage.exchange.apply(TICKER, delta("no", "0.47", "1"))
    assert (await hear(stream))["msg"]["price_dollars"] == "0.5300"


async def test_a_path_of_its_own(stage: Stage) -> None:
    """A signature for another path does not open the stream."""
    refused = await refusal_of(stage, stage.member.headers("GET", WS_PATH + "/other"))
    assert refused.status_code == 401
    assert b"INCORRECT_API_KEY_SIGNATURE" in (refused.body or b"")


class DeafStream(trio.abc.Stream):
    """A client's end that does not hear while it is deaf."""

    def __init__(self, inner: trio.abc.Stream) -> None:
        self._inner = inner
        self.hears = trio.Event()
        self.hears.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        received = await self._inner.receive_some(max_bytes)
        await self.hears.wait()
        return received

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_a_ping_that_meets_a_close_does_not_end_the_exchange(nursery: trio.Nursery) -> None:
    """The exchange closes a connection, and a client that does not hear of it pings: others are served on."""
    async with staged("memory") as stage:
        assert isinstance(stage.host, MemoryHost)
        stream = DeafStream(stage.host.connect())
        signed = stage.member.headers("GET", WS_PATH)
        headers = [(name.encode(), value.encode()) for name, value in signed.items()]
        client = await open_websocket(nursery, stream, MEMORY_HOST, headers)
        stream.hears = trio.Event()
        for hang_up in list(stage.exchange.hang_ups):
            hang_up()
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(1), suppress(ConnectionClosed):
            await client.ping(b"late")
        stream.hears.set()
        other = await stage.dial(nursery)
        await say(other, {"id": 1, "cmd": "nonsense"})
        assert (await hear(other))["type"] == "error"
        await other.aclose()
