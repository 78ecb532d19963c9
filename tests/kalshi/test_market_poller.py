"""Markets open, pause, close and change their prices while they are watched: told by the stream, and read where it
may not have told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio

from fsm_exec.core.values.units import LINEAR_CENT, PriceE4, PriceGrid, PriceRange
from fsm_exec.kalshi.market_poller import INTERVAL_S, POLL_DELAY_S, RETRY_S, STALE_S
from fsm_exec.kalshi.websocket import PATIENCE_S

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Listener, Network, Peer, StreamServer

A, B = "KXA-1", "KXA-2"
SID = 5
GRID = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
FINE = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
FINE_GRID = PriceGrid((PriceRange(PriceE4(0), PriceE4(10_000), PriceE4(10)),))


def market(ticker: str, status: str = "active", **changes: object) -> dict[str, Any]:
    return {"ticker": ticker, "event_ticker": "KXA", "status": status, "price_ranges": GRID, **changes}


def listed(*markets: dict[str, Any]) -> dict[str, object]:
    return {"markets": list(markets), "cursor": ""}


def life(seq: int, event: str, ticker: str = A, **fields: object) -> dict[str, Any]:
    message = {"market_ticker": ticker, "event_type": event, **fields}
    return {"type": "market_lifecycle_v2", "sid": SID, "seq": seq, "msg": message}


def changes(listener: Listener) -> list[tuple[Any, ...]]:
    return [entry for entry in listener.told if entry[0] in ("status", "grid")]


def polls(network: Network) -> list[httpx.Request]:
    return [request for request in network.requests if request.url.path.endswith("/markets")]


@asynccontextmanager
async def watched(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, *tickers: str
) -> AsyncIterator[Peer]:
    """The exchange's end of a stream of these markets; what was told until it was open is forgotten."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kit.stream(server, network).run, listener, tickers)
        peer = await server.next()
        await peer.accept_subscriptions()
        await trio.sleep(2 * POLL_DELAY_S)
        listener.told.clear()
        yield peer
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("event", "status"),
    [("activated", "open"), ("deactivated", "paused"), ("determined", "closed"), ("settled", "closed")],
)
async def test_a_change_of_status_is_told_at_once(
    kit: Kit,
    network: Network,
    server: StreamServer,
    listener: Listener,
    autojump_clock: MockClock,
    event: str,
    status: str,
) -> None:
    """Of a watched market; the channel carries all others too, and they are nobody's."""
    network.answer(200, listed(market(A)))
    async with watched(kit, network, server, listener, A) as peer:
        await peer.send(life(1, event, B))
        await peer.send(life(2, event, A, result="yes", settlement_value="1.0000"))
        await trio.testing.wait_all_tasks_blocked()
        assert changes(listener) == [("status", A, status)]


