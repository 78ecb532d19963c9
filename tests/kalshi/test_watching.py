"""Markets added to and removed from a stream that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from fsm_exec.kalshi.websocket import PATIENCE_S, QUIET_S, KalshiStream

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Listener, Peer, StreamServer

A, B, C = "KXA-1", "KXA-2", "KXA-3"
BOOK_SID, TRADE_SID = 3, 4


async def settled() -> None:
    await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def running(stream: KalshiStream, listener: Listener, *tickers: str) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run, listener, tickers)
        yield
        nursery.cancel_scope.cancel()


async def params(peer: Peer) -> dict[str, Any]:
    wanted: dict[str, Any] = (await peer.command())["params"]
    return wanted


def trade(ticker: str, seq: int) -> dict[str, Any]:
    message = {
        "trade_id": f"t-{seq}",
        "market_ticker": ticker,
        "yes_price_dollars": "0.5200",
        "no_price_dollars": "0.4800",
        "count_fp": "3.00",
        "taker_outcome_side": "yes",
        "taker_book_side": "bid",
        "ts_ms": 1_790_856_000_123,
    }
    return {"type": "trade", "sid": TRADE_SID, "seq": seq, "msg": message}


async def test_a_market_is_added_to_the_live_subscriptions(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """Both channels get it by number, its changes count from its snapshot on, and the others go on meanwhile."""
    stream = kit.stream(server)
    async with running(stream, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await settled()
        stream.watch(B)
        stream.watch(B)
        assert await params(peer) == {"sid": BOOK_SID, "action": "add_markets", "market_tickers": [B]}
        assert await params(peer) == {"sid": TRADE_SID, "action": "add_markets", "market_tickers": [B]}
        await peer.delta(2, A)
        await peer.delta(3, B)
        await peer.send({"type": "ok", "id": 3, "sid": BOOK_SID, "seq": 4, "msg": {"market_tickers": [A, B]}})
        await peer.snapshot(5, B)
        await peer.delta(6, B)
        await peer.send(trade(B, 1))
        await settled()
    told = [entry[:2] for entry in listener.told[1:]]
    assert told == [("snapshot", A), ("change", A), ("snapshot", B), ("change", B), ("trade", B)]


async def test_a_market_that_is_removed_is_heard_no_more(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """Its late frames tell nothing but keep the numbers; a gap later is not about it."""
    stream = kit.stream(server)
    async with running(stream, listener, A, B):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await peer.snapshot(2, B)
        await settled()
        stream.unwatch(B)
        stream.unwatch(C)
        assert await params(peer) == {"sid": BOOK_SID, "action": "delete_markets", "market_tickers": [B]}
        assert await params(peer) == {"sid": TRADE_SID, "action": "delete_markets", "market_tickers": [B]}
        await peer.delta(3, B)
        await peer.snapshot(4, B)
        await peer.send(trade(B, 1))
        await peer.delta(5, A)
        await peer.delta(7, A)
        await settled()
    assert [entry[0] for entry in listener.told] == ["connected", "snapshot", "snapshot", "change", "gap"]
    assert listener.told[-1] == ("gap", [A])


async def test_the_last_market_ends_the_subscriptions(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A channel without a market may mean every market, so it is ended; the next market subscribes anew, and late
    frames of the old numbers are nobody's."""
    stream = kit.stream(server)
    async with running(stream, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await settled()
        stream.unwatch(A)
        ended = [await peer.command(), await peer.command()]
        assert [(command["cmd"], command["params"]) for command in ended] == [
            ("unsubscribe", {"sids": [BOOK_SID]}),
            ("unsubscribe", {"sids": [TRADE_SID]}),
        ]
        stream.watch(A)
        again = await peer.command()
        assert (again["cmd"], again["params"]["market_tickers"]) == ("subscribe", [A])
        await peer.snapshot(2, A, no_dollars_fp=[("0.4800", "9.00")])  # of the old subscription, and late
        for sid, channel in ((5, "orderbook_delta"), (6, "trade")):
            await peer.send({"type": "subscribed", "id": again["id"], "msg": {"channel": channel, "sid": sid}})
        await peer.send({"type": "unsubscribed", "id": ended[0]["id"], "sid": BOOK_SID, "seq": 3})
        await peer.send({"type": "orderbook_snapshot", "sid": 5, "seq": 1, "msg": {"market_ticker": A}})
        await settled()
    assert listener.kinds() == ["connected", "snapshot", "snapshot"]
    assert listener.told[-1] == ("snapshot", A, [], [])


async def test_what_is_wanted_is_subscribed_after_a_reconnection(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """The new connection asks for the markets of now, not for those of the beginning."""
    stream = kit.stream(server)
    async with running(stream, listener, A, B):
        peer = await server.next()
        await peer.accept_subscriptions()
        stream.watch(C)
        stream.unwatch(A)
        await settled()
        await peer.break_off()
        again = await server.next()
        await again.command()
        assert (await params(again))["market_tickers"] == [B, C]


async def test_changes_before_the_answer_are_made_up_for(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A market added or removed while a subscription has no number yet is settled when it has one."""
    stream = kit.stream(server)
    stream.watch(A)  # before there is a stream
    async with running(stream, listener):
        peer = await server.next()
        await peer.command()
        subscribe = await peer.command()
        assert subscribe["params"]["market_tickers"] == [A]
        await peer.command()  # the lives of all markets
        await peer.command()  # the order groups
        stream.watch(B)
        stream.unwatch(A)
        await settled()
        answer = {"channel": "orderbook_delta", "sid": BOOK_SID}
        await peer.send({"type": "subscribed", "id": subscribe["id"], "msg": answer})
        assert await params(peer) == {"sid": BOOK_SID, "action": "add_markets", "market_tickers": [B]}
        assert await params(peer) == {"sid": BOOK_SID, "action": "delete_markets", "market_tickers": [A]}


async def test_a_first_market_subscribes(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A stream that began without markets subscribes when the first one comes."""
    stream = kit.stream(server)
    async with running(stream, listener):
        peer = await server.next()
        for _ in range(3):
            await peer.command()
        stream.watch(A)
        command = await peer.command()
        assert command["cmd"] == "subscribe"
        assert command["params"]["channels"] == ["orderbook_delta", "trade"]
        assert command["params"]["market_tickers"] == [A]


async def test_a_market_the_exchange_does_not_know_is_given_up(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """The refusal costs that market and not the connection, and no later connection asks for it."""
    stream = kit.stream(server)
    async with running(stream, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        stream.watch(B)
        add = await peer.command()
        await peer.command()
        await peer.send({"type": "error", "id": add["id"], "msg": {"code": 11, "msg": "Invalid parameter"}})
        await peer.delta(2, A)
        await settled()
        assert listener.kinds() == ["connected", "snapshot", "change"]
        assert any("update_refused" in line and B in line for line in kit.log.lines)
        await peer.break_off()
        again = await server.next()
        await again.command()
        assert (await params(again))["market_tickers"] == [A]


@pytest.mark.parametrize("code", [1, 7, 26, 27])
async def test_an_addition_refused_for_another_reason_reconnects(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, code: int
) -> None:
    """The market exists and is not carried: the connection is not what was promised."""
    stream = kit.stream(server)
    async with running(stream, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        stream.watch(B)
        add = await peer.command()
        await peer.send({"type": "error", "id": add["id"], "msg": {"code": code, "msg": "no"}})
        again = await server.next()
        await again.command()
        assert (await params(again))["market_tickers"] == [A, B]


async def test_a_first_snapshot_that_does_not_come_is_asked_for(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """After some patience; should the exchange have none, the connection lives on."""
    stream = kit.stream(server)
    async with running(stream, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        stream.watch(B)
        for _ in range(2):
            await peer.command()
        began_s = trio.current_time()
        asked = await peer.command()
        assert asked["params"] == {"sid": BOOK_SID, "action": "get_snapshot", "market_tickers": [B]}
        assert PATIENCE_S <= trio.current_time() - began_s <= PATIENCE_S + QUIET_S
        await peer.send({"type": "error", "id": asked["id"], "msg": {"code": 11, "msg": "Invalid parameter"}})
        await peer.delta(2, A)
        await settled()
        assert listener.kinds() == ["connected", "snapshot", "change"]


async def test_removed_and_added_again_starts_from_a_new_snapshot(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """Changes between the two belong to a book nobody holds any more."""
    stream = kit.stream(server)
    async with running(stream, listener, A, B):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await peer.snapshot(2, B)
        await settled()
        stream.unwatch(B)
        for _ in range(2):
            await peer.command()
        stream.watch(B)
        for _ in range(2):
            await peer.command()
        await peer.delta(3, B)
        await peer.snapshot(4, B)
        await peer.delta(5, B)
        await settled()
    assert listener.kinds() == ["connected", "snapshot", "snapshot", "snapshot", "change"]
