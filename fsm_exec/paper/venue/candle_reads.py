"""The bodies of candlesticks: of one market, of several, of an event's."""

from __future__ import annotations

from typing import NamedTuple

from fsm_exec.core.values.units import CountE2, format_count, format_price
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.candles import Bar, Candle
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.venue.event_reads import markets_of
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.public_reads import market_of

CANDLES_MAX = 10_000  # in one answer
MARKETS_MAX = 100


class CandleQuery(NamedTuple):
    """Candles of `minutes` each, whose end lies in the span, both ends included. The one before the start, which may
    be asked for too, needs no place of its own here: candles have no holes, and each names the price before it."""

    start_s: int
    end_s: int
    minutes: int


def of_market(exchange: Exchange, series: str, ticker: str, asked: CandleQuery) -> dict[str, object]:
    market = market_of(exchange, ticker)
    if market.header.series != series:
        raise errors.market_not_found(ticker)
    (candles,) = _candles(exchange, [market], asked)
    return {"ticker": ticker, "candlesticks": candles}


def of_markets(exchange: Exchange, tickers: tuple[str, ...], asked: CandleQuery) -> dict[str, object]:
    markets = [market_of(exchange, ticker) for ticker in dict.fromkeys(tickers)]
    listed = zip(markets, _candles(exchange, markets, asked), strict=True)
    return {"markets": [{"market_ticker": market.ticker, "candlesticks": candles} for market, candles in listed]}


def of_event(exchange: Exchange, series: str, event: str, asked: CandleQuery) -> dict[str, object]:
    markets = markets_of(exchange, event)
    if markets[0].header.series != series:
        raise errors.not_found("event")
    return {
        "market_tickers": [market.ticker for market in markets],
        "market_candlesticks": _candles(exchange, markets, asked),
        "adjusted_end_ts": asked.end_s,
    }


def _candles(exchange: Exchange, markets: list[PaperMarket], asked: CandleQuery) -> list[list[dict[str, object]]]:
    """Raises ApiError 400 for more than one answer may hold."""
    now_us = exchange.timeline.now_us()
    shown = [[_body(c) for c in m.candles.between(*asked, now_us)] for m in markets]
    if sum(map(len, shown)) > CANDLES_MAX:
        raise errors.invalid_parameters(f"more than {CANDLES_MAX} candlesticks; give a shorter time or longer periods")
    return shown


def _body(candle: Candle) -> dict[str, object]:
    """Return a candle's body. A tape does not carry the open interest; the volume stands for it. A price that is
    unknown is left out."""
    traded, previous = candle.traded, candle.previous_e4
    price = {} if traded is None else {**_bar(traded.bar), "mean_dollars": format_price(traded.mean_e4)}
    if previous is not None:
        price["previous_dollars"] = format_price(previous)
    return {
        "end_period_ts": candle.end_s,
        "yes_bid": _bar(candle.bid),
        "yes_ask": _bar(candle.ask),
        "price": price,
        "volume_fp": format_count(CountE2(0 if traded is None else traded.count_e2)),
        "open_interest_fp": format_count(candle.total_e2),
    }


def _bar(bar: Bar) -> dict[str, str]:
    names = {"open_dollars": bar.open, "low_dollars": bar.low, "high_dollars": bar.high, "close_dollars": bar.close}
    return {name: format_price(price) for name, price in names.items()}
