"""Every operation is asked and every kind of frame is heard, once at least, and is as the tables say.

The tests of the contract and of the paper exchange check what they happen to hear; here nothing is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import trio
from trio_websocket import WebSocketConnection

from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.rate_limit import TIERS
from fsm_exec.paper.server.rest_public import PublicReads
from fsm_exec.paper.server.rest_reads import MemberReads
from fsm_exec.paper.server.rest_writes import Writes
from fsm_exec.paper.timing.latency import NO_LATENCY
from fsm_exec.wire.rest import API_PREFIX
from tests.paper.support import START_US, TICKER, Stage, delta, header, hear, say, snapshot, staged, trade
from tests.specification import official
from tests.specification.checking import HEARD, Checker, operation_of
from tests.specification.frames import FRAMES
from tests.specification.operations import BY_NAME, OPERATIONS, Operation
from tests.specification.shapes import SHAPES, complaints

SETTLED = "KXTEST-26OCT02-A"
START_S = START_US // 1_000_000
NEVER_FOUND = {"GetHistoricalMarket", "GetMarketCandlesticksHistorical"}  # nothing is ever moved to history
CHANNELS = ("orderbook_delta", "ticker", "trade", "fill", "user_orders", "market_positions")
ORDER = {
    "ticker": TICKER,
    "side": "bid",
    "price": "0.30",
    "count": "1",
    "time_in_force": "good_till_canceled",
    "self_trade_prevention_type": "taker_at_cross",
}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        stage.gate.rate_limiter.tier = TIERS["prestige"]
        stage.exchange.add_market(header(SETTLED))
        for ticker in (TICKER, SETTLED):
            stage.exchange.apply(ticker, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        yield stage


@pytest.fixture
async def stream(stage: Stage, nursery: trio.Nursery) -> AsyncIterator[WebSocketConnection]:
    connection = await stage.dial(nursery)
    yield connection
    await connection.aclose()


class Asking:
    """Asks an operation by its name, and keeps what was answered."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.bodies: dict[str, tuple[Operation, int, Any]] = {}

    async def __call__(
        self, name: str, body: object | None = None, query: dict[str, str] | None = None, **parts: str
    ) -> Any:  # noqa: ANN401 - decoded JSON
        operation = BY_NAME[name]
        path = operation.path.format(**{"ticker": TICKER, "series_ticker": "KXTEST", **parts})
        answer = await self._stage.call(operation.method, path, body, query=query)
        assert answer.status_code == operation.status or name in NEVER_FOUND, f"{name}: {answer.text}"
        found = answer.json() if answer.content else None
        self.bodies[name] = (operation, answer.status_code, found)
        return found


