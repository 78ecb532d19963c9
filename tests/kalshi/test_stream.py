"""The stream over a real WebSocket in memory: subscriptions, numbers, silence, reconnection."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio_websocket

from fsm_exec.kalshi import websocket
from fsm_exec.kalshi.websocket import PATIENCE_S, PAUSE_FIRST_S, PAUSE_MAX_S, QUIET_S, SILENCE_S, pause_s
from fsm_exec.kalshi.websocket_dial import dial_url

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Listener, StreamServer

A, B = "KXA-1", "KXA-2"
FILL: dict[str, Any] = {
    "trade_id": "f-1",
    "order_id": "o-1",
    "client_order_id": "c-7",
    "market_ticker": A,
    "exchange_index": 0,
    "is_taker": True,
    "outcome_side": "no",
    "book_side": "ask",
    "yes_price_dollars": "0.7000",
    "count_fp": "1.00",
    "fee_cost": "0.017500",
    "post_position_fp": "-1.00",
    "ts_ms": 1_790_856_000_123,
}
ORDER: dict[str, Any] = {
    "order_id": "o-1",
    "user_id": "u1",
    "client_order_id": "c-7",
    "ticker": A,
    "status": "executed",
    "outcome_side": "yes",
    "book_side": "bid",
    "yes_price_dollars": "0.5200",
    "initial_count_fp": "1.00",
    "fill_count_fp": "1.00",
    "remaining_count_fp": "0.00",
    "taker_fill_cost_dollars": "0.520000",
    "maker_fill_cost_dollars": "0.000000",
    "taker_fees_dollars": "0.017500",
    "maker_fees_dollars": "0.000000",
    "created_time": "2026-10-01T12:00:00.120000Z",
    "created_ts_ms": 1_790_856_000_120,
    "last_updated_ts_ms": 1_790_856_000_125,
    "last_update_reason": "Trade",
    "order_group_id": "g-1",
}
GROUP = {"event_type": "triggered", "order_group_id": "g-1", "ts_ms": 1_790_856_000_123, "said_tomorrow": [1]}
TRADE: dict[str, Any] = {
    "trade_id": "t-1",
    "market_ticker": A,
    "yes_price_dollars": "0.5200",
    "no_price_dollars": "0.4800",
    "count_fp": "3.00",
    "taker_outcome_side": "yes",
    "taker_book_side": "bid",
    "ts_ms": 1_790_856_000_123,
}


async def settled() -> None:
    """Let everything that can happen without time passing happen."""
    await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def running(kit: Kit, server: StreamServer, listener: Listener, *tickers: str) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kit.stream(server).run, listener, tickers or (A, B))
        yield
        nursery.cancel_scope.cancel()


async def test_one_connection_subscribes_to_everything(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """The account's channels first and without a filter, then book and trades of the markets; the handshake is
    signed; `connected` comes before anything else."""
    async with running(kit, server, listener):
        peer = await server.next()
        account, markets = await peer.command(), await peer.command()
        assert account["cmd"] == markets["cmd"] == "subscribe"
        assert account["params"] == {"channels": ["fill", "user_orders"]}
        books = {"channels": ["orderbook_delta", "trade"], "market_tickers": [A, B], "use_yes_price": False}
        assert markets["params"] == books, "in whose prices NO's book comes is said, whatever the default"
        assert account["id"] != markets["id"]
        assert account["id"] > 0
        names = {name.lower() for name, _ in server.handshakes[0]}
        assert {b"kalshi-access-key", b"kalshi-access-timestamp", b"kalshi-access-signature"} <= names
        await settled()
        assert listener.told == [("connected",)]


async def test_without_markets_only_the_account_is_heard(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """The book channel needs a market; without one it is not asked for."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(kit.stream(server).run, listener, ())
        peer = await server.next()
        assert (await peer.command())["params"] == {"channels": ["fill", "user_orders"]}
        await settled()
        assert listener.kinds() == ["connected"]
        nursery.cancel_scope.cancel()


