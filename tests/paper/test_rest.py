"""REST, over memory and over loopback sockets: the same client code, the same answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.paper.support import TICKER, Stage, snapshot, staged


@pytest.fixture(params=["memory", "loopback"])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    async with staged(request.param) as stage:
        stage.exchange.apply(TICKER, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        yield stage


async def test_an_order_rests_is_shown_and_is_cancelled(stage: Stage) -> None:
    """201 with the wire's strings; the order is in the book; cancelling answers what was taken off."""
    created = await stage.create("bid", "0.4600", "2", client_order_id="c-1")
    assert created["fill_count"] == "0.00"
    assert created["remaining_count"] == "2.00"
    assert created["client_order_id"] == "c-1"
    assert "average_fill_price" not in created

    book = (await stage.call("GET", f"/markets/{TICKER}/orderbook")).json()
    assert book == {
        "orderbook_fp": {
            "yes_dollars": [["0.4500", "10.00"], ["0.4600", "2.00"], ["0.4700", "3.00"]],
            "no_dollars": [["0.4800", "5.00"]],
        }
    }

    cancelled = await stage.call("DELETE", f"/portfolio/events/orders/{created['order_id']}")
    assert cancelled.status_code == 200
    assert cancelled.json()["reduced_by"] == "2.00"
    again = await stage.call("DELETE", f"/portfolio/events/orders/{created['order_id']}")
    assert again.status_code == 404
    assert again.json()["error"]["code"] == "not_found"


async def test_a_taker_is_answered_with_its_averages(stage: Stage) -> None:
    """As recorded: 1 at 0.52, fee 0.0175 a contract."""
    created = await stage.create("bid", "0.52", "1")
    assert (created["fill_count"], created["remaining_count"]) == ("1.00", "0.00")
    assert (created["average_fill_price"], created["average_fee_paid"]) == ("0.5200", "0.0175")


async def test_orders_are_listed_newest_first_page_by_page(stage: Stage) -> None:
    """The cursor leads on to the end, where it is empty; an order that comes meanwhile shifts nothing."""
    for number in range(5):
        await stage.create("bid", "0.30", "1", client_order_id=f"o-{number}")
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await stage.call("GET", "/portfolio/orders", query={"limit": "2", "cursor": cursor})).json()
        seen += [order["client_order_id"] for order in page["orders"]]
        cursor = page["cursor"]
        if not cursor:
            break
        await stage.create("bid", "0.30", "1", client_order_id=f"later-{len(seen)}")
    assert seen == ["o-4", "o-3", "o-2", "o-1", "o-0"]


async def test_a_listing_is_filtered(stage: Stage) -> None:
    """By status, by ticker, by time; a garbage cursor lists from the start."""
    resting = await stage.create("bid", "0.30", "1")
    taken = await stage.create("bid", "0.52", "1")

    async def ids(**query: str) -> list[str]:
        page = await stage.call("GET", "/portfolio/orders", query=query)
        return [order["order_id"] for order in page.json()["orders"]]

    assert await ids(status="resting") == [resting["order_id"]]
    assert await ids(status="executed") == [taken["order_id"]]
    assert await ids(ticker="OTHER") == []
    assert await ids(min_ts="1") == [taken["order_id"], resting["order_id"]]
    assert await ids(max_ts="1") == []
    assert len(await ids(cursor="garbage")) == 2


async def test_an_order_has_all_its_fields(stage: Stage) -> None:
    """The key set of a resting row on the wire; prices of both outcomes add to a dollar."""
    created = await stage.create("ask", "0.60", "3", client_order_id="c-9", expiration_time=1_800_000_000)
    order = (await stage.call("GET", f"/portfolio/orders/{created['order_id']}")).json()["order"]
    assert order["outcome_side"] == "no"
    assert order["book_side"] == "ask"
    assert (order["yes_price_dollars"], order["no_price_dollars"]) == ("0.6000", "0.4000")
    assert (order["side"], order["action"]) == ("yes", "sell")
    assert order["expiration_time"] == "2027-01-15T08:00:00.000000Z"
    assert order["taker_fill_cost_dollars"] == "0.000000"
    assert {"order_group_id", "cancel_order_on_pause"}.isdisjoint(order)


async def test_fills_are_listed(stage: Stage) -> None:
    """With the 6-decimal fee, the same id twice, and no client order id."""
    created = await stage.create("bid", "0.52", "2", client_order_id="c-1")
    page = (await stage.call("GET", "/portfolio/fills", query={"order_id": created["order_id"]})).json()
    fill = page["fills"][0]
    assert fill["fill_id"] == fill["trade_id"]
    assert fill["fee_cost"] == "0.035000"
    assert fill["is_taker"] is True
    assert fill["exchange_index"] == 0
    assert "client_order_id" not in fill
    assert page["cursor"] == ""


async def test_a_market_has_its_34_fields(stage: Stage) -> None:
    """Best prices of both outcomes, the grid, every key the official client demands, and three beyond."""
    market = (await stage.call("GET", f"/markets/{TICKER}")).json()["market"]
    assert len(market) == 34 + 3
    assert market["expected_expiration_time"] == market["close_time"]
    assert (market["liquidity_dollars"], market["exchange_index"]) == ("0.0000", 0)
    assert (market["previous_yes_bid_dollars"], market["previous_yes_ask_dollars"]) == ("0.0000", "1.0000")
    assert (market["yes_bid_dollars"], market["yes_bid_size_fp"]) == ("0.4700", "3.00")
    assert (market["yes_ask_dollars"], market["yes_ask_size_fp"]) == ("0.5200", "5.00")
    assert (market["no_bid_dollars"], market["no_ask_dollars"]) == ("0.4800", "0.5300")
    assert market["price_ranges"] == [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]
    assert market["status"] == "active"


