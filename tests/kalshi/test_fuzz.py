"""Whatever the exchange, or whoever stands in its place, sends: a typed answer or a typed error, and no secret in it.

Frames of the stream are fuzzed in test_conversation.py.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, get_args

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.inspect import is_struct_type
from msgspec.structs import fields

from fsm_exec.core.errors import UserError, VenueError
from fsm_exec.core.market.account import GroupChanged, GroupCreated
from fsm_exec.core.market.orders import AllCancelled, Amended, Cancelled, Decreased, NotSent, Placed, Refused, Unknown
from fsm_exec.kalshi.account import KalshiAccount
from fsm_exec.kalshi.endpoints import Endpoints
from fsm_exec.kalshi.market_facts import MarketFactsReader
from fsm_exec.kalshi.markets import KalshiMarkets
from fsm_exec.kalshi.order_groups import KalshiGroups
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.write_outcomes import SUCCESS_STATUS, WriteKind
from fsm_exec.wire import account, client_bodies, markets, rest, writes

if TYPE_CHECKING:
    from trio.testing import MockClock

    from tests.kalshi.conftest import Kit, Network

OUTCOMES = (
    Placed, Amended, Decreased, Cancelled, AllCancelled, GroupCreated, GroupChanged, Refused, NotSent, Unknown,
)  # fmt: skip
STATUSES = st.sampled_from([200, 201, 204, 206, 301, 400, 401, 403, 404, 409, 410, 418, 429, 500, 502, 503, 504])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.integers(10**300, 10**301)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "0.4700", "10.00", "-1.00", "1e9", "9" * 400, "2026-10-01T12:00:00Z", "0001-01-01", "no"])
    | st.text(max_size=8)
)
# The names the exchange uses: only with them does anything but "missing field" come to light.
STRUCTS = [
    cls
    for module in (account, markets, client_bodies, rest, writes)
    for cls in vars(module).values()
    if is_struct_type(cls)
]
NAMES = st.sampled_from(sorted({field.encode_name for cls in STRUCTS for field in fields(cls)}))
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8), max_leaves=24
)
ODD = st.sampled_from(
    [b"", b"null", b"{", b"[" * 60_000, b'{"a":' * 60_000, b"\xff\xfe\x00", b'{"error":"\xed\xa0\x80"}', b"<html>"]
)
BODIES = JSON.map(msgspec.json.encode) | ODD | st.binary(max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-encoding", "date", "retry-after", "location", "set-cookie", "x-a"]),
    st.sampled_from(["", "gzip", "br, gzip", "a/b; charset=utf-99", "-1", "\x7f", "Thu, 99 Foo", "a=b; c"]),
    max_size=4,
)
FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def whole(values: dict[str, Any]) -> st.SearchStrategy[bytes]:
    """A good answer of which any field may have become anything."""
    return st.fixed_dictionaries({name: st.just(value) | SCALARS | JSON for name, value in values.items()}).map(
        msgspec.json.encode
    )


ORDER = {
    "order_id": "o-1",
    "client_order_id": "c-1",
    "ticker": "KXA-1",
    "outcome_side": "yes",
    "book_side": "bid",
    "type": "limit",
    "status": "resting",
    "yes_price_dollars": "0.4700",
    "no_price_dollars": "0.5300",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "1.00",
    "initial_count_fp": "1.00",
}
SETTLEMENT: dict[str, object] = {
    "ticker": "KXA-1",
    "event_ticker": "KXA",
    "market_result": "yes",
    "yes_count_fp": "1.00",
    "yes_total_cost_dollars": "0.470000",
    "no_count_fp": "0.00",
    "no_total_cost_dollars": "0.000000",
    "revenue": 100,
    "value": 100,
    "fee_cost": "0.010000",
    "settled_time": "2026-10-01T12:00:00Z",
}
MARKET: dict[str, object] = {
    "ticker": "KXA-1",
    "event_ticker": "KXA",
    "status": "active",
    "yes_bid_dollars": "0.4700",
    "yes_bid_size_fp": "3.00",
    "close_time": "2026-10-01T12:00:00Z",
}
NEARLY = (
    whole({"order_id": "o-1", "fill_count": "1.00", "remaining_count": "9.00", "ts_ms": 1, "client_order_id": None})
    | whole({"order_id": "o-1", "reduced_by": "1.00", "ts_ms": 1})
    | whole({"orders": [ORDER], "cursor": ""})
    | whole({"orders": [{"order_id": "o-1", "reduced_by": "1.00", "ts_ms": 1}, {"error": {"code": "not_found"}}]})
    | whole({"error": {"code": "invalid_price", "message": "m", "details": "d"}})
    | whole({"balance": 1, "balance_dollars": "0.01", "portfolio_value": 1, "updated_ts": 1})
    | whole({"orderbook_fp": {"yes_dollars": [["0.4700", "3.00"]], "no_dollars": []}})
    | whole({"usage_tier": "basic", "read": {"refill_rate": 1, "bucket_capacity": 1}, "write": 7})
    | whole({"default_cost": 10, "endpoint_costs": [{"method": "GET", "path": "/a/{b}", "cost": 2}]})
    | whole({"settlements": [SETTLEMENT], "cursor": ""})
    | whole({"markets": [MARKET], "cursor": ""})
    | whole({"event": {"event_ticker": "KXA", "series_ticker": "KX", "markets": [MARKET]}, "markets": []})
    | whole({"events": [{"event_ticker": "KXA", "title": "two words", "markets": [MARKET]}], "cursor": ""})
    | whole({"exchange_active": True, "trading_active": True, "exchange_index_statuses": None})
)


def shown(kit: Kit, *things: object) -> str:
    return "".join(map(repr, things)) + "".join(kit.log.lines)


@FUZZ
@given(status=STATUSES, body=BODIES | NEARLY, headers=HEADERS, kind=st.sampled_from(get_args(WriteKind)))
async def test_a_write_has_an_outcome_whatever_comes_back(
    kit: Kit, network: Network, autojump_clock: MockClock, status: int, body: bytes, headers: dict[str, str], kind: str
) -> None:
    """One of the outcomes, and a success only under the success's own status; nothing is raised."""
    fresh = type(network)().answer(status, body, **headers)
    answer = await kit.write(kind, kit.rest(fresh))
    assert isinstance(answer, OUTCOMES)
    if not isinstance(answer, Refused | NotSent | Unknown):
        assert status == next(wanted for name, wanted in SUCCESS_STATUS.items() if name == kind)
    assert fresh.requests[0].headers["KALSHI-ACCESS-SIGNATURE"] not in shown(kit, answer)


