"""The stream channels beside book, trades and one's own orders; slow consumers; frames that are lost on purpose."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection

from fsm_exec.paper.server import outbox
from fsm_exec.paper.venue.order_group_requests import create_group, reset
from fsm_exec.wire.writes import CreateGroup
from tests.paper.support import TICKER, Stage, delta, hear, say, snapshot, staged, trade


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        stage.exchange.apply(TICKER, snapshot([("0.45", "10")], [("0.48", "5")]))
        yield stage


@pytest.fixture
async def stream(stage: Stage, nursery: trio.Nursery) -> AsyncIterator[WebSocketConnection]:
    connection = await stage.dial(nursery)
    yield connection
    await connection.aclose()


async def subscribed(stream: WebSocketConnection, channel: str, **params: object) -> None:
    await say(stream, {"id": 1, "cmd": "subscribe", "params": {"channels": [channel], **params}})
    assert (await hear(stream))["type"] == "subscribed"


async def test_the_ticker_says_best_prices_and_last_trade(stage: Stage, stream: WebSocketConnection) -> None:
    """At once if asked, then when one of them changes and not when a level behind does; it is never numbered."""
    await subscribed(stream, "ticker", market_tickers=[TICKER], send_initial_snapshot=True)
    first = await hear(stream)
    assert "seq" not in first
    assert (first["msg"]["yes_bid_dollars"], first["msg"]["yes_ask_dollars"]) == ("0.4500", "0.5200")
    stage.exchange.apply(TICKER, delta("yes", "0.46", "2"))
    assert (await hear(stream))["msg"]["yes_bid_size_fp"] == "2.00"
    stage.exchange.apply(TICKER, delta("yes", "0.30", "9"))
    stage.exchange.apply(TICKER, trade("no", "0.46", "2"))
    told = (await hear(stream))["msg"]
    assert (told["price_dollars"], told["last_trade_size_fp"], told["volume_fp"]) == ("0.4600", "2.00", "2.00")
    assert isinstance(told["dollar_volume"], int)


async def test_positions_are_told_after_each_fill(stage: Stage, stream: WebSocketConnection) -> None:
    """Signed, with cost and fees; never numbered."""
    await subscribed(stream, "market_positions")
    await stage.create("bid", "0.52", "2")
    told = await hear(stream)
    assert (told["type"], "seq" in told) == ("market_position", False)
    assert told["msg"]["position_fp"] == "2.00"
    assert told["msg"]["position_cost_dollars"] == "1.040000"
    assert told["msg"]["fees_paid_dollars"] == told["msg"]["position_fee_cost_dollars"] == "0.035000"
    await stage.create("ask", "0.45", "1")
    closing = (await hear(stream))["msg"]
    assert (closing["position_fp"], closing["volume_fp"]) == ("1.00", "3.00")
    assert (closing["realized_pnl_dollars"], closing["position_fee_cost_dollars"]) == ("-0.070000", "0.017500")


async def test_groups_are_told_to_their_member_with_numbers(stage: Stage, stream: WebSocketConnection) -> None:
    """Created, triggered by a trade, reset; another member's group is not told."""
    await subscribed(stream, "order_group_updates")
    create_group(stage.exchange, stage.new_member().account, CreateGroup(contracts_limit=1))
    group = create_group(stage.exchange, stage.member.account, CreateGroup(contracts_limit=1)).order_group_id
    await stage.create("bid", "0.52", "1", order_group_id=group)
    reset(stage.exchange, stage.member.account, group)
    told = [await hear(stream) for _ in range(3)]
    assert [(each["seq"], each["msg"]["event_type"]) for each in told] == [
        (1, "created"),
        (2, "triggered"),
        (3, "reset"),
    ]
    assert told[0]["msg"]["contracts_limit_fp"] == "1.00"
    assert {each["msg"]["order_group_id"] for each in told} == {group}


