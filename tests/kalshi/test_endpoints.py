"""The endpoints beside create, amend, cancel and the account's listings: what leaves, and what comes back as what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from fsm_exec.core.errors import VenueRefused, VenueUnavailable
from fsm_exec.core.market.account import (
    Balance,
    GroupChanged,
    GroupCreated,
    OrderGroup,
    Position,
    PublicTrade,
    QueuePosition,
)
from fsm_exec.core.market.orders import AllCancelled, Cancelled, Decreased, Placed, Refused, Unknown
from fsm_exec.core.values.units import CountE2, MoneyE6
from fsm_exec.kalshi.account import KalshiAccount
from fsm_exec.kalshi.endpoints import Endpoints
from fsm_exec.kalshi.markets import KalshiMarkets
from fsm_exec.kalshi.order_groups import KalshiGroups
from fsm_exec.kalshi.translate import ImpossibleRequest, Malformed

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

API = "/trade-api/v2"
TS_MS = 1_790_856_000_200
AT_US = TS_MS * 1_000
CREATED: dict[str, Any] = {"order_id": "o-1", "fill_count": "1.00", "remaining_count": "9.00", "ts_ms": TS_MS}


def markets(kit: Kit, network: Network) -> KalshiMarkets:
    return KalshiMarkets(Endpoints(kit.http(network)), kit.log)


def account(kit: Kit, network: Network) -> KalshiAccount:
    http = kit.http(network)
    return KalshiAccount(Endpoints(http), http.budget, lambda: kit.now_us, kit.log)


def sent(request: httpx.Request) -> tuple[str, str, list[tuple[str, str]], Any]:
    """Method, path, query and body of a request."""
    body = msgspec.json.decode(request.content) if request.content else None
    return request.method, request.url.path.removeprefix(API), request.url.params.multi_items(), body


# Writes


async def test_a_decrease_names_its_market(kit: Kit, network: Network) -> None:
    """By or to, as text, and always with the ticker; what remains comes back."""
    network.answer(200, {"order_id": kit.order_id, "remaining_count": "4.50", "ts_ms": TS_MS})
    rest = kit.rest(network)
    answer = await rest.decrease(kit.decrease(reduce_by_e2=CountE2(550)))
    await rest.decrease(kit.decrease(reduce_by_e2=None, reduce_to_e2=CountE2(450)))
    assert answer == Decreased(order_id=kit.order_id, remaining_e2=CountE2(450), at_us=AT_US)
    path = f"/portfolio/events/orders/{kit.order_id}/decrease"
    assert sent(network.requests[0]) == ("POST", path, [], {"reduce_by": "5.50", "market_ticker": kit.ticker})
    assert sent(network.requests[1]) == ("POST", path, [], {"reduce_to": "4.50", "market_ticker": kit.ticker})


@pytest.mark.parametrize(
    "change",
    [
        {"reduce_by_e2": None},
        {"reduce_by_e2": 100, "reduce_to_e2": 100},
        {"reduce_by_e2": 0},
        {"reduce_by_e2": -100},
        {"reduce_by_e2": None, "reduce_to_e2": 0},
        {"order_id": "a/b"},
        {"ticker": ""},
    ],
)
async def test_an_impossible_decrease_is_not_sent(kit: Kit, network: Network, change: dict[str, Any]) -> None:
    """Neither, both, nothing, less than nothing, and ids that are none."""
    with pytest.raises(ImpossibleRequest):
        await kit.rest(network).decrease(kit.decrease(**change))
    assert network.requests == []


async def test_what_an_order_may_carry_beside(kit: Kit, network: Network) -> None:
    """Reduce-only with IOC, cancel on pause, a group: sent where they are set, and only there."""
    network.answer(201, CREATED)
    rest = kit.rest(network)
    await rest.place(kit.place(time_in_force="immediate_or_cancel", expiration_s=None, reduce_only=True))
    await rest.place(kit.place(cancel_on_pause=True, order_group_id="g-1"))
    first, second = (sent(request)[3] for request in network.requests)
    assert first["reduce_only"] is True
    assert not {"cancel_order_on_pause", "order_group_id"} & set(first)
    assert (second["cancel_order_on_pause"], second["order_group_id"]) == (True, "g-1")
    for change in ({"reduce_only": True}, {"order_group_id": ""}, {"order_group_id": "g/1"}):
        with pytest.raises(ImpossibleRequest):
            await rest.place(kit.place(**change))
    assert len(network.requests) == 2


async def test_each_order_of_a_batch_has_its_own_outcome(kit: Kit, network: Network) -> None:
    """Accepted, refused, in doubt, and empty stand side by side, in the order of the request."""
    orders = [kit.place(client_order_id=f"c-{n}") for n in range(6)]
    network.answer(
        201,
        {
            "orders": [
                {**CREATED, "client_order_id": "c-0"},
                {"client_order_id": "c-1", "error": {"code": "insufficient_balance", "message": "no money"}},
                {"error": {"code": "order_already_exists", "message": "m"}},
                {"error": {"code": "service_unavailable", "message": "m"}},
                {"client_order_id": "c-4"},
                {**CREATED, "client_order_id": "c-0"},
            ]
        },
    )
    answers = await kit.rest(network).place_batch(orders)
    assert answers[0] == Placed(order_id="o-1", filled_e2=CountE2(100), remaining_e2=CountE2(900), at_us=AT_US)
    assert answers[1] == Refused(code="insufficient_balance", message="no money")
    assert all(isinstance(answer, Unknown) for answer in answers[2:])
    method, path, _, body = sent(network.requests[0])
    assert (method, path) == ("POST", "/portfolio/events/orders/batched")
    assert [item["client_order_id"] for item in body["orders"]] == [f"c-{n}" for n in range(6)]
    assert body["orders"][0]["price"] == "0.4700"


async def test_each_cancel_of_a_batch_has_its_own_outcome(kit: Kit, network: Network) -> None:
    """A DELETE with a body; every item names its market."""
    orders = [kit.cancel(order_id=f"o-{n}") for n in range(5)]
    network.answer(
        200,
        {
            "orders": [
                {"order_id": "o-0", "reduced_by": "3.00", "ts_ms": TS_MS},
                {"order_id": "o-1", "reduced_by": "0.00", "error": {"code": "not_found", "message": "gone"}},
                {"order_id": "o-9", "reduced_by": "3.00", "ts_ms": TS_MS},
                {"order_id": "o-3", "reduced_by": "0.00"},  # as beside an error
                {"order_id": "o-4", "reduced_by": "3.00"},
            ]
        },
    )
    answers = await kit.rest(network).cancel_batch(orders)
    assert answers[0] == Cancelled(order_id="o-0", reduced_by_e2=CountE2(300), at_us=AT_US)
    assert answers[1] == Refused(code="not_found", message="gone")
    assert [type(answer) for answer in answers[2:4]] == [Unknown, Unknown]
    assert answers[4] == Cancelled(order_id="o-4", reduced_by_e2=CountE2(300), at_us=kit.now_us)
    method, path, _, body = sent(network.requests[0])
    assert (method, path) == ("DELETE", "/portfolio/events/orders/batched")
    assert body == {"orders": [{"order_id": f"o-{n}", "market_ticker": kit.ticker} for n in range(5)]}


@pytest.mark.parametrize("found", [[], [CREATED], [CREATED] * 3])
async def test_a_batch_answered_at_another_length_proves_nothing(kit: Kit, network: Network, found: list[Any]) -> None:
    """Items are told apart by their place alone."""
    network.answer(201, {"orders": found})
    answers = await kit.rest(network).place_batch([kit.place(), kit.place(client_order_id="second")])
    assert [type(answer) for answer in answers] == [Unknown, Unknown]


async def test_a_batch_refused_as_a_whole_is_refused_for_each(kit: Kit, network: Network) -> None:
    """And what proves nothing proves nothing about any of them."""
    network.answer(403, {"error": {"code": "forbidden", "message": "m"}}).answer(503)
    rest = kit.rest(network)
    orders = [kit.place(client_order_id=f"c-{n}") for n in range(3)]
    assert await rest.place_batch(orders) == (Refused(code="forbidden", message="m"),) * 3
    cancels = await rest.cancel_batch([kit.cancel(order_id=f"o-{n}") for n in range(3)])
    assert [type(answer) for answer in cancels] == [Unknown] * 3


async def test_an_impossible_batch_is_not_sent(kit: Kit, network: Network) -> None:
    """Empty, one id twice, one bad order among good ones, or more than the bucket holds: nothing leaves."""
    rest = kit.rest(network)
    many = [kit.place(client_order_id=f"c-{n}") for n in range(9)]
    for batch in ([], [kit.place(), kit.place()], [kit.place(), kit.place(client_order_id="x", price_e4=0)], many):
        with pytest.raises(ImpossibleRequest):
            await rest.place_batch(batch)
    for cancels in ([], [kit.cancel(), kit.cancel()], [kit.cancel(ticker="a b")]):
        with pytest.raises(ImpossibleRequest):
            await rest.cancel_batch(cancels)
    assert network.requests == []


async def test_cancel_all_has_no_body_either_way(kit: Kit, network: Network) -> None:
    """DELETE on the collection; 204 is all there is to its success, and 200 is none."""
    network.answer(204).answer(200, {})
    rest = kit.rest(network)
    assert await rest.cancel_all() == AllCancelled()
    assert isinstance(await rest.cancel_all(), Unknown)
    assert sent(network.requests[0]) == ("DELETE", "/portfolio/events/orders", [], None)


async def test_order_groups(kit: Kit, network: Network) -> None:
    """Made, limited, reset, triggered, deleted, listed and looked at."""
    network.answer(201, {"order_group_id": "g-1", "subaccount": 0, "exchange_index": 0})
    for _ in range(4):
        network.answer(200, {})
    network.answer(200, {"is_auto_cancel_enabled": True, "orders": ["o-1"], "contracts_limit_fp": "12.50"})
    network.answer(200, {"order_groups": [{"id": "g-1", "is_auto_cancel_enabled": False}]})
    groups = KalshiGroups(Endpoints(kit.http(network)))
    assert await groups.create(CountE2(1_250)) == GroupCreated("g-1")
    changes = [
        await groups.set_limit("g-1", CountE2(300)),
        await groups.reset("g-1"),
        await groups.trigger("g-1"),
        await groups.delete("g-1"),
    ]
    assert changes == [GroupChanged("g-1")] * 4
    assert await groups.fetch("g-1") == OrderGroup(
        group_id="g-1", limit_e2=CountE2(1_250), cancels_by_itself=True, order_ids=("o-1",)
    )
    assert await groups.fetch_all() == (OrderGroup(group_id="g-1", limit_e2=None, cancels_by_itself=False),)
    prefix = "/portfolio/order_groups"
    assert [sent(request) for request in network.requests] == [
        ("POST", f"{prefix}/create", [], {"contracts_limit_fp": "12.50"}),
        ("PUT", f"{prefix}/g-1/limit", [], {"contracts_limit_fp": "3.00"}),
        ("PUT", f"{prefix}/g-1/reset", [], {}),
        ("PUT", f"{prefix}/g-1/trigger", [], {}),
        ("DELETE", f"{prefix}/g-1", [], None),
        ("GET", f"{prefix}/g-1", [], None),
        ("GET", prefix, [], None),
    ]


@pytest.mark.parametrize("limit", [0, 99, 100_000_001, -100])
async def test_a_limit_no_group_can_have_is_not_sent(kit: Kit, network: Network, limit: int) -> None:
    """One to a million contracts."""
    groups = KalshiGroups(Endpoints(kit.http(network)))
    with pytest.raises(ImpossibleRequest):
        await groups.create(CountE2(limit))
    with pytest.raises(ImpossibleRequest):
        await groups.set_limit("g-1", CountE2(limit))
    with pytest.raises(ImpossibleRequest):
        await groups.delete("../balance")
    assert network.requests == []


# The account


async def test_the_balance_is_exact(kit: Kit, network: Network) -> None:
    """Dollars to their last digit, not the cents beside them; the two must not contradict each other."""
    body = {"balance": 12_345, "balance_dollars": "123.4567", "portfolio_value": 700, "updated_ts": 1_790_856_000}
    network.answer(200, body).answer(200, {**body, "balance": 12_346}).answer(200, {**body, "balance_dollars": "x"})
    reader = account(kit, network)
    assert await reader.fetch_balance() == Balance(
        available_e6=MoneyE6(123_456_700), portfolio_e6=MoneyE6(7_000_000), at_us=1_790_856_000_000_000
    )
    for _ in range(2):
        with pytest.raises(Malformed):
            await reader.fetch_balance()


async def test_positions_are_signed_and_come_in_pages(kit: Kit, network: Network) -> None:
    """NO is negative; the last page may leave the cursor out."""
    row = {
        "ticker": "KXA-1",
        "exchange_index": 0,
        "total_traded_dollars": "5.200000",
        "position_fp": "-10.00",
        "market_exposure_dollars": "4.800000",
        "realized_pnl_dollars": "-0.100000",
        "fees_paid_dollars": "0.017500",
        "last_updated_ts": "2026-10-01T12:00:00.123456Z",
    }
    network.answer(200, {"market_positions": [row], "event_positions": [], "cursor": "next"})
    flat_row = {**row, "ticker": "KXB-1", "position_fp": "0.00"}
    network.answer(200, {"market_positions": [flat_row], "event_positions": []})
    flat, other = (await account(kit, network).fetch_positions())[::-1]
    assert (flat.ticker, flat.count_e2) == ("KXB-1", 0)
    assert other == Position(
        ticker="KXA-1",
        count_e2=CountE2(-1_000),
        traded_e6=MoneyE6(5_200_000),
        exposure_e6=MoneyE6(4_800_000),
        realized_e6=MoneyE6(-100_000),
        fees_e6=MoneyE6(17_500),
        changed_at_us=kit.now_us,
    )
    assert sent(network.requests[1])[2] == [("limit", "1000"), ("cursor", "next")]


async def test_queue_positions(kit: Kit, network: Network) -> None:
    """Contracts ahead of each order; an exchange with nothing to say may say null."""
    row = {"order_id": "o-1", "market_ticker": "KXA-1", "queue_position_fp": "12.00"}
    network.answer(200, {"queue_positions": [row]}).answer(200, {"queue_positions": None})
    reader = account(kit, network)
    assert await reader.fetch_queue_positions(["KXA-1", "KXB-1"]) == (QueuePosition("o-1", "KXA-1", CountE2(1_200)),)
    assert await reader.fetch_queue_positions(["KXA-1"]) == ()
    assert sent(network.requests[0])[2] == [("market_tickers", "KXA-1,KXB-1")]


async def test_the_budget_learns_what_the_exchange_tells(kit: Kit, network: Network) -> None:
    """Limits and costs are taken over; an answer that is missing or unusable leaves ours and is logged."""
    bucket = {"refill_rate": 300, "bucket_capacity": 600}
    network.answer(200, {"usage_tier": "advanced", "read": bucket, "write": bucket, "grants": []})
    network.answer(404, {"error": {"code": "not_found", "message": "m"}})
    network.answer(200, {"usage_tier": "basic", "read": 7})
    network.answer(200, {"default_cost": 4, "endpoint_costs": []})
    network.answer(200, {"read": 7})
    http = kit.http(network)
    reader = KalshiAccount(Endpoints(http), http.budget, lambda: kit.now_us, kit.log)
    await reader.refresh_budget()
    learnt = http.budget.statistics().write
    assert (learnt.capacity_mt, learnt.refill_mt_per_s) == (570_000, 300_000)  # less the margin for jitter
    await reader.refresh_budget()
    spent_mt = http.budget.statistics().read.spent_mt
    with pytest.raises(Malformed):
        await reader.fetch_limits()
    assert http.budget.statistics().read.spent_mt - spent_mt == 4_000
    assert [line.split()[0] for line in kit.log.lines if "unknown" in line] == ["costs_unknown", "limits_unknown"]


@pytest.mark.parametrize(
    ("limits", "costs"),
    [
        ({"write": {"refill_rate": 300, "bucket_capacity": 600}}, {"endpoint_costs": []}),
        (
            {"usage_tier": None, "read": None, "write": {"refill_rate": 300, "bucket_capacity": 600}},
            {"default_cost": 4},
        ),
    ],
)
async def test_of_the_budget_what_is_told_is_learnt(
    kit: Kit, network: Network, limits: dict[str, object], costs: dict[str, object]
) -> None:
    """What is left out stays as it was."""
    network.answer(200, limits).answer(200, costs)
    http = kit.http(network)
    await KalshiAccount(Endpoints(http), http.budget, lambda: kit.now_us, kit.log).refresh_budget()
    assert http.budget.statistics().write.capacity_mt == 570_000
    assert [line.split()[0] for line in kit.log.lines if "limits" in line and "http" not in line] == ["limits_untold"]


# Markets


async def test_a_listing_of_markets_says_which(kit: Kit, network: Network) -> None:
    """By event, series or name, with a status; everything at once is not asked for."""
    network.answer(200, {"markets": [], "cursor": ""})
    reader = markets(kit, network)
    await reader.fetch_markets(series="KXA", status="open")
    await reader.fetch_markets(tickers=["KXA-1", "KXA-2"])
    assert [sent(request)[2] for request in network.requests] == [
        [("series_ticker", "KXA"), ("status", "open"), ("limit", "1000")],
        [("tickers", "KXA-1,KXA-2"), ("limit", "1000")],
    ]
    for bad in ({}, {"status": "open"}, {"event": "a/b"}, {"tickers": ["a,b"]}):
        with pytest.raises(ImpossibleRequest):
            await reader.fetch_markets(**bad)


async def test_books_come_in_either_outcome(kit: Kit, network: Network) -> None:
    """One or several, ascending or not: the book is the same. Tickers are repeated in the query."""
    book = {"yes_dollars": [["0.4700", "3.00"], ["0.4600", "10.00"]], "no_dollars": []}
    network.answer(200, {"orderbook_fp": book}).answer(200, {"orderbooks": [{"ticker": "KXA-1", "orderbook_fp": book}]})
    network.answer(200, {"orderbook_fp": {"yes_dollars": [["0.4700", "-3.00"]], "no_dollars": []}})
    reader = markets(kit, network)
    one = await reader.fetch_order_book("KXA-1", depth=5)
    several = await reader.fetch_order_books(["KXA-1", "KXA-2"])
    assert one.yes == several["KXA-1"].yes == {4_700: 300, 4_600: 1_000}
    assert one.best_bid("yes") == 4_700
    assert sent(network.requests[0])[2] == [("depth", "5")]
    assert sent(network.requests[1])[2] == [("tickers", "KXA-1"), ("tickers", "KXA-2")]
    with pytest.raises(Malformed):
        await reader.fetch_order_book("KXA-1")
    for bad in ([], ["KXA-1"] * 101):
        with pytest.raises(ImpossibleRequest):
            await reader.fetch_order_books(bad)
    with pytest.raises(ImpossibleRequest):
        await reader.fetch_order_book("KXA-1", depth=101)


async def test_public_trades(kit: Kit, network: Network) -> None:
    """In our units, a span in whole seconds around what was asked for."""
    row = {
        "trade_id": "t-1",
        "ticker": "KXA-1",
        "count_fp": "2.50",
        "yes_price_dollars": "0.5200",
        "no_price_dollars": "0.4800",
        "taker_outcome_side": "no",
        "taker_book_side": "ask",
        "created_time": "2026-10-01T12:00:00.123456Z",
        "is_block_trade": False,
    }
    network.answer(200, {"trades": [row], "cursor": ""}).answer(200, {"trades": [{**row, "no_price_dollars": "0.4"}]})
    reader = markets(kit, network)
    assert await reader.fetch_trades("KXA-1", since_us=1_500_000, until_us=2_500_000) == (
        PublicTrade(
            trade_id="t-1",
            ticker="KXA-1",
            taker="no",
            yes_price_e4=5_200,  # type: ignore[arg-type]
            count_e2=CountE2(250),
            at_us=kit.now_us,
            is_block=False,
        ),
    )
    assert sent(network.requests[0])[2][1:] == [("min_ts", "1"), ("max_ts", "3"), ("limit", "1000")]
    assert await reader.fetch_trades("KXA-1") == ()  # prices that contradict each other: left out, and said
    assert [line for line in kit.log.lines if "row_left_out" in line and "do not add up" in line]


async def test_events_and_series(kit: Kit, network: Network) -> None:
    """Fee multipliers stay exact; overrides are there where the exchange gives them."""
    event = {"event_ticker": "KXA-1", "series_ticker": "KXA", "fee_multiplier_override": 0.1}
    series = {"ticker": "KXA", "title": "t", "category": "c", "fee_type": "quadratic", "fee_multiplier": 1.005}
    network.answer(200, {"events": [event], "cursor": ""})
    network.answer(200, {"series": [series]}).answer(200, {"series": None})
    reader = markets(kit, network)
    (row,) = await reader.fetch_events("KXA")
    assert str(row.fee_multiplier_override) == "0.1"
    (listed,) = await reader.fetch_series("Economics")
    assert str(listed.fee_multiplier) == "1.005"
    assert await reader.fetch_series() == ()


@pytest.mark.parametrize("status", [200, 500, 503, 504])
async def test_a_pause_is_an_answer(kit: Kit, network: Network, status: int) -> None:
    """The status comes with an error's status while the exchange is down."""
    network.answer(status, {"exchange_active": False, "trading_active": False, "exchange_index_statuses": []})
    answer = await markets(kit, network).fetch_status()
    assert (answer.exchange_active, answer.trading_active) == (False, False)


@pytest.mark.parametrize("body", [b"", b"<html>", {"error": {"code": "service_unavailable", "message": "m"}}, {}])
async def test_a_503_without_a_status_is_none(kit: Kit, network: Network, body: object) -> None:
    """Whatever stands before the exchange answers 503 too."""
    network.answer(503, body)
    with pytest.raises(VenueUnavailable, match="503"):
        await markets(kit, network).fetch_status()


async def test_reads_name_the_refusal(kit: Kit, network: Network) -> None:
    """A 404 of a market is a refusal with its code; another market than the one asked for is malformed."""
    network.answer(404, {"error": {"code": "market_not_found", "message": "m"}})
    with pytest.raises(VenueRefused) as caught:
        await markets(kit, network).fetch_market("KXA-1")
    assert caught.value.code == "market_not_found"