async def test_frames_become_facts(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """Snapshot, change, trade, fill, order and order group arrive in our units and our outcome, in order."""
    async with running(kit, server, listener):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A, yes_dollars_fp=[("0.4600", "10.00"), ("0.4700", "3.00")])
        await peer.delta(2, A, "0.4800", "-1.00")
        await peer.send({"type": "trade", "sid": 4, "seq": 1, "msg": TRADE})
        await peer.send({"type": "fill", "sid": 1, "msg": FILL})
        await peer.send({"type": "user_order", "sid": 2, "msg": ORDER})
        await peer.send({"type": "order_group_updates", "sid": 6, "seq": 1, "new": 1, "msg": GROUP})
        await settled()
    assert listener.told[:4] == [
        ("connected",),
        ("snapshot", A, [(4_600, 1_000), (4_700, 300)], []),
        ("change", A, "no", 4_800, -100, 5_000),
        ("trade", A, "yes", 5_200, 300, 1_790_856_000_123_000),
    ]
    fill, order = listener.told[4][1], listener.told[5][1]
    assert (fill.fill_id, fill.order_id, fill.client_order_id) == ("f-1", "o-1", "c-7")
    assert (fill.outcome, fill.price_e4, fill.count_e2, fill.fee_e6) == ("no", 3_000, 100, 17_500)
    assert (order.status, order.outcome, order.price_e4, order.reason) == ("executed", "yes", 5_200, "Trade")
    assert order.at_us == 1_790_856_000_125_000
    assert (order.group_id, listener.told[6]) == ("g-1", ("order_group", "g-1", "triggered"))
    assert listener.heard_count == 12


