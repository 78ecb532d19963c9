"""The filters of the public listings, which scanners rely on. A value that is none is refused, not ignored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.paper.support import START_US, TICKER, Stage, header, snapshot, staged, trade

SECOND, OTHER = "KXTEST-26OCT02-A", "KXOTHER-26OCT03-A"
START_S = START_US // 1_000_000
DAY = 86_400


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Three markets: the first open, the second closed and settled, the third, of another series, closing later."""
    async with staged("memory") as stage:
        for ticker in (SECOND, OTHER):
            stage.exchange.add_market(header(ticker))
        for ticker in (TICKER, SECOND, OTHER):
            stage.exchange.apply(ticker, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        markets = stage.exchange.markets
        for day, ticker in enumerate((TICKER, SECOND, OTHER)):
            markets[ticker].opened_us = markets[ticker].updated_us = START_US + day * 86_400_000_000
        stage.exchange.close_market(SECOND)
        stage.exchange.determine_market(SECOND, "yes")
        markets[SECOND].updated_us = START_US + 86_400_000_000
        markets[OTHER].close_us += 86_400_000_000
        yield stage


async def found(stage: Stage, path: str, **query: str) -> dict[str, Any]:
    answer = await stage.http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def markets(stage: Stage, **query: str) -> list[str]:
    return [market["ticker"] for market in (await found(stage, "/markets", **query))["markets"]]


async def events(stage: Stage, **query: str) -> list[str]:
    return [event["event_ticker"] for event in (await found(stage, "/events", **query))["events"]]


@pytest.mark.parametrize(
    ("query", "listed"),
    [
        ({"min_created_ts": START_S}, [OTHER, SECOND]),
        ({"max_created_ts": START_S + DAY}, [TICKER]),
        ({"min_created_ts": START_S - 1, "max_created_ts": START_S + 1}, [TICKER]),
        ({"min_updated_ts": START_S + DAY}, [OTHER]),
        ({"max_updated_ts": START_S + DAY}, [SECOND, TICKER]),
        ({"min_close_ts": START_S + 8 * DAY - 60}, [OTHER]),
        ({"max_close_ts": START_S + 6 * DAY}, [SECOND]),
        ({"min_settled_ts": START_S - 1}, [SECOND]),
        ({"max_settled_ts": START_S + 2}, [SECOND]),
        ({"min_settled_ts": START_S + 2}, []),
        ({"min_settled_ts": START_S - 1, "status": "settled"}, [SECOND]),
        ({"min_created_ts": START_S, "status": "open"}, [OTHER]),
        ({"max_updated_ts": START_S, "series_ticker": "KXTEST", "mve_filter": "exclude"}, [TICKER]),
    ],
)
async def test_markets_are_filtered_by_time(stage: Stage, query: dict[str, object], listed: list[str]) -> None:
    """By creation, change of terms, close and settlement; one that is not settled lies in no span of settlements."""
    assert await markets(stage, **{name: str(value) for name, value in query.items()}) == listed


async def test_trading_changes_no_terms(stage: Stage) -> None:
    """`updated` knows what was changed about a market, not in it."""
    stage.exchange.apply(TICKER, trade("no", "0.47", "1"))
    market = (await found(stage, f"/markets/{TICKER}"))["market"]
    assert market["updated_time"] == market["open_time"]
    stage.exchange.change_grid(TICKER, "deci_cent")
    assert stage.exchange.markets[TICKER].updated_us >= START_US


@pytest.mark.parametrize("bound", ["min", "max"])
@pytest.mark.parametrize("what", ["created", "updated", "close", "settled"])
@pytest.mark.parametrize("value", ["abc", "1.5", "1e3", "٣", "2026-10-01", " 1", "9" * 30])
async def test_a_time_that_is_no_number_is_refused(stage: Stage, bound: str, what: str, value: str) -> None:
    """400 in the shape of a query's error, which names the field."""
    answer = await stage.http.get("/markets", params={f"{bound}_{what}_ts": value})
    assert answer.status_code == 400
    field = f"{bound.title()}{what.title()}Ts"
    assert answer.json()["msg"].startswith(
        f"Parameter validation failed for GetMarkets: Key: 'GetMarketsParams.{field}"
    )


@pytest.mark.parametrize(
    "query",
    [
        {"min_created_ts": "1", "min_close_ts": "1"},
        {"min_created_ts": "1", "status": "closed"},
        {"max_close_ts": "1", "status": "open"},
        {"min_settled_ts": "1", "status": "open"},
        {"min_updated_ts": "1", "status": "open"},
        {"min_updated_ts": "1", "series_ticker": "KXTEST"},
        {"min_updated_ts": "1", "tickers": TICKER},
    ],
)
async def test_filters_that_do_not_go_together(stage: Stage, query: dict[str, str]) -> None:
    """Times of two kinds, or a time beside a status it is not for."""
    assert (await stage.http.get("/markets", params=query)).status_code == 400


async def test_events_are_filtered(stage: Stage) -> None:
    """By status, by name, by series, by the close of one of their markets, by change."""
    first, second, other = "KXTEST-26OCT01", "KXTEST-26OCT02", "KXOTHER-26OCT03"
    assert await events(stage) == [other, second, first]
    assert await events(stage, status="open") == [other, first]
    assert await events(stage, status="settled") == [second]
    assert await events(stage, status="closed") == []
    assert await events(stage, tickers=f"{first},{second}") == [second, first]
    assert await events(stage, series_ticker="KXOTHER") == [other]
    assert await events(stage, min_close_ts=str(START_S + 8 * DAY - 60)) == [other]
    assert await events(stage, min_updated_ts=str(START_S + DAY)) == [other]
    for wrong in ({"status": "paused"}, {"min_close_ts": "x"}, {"min_updated_ts": "x"}, {"with_nested_markets": "x"}):
        assert (await stage.http.get("/events", params=wrong)).status_code == 400


async def test_events_bring_what_is_asked_for(stage: Stage) -> None:
    """Their markets and their milestones, and neither unasked."""
    plain = await found(stage, "/events")
    assert "milestones" not in plain
    assert all("markets" not in event for event in plain["events"])
    full = await found(stage, "/events", with_nested_markets="true", with_milestones="true")
    assert full["milestones"] == []
    assert [[market["ticker"] for market in event["markets"]] for event in full["events"]] == [
        [OTHER],
        [SECOND],
        [TICKER],
    ]


async def test_an_events_markets_are_beside_it_in_it_or_nowhere(stage: Stage) -> None:
    """As asked; both at once is refused."""
    path = "/events/KXTEST-26OCT01"
    beside = await found(stage, path)
    assert [market["ticker"] for market in beside["markets"]] == [TICKER]
    assert "markets" not in beside["event"]
    nested = await found(stage, path, with_nested_markets="true")
    assert (nested["markets"], [market["ticker"] for market in nested["event"]["markets"]]) == ([], [TICKER])
    without = await found(stage, path, exclude_markets="true")
    assert without["markets"] == []
    assert "markets" not in without["event"]
    both = {"with_nested_markets": "true", "exclude_markets": "1"}
    assert (await stage.http.get(path, params=both)).status_code == 400


async def test_series_are_filtered(stage: Stage) -> None:
    """By category, by tag (none has one), by change; with their volume if it is asked for."""

    async def series(**query: str) -> list[str]:
        return [row["ticker"] for row in (await found(stage, "/series", **query))["series"]]

    assert await series() == ["KXTEST", "KXOTHER"]
    assert await series(category="Testing") == ["KXTEST", "KXOTHER"]
    assert await series(category="testing") == []
    assert await series(tags="Soccer") == []
    assert await series(min_updated_ts=str(START_S + DAY)) == ["KXOTHER"]
    stage.exchange.apply(TICKER, trade("no", "0.47", "2"))
    assert "volume_fp" not in (await found(stage, "/series/KXTEST"))["series"]
    assert (await found(stage, "/series/KXTEST", include_volume="true"))["series"]["volume_fp"] == "2.00"
    assert [row["volume_fp"] for row in (await found(stage, "/series", include_volume="true"))["series"]] == [
        "2.00",
        "0.00",
    ]
    assert (await stage.http.get("/series", params={"min_updated_ts": "x"})).status_code == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/events/fee_changes", {"event_fee_changes": [], "cursor": ""}),
        ("/events/multivariate", {"events": [], "cursor": ""}),
        ("/series/fee_changes", {"series_fee_change_arr": []}),
        ("/incentive_programs", {"incentive_programs": [], "next_cursor": ""}),
    ],
)
async def test_words_win_over_names(stage: Stage, path: str, body: dict[str, object]) -> None:
    """A path that is spelt out is no ticker."""
    assert await found(stage, path) == body


async def test_the_candlesticks_of_markets_are_no_market(stage: Stage) -> None:
    """The literal path asks for its own parameters."""
    answer = await stage.http.get("/markets/candlesticks")
    assert answer.status_code == 400
    assert "BatchGetMarketCandlesticks" in answer.json()["msg"]
