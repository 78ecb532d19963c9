"""The terms of many markets cost few calls, and one market that is not as it should be spoils no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import msgspec
import pytest

from fsm_exec.core.errors import UserError, VenueUnavailable
from fsm_exec.kalshi.terms_reader import TICKERS_CHARS_MAX, TICKERS_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kalshi.conftest import Kit, Network

PREFIX = "/trade-api/v2"
GRID = [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]


def market(ticker: str, event: str, **changes: object) -> dict[str, Any]:
    return {"ticker": ticker, "event_ticker": event, "status": "active", "price_ranges": GRID, **changes}


class Directory:
    """Markets of series KXS, as the exchange lists them; keeps the paths that were asked for."""

    def __init__(self, network: Network, markets: list[object], *, events_listed: bool = True) -> None:
        self.markets = markets
        self.events_listed = events_listed
        self.asked: list[str] = []
        self.queries: list[str] = []
        network.each(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix(PREFIX)
        self.asked.append(path)
        self.queries.append(request.url.params.get("tickers", ""))
        body = self._body(path, request.url.params)
        return httpx.Response(404 if body is None else 200, content=msgspec.json.encode(body or {}))

    def _body(self, path: str, query: Mapping[str, str]) -> dict[str, object] | None:
        first, name = path.strip("/").split("/")[0], path.strip("/").partition("/")[2]
        if first == "markets":
            named = query["tickers"].split(",")
            return {"markets": [m for m in self.markets if not isinstance(m, dict) or m.get("ticker") in named]}
        if first == "series":
            return {"series": {"ticker": name, "category": "C", "fee_type": "quadratic", "fee_multiplier": 1}}
        if not name:
            events = sorted({m["event_ticker"] for m in self.markets if isinstance(m, dict)})
            rows = [{"event_ticker": event, "series_ticker": "KXS"} for event in events]
            return {"events": rows if self.events_listed else [], "cursor": "more"}
        return {"event": {"event_ticker": name, "series_ticker": "KXS"}} if name.startswith("KXS") else None


async def test_twenty_markets_of_one_event_cost_three_calls(kit: Kit, network: Network) -> None:
    """The listing, the event, the series."""
    names = [f"KXS-1-{number}" for number in range(20)]
    directory = Directory(network, [market(name, "KXS-1") for name in names])
    found = await kit.rest(network).fetch_markets(names)
    assert sorted(found) == sorted(names)
    assert found[names[0]].status == "open"
    assert (found[names[0]].event, found[names[0]].series) == ("KXS-1", "KXS")
    assert directory.asked == ["/markets", "/events/KXS-1", "/series/KXS"]


@pytest.mark.parametrize(("listed", "calls"), [(True, 4), (False, 23)])
async def test_twenty_markets_of_twenty_events_cost_four(kit: Kit, network: Network, listed: bool, calls: int) -> None:
    """The events of a series come in one page; what the page leaves out is read by name."""
    names = [f"KXS-{number}-A" for number in range(20)]
    directory = Directory(network, [market(name, name[:-2]) for name in names], events_listed=listed)
    assert sorted(await kit.rest(network).fetch_markets(names)) == sorted(names)
    assert len(directory.asked) == calls


async def test_a_market_that_cannot_be_had_is_left_out(kit: Kit, network: Network) -> None:
    """Unknown, without a grid, of a new kind of status, of an event that is gone, not asked for, no row at all: each is
    missing, the good one is there, and the log names what could not be read."""
    rows: list[object] = [
        market("KXS-1-GOOD", "KXS-1"),
        market("KXS-1-BARE", "KXS-1", price_ranges=[]),
        market("KXS-1-NEW", "KXS-1", status="melted"),
        market("KXT-1-LOST", "KXT-1"),
        {"ticker": "KXS-1-HALF"},
        7,
    ]
    Directory(network, rows)
    asked = ["KXS-1-GOOD", "KXS-1-BARE", "KXS-1-NEW", "KXT-1-LOST", "KXS-1-HALF", "KXS-1-NONE"]
    assert list(await kit.rest(network).fetch_markets(asked)) == ["KXS-1-GOOD"]
    said = "\n".join(kit.log.lines)
    assert all(name in said for name in ("KXS-1-BARE", "KXS-1-NEW", "KXT-1-LOST", "KXS-1-HALF"))


async def test_a_query_stays_within_what_servers_take(kit: Kit, network: Network) -> None:
    """Many markets are asked for in several requests, each of bounded length, each market once."""
    names = [f"KXS-1-{number:04}{'X' * 20}" for number in range(1_200)]
    directory = Directory(network, [market(name, "KXS-1") for name in names])
    assert len(await kit.rest(network).fetch_markets([*names, names[0]])) == 1_200
    queries = [query for query in directory.queries if query]
    assert sorted(name for query in queries for name in query.split(",")) == sorted(names)
    assert max(len(query) for query in queries) <= TICKERS_CHARS_MAX
    assert max(query.count(",") for query in queries) < TICKERS_MAX


async def test_no_market_asks_for_nothing(kit: Kit, network: Network) -> None:
    """An empty list is an empty answer: without names the exchange would list everything."""
    assert await kit.rest(network).fetch_markets([]) == {}
    assert network.requests == []


async def test_a_listing_that_fails_is_an_error(kit: Kit, network: Network) -> None:
    """An exchange that does not answer is not one that knows none of the markets."""
    network.answer(503, b"")
    with pytest.raises(VenueUnavailable):
        await kit.rest(network).fetch_markets(["KXS-1-A"])
    with pytest.raises(UserError, match="no market ticker"):
        await kit.rest(network).fetch_markets(["KXS-1-A", "a/b"])
