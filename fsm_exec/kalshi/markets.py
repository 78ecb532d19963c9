"""Reads public market data: markets, order books, trades, events, series, the exchange's status (wire/README.md 4.4, 5,
7).

Each read raises VenueError. Books over REST may be 15 s old (wire/README.md 4.4): the engine trades on the stream's.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Final

from fsm_exec.core.market.account import PublicTrade
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.incentives import IncentiveListing
from fsm_exec.core.values.units import US_PER_S, parse_count
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode, log_left_out, read_error, readable_rows
from fsm_exec.kalshi.incentives import fetch_incentives
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import ImpossibleRequest, Malformed, malformed_as
from fsm_exec.wire import markets as wire
from fsm_exec.wire import raw_listings
from fsm_exec.wire.client_bodies import BookBody, Books, Ladders
from fsm_exec.wire.field_values import parse_outcome, parse_yes_price
from fsm_exec.wire.rest import error_detail

PAGE_ROWS: Final = 1_000
EVENTS_PAGE_ROWS: Final = 200  # the least of the listings' maxima
DEPTH_MAX: Final = 100
BOOKS_MAX: Final = 100
STATUS_BODIES: Final = frozenset({200, 500, 503, 504})  # wire/README.md 7: the same body comes with each


class KalshiMarkets:
    """The public reads. A row of a listing that cannot be read is left out, with a line in the log."""

    def __init__(self, endpoints: Endpoints, log: Log) -> None:
        self._endpoints = endpoints
        self._log = log

    async def fetch_status(self) -> wire.StatusBody:
        """Fetch whether the exchange is up and trades. A pause answered with 503 is an answer, not a failure."""
        path = "/exchange/status"
        answer = await self._endpoints.fetch_any_status(path)
        if answer.status not in STATUS_BODIES or (answer.status != 200 and error_detail(answer.body).code):
            raise read_error(path, answer)
        try:
            return _status(answer.body)
        except Malformed:
            if answer.status == 200:
                raise
            raise read_error(path, answer) from None

    async def fetch_clock_us(self) -> int | None:
        """Fetch the exchange's clock from the header of an answer: unix microseconds of a whole second that was true
        when the answer was made. None if it sends no such header."""
        answer = await self._endpoints.fetch_any_status("/exchange/status")
        try:
            return round(parsedate_to_datetime(answer.date).timestamp()) * US_PER_S
        except (ValueError, OverflowError):
            return None

    async def fetch_markets(
        self,
        *,
        status: wire.MarketFilter | None = None,
        event: str | None = None,
        series: str | None = None,
        tickers: Sequence[str] = (),
    ) -> tuple[wire.MarketRow, ...]:
        """Fetch all markets of one event, of one series, or those named. Raises ImpossibleRequest unless one of them is
        given: a listing of the whole exchange is never what is wanted."""
        chosen = {"event_ticker": event, "series_ticker": series, "tickers": ",".join(tickers) or None}
        query = {name: value for name, value in chosen.items() if value is not None}
        if not query:
            raise ImpossibleRequest("markets of which event, series or tickers?")
        for ticker in (event, series, *tickers):
            if ticker is not None:
                translate.check_ticker(ticker)
        if status is not None:
            query["status"] = status
        found: dict[str, wire.MarketRow] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, raw_listings.RawMarketsPage)
            found.update((row.ticker, row) for row in readable_rows(page.markets, wire.MarketRow, self._log))
            return page.cursor

        await self._endpoints.fetch_pages("/markets", query, take, rows=PAGE_ROWS)
        return tuple(found.values())

    async def fetch_market(self, ticker: str) -> wire.MarketRow:
        translate.check_ticker(ticker)
        row = decode(await self._endpoints.fetch(f"/markets/{ticker}"), wire.MarketRowBody).market
        if row.ticker != ticker:
            raise Malformed(f"asked for market {ticker}, got {row.ticker[:60]!r}")
        return row

    async def fetch_order_book(self, ticker: str, depth: int = 0) -> Book:
        """Fetch a book: the best `depth` levels a side, 0 for all."""
        translate.check_ticker(ticker)
        if not 0 <= depth <= DEPTH_MAX:
            raise ImpossibleRequest(f"a book of depth {depth}: 0 to {DEPTH_MAX}")
        content = await self._endpoints.fetch(f"/markets/{ticker}/orderbook", {"depth": str(depth)})
        return _book(decode(content, BookBody).orderbook_fp)

    async def fetch_incentives(self) -> IncentiveListing:
        """Fetch the programmes that run now; see `kalshi.incentives`."""
        return await fetch_incentives(self._endpoints, self._log)

    async def fetch_order_books(self, tickers: Sequence[str]) -> dict[str, Book]:
        """Fetch several books, by ticker. A market that the exchange leaves out is not in the result."""
        if not 0 < len(tickers) <= BOOKS_MAX:
            raise ImpossibleRequest(f"{len(tickers)} books at once: 1 to {BOOKS_MAX}")
        for ticker in tickers:
            translate.check_ticker(ticker)
        content = await self._endpoints.fetch("/markets/orderbooks", [("tickers", ticker) for ticker in tickers])
        return {row.ticker: _book(row.orderbook_fp) for row in decode(content, Books).orderbooks}

    async def fetch_trades(
        self, ticker: str, *, since_us: int | None = None, until_us: int | None = None
    ) -> tuple[PublicTrade, ...]:
        """Fetch every trade of one market in a span of time, newest first as the exchange lists them."""
        translate.check_ticker(ticker)
        query = {"ticker": ticker}
        if since_us is not None:
            query["min_ts"] = str(since_us // US_PER_S)
        if until_us is not None:
            query["max_ts"] = str(-(-until_us // US_PER_S))
        found: dict[str, PublicTrade] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, raw_listings.RawTradesPage)
            for raw in page.trades:
                try:
                    trade = _trade(decode(raw, wire.TradeRow))
                except Malformed as error:
                    log_left_out(self._log, raw, error)
                else:
                    found[trade.trade_id] = trade
            return page.cursor

        await self._endpoints.fetch_pages("/markets/trades", query, take, rows=PAGE_ROWS)
        return tuple(found.values())

    async def fetch_events(self, series: str) -> tuple[wire.EventRow, ...]:
        translate.check_ticker(series)
        found: dict[str, wire.EventRow] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, raw_listings.RawEventsPage)
            found.update((row.event_ticker, row) for row in readable_rows(page.events, wire.EventRow, self._log))
            return page.cursor

        await self._endpoints.fetch_pages("/events", {"series_ticker": series}, take, rows=EVENTS_PAGE_ROWS)
        return tuple(found.values())

    async def fetch_series(self, category: str | None = None) -> tuple[wire.SeriesRow, ...]:
        """Fetch all series, with their fees; those of one category if given."""
        query = None if category is None else {"category": category}
        raws = decode(await self._endpoints.fetch("/series", query), wire.SeriesRows).series or ()
        return tuple(readable_rows(raws, wire.SeriesRow, self._log))


def _status(content: bytes) -> wire.StatusBody:
    status = decode(content, wire.StatusBody)
    if status.exchange_active is None and status.trading_active is None:
        raise Malformed("the exchange's status: exchange_active is missing")
    return status


def _book(levels: Ladders) -> Book:
    return Book(translate.levels(levels.yes_dollars), translate.levels(levels.no_dollars))


def _trade(row: wire.TradeRow) -> PublicTrade:
    with malformed_as(f"trade {row.trade_id[:40]}"):
        return PublicTrade(
            trade_id=row.trade_id,
            ticker=row.ticker,
            taker=parse_outcome(row.taker_outcome_side, row.taker_book_side, bought=row.taker_side),
            yes_price_e4=parse_yes_price(row.yes_price_dollars, row.no_price_dollars),
            count_e2=parse_count(row.count_fp),
            at_us=translate.time_us(row.created_time),
            is_block=bool(row.is_block_trade),
        )