def reads(kit: Kit, network: Network) -> list[Callable[[], Awaitable[object]]]:
    http = kit.http(network)
    calls = Endpoints(http)
    orders = KalshiRest(http, lambda: kit.now_us, kit.log)
    account = KalshiAccount(calls, http.budget, lambda: kit.now_us, kit.log)
    groups, markets = KalshiGroups(calls), KalshiMarkets(calls, kit.log)
    facts = MarketFactsReader(calls, kit.log)
    return [
        orders.fetch_orders,
        orders.fetch_fills,
        lambda: orders.fetch_market_terms("KXA-1"),
        lambda: orders.fetch_markets(["KXA-1", "KXA-2"]),
        account.fetch_balance,
        account.fetch_positions,
        lambda: account.fetch_queue_positions(["KXA-1"]),
        account.fetch_limits,
        account.fetch_endpoint_costs,
        account.fetch_api_keys,
        groups.fetch_all,
        lambda: groups.fetch("g-1"),
        markets.fetch_status,
        markets.fetch_clock_us,
        lambda: markets.fetch_markets(series="KXA"),
        lambda: markets.fetch_market("KXA-1"),
        lambda: markets.fetch_order_book("KXA-1"),
        lambda: markets.fetch_order_books(["KXA-1"]),
        lambda: markets.fetch_trades("KXA-1"),
        lambda: markets.fetch_events("KXA"),
        markets.fetch_series,
        account.fetch_settlements,
        lambda: facts.fetch_facts(["KXA-1"]),
        lambda: facts.fetch_event_shape("KXA"),
        lambda: facts.search("", only_open=True, limit=5),
        lambda: facts.search("kxa-1", only_open=True, limit=5),
        lambda: facts.search("two words", only_open=False, limit=5),
    ]


@FUZZ
@given(status=STATUSES, body=BODIES | NEARLY, headers=HEADERS, number=st.integers(0, 26))
async def test_a_read_gives_data_or_a_typed_error(
    kit: Kit,
    network: Network,
    autojump_clock: MockClock,
    status: int,
    body: bytes,
    headers: dict[str, str],
    number: int,
) -> None:
    """VenueError, or UserError where a market cannot be worked; its text is short and holds no signature."""
    fresh = type(network)().answer(status, body, **headers)
    text = ""
    try:
        await reads(kit, fresh)[number]()
    except (VenueError, UserError) as error:
        text = "".join(traceback.format_exception_only(error))
        assert len(text) < 2_000
    assert len(reads(kit, fresh)) == 27
    assert fresh.requests[0].headers["KALSHI-ACCESS-SIGNATURE"] not in shown(kit, text)


@FUZZ
@given(body=BODIES | NEARLY)
async def test_the_budget_survives_what_it_is_told(
    kit: Kit, network: Network, autojump_clock: MockClock, body: bytes
) -> None:
    """Limits and costs of any content leave a budget with which requests go out."""
    http = kit.http(type(network)().answer(200, body))
    await KalshiAccount(Endpoints(http), http.budget, lambda: kit.now_us, kit.log).refresh_budget()
    await http.budget.spend("DELETE", "/portfolio/events/orders/o-1")
    statistics = http.budget.statistics()
    assert statistics.read.capacity_mt > 0
    assert 0 <= statistics.write.level_mt <= statistics.write.capacity_mt


@pytest.mark.parametrize("error", [httpx.ReadError, httpx.RemoteProtocolError, httpx.ConnectError, OSError])
async def test_a_network_that_fails_gives_typed_errors(kit: Kit, network: Network, error: type[Exception]) -> None:
    """Every read, every way: VenueError, naming what was asked."""
    network.fail(error("broken"))
    for read in reads(kit, network):
        with pytest.raises(VenueError, match="GET /"):
            await read()
