"""kalshi-python-async 3.34.0, unmodified, against the paper exchange over plain HTTP. Not a test file: it runs under
the official client's own interpreter and prints what each check found."""

# ruff: noqa: ANN401, PT017 - this client's types are not installed where the project's code is checked, nor is pytest here

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import kalshi_python_async as kalshi
from checks import exchange_given, report
from kalshi_python_async import exceptions

GIVEN = exchange_given()
A, B, CLOSING = GIVEN["markets"]
GTC, IOC = "good_till_canceled", "immediate_or_cancel"


def client_of(name: str) -> Any:
    member = GIVEN["members"][name]
    configuration = kalshi.Configuration(host=GIVEN["rest_url"])
    configuration.api_key_id = member["api_key_id"]
    configuration.private_key_pem = Path(member["private_key_path"]).read_text()
    return kalshi.KalshiClient(configuration)


def order(price: str = "0.3000", **changes: Any) -> dict[str, Any]:
    return {
        "ticker": A,
        "side": "bid",
        "count": "1.00",
        "price": price,
        "time_in_force": GTC,
        "self_trade_prevention_type": "taker_at_cross",
        **changes,
    }


async def refused(status: int, code: str, call: Awaitable[Any]) -> None:
    try:
        await call
    except exceptions.ApiException as error:
        assert error.status == status, error
        assert json.loads(error.body)["error"]["code"] == code, error.body
        return
    raise AssertionError("it was not refused")


async def the_market_is_read(client: Any) -> None:
    """Lists with their filters, nested markets, metadata, fee changes, candlesticks."""
    now_s = int(time.time())
    assert (await client.get_exchange_status()).trading_active
    assert {m.ticker for m in (await client.get_markets(status="open", min_created_ts=1)).markets} == {A, B, CLOSING}
    assert (await client.get_markets(max_close_ts=now_s)).markets == []
    events = (await client.get_events(with_nested_markets=True, status="open")).events
    assert {market.ticker for event in events for market in event.markets} == {A, B, CLOSING}
    assert (await client.get_event_fee_changes()).event_fee_changes == []
    assert (await client.get_multivariate_events()).events == []
    assert len((await client.get_event_metadata(event_ticker="KXTEST-26OCT01")).market_details) == 2
    span = {"start_ts": now_s - 3_600, "end_ts": now_s + 60, "period_interval": 1}
    both = await client.batch_get_market_candlesticks(market_tickers=f"{A},{B}", **span)
    assert [market.market_ticker for market in both.markets] == [A, B]
    one = await client.get_market_candlesticks(series_ticker="KXTEST", ticker=A, **span)
    assert one.candlesticks[-1].yes_bid.close_dollars == "0.4500"
    assert (await client.get_incentive_programs()).incentive_programs == []


async def an_order_lives(client: Any) -> None:
    created = await client.create_order_v2(**order(client_order_id="as-1", count="3.00"))
    assert (await client.get_order(order_id=created.order_id)).order.status == "resting"
    change = {"ticker": A, "side": "bid", "price": "0.3100", "count": "5.00"}
    assert (await client.amend_order_v2(order_id=created.order_id, **change)).remaining_count == "5.00"
    less = await client.decrease_order_v2(order_id=created.order_id, reduce_to="2.00", market_ticker=A)
    assert less.remaining_count == "2.00"
    value = await client.get_portfolio_resting_order_total_value()
    assert value.total_resting_order_value == 62
    cancelled = await client.cancel_order_v2(order_id=created.order_id, market_ticker=A)
    assert cancelled.reduced_by == "2.00"


async def many_at_once(client: Any) -> None:
    """Twenty orders in twenty tasks: each has an answer of its own, and all are cancelled by one call."""
    answers = await asyncio.gather(*(client.create_order_v2(**order(client_order_id=f"m-{n}")) for n in range(20)))
    assert {answer.client_order_id for answer in answers} == {f"m-{n}" for n in range(20)}
    assert len((await client.get_orders(status="resting")).orders) == 20
    await client.cancel_all_orders()
    assert (await client.get_orders(status="resting")).orders == []


async def fills_and_positions(client: Any) -> None:
    taken = await client.create_order_v2(**order("0.5200", time_in_force=IOC, count="2.00"))
    assert (taken.fill_count, taken.average_fee_paid) == ("2.00", "0.0175")
    (fill,) = (await client.get_fills(order_id=taken.order_id)).fills
    assert fill.fill_id == fill.trade_id
    (position,) = (await client.get_positions()).market_positions
    assert position.position_fp == "2.00"
    progress = await client.get_account_api_usage_level_volume_progress()
    assert progress.volume_progress[0].trailing_30d_volume_fp == "2.00"


async def batches_and_groups(client: Any) -> None:
    group = (await client.create_order_group(contracts_limit=10)).order_group_id
    item = order(order_group_id=group)
    answer = await client.batch_create_orders_v2(orders=[item, order("1.0000"), item])
    assert [each.error and each.error.code for each in answer.orders] == [None, "invalid_price", None]
    await client.trigger_order_group(order_group_id=group, subaccount=0, exchange_index=0)
    assert (await client.get_orders(status="resting")).orders == []
    await refused(400, "exceeded_order_group_risk_limit", client.create_order_v2(**item))
    await client.reset_order_group(order_group_id=group)
    await client.create_order_v2(**item)
    await client.delete_order_group(order_group_id=group)
    assert (await client.get_orders(status="resting")).orders == []


async def keys_and_history(client: Any) -> None:
    keys = (await client.get_api_keys()).api_keys
    assert [key.api_key_id for key in keys] == [GIVEN["members"]["rich"]["api_key_id"]]
    assert (await client.get_historical_orders()).orders == []
    assert (await client.get_historical_markets()).markets == []
    assert (await client.get_historical_positions()).market_positions == []


async def refusals(client: Any) -> None:
    await client.create_order_v2(**order(client_order_id="twice", time_in_force=IOC))
    await refused(409, "order_already_exists", client.create_order_v2(**order(client_order_id="twice")))
    await refused(400, "invalid_price", client.create_order_v2(**order("0.300000")))
    await refused(404, "market_not_found", client.get_market(ticker="KXNONE-1"))


def with_client(check: Callable[[Any], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        async with client_of("rich") as client:
            await check(client)

    return lambda: asyncio.run(run())


CHECKS = [
    the_market_is_read,
    an_order_lives,
    many_at_once,
    fills_and_positions,
    batches_and_groups,
    keys_and_history,
    refusals,
]

if __name__ == "__main__":
    report([(check.__name__, with_client(check)) for check in CHECKS])
