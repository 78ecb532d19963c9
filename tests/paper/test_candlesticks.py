"""Candlesticks: what quotes and prices were, minute by minute, and the paths they are asked for by."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, Outcome, PriceE4
from fsm_exec.paper.matching_engine.candles import Candles
from fsm_exec.paper.tapes.tape import BookDelta
from tests.paper.support import START_US, TICKER, Floor, Stage, delta, header, snapshot, staged, trade

SECOND = "KXTEST-26OCT01-B"
MINUTE_US = 60_000_000
START_S = START_US // 1_000_000 // 60 * 60


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        stage.exchange.add_market(header(SECOND))
        for ticker in (TICKER, SECOND):
            stage.exchange.apply(ticker, snapshot([("0.45", "10"), ("0.47", "3")], [("0.48", "5")]))
        yield stage


def noted(candles: Candles, *, minutes: int = 1, upto: int = 100) -> list[tuple[Any, ...]]:
    """Per candle: its end in minutes, bid and ask as (open, low, high, close), prices, mean, count, price before."""
    found = []
    for candle in candles.between(0, upto * 60, minutes, upto * MINUTE_US):
        bars = [(b.open, b.low, b.high, b.close) for b in (candle.bid, candle.ask)]
        traded = candle.traded
        prices = None if traded is None else (traded.bar.open, traded.bar.low, traded.bar.high, traded.bar.close)
        more = (prices, traded and traded.mean_e4, traded and traded.count_e2, candle.previous_e4, candle.total_e2)
        found.append((candle.end_s // 60, *bars, *more))
    return found


def candles_of_three_minutes() -> Candles:
    """Minute 10: quotes 40/45 that rise to 42/44 and fall to 39/46, trades at 44 (1) and 42 (3). Minute 11: nothing.
    Minute 12: a bid of 50 that leaves again, a trade at 50 (2)."""
    candles = Candles()
    at = 10 * MINUTE_US
    for bid, ask in ((40, 45), (42, 44), (39, 46)):
        candles.record_quotes(PriceE4(bid * 100), PriceE4(ask * 100), at)
    candles.record_trade(PriceE4(4_400), 100, at + 1)
    candles.record_trade(PriceE4(4_200), 300, at + 2)
    at = 12 * MINUTE_US
    candles.record_quotes(PriceE4(5_000), PriceE4(5_100), at)
    candles.record_trade(PriceE4(5_000), 200, at + 1)
    candles.record_quotes(PriceE4(3_900), PriceE4(4_600), at + 2)
    return candles


def test_minutes_begin_where_the_last_one_ended() -> None:
    """The first with no quotes at all; one in which nothing happened is flat and knows the price before."""
    no_bid, no_ask = 0, ONE_DOLLAR_E4
    assert noted(candles_of_three_minutes(), upto=13) == [
        (
            11,
            (no_bid, 0, 4_200, 3_900),
            (no_ask, 4_400, no_ask, 4_600),
            (4_400, 4_200, 4_400, 4_200),
            4_250,
            400,
            None,
            400,
        ),
        (12, (3_900,) * 4, (4_600,) * 4, None, None, None, 4_200, 400),
        (13, (3_900, 3_900, 5_000, 3_900), (4_600, 4_600, 5_100, 4_600), (5_000,) * 4, 5_000, 200, 4_200, 600),
    ]


def test_longer_candles_are_the_minutes_joined() -> None:
    """Four minutes: first open, lowest, highest, last close, the mean over all contracts."""
    (candle,) = noted(candles_of_three_minutes(), minutes=4, upto=12)
    assert candle == (
        12,
        (0, 0, 4_200, 3_900),
        (10_000, 4_400, 10_000, 4_600),
        (4_400, 4_200, 4_400, 4_200),
        4_250,
        400,
        None,
        400,
    )
    (hour,) = noted(candles_of_three_minutes(), minutes=60, upto=60)
    assert hour[1:] == (
        (0, 0, 5_000, 3_900),
        (10_000, 4_400, 10_000, 4_600),
        (4_400, 4_200, 5_000, 5_000),
        4_500,
        600,
        None,
        600,
    )
    assert noted(candles_of_three_minutes(), minutes=4, upto=12) == [candle]  # asking changes nothing


def test_the_future_has_no_candles() -> None:
    """Up to the one that has begun, however far one asks."""
    candles = candles_of_three_minutes()
    assert len(list(candles.between(0, 10**17, 1, 14 * MINUTE_US))) == 5
    assert list(Candles().between(0, 10**17, 1, 14 * MINUTE_US)) == []


async def ask(stage: Stage, path: str, **query: object) -> Any:  # noqa: ANN401 - a body
    asked = {"start_ts": START_S - 60, "end_ts": START_S + 600, "period_interval": 1, **query}
    answer = await stage.http.get(path, params={name: str(value) for name, value in asked.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_markets_candles_tell_quotes_and_trades(stage: Stage) -> None:
    """In dollars; a period without a trade has no price of its own."""
    stage.exchange.apply(TICKER, trade("no", "0.47", "2"))
    stage.exchange.apply(TICKER, delta("yes", "0.47", "-2"))
    body = await ask(stage, f"/series/KXTEST/markets/{TICKER}/candlesticks")
    assert body["ticker"] == TICKER
    (candle,) = body["candlesticks"]
    assert candle["end_period_ts"] == START_S + 60
    assert candle["yes_bid"] == {
        "open_dollars": "0.0000",
        "low_dollars": "0.0000",
        "high_dollars": "0.4700",
        "close_dollars": "0.4700",
    }
    assert candle["yes_ask"]["close_dollars"] == "0.5200"
    assert candle["price"] == {
        "open_dollars": "0.4700",
        "low_dollars": "0.4700",
        "high_dollars": "0.4700",
        "close_dollars": "0.4700",
        "mean_dollars": "0.4700",
    }
    assert (candle["volume_fp"], candle["open_interest_fp"]) == ("2.00", "2.00")
    (quiet,) = (await ask(stage, f"/series/KXTEST/markets/{SECOND}/candlesticks"))["candlesticks"]
    assert (quiet["price"], quiet["volume_fp"]) == ({}, "0.00")


async def test_several_markets_and_an_event(stage: Stage) -> None:
    """Each market by its name, in the order asked for; an event's in lists beside each other."""
    both = await ask(stage, "/markets/candlesticks", market_tickers=f"{SECOND},{TICKER}", period_interval=7)
    assert [row["market_ticker"] for row in both["markets"]] == [SECOND, TICKER]
    event = await ask(stage, "/series/KXTEST/events/KXTEST-26OCT01/candlesticks")
    assert event["market_tickers"] == [TICKER, SECOND]
    assert [len(candles) for candles in event["market_candlesticks"]] == [1, 1]
    assert event["adjusted_end_ts"] == START_S + 600


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        (f"/series/KXTEST/markets/{TICKER}/candlesticks", {"period_interval": "5"}, 400),
        (f"/series/KXTEST/markets/{TICKER}/candlesticks", {"start_ts": ""}, 400),
        (f"/series/KXTEST/markets/{TICKER}/candlesticks", {"end_ts": "soon"}, 400),
        (f"/series/KXTEST/markets/{TICKER}/candlesticks", {"include_latest_before_start": "x"}, 400),
        (f"/series/KXOTHER/markets/{TICKER}/candlesticks", {}, 404),
        ("/series/KXTEST/markets/NONE/candlesticks", {}, 404),
        ("/series/KXTEST/events/NONE/candlesticks", {}, 404),
        ("/markets/candlesticks", {}, 400),
        ("/markets/candlesticks", {"market_tickers": TICKER, "period_interval": "0"}, 400),
        ("/markets/candlesticks", {"market_tickers": ",".join(["X"] * 101)}, 400),
        (f"/historical/markets/{TICKER}/candlesticks", {}, 404),
    ],
)
async def test_what_is_asked_wrongly(stage: Stage, path: str, change: dict[str, str], status: int) -> None:
    """Every parameter is looked at; another series has no such market; nothing lies in history."""
    query = {"start_ts": str(START_S), "end_ts": str(START_S + 60), "period_interval": "1", **change}
    assert (await stage.http.get(path, params=query)).status_code == status