async def test_a_gap_asks_for_snapshots_of_its_sid(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A missing number makes all books of the sid suspect and their snapshots due; changes are ignored until each
    arrives, and then count again. The trades' own numbering is untouched."""
    async with running(kit, server, listener):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await peer.snapshot(2, B)
        await peer.delta(4, A)
        command = await peer.command()
        assert command["cmd"] == "update_subscription"
        assert command["params"] == {"sid": 3, "action": "get_snapshot", "market_tickers": [A, B]}
        await peer.send({"type": "trade", "sid": 4, "seq": 1, "msg": TRADE})
        await peer.delta(5, B)
        await peer.snapshot(6, A, no_dollars_fp=[("0.4800", "2.00")])
        await peer.delta(7, A)
        await peer.delta(8, B)
        await peer.snapshot(9, B)
        await peer.delta(10, B)
        await settled()
    told = "connected snapshot snapshot gap trade snapshot change snapshot change"
    assert listener.kinds() == told.split()
    assert ("gap", [A, B]) in listener.told
    assert [entry[1] for entry in listener.told if entry[0] == "change"] == [A, B]


async def test_control_answers_use_up_numbers(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """`ok`, `unsubscribed` and an error about a subscription carry numbers of their sid; so do types we do not read."""
    async with running(kit, server, listener):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await peer.send({"type": "ok", "id": 3, "sid": 3, "seq": 2, "msg": {"market_tickers": [A]}})
        await peer.send({"type": "ok", "sid": 3, "seq": 3})
        await peer.send({"type": "unsubscribed", "sid": 3, "seq": 4})
        await peer.send({"type": "error", "sid": 3, "seq": 5, "msg": {"code": 11, "msg": "invalid parameter"}})
        await peer.send({"type": "brand_new", "sid": 3, "seq": 6, "msg": [1]})
        await peer.delta(7, A)
        await settled()
    assert listener.kinds() == ["connected", "snapshot", "change"]


@pytest.mark.parametrize("seqs", [(1, 2, 2), (1, 2, 1), (2,), (1, 2, 4, 3)])
async def test_any_number_but_the_next_is_a_gap(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, seqs: tuple[int, ...]
) -> None:
    """A repeat, a step back, a late frame and a first number that is not 1: the books are suspect, the frame is not
    applied, and the numbering goes on from the highest."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        for seq in seqs:
            await (peer.snapshot if seq == 1 else peer.delta)(seq, A)
        await settled()
        assert "gap" in listener.kinds()
        before = listener.kinds().count("change")
        await peer.snapshot(max(seqs) + 1, A)
        await peer.delta(max(seqs) + 2, A)
        await settled()
        assert listener.kinds()[-2:] == ["snapshot", "change"]
        assert listener.kinds().count("change") == before + 1
        assert before == (2 in seqs[1:2])


async def test_a_repeated_frame_is_not_taken_again(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A trade is told once, and a snapshot of the past does not end the wait for a new one."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        for _ in range(2):
            await peer.send({"type": "trade", "sid": 4, "seq": 1, "msg": TRADE})
        await peer.snapshot(1, A)
        await peer.delta(2, A)
        await peer.snapshot(1, A)
        await peer.delta(3, A)
        await settled()
    assert listener.kinds() == ["connected", "trade", "snapshot", "change", "gap"]


async def test_a_change_before_its_snapshot_is_ignored(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """The snapshot will hold it; so for a market nobody asked for."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.delta(1, A)
        await peer.snapshot(2, A)
        await peer.delta(3, "KXOTHER")
        await peer.snapshot(4, "KXOTHER")
        await settled()
    assert listener.kinds() == ["connected", "snapshot"]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "{",
        "[]",
        '"text"',
        "null",
        "[" * 50_000,
        b"\xff\xfe",
        '{"sid":3}',
        '{"type":7}',
        '{"type":"fill","sid":1,"msg":{}}',
        '{"type":"fill","sid":1}',
        {"type": "fill", "sid": 1, "msg": {**FILL, "count_fp": "1.001"}},
        {"type": "fill", "sid": 1, "msg": {**FILL, "book_side": "bid"}},
        {"type": "user_order", "sid": 2, "msg": {**ORDER, "status": "unknown"}},
        {"type": "user_order", "sid": 2, "msg": {**ORDER, "last_updated_ts_ms": 10**30}},
        {"type": "user_order", "sid": 2, "msg": {**ORDER, "last_updated_ts_ms": -1}},
        {"type": "trade", "sid": 4, "seq": 1, "msg": {**TRADE, "yes_price_dollars": "1.5"}},
        {"type": "error", "msg": {"code": "x"}},
        {"type": "error", "msg": {"code": 3, "msg": "no"}},
        {"type": "ok", "msg": 7},
    ],
    ids=lambda frame: str(frame)[:40],
)
async def test_a_frame_that_cannot_be_read_is_logged_and_the_reader_lives(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, frame: object
) -> None:
    """Nothing is told of it, something is logged, and the next frame is heard."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await settled()
        logged = len(kit.log.lines)
        await peer.send(frame)
        await peer.snapshot(1, A)
        await settled()
        assert listener.kinds() == ["connected", "snapshot"]
        assert len(kit.log.lines) > logged or frame == {"type": "ok", "msg": 7}


@pytest.mark.parametrize(
    ("message", "broken"),
    [
        ({"market_ticker": A, "price_dollars": "0.48", "delta_fp": "x", "side": "no", "ts_ms": 5}, [A]),
        ({"market_ticker": A, "price_dollars": "0.48", "delta_fp": "1.00", "side": "maybe", "ts_ms": 5}, [A]),
        ({"market_ticker": A, "price_dollars": "0.48", "delta_fp": "1.00", "side": "no", "ts_ms": 10**15}, [A]),
        ({"market_ticker": A, "price_dollars": "0.48", "delta_fp": "1.00", "side": "no", "ts": "9999"}, [A]),
        ({"market_ticker": "KXOTHER"}, []),
        ({"price_dollars": "0.48"}, [A, B]),  # whose? then it may be any
        ("rubbish", [A, B]),
    ],
)
async def test_an_unreadable_book_frame_breaks_its_book(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, message: object, broken: list[str]
) -> None:
    """The book it is about is reported broken and asked for anew, others stay as they are."""
    async with running(kit, server, listener):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(1, A)
        await peer.snapshot(2, B)
        await peer.send({"type": "orderbook_delta", "sid": 3, "seq": 3, "msg": message})
        await settled()
        assert [entry[1] for entry in listener.told if entry[0] == "broken"] == broken
        if broken:
            params = (await peer.command())["params"]
            assert params == {"sid": 3, "action": "get_snapshot", "market_tickers": broken}
        await peer.delta(4, B)
        await settled()
        assert (listener.kinds()[-1] == "change") == (B not in broken)


async def test_a_snapshot_that_does_not_come_is_asked_for_again(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A book stays suspect no longer than it takes to ask once more; the connection stays."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.snapshot(2, A)
        await peer.delta(4, A)
        first = await peer.command()
        second = await peer.command()
        asked_s = trio.current_time()
        third = await peer.command()
        assert {c["params"]["action"] for c in (first, second, third)} == {"get_snapshot"}
        assert len({first["id"], second["id"], third["id"]}) == 3
        assert trio.current_time() - asked_s <= PATIENCE_S + QUIET_S
        assert listener.kinds().count("connected") == 1


async def test_silence_ends_the_connection_and_a_new_one_subscribes_again(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """An exchange that neither sends nor answers pings is given up after the silence, not before, and dialled anew."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        began_s = trio.current_time()
        peer.go_dead()
        again = await server.next()
        assert SILENCE_S <= trio.current_time() - began_s <= SILENCE_S + websocket.CLOSE_TIMEOUT_S + PAUSE_FIRST_S
        await again.accept_subscriptions()
        await again.snapshot(1, A)  # numbers start again on a new connection
        await settled()
        assert listener.kinds() == ["connected", "disconnected", "connected", "snapshot"]
        assert "nothing heard for 25 s" in listener.told[1][1]


