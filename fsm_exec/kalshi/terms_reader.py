"""Reads the terms of markets: each is composed from its market, its event and its series (wire/README.md 4.4, 9).

Many markets cost few calls: the markets come by their tickers in one listing, an event or a series is read once for all
of its markets, and where several events are missing the open events of their series come in one page. What such a page
leaves out is read by name.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import trio

from fsm_exec.core.errors import ExecError, UnitError, UserError, VenueRefused
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, parse_count
from fsm_exec.kalshi import fee_changes, market_terms, translate
from fsm_exec.kalshi.endpoints import Endpoints, decode, readable_rows
from fsm_exec.kalshi.fee_changes import FeeChanges
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import client_bodies as wire
from fsm_exec.wire import raw_listings
from fsm_exec.wire.field_values import required_text
from fsm_exec.wire.markets import MarketRow

Found = TypeVar("Found")
MarketShape = TypeVar("MarketShape", wire.Market, MarketRow)

TICKERS_MAX: Final = 1_000  # rows of one page (wire/README.md 4.4)
TICKERS_CHARS_MAX: Final = 6_000  # of one query: servers refuse request lines beyond 8 KB
EVENTS_ONE_BY_ONE: Final = 2  # so many missing events are read by name; beyond it a page of their series is read
EVENTS_PAGE_ROWS: Final = 200  # the documented maximum

# Watched markets are polled every minute: an older figure means that the exchange did not answer.
VOLUME_GOOD_US: Final = 300_000_000


class TermsReader:
    """Reads and composes terms. `wall_us` is the wall time in unix microseconds: fee waivers end by it."""

    def __init__(self, endpoints: Endpoints, wall_us: Callable[[], int], log: Log) -> None:
        self._endpoints = endpoints
        self._wall_us = wall_us
        self._log = log
        self.fee_changes = FeeChanges(endpoints, wall_us, log)
        self._volumes: dict[str, tuple[int, CountE2]] = {}  # when it was read, and the contracts traded in 24 hours

    def volume_24h(self, ticker: str) -> CountE2 | None:
        """Return the volume of 24 hours as last read with the market; None if that was long ago, or without a
        volume."""
        at_us, volume = self._volumes.get(ticker, (0, None))
        return volume if self._wall_us() - at_us <= VOLUME_GOOD_US else None

    def forget(self, ticker: str) -> None:
        """Forget a market that is not watched any more."""
        self._volumes.pop(ticker, None)

    async def fetch_one(self, ticker: str) -> MarketTerms:
        """Fetch the terms of one market. Raises VenueError, and UserError for an invalid ticker or a market whose fees
        have no formula."""
        _check_tickers([ticker])

        async def read() -> tuple[wire.Market, wire.Event, wire.Series]:
            market = decode(await self._endpoints.fetch(f"/markets/{ticker}"), wire.MarketBody).market
            market.ticker = _checked_name(market.ticker, ticker, "market")
            self._note_volume(ticker, market.volume_24h_fp)
            event = await self._fetch_event(_event_of(market))
            return market, event, await self._fetch_series(_series_of(event))

        found = await self._beside_fee_changes(read)
        return self._terms_of(*found)

    async def _beside_fee_changes(
        self, read: Callable[[], Awaitable[Found]], within_s: float = fee_changes.WITHIN_S
    ) -> Found:
        """Read while what is announced of fees is read, too: it takes no time of its own, or `within_s` at most."""
        found: list[Found] = []
        failed: list[ExecError] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.fee_changes.refresh, within_s)
            try:
                found.append(await read())
            except ExecError as error:  # raised outside of the nursery, which would wrap it up
                failed.append(error)
        if failed:
            raise failed[0]
        return found[0]

    async def fetch_many(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        """Fetch the terms of several markets, by ticker. A market the exchange does not list is left out; so is, with a
        line in the log, one whose terms cannot be read (`fetch_one` raises what is wrong with it). Raises VenueError
        for the listing itself, and UserError for an invalid ticker."""
        return await self._beside_fee_changes(lambda: self._fetch_and_compose(tickers)) if tickers else {}

    async def _fetch_and_compose(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        return await self.compose(await self.fetch_rows(tickers))

    async def compose_with_news(self, markets: Mapping[str, wire.Market]) -> dict[str, MarketTerms]:
        """As `fetch_many`, of markets that were read just now, by one who can wait for what is announced. Raises
        VenueError."""
        return await self._beside_fee_changes(lambda: self.compose(markets), math.inf)

    async def compose(self, markets: Mapping[str, wire.Market]) -> dict[str, MarketTerms]:
        """Compose the terms of markets with their events and series, which are read. What is wrong with one is logged,
        and it is left out. Raises VenueError."""
        names = dict.fromkeys(market.event_ticker for market in markets.values() if market.event_ticker)
        events = await self._fetch_events(names)
        series: dict[str, wire.Series] = {}
        found: dict[str, MarketTerms] = {}
        for ticker, market in markets.items():
            try:
                event = events[_event_of(market)]
                if isinstance(event, Exception):
                    raise event
                name = _series_of(event)
                if name not in series:
                    series[name] = await self._fetch_series(name)
                found[ticker] = self._terms_of(market, event, series[name])
            except (Malformed, VenueRefused, UserError) as error:
                self._log.warning("market_unreadable", ticker=ticker, error=str(error)[:300])
        return found

    async def fetch_rows(self, tickers: Sequence[str]) -> dict[str, wire.Market]:
        """Fetch those of the markets that the exchange lists, by ticker. Raises VenueError, and UserError for an
        invalid ticker."""
        found = await fetch_listed_markets(self._endpoints, tickers, wire.Market, self._log)
        for ticker, row in found.items():
            self._note_volume(ticker, row.volume_24h_fp)
        return found

    def _terms_of(self, market: wire.Market, event: wire.Event, series: wire.Series) -> MarketTerms:
        """Compose the terms, and remember the market's shard for what is written about it."""
        terms = market_terms.terms_of(market, event, series, self._wall_us(), self.fee_changes.known)
        self._endpoints.routes.note_shard(terms.ticker, terms.exchange_index)
        return terms

    def _note_volume(self, ticker: str, text: str | None) -> None:
        """Keep the volume. It is for the record only: one that cannot be read is unknown, and the market is traded all
        the same."""
        if text is not None:
            with suppress(UnitError):
                self._volumes[ticker] = self._wall_us(), parse_count(text)

    async def _fetch_events(self, names: dict[str, None]) -> dict[str, wire.Event | Malformed | VenueRefused]:
        """Fetch each event, or the reason why it cannot be had. Raises VenueUnavailable."""
        found: dict[str, wire.Event | Malformed | VenueRefused] = {}
        searched: set[str] = set()
        for name in names:
            if name in found:
                continue
            try:
                event = found[name] = await self._fetch_event(name)
            except (Malformed, VenueRefused) as error:
                found[name] = error
                continue
            series = event.series_ticker
            if len(names) - len(found) > EVENTS_ONE_BY_ONE and series and series not in searched:
                searched.add(series)
                for each in await self._fetch_open_events(series):
                    if each.event_ticker in names:
                        found.setdefault(each.event_ticker, each)
        return found

    async def _fetch_open_events(self, series_ticker: str) -> list[wire.Event]:
        """Fetch one page of the open events of a series. It only saves requests: if the exchange refuses, the result is
        empty."""
        query = {"series_ticker": series_ticker, "status": "open", "limit": str(EVENTS_PAGE_ROWS)}
        try:
            page = decode(await self._endpoints.fetch("/events", query), raw_listings.RawEventsPage)
        except (Malformed, VenueRefused) as error:
            self._log.info("events_not_listed", series=series_ticker, error=str(error)[:300])
            return []
        return list(readable_rows(page.events, wire.Event, self._log))

    async def _fetch_event(self, name: str) -> wire.Event:
        event = decode(await self._endpoints.fetch(f"/events/{translate.path_part(name)}"), wire.EventBody).event
        event.event_ticker = _checked_name(event.event_ticker, name, "event")
        return event

    async def _fetch_series(self, name: str) -> wire.Series:
        series = decode(await self._endpoints.fetch(f"/series/{translate.path_part(name)}"), wire.SeriesBody).series
        series.ticker = _checked_name(series.ticker, name, "series")
        return series