async def test_too_many_candles_are_refused(stage: Stage) -> None:
    """More than an answer holds: shorter, please."""
    stage.exchange.markets[TICKER].candles._minutes = {0: stage.exchange.markets[TICKER].candles._newest}  # years ago
    query = {"start_ts": "0", "end_ts": str(START_S), "period_interval": "1440"}
    answer = await stage.http.get(f"/series/KXTEST/markets/{TICKER}/candlesticks", params=query)
    assert (answer.status_code, "shorter" in answer.text) == (400, True)


def test_every_best_price_is_noted() -> None:
    """Whatever moves the book, the last quote noted is the one it shows: levels come, grow, go, are stated anew."""
    floor = Floor()
    floor.market.opened_us = START_US
    rng = random.Random(11)
    floor.play(snapshot([("0.45", "10")], [("0.48", "5")]))
    for _ in range(400):
        outcome: Outcome = rng.choice(("yes", "no"))
        at = rng.randrange(30, 50)
        shown = floor.market.book.displayed(outcome)
        if rng.random() < 0.1:
            floor.play(snapshot([(f"0.{rng.randrange(10, 50)}", "3")], []))
        elif shown and rng.random() < 0.5:
            price, held = rng.choice(shown)
            floor.play(BookDelta(outcome, price, CountE2(-held)))
        else:
            floor.play(delta(outcome, f"0.{at}", "2"))
        bid, no_bid = floor.market.book.best("yes"), floor.market.book.best("no")
        (*_, last) = floor.market.candles.between(0, 10**17, 1, START_US)
        assert last.bid.close == (0 if bid is None else bid[0])
        assert last.ask.close == (ONE_DOLLAR_E4 if no_bid is None else ONE_DOLLAR_E4 - no_bid[0])
