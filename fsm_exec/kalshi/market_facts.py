"""Reads what a person or the account's keeper asks of markets: their facts, a search, and how an event's markets hang
together (wire/README.md 4.4).

A row that cannot be read is left out, with a line in the log. A quote that cannot be read is no quote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.market.account import EventShape, MarketFacts, MarketSearch
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, PriceE4, parse_count, parse_price
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode, readable_rows
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.market_terms import STATUS_OF_WORD
from fsm_exec.kalshi.terms_reader import fetch_listed_markets
from fsm_exec.kalshi.translate import Malformed, malformed_as, time_us
from fsm_exec.wire import markets as wire
from fsm_exec.wire.field_values import missing_field, required_text
from fsm_exec.wire.raw_listings import RawEventsPage, RawMarketsPage

PAGES_MAX: Final = 5  # of one search; what they leave out is said
MARKET_ROWS: Final = 1_000
EVENT_ROWS: Final = 100  # with their markets: some megabytes
SEARCH_MAX: Final = 1_000
TEXT_MAX: Final = 200  # characters of a title, and of a search
MUTUALLY_EXCLUSIVE: Final = "MECNET"

Value = TypeVar("Value")


class MarketFactsReader:
    """Reads facts. Every call raises VenueError, and UserError for what cannot be asked."""

    def __init__(self, endpoints: Endpoints, log: Log) -> None:
        self._endpoints = endpoints
        self._log = log

    async def fetch_facts(self, tickers: Sequence[str]) -> dict[str, MarketFacts]:
        """Fetch the facts of those of the markets that the exchange lists, by ticker."""
        rows = await fetch_listed_markets(self._endpoints, tickers, wire.MarketRow, self._log)
        return {facts.ticker: facts for facts in self._readable(rows.values())}

    async def fetch_event_shape(self, event: str) -> EventShape:
        """Fetch how the markets of an event hang together. An event that does not say whether they exclude each other
        is read as if they did not: then nothing sets one of them off against another."""
        if not translate.is_ticker(event):
            raise UserError(f"{event[:60]!r} is no event ticker; copy it from the event's page")
        content = await self._endpoints.fetch(f"/events/{event}", {"with_nested_markets": "true"})
        body = decode(content, wire.EventWithMarketsBody)
        found = body.event
        with malformed_as(f"event {event}"):
            if found.event_ticker != event:
                raise Malformed(f"got event {found.event_ticker[:60]!r}")
            raws = found.markets or body.markets
            if not raws:
                raise missing_field("markets")
            exclusive = found.mutually_exclusive
            if exclusive is None:
                exclusive = found.collateral_return_type == MUTUALLY_EXCLUSIVE
            return EventShape(
                event=event,
                series=one_line(required_text(found.series_ticker, "series_ticker")),
                mutually_exclusive=exclusive,
                tickers=tuple(dict.fromkeys(decode(raw, wire.TickerOnly).ticker for raw in raws)),
            )

    async def search(self, text: str, *, only_open: bool, limit: int) -> MarketSearch:
        """Search markets: by ticker, else by the words of their titles. At most PAGES_MAX pages of a listing are read;
        the exchange itself cannot search by words."""
        words = text.split()
        if len(text) > TEXT_MAX:
            raise UserError(f"a search of {len(text)} characters: at most {TEXT_MAX}")
        if not 1 <= limit <= SEARCH_MAX:
            raise UserError(f"{limit} markets at most: the limit must be 1 to {SEARCH_MAX}")
        filters = {"status": "open"} if only_open else {}
        if not words:
            return await self._search_listing({**filters, "mve_filter": "exclude"}, "", limit, pages=1)
        if len(words) == 1 and translate.is_ticker(words[0]):
            name = words[0].upper()
            named: list[Mapping[str, str]] = [{"tickers": name}] if "-" in name else []
            named += [{"event_ticker": name}] if "-" in name else []
            for query in [*named, {"series_ticker": name.partition("-")[0]}]:
                prefix = name if "series_ticker" in query else ""
                # A market that is named whole is shown however it stands.
                found = await self._search_listing(query if "tickers" in query else {**filters, **query}, prefix, limit)
                if found.markets:
                    return found
        return await self._search_events(filters, [word.casefold() for word in words], limit, only_open=only_open)

    async def _search_listing(
        self, query: Mapping[str, str], prefix: str, limit: int, *, pages: int = PAGES_MAX
    ) -> MarketSearch:
        found: dict[str, MarketFacts] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, RawMarketsPage)
            rows = readable_rows(page.markets, wire.MarketRow, self._log)
            for facts in self._readable(row for row in rows if row.ticker.startswith(prefix)):
                found[facts.ticker] = facts
            return page.cursor

        rows = MARKET_ROWS if prefix or pages > 1 else limit
        has_more = await self._read_pages("/markets", query, take, rows, pages, lambda: len(found) >= limit)
        return MarketSearch(markets=tuple(found.values())[:limit], has_more=has_more or len(found) > limit)

    async def _search_events(
        self, filters: Mapping[str, str], words: Sequence[str], limit: int, *, only_open: bool
    ) -> MarketSearch:
        found: dict[str, MarketFacts] = {}

        def take(content: bytes) -> str | None:
            page = decode(content, RawEventsPage)
            for event in readable_rows(page.events, wire.EventWithMarkets, self._log):
                about = " ".join(filter(None, (event.event_ticker, event.title, event.sub_title)))
                rows = readable_rows(event.markets or (), wire.MarketRow, self._log)
                for facts in self._readable(rows, event.title or ""):
                    said = f"{about} {facts.ticker} {facts.title}".casefold()
                    if all(word in said for word in words) and (facts.status == "open" or not only_open):
                        found[facts.ticker] = facts
            return page.cursor

        query = {**filters, "with_nested_markets": "true"}
        has_more = await self._read_pages("/events", query, take, EVENT_ROWS, PAGES_MAX, lambda: len(found) >= limit)
        return MarketSearch(markets=tuple(found.values())[:limit], has_more=has_more or len(found) > limit)

    async def _read_pages(
        self,
        path: str,
        query: Mapping[str, str],
        take: Callable[[bytes], str | None],
        rows: int,
        pages: int,
        is_enough: Callable[[], bool],
    ) -> bool:
        """Read pages until the last, until `pages` of them or until it is enough. Returns whether there are more."""
        asked = {**query, "limit": str(self._endpoints.page_rows(path, rows))}
        cursor: str | None = None
        for _ in range(pages):
            cursor = take(await self._endpoints.fetch(path, {**asked, "cursor": cursor} if cursor else asked))
            if not cursor or is_enough():
                break
        return bool(cursor)

    def _readable(self, rows: Iterable[wire.MarketRow], event_title: str = "") -> Iterator[MarketFacts]:
        for row in rows:
            try:
                yield market_facts(row, event_title)
            except Malformed as error:
                self._log.warning("row_left_out", error=str(error)[:300])


def market_facts(row: wire.MarketRow, event_title: str = "") -> MarketFacts:
    """Return the facts of a listed market. Raises Malformed for one that has no ticker, event or status, or times that
    cannot be read; a status that is not known counts as paused."""
    with malformed_as(f"market {row.ticker[:40]}"):
        if not translate.is_ticker(row.ticker):
            raise Malformed("its name is no ticker")
        word = required_text(row.status, "status")
        return MarketFacts(
            ticker=row.ticker,
            title=_title(row, event_title),
            event=one_line(required_text(row.event_ticker, "event_ticker")),
            status=STATUS_OF_WORD.get(word, "paused"),
            yes_bid_e4=_quote(row.yes_bid_dollars),
            yes_bid_size_e2=_size(row.yes_bid_dollars, row.yes_bid_size_fp),
            yes_ask_e4=_quote(row.yes_ask_dollars),
            yes_ask_size_e2=_size(row.yes_ask_dollars, row.yes_ask_size_fp),
            last_e4=_quote(row.last_price_dollars),
            volume_24h_e2=_parsed(parse_count, row.volume_24h_fp),
            close_us=time_us(row.close_time) if row.close_time else None,
            determination_us=time_us(row.expected_expiration_time) if row.expected_expiration_time else None,
            result=one_line((row.result or "")[:TEXT_MAX]) or None,
            settlement_value_e4=_parsed(parse_price, row.settlement_value_dollars),
            is_settled=word == "finalized",
        )


def _title(row: wire.MarketRow, event_title: str) -> str:
    title = row.title or event_title
    outcome = row.yes_sub_title or ""
    if outcome and outcome not in title:
        title = f"{title}: {outcome}" if title else outcome
    return one_line(title[:TEXT_MAX])


def _quote(text: str | None) -> PriceE4 | None:
    """A price of 0 or of 1 dollar is no quote."""
    price = _parsed(parse_price, text)
    return price if price is not None and 0 < price < ONE_DOLLAR_E4 else None


def _size(price: str | None, text: str | None) -> CountE2 | None:
    return None if _quote(price) is None else _parsed(parse_count, text)


def _parsed(parse: Callable[[str], Value], text: str | None) -> Value | None:
    """Return None for a value that is left out or cannot be read: a quote is for the record, no order depends on it."""
    try:
        return None if text is None else parse(text)
    except UnitError:
        return None