async def ask_everything(stage: Stage) -> Asking:
    """A life in which every list has rows."""
    ask = Asking(stage)
    group = (await ask("CreateOrderGroup", {"contracts_limit": 900}))["order_group_id"]
    full = {**ORDER, "order_group_id": group, "client_order_id": "c-1", "expiration_time": START_S + 9_000}
    one = (await ask("CreateOrderV2", {**full, "cancel_order_on_pause": True}))["order_id"]
    for name in ("GetOrder", "GetOrderQueuePosition"):
        await ask(name, order_id=one)
    for name in ("GetOrders", "GetOrderQueuePositions", "GetOrderGroups", "GetPortfolioRestingOrderTotalValue"):
        await ask(name)
    await ask("GetOrderGroup", order_group_id=group)
    await ask("AmendOrderV2", {"ticker": TICKER, "side": "bid", "price": "0.31", "count": "4"}, order_id=one)
    await ask("DecreaseOrderV2", {"reduce_by": "1"}, order_id=one)
    await ask("CancelOrderV2", order_id=one)
    batch = await ask("BatchCreateOrdersV2", {"orders": [ORDER, {**ORDER, "price": "7.00"}]})
    await ask("BatchCancelOrdersV2", {"orders": [{"order_id": batch["orders"][0]["order_id"]}, {"order_id": "x"}]})
    await ask("CancelAllOrders")
    for ticker in (TICKER, SETTLED):
        await stage.create("bid", "0.52", "2", ticker=ticker)
    stage.exchange.close_market(SETTLED)
    stage.exchange.determine_market(SETTLED, "yes")
    await ask("UpdateOrderGroupLimit", {"contracts_limit_fp": "9.00"}, order_group_id=group)
    for name in ("TriggerOrderGroup", "ResetOrderGroup", "DeleteOrderGroup"):
        await ask(name, order_group_id=group)
    await ask("UpgradeAccountApiUsageLevel")
    candles = {"start_ts": str(START_S), "end_ts": str(START_S + 600), "period_interval": "1"}
    await ask("BatchGetMarketCandlesticks", query={**candles, "market_tickers": TICKER})
    await ask("GetMarketCandlesticks", query=candles)
    await ask("GetMarketCandlesticksByEvent", query=candles, ticker="KXTEST-26OCT01")
    await ask("GetMarketCandlesticksHistorical", query=candles)
    await ask("GetMarketOrderbooks", query={"tickers": TICKER})
    await ask("GetEvents", query={"with_nested_markets": "true", "with_milestones": "true"})
    later_us = stage.clock.now_us() + 3_600_000_000
    stage.exchange.fees.waive(TICKER, later_us)
    stage.exchange.fees.change_event("KXTEST-26OCT01", "quadratic", Decimal("0.5"), later_us)
    stage.exchange.fees.change_series(stage.exchange.markets[TICKER].header.series, "quadratic", Decimal(2), later_us)
    await ask("GetSeriesList", query={"include_volume": "true"})
    await ask("GetPositions", query={"settlement_status": "all"})
    for operation in OPERATIONS:
        if operation.name not in ask.bodies:
            await ask(operation.name, event_ticker="KXTEST-26OCT01", order_id=one, order_group_id=group)
    return ask


async def test_every_operation_is_as_specified(stage: Stage) -> None:
    """With rows in every list; what is never found is refused as specified."""
    before = HEARD.copy()
    ask = await ask_everything(stage)
    assert set(ask.bodies) == set(BY_NAME)
    heard = {name for name, count in HEARD.items() if count > before[name]}
    assert set(BY_NAME) - heard == NEVER_FOUND


async def test_the_exchange_serves_what_the_tables_list(stage: Stage) -> None:
    """Neither a path more nor one less, each under its name there; the status of the exchange stands by itself."""
    desk = LatencyGateway(stage.exchange, stage.clock, NO_LATENCY)
    reads = [*PublicReads(desk).all(), *MemberReads(desk, stage.gate).all()]
    routes = [
        ("GET", "/exchange/status", "GetExchangeStatus"),
        *(("GET", read.path, read.operation) for read in reads),
        *(
            (write.method, write.path, write.operation)
            for write in Writes(stage.exchange, stage.gate.rate_limiter).all()
        ),
    ]
    assert {name for _, _, name in routes} == set(BY_NAME)
    for method, path, name in routes:
        found = operation_of(method, API_PREFIX + path)
        assert found is not None
        assert found.name == name, path


async def test_every_frame_is_as_specified(stage: Stage, stream: WebSocketConnection) -> None:
    """All channels, the answers to all commands, and an error."""
    before = HEARD.copy()
    await hear_everything(stage, stream)
    assert {name for name in (*FRAMES, "ok") if HEARD[name] == before[name]} == set()


