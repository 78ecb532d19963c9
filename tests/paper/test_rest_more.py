"""REST beyond single orders: batches, groups, cancel-all, listings of the market, queue places, the state of the
exchange. Exact success codes; what is required is there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.paper.support import TICKER, Stage, header, snapshot, staged, trade

ORDERS, GROUPS = "/portfolio/events/orders", "/portfolio/order_groups"
SECOND = "KXTEST-26OCT02-A"
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
        stage.exchange.add_market(header(SECOND))
        for ticker in (TICKER, SECOND):
            stage.exchange.apply(ticker, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        yield stage


async def test_a_batch_of_creates_has_an_answer_for_each(stage: Stage) -> None:
    """201; in the order of the request; a refused one carries its flat error and stops no other."""
    bad_price = {**ORDER, "price": "0.305", "client_order_id": "odd"}
    no_side = {name: value for name, value in ORDER.items() if name != "side"}
    answer = await stage.call("POST", f"{ORDERS}/batched", {"orders": [ORDER, bad_price, no_side, ORDER]})
    assert answer.status_code == 201
    first, second, third, fourth = answer.json()["orders"]
    assert "error" not in first
    assert (second["client_order_id"], second["error"]["code"]) == ("odd", "invalid_price")
    assert "order_id" not in second
    assert third["error"]["code"] == "invalid_parameters"
    assert fourth["remaining_count"] == "1.00"


async def test_a_batch_of_cancels_is_a_delete_with_a_body(stage: Stage) -> None:
    """200; "0.00" beside an error."""
    created = await stage.create("bid", "0.30", "2")
    items = [{"order_id": created["order_id"], "market_ticker": TICKER}, {"order_id": "xyz"}]
    answer = await stage.call("DELETE", f"{ORDERS}/batched", {"orders": items})
    assert answer.status_code == 200
    done, failed = answer.json()["orders"]
    assert done["reduced_by"] == "2.00"
    assert (failed["order_id"], failed["reduced_by"], failed["error"]["code"]) == ("xyz", "0.00", "invalid_UUID")


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(("body", "code"), [({"orders": []}, "invalid_parameters"), ({"orders": 5}, "bad_request")])
async def test_a_batch_has_orders(stage: Stage, method: str, body: dict[str, Any], code: str) -> None:
    """None, or no list: refused as a whole."""
    answer = await stage.call(method, f"{ORDERS}/batched", body)
    assert answer.status_code == 400
    assert answer.json().get("error", answer.json())["code"] == code


async def test_cancel_all_has_no_body(stage: Stage) -> None:
    """204."""
    await stage.create("bid", "0.30", "2")
    answer = await stage.call("DELETE", ORDERS)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await stage.call("GET", "/portfolio/orders", query={"status": "resting"})).json()["orders"] == []


async def test_the_calls_of_a_group(stage: Stage) -> None:
    """201 to create, 200 and an empty object to change, 404 afterwards."""
    created = await stage.call("POST", f"{GROUPS}/create", {"contracts_limit": 5})
    assert created.status_code == 201
    group = created.json()["order_group_id"]
    assert created.json() == {"order_group_id": group, "subaccount": 0, "exchange_index": 0}
    order = await stage.create("bid", "0.30", "2", order_group_id=group)
    shown = (await stage.call("GET", f"{GROUPS}/{group}")).json()
    assert shown["orders"] == [order["order_id"]]
    assert (shown["is_auto_cancel_enabled"], shown["contracts_limit_fp"]) == (True, "5.00")
    for method, path, body in (
        ("PUT", f"{GROUPS}/{group}/limit", {"contracts_limit_fp": "7"}),
        ("PUT", f"{GROUPS}/{group}/trigger", {}),
        ("PUT", f"{GROUPS}/{group}/reset", None),
        ("DELETE", f"{GROUPS}/{group}", None),
    ):
        answer = await stage.call(method, path, body)
        assert (answer.status_code, answer.json()) == (200, {})
    assert (await stage.call("GET", GROUPS)).json() == {"order_groups": []}
    assert (await stage.call("GET", f"{GROUPS}/{group}")).status_code == 404


async def test_a_decrease_over_the_wire(stage: Stage) -> None:
    """200 with what remains; another market's ticker finds nothing; on another shard there is nothing."""
    created = await stage.create("bid", "0.30", "5")
    path = f"{ORDERS}/{created['order_id']}/decrease"
    answer = await stage.call("POST", path, {"reduce_by": "1.5", "market_ticker": TICKER})
    assert (answer.status_code, answer.json()["remaining_count"]) == (200, "3.50")
    for body in ({"reduce_by": "1", "market_ticker": SECOND}, {"reduce_by": "1", "exchange_index": 1}):
        assert (await stage.call("POST", path, body)).status_code == 404
    unrouted = await stage.call("POST", path, {"reduce_by": "1", "exchange_index": -1})
    assert unrouted.json()["error"]["code"] == "invalid_parameters"