async def test_a_quiet_exchange_that_answers_pings_is_kept(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A pong is a sign of life, and the listener hears of it."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await settled()
        before = listener.heard_count
        await trio.sleep(1_000)
        assert listener.kinds() == ["connected"]
        assert 1_000 // QUIET_S - 1 <= listener.heard_count - before <= 1_000 // QUIET_S
        assert len(server.dialled_at_s) == 1


async def test_subscriptions_never_acknowledged_end_the_connection(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A connection that answers pings but no subscription is of no use."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        for _ in range(4):
            await peer.command()
        await server.next()
        assert "not acknowledged" in listener.told[1][1]


@pytest.mark.parametrize("refusal", [{"code": 8, "msg": "Unknown channel name"}, {"code": 10, "msg": "no"}, None])
@pytest.mark.parametrize("channel", ["market_lifecycle_v2", "order_group_updates"])
async def test_the_stream_lives_without_a_channel_it_can_do_without(
    kit: Kit,
    server: StreamServer,
    listener: Listener,
    autojump_clock: MockClock,
    channel: str,
    refusal: dict[str, Any] | None,
) -> None:
    """An exchange that refuses it, in whatever words, or does not answer costs us that channel and not the
    connection."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        for _ in range(4):
            command = await peer.command()
            for sid, name in enumerate(command["params"]["channels"], 10 * command["id"]):
                if name != channel:
                    answer = {"type": "subscribed", "id": command["id"], "msg": {"channel": name, "sid": sid}}
                    await peer.send(answer)
                elif refusal is not None:
                    await peer.send({"type": "error", "id": command["id"], "msg": refusal})
        await trio.sleep(10 * PATIENCE_S)
        await peer.send({"type": "fill", "sid": 10, "msg": FILL})
        await settled()
        assert listener.kinds() == ["connected", "fill"]
        assert len(server.dialled_at_s) == 1


@pytest.mark.parametrize(
    "error",
    [
        {"sid": 3, "seq": 1, "msg": {"code": 25, "msg": "subscription buffer overflow"}},
        {"sid": 3, "seq": 1, "msg": {"code": 10, "msg": "channel error"}},
        {"msg": {"code": 9, "msg": "authentication required"}},
        {"id": 2, "msg": {"code": 8, "msg": "unknown channel name"}},
        {"id": 2, "msg": {"code": 26, "msg": "subscription market limit exceeded"}},
    ],
)
async def test_a_terminal_error_or_a_refused_command_reconnects(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, error: dict[str, Any]
) -> None:
    """Without the subscription the connection is not what was promised."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.send({"type": "error", **error})
        await server.next()
        await settled()
        assert listener.kinds() == ["connected", "disconnected", "connected"]
        assert f"error {error['msg']['code']}" in listener.told[1][1]


async def test_a_close_by_the_exchange_reconnects(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """A closed connection is dialled anew, and so is one that just breaks."""
    async with running(kit, server, listener, A):
        for end in ("close", "break"):
            peer = await server.next()
            await peer.accept_subscriptions()
            if end == "close":
                await peer.socket.aclose(1001, "going away")
            else:
                await peer.break_off()
        await server.next()
        await settled()
        assert listener.kinds() == ["connected", "disconnected", "connected", "disconnected", "connected"]


@pytest.mark.parametrize("fault", ["refused", "error", "mute"])
async def test_dials_that_fail_are_repeated_with_growing_pauses(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, fault: str
) -> None:
    """A refused handshake, a network error, a handshake without an answer: tried again, ever more slowly, up to the
    maximum; the listener hears nothing of it."""
    if fault == "refused":
        server.refuse_with = (401, b'{"error":{"code":"header_timestamp_expired","message":"m"}}')
    elif fault == "error":
        server.dial_error = OSError("no route")
    else:
        server.is_mute = True
    with trio.move_on_after(400):
        await kit.stream(server).run(listener, (A,))
    waits = [b - a for a, b in zip(server.dialled_at_s, server.dialled_at_s[1:], strict=False)]
    spent = websocket.DIAL_TIMEOUT_S if fault == "mute" else 0
    for number, wait in enumerate(waits):
        longest = min(PAUSE_MAX_S, PAUSE_FIRST_S * 2**number)
        assert spent + longest / 2 <= wait + 1e-6
        assert wait <= spent + longest + 1e-6
    assert len(waits) >= 8
    assert listener.told == []
    if fault == "refused":
        assert "handshake refused: 401 header_timestamp_expired" in kit.log.lines[-1]
    assert kit.doubts == (len(server.dialled_at_s) if fault == "refused" else 0), "the clock may be what is wrong"


async def test_a_good_connection_resets_the_pause(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """After a connection that lived, the next dial comes soon; after many short ones it does not."""
    async with running(kit, server, listener, A):
        for _ in range(6):
            peer = await server.next()
            await peer.accept_subscriptions()
            await peer.socket.aclose()
        short_lived_s = server.dialled_at_s[-1] - server.dialled_at_s[-2]
        peer = await server.next()
        await peer.accept_subscriptions()
        await trio.sleep(websocket.STEADY_S + 1)
        left_s = trio.current_time()
        await peer.socket.aclose()
        await server.next()
        assert short_lived_s > 2
        assert server.dialled_at_s[-1] - left_s <= PAUSE_FIRST_S


def test_the_pause_comes_from_the_generator_it_was_given() -> None:
    """The same seed gives the same pauses; other seeds spread; no number of failures leaves the bounds."""
    pauses = [pause_s(n, random.Random(1)) for n in range(100)]
    assert pauses == [pause_s(n, random.Random(1)) for n in range(100)]
    assert len({pause_s(3, random.Random(seed)) for seed in range(50)}) > 40
    assert all(PAUSE_FIRST_S / 2 <= pause <= PAUSE_MAX_S for pause in pauses)
    assert pause_s(10**9, random.Random(1)) <= PAUSE_MAX_S


@pytest.mark.parametrize("call", ["connected", "book_snapshot", "book_change", "book_gap", "trade", "fill", "heard"])
async def test_an_error_of_the_listener_is_reported_and_costs_the_connection(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock, call: str
) -> None:
    """Of any kind, also one that looks like the network's: it is logged by name, and the next connection starts from
    snapshots; the reader lives on."""
    faults = [OSError("disk"), ZeroDivisionError("sum")]
    whole = getattr(listener, call)

    def fault(*args: object) -> None:
        if faults:
            raise faults.pop()
        whole(*args)

    setattr(listener, call, fault)
    async with running(kit, server, listener, A):
        for _ in range(3):
            peer = await server.next()
            await settled()
            if listener.kinds()[-1:] != ["disconnected"] or not faults:
                try:
                    await peer.accept_subscriptions()
                    await peer.snapshot(1, A)
                    await peer.delta(2, A)
                    await peer.send({"type": "trade", "sid": 4, "seq": 1, "msg": TRADE})
                    await peer.send({"type": "fill", "sid": 1, "msg": FILL})
                    await peer.delta(9, A)
                    await peer.command()
                except trio_websocket.ConnectionClosed:
                    continue
        await settled()
    reports = [line for line in kit.log.lines if line.startswith("listener_failed")]
    assert len(reports) == 2
    assert "ZeroDivisionError: sum" in reports[0]
    assert "OSError: disk" in reports[1]
    assert listener.kinds()[-5:] == ["snapshot", "change", "trade", "fill", "gap"]


async def test_a_listener_that_fails_at_the_end_does_not_end_the_stream(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """The news of a lost connection that nobody can take is reported; the next connection comes all the same."""

    def fault(why: str) -> None:
        raise OSError("disk")

    listener.disconnected = fault  # type: ignore[method-assign]
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await peer.break_off()
        again = await server.next()
        await again.accept_subscriptions()
        await settled()
    assert [line for line in kit.log.lines if "OSError: disk" in line]


async def test_cancelling_ends_the_stream_at_once(
    kit: Kit, server: StreamServer, listener: Listener, autojump_clock: MockClock
) -> None:
    """No time passes and the other end sees the connection go."""
    async with running(kit, server, listener, A):
        peer = await server.next()
        await peer.accept_subscriptions()
        await settled()
        began_s = trio.current_time()
    assert trio.current_time() == began_s
    with pytest.raises(trio_websocket.ConnectionClosed), trio.fail_after(1):
        await peer.socket.get_message()


async def test_the_same_over_real_sockets(kit: Kit, listener: Listener) -> None:
    """`dial_url` reaches a server on loopback, and leaves no socket behind, refused or served."""

    async def serve(request: trio_websocket.WebSocketRequest) -> None:
        if not served:
            served.append(request.path)
            await request.reject(503, body=b"later")
            return
        socket = await request.accept()
        served.append(await socket.get_message())
        await socket.send_message('{"type":"fill","sid":1,"msg":{}}')
        await trio.sleep_forever()

    heard = trio.Event()
    listener.heard = heard.set  # type: ignore[method-assign]
    served: list[Any] = []
    async with trio.open_nursery() as nursery:
        server = await nursery.start(trio_websocket.serve_websocket, serve, "127.0.0.1", 0, None)
        stream = websocket.KalshiStream(
            dial_url(f"ws://127.0.0.1:{server.port}/trade-api/ws/v2"),
            kit.signer,
            lambda: 0,
            random.Random(3),
            kit.log,
        )
        nursery.start_soon(stream.run, listener, (A,))
        with trio.fail_after(10):
            await heard.wait()
        nursery.cancel_scope.cancel()
    assert served[0] == "/trade-api/ws/v2"
    assert '"subscribe"' in served[1]
    assert listener.kinds() == ["connected"]