async def hear_everything(stage: Stage, stream: WebSocketConnection) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []

    async def expect(*kinds: str) -> None:
        """Listen until each of these was heard."""
        missing = list(kinds)
        while missing:
            frames.append(await hear(stream))
            if frames[-1]["type"] in missing:
                missing.remove(frames[-1]["type"])

    params = {"channels": list(CHANNELS), "market_tickers": [TICKER], "send_initial_snapshot": True}
    await say(stream, {"id": 1, "cmd": "subscribe", "params": params})
    await expect(*["subscribed"] * len(CHANNELS), "orderbook_snapshot", "ticker")
    await say(
        stream, {"id": 2, "cmd": "subscribe", "params": {"channels": ["market_lifecycle_v2", "order_group_updates"]}}
    )
    await expect("subscribed", "subscribed")
    await stage.create("bid", "0.52", "2", client_order_id="s-1", expiration_time=START_S + 9_000)
    await expect("orderbook_delta", "trade", "fill", "user_order", "market_position", "ticker")
    stage.exchange.apply(TICKER, trade("no", "0.47", "1"))
    stage.exchange.apply(TICKER, delta("yes", "0.47", "-1"))
    stage.exchange.change_grid(TICKER, "deci_cent")
    event, now_us = stage.exchange.markets[TICKER].header.event, stage.clock.now_us()
    stage.exchange.fees.change_event(event, "quadratic", Decimal("0.5"), now_us)
    stage.exchange.timeline.advance()
    await expect("event_fee_update")
    stage.exchange.deactivate_market(TICKER)
    stage.exchange.activate_market(TICKER)
    await stage.call("POST", "/portfolio/order_groups/create", {"contracts_limit": 5})
    stage.exchange.close_market(TICKER)
    stage.exchange.determine_market(TICKER, "yes")
    await expect("order_group_updates", *["market_lifecycle_v2"] * 5, "market_position")
    change: dict[str, Any] = {"sid": 1, "action": "add_markets", "market_tickers": [SETTLED]}
    await say(stream, {"id": 3, "cmd": "update_subscription", "params": change})
    await expect("ok", "orderbook_snapshot")
    await say(stream, {"id": 4, "cmd": "list_subscriptions"})
    await expect("ok")
    await say(stream, {"id": 5, "cmd": "update_subscription", "params": {**change, "action": "get_snapshot"}})
    await expect("orderbook_snapshot")
    await say(stream, {"id": 6, "cmd": "update_subscription", "params": {**change, "action": "shout"}})
    await say(stream, {"id": 7, "cmd": "dance"})
    await expect("error", "error")
    await say(stream, {"id": 8, "cmd": "unsubscribe", "params": {"sids": list(range(1, 9))}})
    await expect(*["unsubscribed"] * 8)
    return frames


def bent(value: Any, kind: str) -> Iterator[Any]:  # noqa: ANN401 - decoded JSON
    """Each way to spoil one field of a body: left out, of another type, or one that is unknown."""
    inner = kind.removesuffix("?")
    if inner.startswith("["):
        for number, item in enumerate(value[:1]):
            yield from ([*value[:number], each, *value[number + 1 :]] for each in bent(item, inner[1:-1]))
    elif inner in SHAPES:
        shape = SHAPES[inner]
        yield {**value, "surprise": 1}
        for name, field in value.items():
            others = {key: each for key, each in value.items() if key != name}
            if name in shape.need:
                yield others
            for each in bent(field, shape.fields()[name]):
                yield {**others, name: each}
    elif inner != "object":
        yield {"neither": "text nor number"}


async def test_the_tables_find_whatever_is_bent(stage: Stage, stream: WebSocketConnection) -> None:
    """One field at a time left out, added, or of another type, in every body and frame: a complaint each."""
    ask = await ask_everything(stage)
    tried = 0
    for operation, status, body in ask.bodies.values():
        if status == operation.status and operation.answer is not None:
            for each in bent(body, operation.answer):
                assert list(complaints(each, operation.answer)), (operation.name, each)
                tried += 1
    for frame in await hear_everything(stage, stream):
        checker = Checker()
        checker.frame(msgspec.json.encode({**frame, "surprise": 1}))
        assert checker.wrong
        tried += 1
    assert tried > 700


@pytest.mark.skipif(official.missing() is not None, reason=str(official.missing()))
async def test_the_specification_finds_a_field_that_is_missing(stage: Stage) -> None:
    """That the files are really asked: a market without its status is none to them either."""
    ask = await ask_everything(stage)
    operation, status, body = ask.bodies["GetMarket"]
    assert official.body_errors(operation, status, body) == []
    del body["market"]["status"]
    body["market"]["close_time"] = 5
    assert len(official.body_errors(operation, status, body)) == 2
    assert len(official.frame_errors("tickerPayload", {"type": "ticker", "sid": 1})) == 1
