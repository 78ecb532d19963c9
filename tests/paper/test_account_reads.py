"""What a member reads about its account beside orders and money: keys, tier, volume, what is tied up, history."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fsm_exec.paper.server.rate_limit import TIERS
from tests.paper.support import TICKER, Stage, snapshot, staged

GROUPS = "/portfolio/order_groups"
UPGRADE = "/account/api_usage_level/upgrade"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        stage.exchange.apply(TICKER, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        yield stage


async def test_a_member_sees_its_keys_alone(stage: Stage) -> None:
    """The key that asks, with what it may do; never another's."""
    stage.new_member()
    keys = (await stage.call("GET", "/api_keys")).json()["api_keys"]
    mine = stage.member.credentials.api_key_id
    assert keys == [{"api_key_id": mine, "name": "paper", "scopes": ["read", "write"]}]
    assert (await stage.http.get("/api_keys")).status_code == 401


async def test_the_advanced_tier_is_granted_to_who_has_ordered(stage: Stage) -> None:
    """403 before the first order, then for good: more tokens, and the grant is told. 30 tokens a call."""
    assert (await stage.call("POST", UPGRADE)).status_code == 403
    await stage.create("bid", "0.30", "1")
    before = (await stage.call("GET", "/account/limits")).json()
    assert (before["usage_tier"], before["grants"]) == ("basic", [])
    granted = await stage.call("POST", UPGRADE)
    assert (granted.status_code, granted.content) == (201, b"")
    after = (await stage.call("GET", "/account/limits")).json()
    assert after["usage_tier"] == "advanced"
    assert (after["read"]["refill_rate"], after["write"]["refill_rate"]) == (300, 300)
    assert [grant["level"] for grant in after["grants"]] == ["advanced"]
    again = [(await stage.call("POST", UPGRADE)).status_code for _ in range(20)]
    assert again == [201] * 20  # 600 tokens at once: a basic member has 100
    other = (await stage.call("GET", "/account/limits", member=stage.new_member())).json()
    assert other["usage_tier"] == "basic"


async def test_the_volume_of_a_month_is_told(stage: Stage) -> None:
    """What the account's fills came to."""
    path = "/account/api_usage_level/volume_progress"
    await stage.create("bid", "0.52", "2")
    (progress,) = (await stage.call("GET", path)).json()["volume_progress"]
    assert (progress["trailing_30d_volume_fp"], progress["goals"]) == ("2.00", [])


async def test_what_resting_orders_tie_up(stage: Stage) -> None:
    """Each in its own outcome: 2 at 0.30 and an ask at 0.60, which is 3 at 0.40."""
    path = "/portfolio/summary/total_resting_order_value"
    await stage.create("bid", "0.30", "2")
    await stage.create("ask", "0.60", "3")
    assert (await stage.call("GET", path)).json() == {
        "total_resting_order_value": 180,
        "resting_order_value_breakdown": [{"exchange_index": 0, "balance": "1.8000"}],
    }


@pytest.mark.parametrize(
    ("path", "lists"),
    [
        ("/historical/fills", ["fills"]),
        ("/historical/orders", ["orders"]),
        ("/historical/positions", ["market_positions", "event_positions"]),
        ("/historical/trades", ["trades"]),
        ("/historical/markets", ["markets"]),
        ("/portfolio/deposits", ["deposits"]),
        ("/portfolio/withdrawals", ["withdrawals"]),
    ],
)
async def test_nothing_lies_in_history(stage: Stage, path: str, lists: list[str]) -> None:
    """Empty pages, whatever has happened; their queries are checked all the same."""
    await stage.create("bid", "0.52", "2")
    body = (await stage.call("GET", path)).json()
    assert body == {**{name: [] for name in lists}, "cursor": ""}
    assert (await stage.call("GET", path, query={"limit": "x"})).status_code == 400


async def test_an_events_pictures_are_none(stage: Stage) -> None:
    """Each market is named; an unknown event is not found; nor is a market in history."""
    body = (await stage.http.get("/events/KXTEST-26OCT01/metadata")).json()
    assert [row["market_ticker"] for row in body["market_details"]] == [TICKER]
    assert (await stage.http.get("/events/NONE/metadata")).status_code == 404
    assert (await stage.http.get(f"/historical/markets/{TICKER}")).status_code == 404


async def test_group_calls_take_their_shard_and_subaccount_from_the_query(stage: Stage) -> None:
    """The primary ones by their number; another subaccount is refused, on another shard there is no such group."""
    stage.gate.rate_limiter.tier = TIERS["prestige"]
    group = (await stage.call("POST", f"{GROUPS}/create", {"contracts_limit": 5})).json()["order_group_id"]
    calls = [
        ("GET", f"{GROUPS}/{group}", None),
        ("PUT", f"{GROUPS}/{group}/limit", {"contracts_limit": 7}),
        ("PUT", f"{GROUPS}/{group}/trigger", None),
        ("PUT", f"{GROUPS}/{group}/reset", None),
        ("DELETE", f"{GROUPS}/{group}", None),
    ]
    for method, path, body in calls:
        assert (await stage.call(method, path, body, query={"subaccount": "2"})).status_code == 400
        assert (await stage.call(method, path, body, query={"exchange_index": "3"})).status_code == 404
        zero = {"subaccount": "0", "exchange_index": "0"}
        assert (await stage.call(method, path, body, query=zero)).status_code == 200, path


async def test_a_triggered_group_takes_no_order_until_it_is_reset(stage: Stage) -> None:
    """Its orders are cancelled, new ones refused, alone and in a batch; others are not touched."""
    group = (await stage.call("POST", f"{GROUPS}/create", {"contracts_limit": 5})).json()["order_group_id"]
    await stage.create("bid", "0.30", "1", order_group_id=group)
    outside = await stage.create("bid", "0.30", "1")
    await stage.call("PUT", f"{GROUPS}/{group}/trigger")
    resting = (await stage.call("GET", "/portfolio/orders", query={"status": "resting"})).json()["orders"]
    assert [order["order_id"] for order in resting] == [outside["order_id"]]
    order = {
        "ticker": TICKER,
        "side": "bid",
        "price": "0.30",
        "count": "1",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        "order_group_id": group,
    }
    refused = await stage.call("POST", "/portfolio/events/orders", order)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "exceeded_order_group_risk_limit")
    batch = await stage.call("POST", "/portfolio/events/orders/batched", {"orders": [order]})
    assert batch.json()["orders"][0]["error"]["code"] == "exceeded_order_group_risk_limit"
    await stage.call("PUT", f"{GROUPS}/{group}/reset")
    assert (await stage.call("POST", "/portfolio/events/orders", order)).status_code == 201