async def test_queue_places_count_what_trades_first(stage: Stage) -> None:
    """Better prices, then those before at the same price."""
    created = await stage.create("bid", "0.45", "1")
    one = await stage.call("GET", f"/portfolio/orders/{created['order_id']}/queue_position")
    assert one.json() == {"queue_position_fp": "13.00"}
    listed = await stage.call("GET", "/portfolio/orders/queue_positions", query={"market_tickers": TICKER})
    assert listed.json()["queue_positions"] == [
        {"order_id": created["order_id"], "market_ticker": TICKER, "queue_position_fp": "13.00"}
    ]


async def test_markets_are_listed_and_filtered(stage: Stage) -> None:
    """The newest first; by event, series, ticker and the listing's own words for a status."""

    async def tickers(**query: str) -> list[str]:
        page = (await stage.http.get("/markets", params=query)).json()
        return [market["ticker"] for market in page["markets"]]

    stage.exchange.close_market(SECOND)
    assert await tickers() == [SECOND, TICKER]
    assert await tickers(status="open") == [TICKER]
    assert await tickers(status="closed") == [SECOND]
    assert await tickers(event_ticker="KXTEST-26OCT02") == [SECOND]
    assert await tickers(series_ticker="OTHER") == []
    await stage.create("bid", "0.30", "1")

    async def ordered(event: str) -> int:
        query = {"event_ticker": event}
        return len((await stage.call("GET", "/portfolio/orders", query=query)).json()["orders"])

    assert await ordered("KXTEST-26OCT02") == 0
    assert await ordered("KXTEST-26OCT01") == await ordered("KXTEST-26OCT02,KXTEST-26OCT01") == 1
    assert await tickers(tickers=f"{TICKER},{SECOND}") == [SECOND, TICKER]
    assert await tickers(mve_filter="only") == []
    wrong = await stage.http.get("/markets", params={"status": "active"})
    assert wrong.json()["msg"].endswith("failed on the 'oneof' tag")


async def test_several_books_at_once(stage: Stage) -> None:
    """Repeated keys; at least one, at most a hundred, none unknown."""
    answer = await stage.http.get("/markets/orderbooks", params={"tickers": [TICKER, SECOND]})
    assert [each["ticker"] for each in answer.json()["orderbooks"]] == [TICKER, SECOND]
    assert answer.json()["orderbooks"][0]["orderbook_fp"]["no_dollars"] == [["0.4800", "5.00"]]
    assert (await stage.http.get("/markets/orderbooks")).status_code == 400
    assert (await stage.http.get("/markets/orderbooks", params={"tickers": "NONE"})).status_code == 404


async def test_trades_are_listed_in_pages(stage: Stage) -> None:
    """Newest first over all markets; by ticker; none is a block trade."""
    stage.exchange.apply(TICKER, trade("no", "0.47", "1"))
    stage.exchange.apply(SECOND, trade("no", "0.47", "2"))
    stage.exchange.apply(TICKER, trade("no", "0.47", "3"))

    async def page(**query: str) -> dict[str, Any]:
        found: dict[str, Any] = (await stage.http.get("/markets/trades", params=query)).json()
        return found

    first = await page(limit="2")
    assert [each["count_fp"] for each in first["trades"]] == ["3.00", "2.00"]
    assert [each["count_fp"] for each in (await page(limit="2", cursor=first["cursor"]))["trades"]] == ["1.00"]
    assert [each["count_fp"] for each in (await page(ticker=TICKER))["trades"]] == ["3.00", "1.00"]
    assert (await page(is_block_trade="true"))["trades"] == []


async def test_an_exchange_that_is_down_says_so_with_its_normal_body(stage: Stage) -> None:
    """503; and with a pause of trading alone 200."""
    stage.exchange.pause_trading()
    paused = await stage.http.get("/exchange/status")
    assert (paused.status_code, paused.json()["trading_active"]) == (200, False)
    stage.exchange.pause_exchange(resume_us=1_800_000_000_000_000)
    down = await stage.http.get("/exchange/status")
    assert (down.status_code, down.json()["exchange_active"]) == (503, False)
    assert down.json()["exchange_estimated_resume_time"] == "2027-01-15T08:00:00.000000Z"
    assert down.json()["exchange_index_statuses"][0]["exchange_index"] == 0


@pytest.mark.parametrize(
    "path", ["/exchange/schedule", "/historical/cutoff", "/events", "/series", "/series/fee_changes"]
)
async def test_public_reads_need_no_key(stage: Stage, path: str) -> None:
    """Unsigned: 200."""
    answer = await stage.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


async def test_an_unknown_path_is_plain_text(stage: Stage) -> None:
    """404, as is a method that a path does not have."""
    for method, path in (("GET", "/nothing"), ("PATCH", "/markets")):
        answer = await stage.http.request(method, path)
        assert (answer.status_code, answer.text) == (404, "404 page not found")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [({"subaccount": "3"}, 400, "invalid_parameters"), ({"exchange_index": "2"}, 404, "user_not_found")],
)
async def test_nobody_has_another_subaccount_or_shard(
    stage: Stage, query: dict[str, str], status: int, code: str
) -> None:
    """Refused for every read of one's own; the primary one is accepted by its number."""
    answer = await stage.call("GET", "/portfolio/fills", query=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert (await stage.call("GET", "/portfolio/fills", query=dict.fromkeys(query, "0"))).status_code == 200