async def test_series_carry_the_fee_as_a_number(stage: Stage) -> None:
    """fee_multiplier is a JSON number; the event leads to the series."""
    event = (await stage.call("GET", "/events/KXTEST-26OCT01")).json()
    assert event["event"]["series_ticker"] == "KXTEST"
    assert event["markets"][0]["ticker"] == TICKER
    series = (await stage.call("GET", "/series/KXTEST")).json()["series"]
    assert series["fee_type"] == "quadratic"
    assert series["fee_multiplier"] == 1
    assert not isinstance(series["fee_multiplier"], str)


async def test_depth_keeps_the_best(stage: Stage) -> None:
    """Still ascending."""
    answer = await stage.call("GET", f"/markets/{TICKER}/orderbook", query={"depth": "1"})
    assert answer.json()["orderbook_fp"]["yes_dollars"] == [["0.4700", "3.00"]]


async def test_an_amend_answers_the_new_counts(stage: Stage) -> None:
    """200, with what is filled and what remains."""
    created = await stage.create("bid", "0.30", "5")
    body = {"ticker": TICKER, "side": "bid", "price": "0.31", "count": "4"}
    answer = await stage.call("POST", f"/portfolio/events/orders/{created['order_id']}/amend", body)
    assert answer.status_code == 200
    assert (answer.json()["remaining_count"], answer.json()["fill_count"]) == ("4.00", "0.00")


@pytest.mark.parametrize(
    ("change", "status", "body"),
    [
        ({"count": 5}, 400, {"code": "bad_request"}),
        ({"time_in_force": "gtc"}, 400, {"error": {"code": "invalid_parameters"}}),
        ({"side": "yes"}, 400, {"error": {"code": "invalid_parameters"}}),
        ({"price": "0.123"}, 400, {"error": {"code": "invalid_price", "message": "invalid price"}}),
        ({"ticker": "NONE"}, 404, {"error": {"code": "market_not_found"}}),
        ({"price": "0.52", "post_only": True}, 400, {"error": {"code": "invalid_order", "details": "post only cross"}}),
        ({"count": "99999999"}, 400, {"error": {"code": "insufficient_balance"}}),
    ],
)
async def test_a_refused_order_has_the_wires_body(
    stage: Stage, change: dict[str, object], status: int, body: dict[str, Any]
) -> None:
    """Nested for business errors, flat for a body that does not decode."""
    order = {
        "ticker": TICKER,
        "side": "bid",
        "price": "0.30",
        "count": "1",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        **change,
    }
    answer = await stage.call("POST", "/portfolio/events/orders", order)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    if "error" in body:
        assert found["error"].items() >= body["error"].items()
    else:
        assert found.items() >= body.items()


async def test_a_field_that_is_missing_is_a_parameter(stage: Stage) -> None:
    """And half a body is a bad request."""
    answer = await stage.call("POST", "/portfolio/events/orders", {"ticker": TICKER})
    assert answer.json()["error"]["code"] == "invalid_parameters"
    headers = stage.member.headers("POST", "/trade-api/v2/portfolio/events/orders")
    cut = await stage.http.post("/portfolio/events/orders", content=b'{"ticker": "KX', headers=headers)
    assert (cut.status_code, cut.json()["code"]) == (400, "bad_request")


@pytest.mark.parametrize("limit", ["0", "1001", "ten"])
async def test_a_limit_out_of_range_has_a_body_of_its_own(stage: Stage, limit: str) -> None:
    """{"msg": "Parameter validation failed ..."}."""
    answer = await stage.call("GET", "/portfolio/orders", query={"limit": limit})
    assert answer.status_code == 400
    assert answer.json()["msg"].startswith("Parameter validation failed for GetOrders: Key: 'GetOrdersParams.Limit'")


async def test_ids_that_are_no_uuids(stage: Stage) -> None:
    """invalid_UUID to look up and to cancel."""
    for method, path in (("GET", "/portfolio/orders/xyz"), ("DELETE", "/portfolio/events/orders/xyz")):
        answer = await stage.call(method, path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_UUID")


async def test_the_old_write_paths_are_gone(stage: Stage) -> None:
    """410 deprecated_v1_order_endpoint; the new collection cannot be read."""
    gone = await stage.call("POST", "/portfolio/orders", {})
    assert (gone.status_code, gone.json()["error"]["code"]) == (410, "deprecated_v1_order_endpoint")
    unreadable = await stage.call("GET", "/portfolio/events/orders")
    assert unreadable.status_code == 404
    assert unreadable.headers["content-type"].startswith("text/plain")


async def test_another_members_order_is_not_found(stage: Stage) -> None:
    """Neither to look up nor to cancel."""
    created = await stage.create("bid", "0.30", "1")
    other = stage.new_member()
    for method, path in (("GET", "/portfolio/orders/"), ("DELETE", "/portfolio/events/orders/")):
        answer = await stage.call(method, path + created["order_id"], member=other)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_status_limits_and_freshness(stage: Stage) -> None:
    """What a client asks first."""
    status = (await stage.http.get("/exchange/status")).json()
    assert (status["exchange_active"], status["trading_active"]) == (True, True)
    limits = (await stage.call("GET", "/account/limits")).json()
    assert limits["write"] == {"refill_rate": 100, "bucket_capacity": 100}
    assert (await stage.http.get("/exchange/user_data_timestamp")).json()["as_of_time"].endswith("Z")
    balance = (await stage.call("GET", "/portfolio/balance")).json()
    assert (balance["balance"], balance["balance_dollars"]) == (1_000_000, "10000.0000")