async def test_a_new_grid_is_told_at_once(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """In YES prices, from the frame that says so."""
    network.answer(200, listed(market(A)))
    async with watched(kit, network, server, listener, A) as peer:
        await peer.send(life(1, "price_level_structure_updated", price_level_structure="x", price_ranges=FINE))
        await trio.testing.wait_all_tasks_blocked()
        assert changes(listener) == [("grid", A, FINE_GRID)]


@pytest.mark.parametrize(
    "frame",
    [
        life(2, "metadata_updated"),  # one is missing before it
        life(1, "close_date_updated", close_ts=5),
        life(1, "price_level_structure_updated", price_level_structure="x"),
        life(1, "price_level_structure_updated", price_ranges=[{"start": "0.5", "end": "0.1", "step": "0"}]),
        life(1, "reborn"),
        {**life(1, "activated"), "msg": {"market_ticker": A}},
    ],
)
async def test_what_a_frame_leaves_open_is_read(
    kit: Kit,
    network: Network,
    server: StreamServer,
    listener: Listener,
    autojump_clock: MockClock,
    frame: dict[str, Any],
) -> None:
    """A gap, another time to close, a grid without prices or with wrong ones, a new word, a broken frame: the markets
    are read soon, and once more when an answer cannot be of before any more."""
    network.answer(200, listed(market(A))).answer(200, listed(market(A))).answer(200, listed(market(A, "closed")))
    async with watched(kit, network, server, listener, A) as peer:
        await trio.sleep(STALE_S + 2 * POLL_DELAY_S)
        assert len(polls(network)) == 2  # for the connection itself
        listener.told.clear()
        await peer.send(frame)
        await trio.sleep(2 * POLL_DELAY_S)
        assert changes(listener) == [("status", A, "closed"), ("grid", A, LINEAR_CENT)]
        await trio.sleep(STALE_S + 2 * POLL_DELAY_S)
        assert len(polls(network)) == 4
        assert "disconnected" not in listener.kinds()


async def test_every_connection_reads_the_markets(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A market that paused while there was no stream is told as paused."""
    network.answer(200, listed(market(A))).answer(200, listed(market(A, "inactive")))
    async with watched(kit, network, server, listener, A) as peer:
        await peer.break_off()
        await (await server.next()).accept_subscriptions()
        await trio.sleep(2 * POLL_DELAY_S)
        assert ("status", A, "paused") in changes(listener)


async def test_an_answer_that_may_be_old_does_not_overrule_a_frame(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """Public reads are cached: "active" right after "deactivated" is of before. Later it counts."""
    network.answer(200, listed(market(A), market(B)))
    async with watched(kit, network, server, listener, A, B) as peer:
        await peer.send(life(1, "deactivated"))
        await peer.send(life(2, "close_date_updated"))
        await trio.sleep(2 * POLL_DELAY_S)
        assert changes(listener) == [("status", A, "paused"), ("status", B, "open"), ("grid", B, LINEAR_CENT)]
        await trio.sleep(2 * STALE_S)
        assert changes(listener)[-4:-2] == [("status", A, "open"), ("grid", A, LINEAR_CENT)]


async def test_a_market_that_closes_in_time_is_read_then(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """No frame tells of it: the market is read a second after the time it names, and every minute anyway."""
    ends = {"close_time": "2026-10-01T12:00:45.123456Z"}  # 45 s from the wall time of these tests
    network.answer(200, listed(market(A, **ends))).answer(200, listed(market(A, **ends)))
    network.answer(200, listed(market(A, "closed", **ends)))
    async with watched(kit, network, server, listener, A):
        await trio.sleep(STALE_S + 2 * POLL_DELAY_S)
        asked = len(network.requests)
        # The wall of these tests stands still, so the second reading still saw 45 s ahead of it.
        await trio.sleep(45 + 1 + POLL_DELAY_S)
        assert ("status", A, "closed") in changes(listener)
        assert len(network.requests) == asked + 1
        await trio.sleep(INTERVAL_S + 2 * POLL_DELAY_S)
        assert len(network.requests) > asked + 1


async def test_a_reading_that_fails_is_tried_again(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """Until it succeeds; what cannot be read of one market does not keep the others from being told."""
    network.answer(503).answer(503)
    network.answer(200, listed(market(A, "melted", price_ranges=[]), {"ticker": B}, market(B)))
    async with watched(kit, network, server, listener, A, B):
        await trio.sleep(2 * (RETRY_S + POLL_DELAY_S))
        assert changes(listener)[:3] == [("status", A, "paused"), ("status", B, "open"), ("grid", B, LINEAR_CENT)]
        assert any("status_unknown" in line for line in kit.log.lines)


async def test_a_new_market_is_read(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """It may have paused between the reading of its terms and the watching; one that is watched no more is not told."""
    network.answer(200, listed(market(A), market(B, "inactive")))
    stream = kit.stream(server, network)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run, listener, [])
        await (await server.next()).accept_subscriptions()
        await trio.sleep(STALE_S)
        assert network.requests == []
        stream.watch(A)
        stream.watch(B)
        stream.unwatch(A)
        await trio.sleep(2 * POLL_DELAY_S)
        assert changes(listener) == [("status", B, "paused"), ("grid", B, LINEAR_CENT)]
        nursery.cancel_scope.cancel()


async def test_the_stream_lives_without_the_channel(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """An exchange that refuses it costs us the promptness and not the connection: the markets are read every minute."""
    network.answer(200, listed(market(A)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kit.stream(server, network).run, listener, [A])
        peer = await server.next()
        for _ in range(2):
            command = await peer.command()
            for channel in command["params"]["channels"]:
                answer = {"channel": channel, "sid": len(channel)}
                await peer.send({"type": "subscribed", "id": command["id"], "msg": answer})
        lives = await peer.command()
        assert lives["params"] == {"channels": ["market_lifecycle_v2"]}
        await peer.send({"type": "error", "id": lives["id"], "msg": {"code": 8, "msg": "Unknown channel name"}})
        await trio.sleep(PATIENCE_S + INTERVAL_S + STALE_S)
        assert "disconnected" not in listener.kinds()
        assert len(network.requests) >= 3
        nursery.cancel_scope.cancel()


async def test_a_listener_that_fails_at_it_is_reported(
    kit: Kit, network: Network, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """It is told again later, and the reading goes on."""
    network.answer(200, listed(market(A)))
    told = listener.market_status
    failures = iter([True, False])

    def fail_once(ticker: str, status: Any) -> None:  # noqa: ANN401 - whatever the protocol says
        if next(failures, False):
            raise RuntimeError("no")
        told(ticker, status)

    listener.market_status = fail_once  # type: ignore[method-assign]
    async with watched(kit, network, server, listener, A):
        await trio.sleep(RETRY_S + 2 * POLL_DELAY_S)
        assert changes(listener)[0] == ("status", A, "open")
        assert any("listener_failed" in line for line in kit.log.lines)
