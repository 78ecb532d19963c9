"""Settlements, shapes of events and facts of markets: exact, or unknown; a row that cannot be read spoils no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from fsm_exec.core.errors import VenueUnreadable
from fsm_exec.kalshi.account import KalshiAccount
from fsm_exec.kalshi.endpoints import Endpoints
from fsm_exec.kalshi.market_facts import PAGES_MAX, MarketFactsReader

if TYPE_CHECKING:
    from tests.kalshi.conftest import Kit, Network

YES: dict[str, object] = {
    "ticker": "KXA-1",
    "event_ticker": "KXA",
    "market_result": "yes",
    "yes_count_fp": "3.07",
    "yes_total_cost_dollars": "1.500000",
    "no_count_fp": "0.00",
    "no_total_cost_dollars": "0.000000",
    "revenue": 307,
    "value": 100,
    "fee_cost": "0.050000",
    "settled_time": "2026-10-01T12:00:00Z",
}
NO: dict[str, object] = {**YES, "yes_count_fp": "0.00", "no_count_fp": "3.07", "market_result": "no", "value": 0}
MARKET: dict[str, object] = {"ticker": "KXA-1", "event_ticker": "KXA", "status": "active"}


def account(kit: Kit, network: Network) -> KalshiAccount:
    http = kit.http(network)
    return KalshiAccount(Endpoints(http), http.budget, lambda: kit.now_us, kit.log)


def facts(kit: Kit, network: Network) -> MarketFactsReader:
    return MarketFactsReader(Endpoints(kit.http(network)), kit.log)


@pytest.mark.parametrize(
    ("row", "value_e4", "payout_e6"),
    [
        (YES, 10_000, 3_070_000),
        ({**YES, "value": None}, 10_000, 3_070_000),
        ({**YES, "revenue": 306}, None, None),  # a contract more or less than was counted
        ({**YES, "value": 50}, None, None),
        (NO, 0, 3_070_000),
        ({**NO, "market_result": "yes", "value": 100, "revenue": 0}, 10_000, 0),
        ({**YES, "market_result": "scalar", "value": 33, "revenue": 101}, None, None),
        ({**YES, "market_result": "annulled", "value": 50, "revenue": 153}, None, None),
    ],
)
async def test_what_a_contract_paid_is_exact_or_unknown(
    kit: Kit, network: Network, row: dict[str, object], value_e4: int | None, payout_e6: int | None
) -> None:
    """A value is taken only if the result says it and what was paid agrees; a word that is not known is kept."""
    network.answer(200, {"settlements": [row]})
    (settled,) = await account(kit, network).fetch_settlements()
    assert (settled.value_e4, settled.payout_e6()) == (value_e4, payout_e6)
    assert (settled.result, settled.revenue_e6) == (row["market_result"], int(str(row["revenue"])) * 10_000)


async def test_a_settlement_that_cannot_be_read_is_left_out(kit: Kit, network: Network) -> None:
    """With a line in the log; the rows beside it and on the next page are read."""
    spoilt = ({**YES, "ticker": "KXB-1", field: bad} for field, bad in [("revenue", "3"), ("yes_count_fp", "x")])
    network.answer(200, {"settlements": [*spoilt, YES], "cursor": "next"})
    network.answer(200, {"settlements": [{**YES, "ticker": "KXC-1"}]})
    found = await account(kit, network).fetch_settlements(5_999_999)
    assert [each.ticker for each in found] == ["KXA-1", "KXC-1"]
    assert len([line for line in kit.log.lines if "row_left_out" in line]) == 2
    assert dict(network.requests[1].url.params) == {"min_ts": "5", "limit": "1000", "cursor": "next"}


@pytest.mark.parametrize("newest_first", [True, False])
async def test_an_amended_settlement_replaces_the_earlier(kit: Kit, network: Network, newest_first: bool) -> None:
    """In whatever order they are listed."""
    later = {**YES, "market_result": "no", "value": 0, "revenue": 0, "settled_time": "2026-10-02T12:00:00Z"}
    network.answer(200, {"settlements": [later, YES] if newest_first else [YES, later]})
    (settled,) = await account(kit, network).fetch_settlements()
    assert (settled.result, settled.payout_e6()) == ("no", 0)


@pytest.mark.parametrize(
    ("event", "exclusive"),
    [
        ({"mutually_exclusive": True}, True),
        ({"mutually_exclusive": False, "collateral_return_type": "MECNET"}, False),
        ({"collateral_return_type": "MECNET"}, True),
        ({"collateral_return_type": "DIRECNET"}, False),
        ({}, False),
    ],
)
async def test_markets_exclude_each_other_only_if_it_is_said(
    kit: Kit, network: Network, event: dict[str, object], exclusive: bool
) -> None:
    """An event that does not say so is one whose worst cases add up; its markets may stand in it or beside it."""
    named = {"event_ticker": "KXA", "series_ticker": "KX", **event}
    for body in ({"event": {**named, "markets": [MARKET]}}, {"event": named, "markets": [MARKET]}):
        shape = await facts(kit, type(network)().answer(200, body)).fetch_event_shape("KXA")
        assert (shape.mutually_exclusive, shape.exhaustive, shape.tickers) == (exclusive, False, ("KXA-1",))


@pytest.mark.parametrize(
    "body",
    [
        {"event": {"event_ticker": "KXB", "series_ticker": "KX", "markets": [MARKET]}},
        {"event": {"event_ticker": "KXA", "markets": [MARKET]}},
        {"event": {"event_ticker": "KXA", "series_ticker": "KX", "markets": []}},
        {"event": {"event_ticker": "KXA", "series_ticker": "KX", "markets": [MARKET, {"title": "nameless"}]}},
    ],
)
async def test_an_event_that_is_not_whole_has_no_shape(kit: Kit, network: Network, body: object) -> None:
    """Another event, one without a series, and one whose markets cannot all be named."""
    with pytest.raises(VenueUnreadable):
        await facts(kit, network.answer(200, body)).fetch_event_shape("KXA")


async def test_a_quote_that_cannot_be_read_is_none(kit: Kit, network: Network) -> None:
    """The market's other facts stand; 0 and 1 dollar are no quotes; a status that is new counts as paused."""
    row = {
        **MARKET,
        "status": "blessed",
        "yes_bid_dollars": "0.0000",
        "yes_bid_size_fp": "3.00",
        "yes_ask_dollars": "1.0000",
        "last_price_dollars": "half",
        "volume_24h_fp": "-1",
        "close_time": "2026-10-01T12:00:00Z",
        "title": "A\u202eB\n",
    }
    network.answer(200, {"markets": [row, {**MARKET, "ticker": "KXA-2", "close_time": "soon"}], "cursor": ""})
    found = await facts(kit, network).fetch_facts(["KXA-1", "KXA-2"])
    assert list(found) == ["KXA-1"]
    market = found["KXA-1"]
    quotes = (market.yes_bid_e4, market.yes_bid_size_e2, market.yes_ask_e4, market.last_e4, market.volume_24h_e2)
    assert quotes == (None,) * 5
    assert market.status == "paused"
    assert market.close_us is not None
    assert not set(market.title) & set("\u202e\n")


async def test_a_search_never_reads_the_whole_exchange(kit: Kit, network: Network) -> None:
    """A listing without an end is left after a few pages, and that there is more is said."""
    pages = 0

    def page(request: httpx.Request) -> httpx.Response:
        nonlocal pages
        pages += 1
        name = "events" if request.url.path.endswith("/events") else "markets"
        return httpx.Response(200, content=msgspec.json.encode({name: [], "cursor": f"page-{pages}"}))

    result = await facts(kit, network.each(page)).search("no such words", only_open=True, limit=50)
    assert (result.markets, result.has_more, pages) == ((), True, PAGES_MAX)
    pages = 0
    result = await facts(kit, network.each(page)).search("KXSERIES", only_open=True, limit=50)
    assert (result.has_more, pages) == (True, 2 * PAGES_MAX)