async def test_the_life_of_a_market_is_told(stage: Stage, stream: WebSocketConnection) -> None:
    """Grid, deactivation, activation, early close, result, settlement: numbered, times in seconds."""
    await subscribed(stream, "market_lifecycle_v2")
    stage.exchange.change_grid(TICKER, "deci_cent")
    stage.exchange.deactivate_market(TICKER)
    stage.exchange.activate_market(TICKER)
    stage.exchange.close_market(TICKER)
    stage.exchange.determine_market(TICKER, "yes")
    told = [await hear(stream) for _ in range(6)]
    assert [each["seq"] for each in told] == [1, 2, 3, 4, 5, 6]
    assert [each["msg"]["event_type"] for each in told] == [
        "price_level_structure_updated",
        "deactivated",
        "activated",
        "close_date_updated",
        "determined",
        "settled",
    ]
    assert told[0]["msg"]["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    assert (told[4]["msg"]["result"], told[4]["msg"]["settlement_value"]) == ("yes", "1.0000")
    assert len(str(told[5]["msg"]["settled_ts"])) == 10


async def test_a_lost_frame_is_a_gap_that_a_snapshot_mends(stage: Stage, stream: WebSocketConnection) -> None:
    """seq 2 never comes; the snapshot asked for carries seq 4 and the whole book."""
    await subscribed(stream, "orderbook_delta", market_tickers=[TICKER])
    assert (await hear(stream))["seq"] == 1
    stage.exchange.publisher.lose_next("orderbook_delta")
    stage.exchange.apply(TICKER, delta("yes", "0.45", "1"))
    stage.exchange.apply(TICKER, delta("yes", "0.45", "1"))
    assert (await hear(stream))["seq"] == 3
    ask = {"sid": 1, "action": "get_snapshot", "market_ticker": TICKER}
    await say(stream, {"id": 9, "cmd": "update_subscription", "params": ask})
    mended = await hear(stream)
    assert (mended["type"], mended["id"], mended["seq"]) == ("orderbook_snapshot", 9, 4)
    assert mended["msg"]["yes_dollars_fp"] == [["0.4500", "12.00"]]


async def test_a_consumer_that_is_too_slow_loses_its_subscription(
    stage: Stage, stream: WebSocketConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Error 25 on the sid, numbered, the last of it; the connection lives and can subscribe anew."""
    monkeypatch.setattr(outbox, "OUTBOX_FRAMES_MAX", 20)
    await subscribed(stream, "orderbook_delta", market_tickers=[TICKER])
    for _ in range(30):  # no task runs meanwhile: nothing of it is sent
        stage.exchange.apply(TICKER, delta("yes", "0.45", "1"))
    frames: list[dict[str, Any]] = []
    while not frames or frames[-1]["type"] != "error":
        frames.append(await hear(stream))
    assert (frames[-1]["sid"], frames[-1]["msg"]["code"]) == (1, 25)
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    await say(stream, {"id": 2, "cmd": "list_subscriptions"})
    assert (await hear(stream))["msg"] == []
    await say(stream, {"id": 3, "cmd": "subscribe", "params": {"channels": ["trade"]}})
    assert (await hear(stream))["msg"] == {"channel": "trade", "sid": 2}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"sid": 1, "market_ticker": TICKER}, 15),
        ({"sid": 1, "action": "shout", "market_ticker": TICKER}, 13),
        ({"sid": 1, "action": "add_markets"}, 14),
        ({"sid": 1, "action": "add_markets", "market_ticker": "NONE"}, 11),
        ({"sid": 1, "action": "get_snapshot", "market_ticker": TICKER}, 13),
    ],
)
async def test_an_error_about_a_subscription_is_one_of_its_frames(
    stream: WebSocketConnection, params: dict[str, object], code: int
) -> None:
    """It has the sid and takes a seq; here of the trade channel, which has no snapshots."""
    await subscribed(stream, "trade", market_tickers=[TICKER])
    await say(stream, {"id": 4, "cmd": "update_subscription", "params": params})
    answer = await hear(stream)
    assert (answer["type"], answer["id"], answer["sid"], answer["seq"]) == ("error", 4, 1, 1)
    assert answer["msg"]["code"] == code


async def test_an_update_need_not_repeat_the_markets(stream: WebSocketConnection) -> None:
    """skip_ticker_ack leaves the list out."""
    await subscribed(stream, "trade", market_tickers=[TICKER])
    params = {"sid": 1, "action": "delete_markets", "market_ticker": TICKER, "skip_ticker_ack": True}
    await say(stream, {"id": 4, "cmd": "update_subscription", "params": params})
    assert (await hear(stream))["msg"] == {}