async def fetch_listed_markets(
    endpoints: Endpoints, tickers: Sequence[str], shape: type[MarketShape], log: Log
) -> dict[str, MarketShape]:
    """Fetch those of the markets that the exchange lists, by ticker, in as few calls as they fit in. Raises VenueError,
    and UserError for an invalid ticker."""
    _check_tickers(tickers)
    wanted = set(tickers)
    found: dict[str, MarketShape] = {}

    def take(content: bytes) -> str | None:
        page = decode(content, raw_listings.RawMarketsPage)
        for row in readable_rows(page.markets, shape, log):
            if not row.ticker:
                log.warning("row_left_out", error="a market: its ticker is missing")
            elif row.ticker in wanted:
                found[row.ticker] = row
        return page.cursor

    for chunk in _chunks(list(dict.fromkeys(tickers))):
        await endpoints.fetch_pages("/markets", {"tickers": ",".join(chunk)}, take, rows=TICKERS_MAX)
    return found


def _checked_name(found: str | None, asked: str, what: str) -> str:
    """Return the name that was asked for. Raises Malformed if the answer bears another one."""
    if found and found != asked:
        raise Malformed(f"asked for {what} {asked}, got {found[:60]!r}")
    return asked


def _event_of(market: wire.Market) -> str:
    with translate.malformed_as(f"market {str(market.ticker)[:40]}"):
        return required_text(market.event_ticker, "event_ticker")


def _series_of(event: wire.Event) -> str:
    with translate.malformed_as(f"event {str(event.event_ticker)[:40]}"):
        return required_text(event.series_ticker, "series_ticker")


def _check_tickers(tickers: Sequence[str]) -> None:
    for ticker in tickers:
        if not translate.is_ticker(ticker):
            raise UserError(f"{ticker[:60]!r} is no market ticker; copy it from the market's page")


def _chunks(tickers: Sequence[str]) -> Iterator[list[str]]:
    """Split the tickers into as many as one request holds."""
    chunk: list[str] = []
    length = 0
    for ticker in tickers:
        if chunk and (len(chunk) == TICKERS_MAX or length + len(ticker) > TICKERS_CHARS_MAX):
            yield chunk
            chunk, length = [], 0
        chunk.append(ticker)
        length += len(ticker) + 1
    if chunk:
        yield chunk
