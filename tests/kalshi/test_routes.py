"""Where calls go: the subaccount on every call that takes one, the shard on every write about its markets, and neither
where neither is said (wire/README.md 6.5, 12)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from fsm_exec.core.values.units import CountE2
from fsm_exec.kalshi.account import KalshiAccount
from fsm_exec.kalshi.conversation import Conversation
from fsm_exec.kalshi.endpoints import Endpoints
from fsm_exec.kalshi.order_groups import KalshiGroups
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.routes import OMITTED_MEANS_ALL, SUBACCOUNT_IN_QUERY, Routes, is_one_of
from tests.kalshi.test_endpoints import sent
from tests.specification.operations import OPERATIONS

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Listener, Network

SUBACCOUNT = ("subaccount", "3")


def template(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def test_the_table_is_the_specification_s() -> None:
    """Every call that is served with a subaccount in its query, and no other."""
    said = {(one.method, template(one.path)) for one in OPERATIONS if "subaccount" in one.query}
    assert said == SUBACCOUNT_IN_QUERY
    for one in OPERATIONS:
        path = "/".join("some-id" if part.startswith("{") else part for part in one.path.split("/"))
        assert is_one_of(SUBACCOUNT_IN_QUERY, one.method, path) == ("subaccount" in one.query), one.name


def test_the_exchange_s_own_description_says_the_same() -> None:
    """Where it is at hand: every operation of these paths, with the parameters it names."""
    folder = os.environ.get("FSM_EXEC_SPECS")
    if folder is None:
        pytest.skip("FSM_EXEC_SPECS names no folder of specifications")
    described = yaml.safe_load((Path(folder) / "openapi.yaml").read_text(encoding="utf-8"))
    named = described["components"]["parameters"]
    found, of_all = set(), set()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()) if isinstance(operation, dict) else ():
                whole = named[parameter["$ref"].rsplit("/", 1)[1]] if "$ref" in parameter else parameter
                if whole["name"] == "subaccount" and not path.startswith("/communications"):
                    found.add((method.upper(), template(path)))
                    if parameter["$ref"].endswith("/SubaccountQuery"):
                        of_all.add((method.upper(), template(path)))
    assert found == SUBACCOUNT_IN_QUERY
    assert of_all == OMITTED_MEANS_ALL


def rest_of(kit: Kit, network: Network, subaccount: int | None, shards: dict[str, int]) -> KalshiRest:
    rest = KalshiRest(kit.http(network), lambda: kit.now_us, kit.log, subaccount=subaccount)
    for ticker, index in shards.items():
        rest.endpoints.routes.note_shard(ticker, index)
    return rest


async def write_all(kit: Kit, rest: KalshiRest) -> None:
    for kind in ("place", "amend", "decrease", "cancel", "batch_place", "batch_cancel", "cancel_all"):
        await kit.write(kind, rest)
    groups = KalshiGroups(rest.endpoints)
    await groups.create(CountE2(100))
    await groups.trigger("g-1")


async def test_every_write_names_subaccount_and_shard(kit: Kit, network: Network) -> None:
    """In the body or in the query, as each takes it."""
    network.answer(500)
    await write_all(kit, rest_of(kit, network, 3, {kit.ticker: 2}))
    place, amend, decrease, cancel, places, cancels, everything, made, triggered = map(sent, network.requests)
    assert (place[2], place[3]["subaccount"], place[3]["exchange_index"]) == ([], 3, 2)
    assert (amend[2], amend[3]["exchange_index"], "subaccount" in amend[3]) == ([SUBACCOUNT], 2, False)
    assert (decrease[2], decrease[3]["exchange_index"]) == ([SUBACCOUNT], 2)
    assert cancel[2] == [("market_ticker", kit.ticker), ("exchange_index", "2"), SUBACCOUNT]
    for batch in (places, cancels):
        assert batch[2] == []
        assert all((item["subaccount"], item["exchange_index"]) == (3, 2) for item in batch[3]["orders"])
    assert everything[2] == [SUBACCOUNT]
    assert (made[2], made[3]["subaccount"]) == ([], 3)
    assert triggered[2] == [SUBACCOUNT]


async def test_the_primary_one_is_named_where_none_means_all(kit: Kit, network: Network) -> None:
    """In listings, and by what cancels everything; every other call is as it is without any subaccount."""
    network.answer(500)
    await write_all(kit, rest_of(kit, network, 0, {}))
    reading = type(network)().each(lambda request: network_answer(request.url.path))
    rest = rest_of(kit, reading, 0, {})
    await rest.fetch_orders()
    await rest.fetch_fills()
    named = {
        (request.method, request.url.path.rsplit("/v2", 1)[1])
        for request in network.requests + reading.requests
        if b"subaccount" in request.content + request.url.query
    }
    assert named == {
        ("DELETE", "/portfolio/events/orders"),
        ("GET", "/portfolio/orders"),
        ("GET", "/portfolio/fills"),
    }


@pytest.mark.parametrize("index", [0, None])
async def test_where_neither_is_said_neither_is_sent(kit: Kit, network: Network, index: int | None) -> None:
    """On the first shard, and where no terms were read: the exchange finds the shard by the ticker."""
    network.answer(500)
    await write_all(kit, rest_of(kit, network, None, {} if index is None else {kit.ticker: index}))
    assert all(b"subaccount" not in request.content + request.url.query for request in network.requests)
    assert all(b"exchange_index" not in request.content + request.url.query for request in network.requests)


async def test_reads_of_what_is_owned_name_the_subaccount(kit: Kit, network: Network) -> None:
    """Positions, balance, settlements, orders, fills, places in the queue; nothing of what is public."""
    network.each(lambda request: network_answer(request.url.path))
    http = kit.http(network)
    routes = Routes(3)
    account = KalshiAccount(Endpoints(http, routes), http.budget, lambda: kit.now_us, kit.log)
    await account.fetch_positions()
    await account.fetch_balance()
    await account.fetch_settlements()
    await account.fetch_queue_positions([kit.ticker])
    rest = rest_of(kit, network, 3, {})
    await rest.fetch_orders()
    await rest.fetch_fills()
    paths = {
        request.url.path.rsplit("/", 1)[1]: SUBACCOUNT in request.url.params.multi_items()
        for request in network.requests
    }
    assert paths == {
        "positions": True,
        "balance": True,
        "settlements": True,
        "queue_positions": True,
        "orders": True,
        "fills": True,
        "user_data_timestamp": False,
    }


def network_answer(path: str) -> Any:  # noqa: ANN401  # an httpx.Response, which is imported for types alone elsewhere
    import httpx

    body = {
        "market_positions": [],
        "event_positions": [],
        "settlements": [],
        "queue_positions": [],
        "orders": [],
        "fills": [],
        "cursor": "",
        "balance_dollars": "1.0000",
        "as_of_time": "2026-10-01T12:00:00Z",
    }
    return httpx.Response(200, content=msgspec.json.encode(body), request=httpx.Request("GET", f"http://x{path}"))


@pytest.mark.parametrize(
    ("worked", "of_frame", "is_heard"),
    [(3, 3, True), (3, 0, False), (3, None, True), (0, 3, False), (0, 0, True), (None, 3, True), (None, None, True)],
)
def test_the_stream_s_orders_and_fills_of_others_are_left_out(
    kit: Kit, listener: Listener, worked: int | None, of_frame: int | None, is_heard: bool
) -> None:
    """The stream carries all that a key may see. What does not say whose it is may be ours, and is taken."""
    conversation = Conversation(listener, {}, lambda: kit.now_us, kit.log, subaccount=worked)
    order = {
        "order_id": "o-1",
        "client_order_id": "x",
        "ticker": "KXA-1",
        "status": "resting",
        "outcome_side": "yes",
        "book_side": "bid",
        "yes_price_dollars": "0.5000",
        "initial_count_fp": "1.00",
        "fill_count_fp": "0.00",
        "remaining_count_fp": "1.00",
        "created_ts_ms": 1,
    }
    fill = {
        "trade_id": "t-1",
        "order_id": "o-1",
        "market_ticker": "KXA-1",
        "is_taker": False,
        "outcome_side": "yes",
        "book_side": "bid",
        "yes_price_dollars": "0.5000",
        "count_fp": "1.00",
        "fee_cost": "0.000000",
        "ts_ms": 1,
    }
    if of_frame is not None:
        order["subaccount_number"] = fill["subaccount"] = of_frame
    conversation.receive(msgspec.json.encode({"type": "user_order", "sid": 2, "msg": order}), 0.0)
    conversation.receive(msgspec.json.encode({"type": "fill", "sid": 1, "msg": fill}), 0.0)
    assert listener.kinds() == (["order", "fill"] if is_heard else [])
