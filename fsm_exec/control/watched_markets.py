"""Markets for the control API: watched while somebody asks about them or works them, searched, their books read.

A market that is asked about is watched, so that its book is that of now, and dropped again when nobody has worked it
for a while. When too many are watched already its book comes from a listing, which may be 15 s old.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final, NoReturn

import trio

from fsm_exec.control.market_schema import (
    BookLevel,
    BookQuery,
    FeesFrom,
    MarketBook,
    MarketLine,
    MarketList,
    MarketsQuery,
)
from fsm_exec.core.algorithm.market_view import mid_of
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.market.account import MarketFacts
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import (
    CountE2,
    Outcome,
    PriceE4,
    complement,
    format_count,
    format_fixed,
    format_price,
    opposite,
)
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.feed import MarketFeed

BOOK_WAIT_S: Final = 5.0  # for the first book of a market that was not watched before: the arrival is measured by it
IDLE_S: Final = 600.0
IDLE_LOOK_S: Final = 30.0
LOOKED_AT_MAX: Final = 50  # of watched markets: beyond them only what is worked is watched
MID_DECIMALS: Final = 5
RATE_DECIMALS: Final = 10


class WatchedMarkets:
    """`reads` asks the exchange, `engine` watches the markets."""

    def __init__(self, engine: Engine, reads: AccountReads, wall: WallClock) -> None:
        self._engine, self._reads, self._wall = engine, reads, wall
        self._names = itertools.count(1)
        self._held: Counter[str] = Counter()  # markets of what is being accepted or asked about

    @property
    def held(self) -> int:
        """Return how many hold a market at the moment."""
        return self._held.total()

    @contextmanager
    def hold(self, ticker: str) -> Iterator[None]:
        """Keep a market watched, once it is, while the block runs."""
        self._held[ticker] += 1
        try:
            yield
        finally:
            self._held[ticker] -= 1
            if not self._held[ticker]:
                del self._held[ticker]

    async def open(self, ticker: str) -> MarketFeed:
        """Watch a market, and wait a little for its book. Raises as the engine does for a market it cannot watch."""
        await self._engine.open_market(ticker)
        feed = self._engine.feeds[ticker]
        with trio.move_on_after(BOOK_WAIT_S):
            await self._wait_until_live(feed)
        return feed

    async def _wait_until_live(self, feed: MarketFeed) -> None:
        changed = trio.Event()
        name = f"submission {next(self._names)}"
        feed.subscribe(name, lambda: changed.set())
        try:
            while feed.state != "live":
                await changed.wait()
                changed = trio.Event()
        finally:
            feed.unsubscribe(name)

    async def close_idle(self) -> NoReturn:
        """Close markets that no execution has worked for IDLE_S, for ever."""
        idle_since_s: dict[str, float] = {}
        while True:
            await trio.sleep(IDLE_LOOK_S)
            worked = {actor.execution.terms.ticker for actor in self._engine.actors.values()}
            for ticker in list(self._engine.feeds):
                if ticker in worked or self._held[ticker]:
                    idle_since_s.pop(ticker, None)
                elif trio.current_time() - idle_since_s.setdefault(ticker, trio.current_time()) >= IDLE_S:
                    del idle_since_s[ticker]
                    self._engine.close_market(ticker)

    async def search(self, query: MarketsQuery) -> MarketList:
        """Find markets. Raises VenueError."""
        found = await self._reads.search_markets(query.search, only_open=not query.closed, limit=query.limit)
        return MarketList(markets=[line_of(facts) for facts in found.markets], has_more=found.has_more)

    async def load_facts(self, ticker: str) -> MarketFacts | None:
        """Read what the exchange says of a market; None for one it does not list. Raises VenueError."""
        return (await self._reads.fetch_market_facts([ticker])).get(ticker)

    async def book(self, ticker: str, query: BookQuery) -> MarketBook:
        """Read a book in the terms of one outcome. Raises VenueError, and UserError for a market there is none of."""
        facts = await self.load_facts(ticker)
        with self.hold(ticker):
            feed = await self._watch_to_look(ticker, facts)
            is_live = feed is not None and feed.state == "live"
            book = feed.book if feed is not None and is_live else await self._reads.fetch_order_book(ticker)
        other = opposite(query.outcome)
        own_bids, own_asks = (self._engine.own_levels(ticker, outcome) for outcome in (query.outcome, other))
        bids = _levels(book, query.outcome, query.levels, own_bids)
        asks = _levels(book, other, query.levels, own_asks)
        asks = [(complement(price), count, own) for price, count, own in asks]
        two_sided = bool(bids and asks)
        return MarketBook(
            ticker=ticker,
            outcome=query.outcome,
            at=to_iso(self._wall.now_us()),
            source="stream" if is_live else "listing",
            bids=[_level_of(*level) for level in bids],
            asks=[_level_of(*level) for level in asks],
            spread=format_price(PriceE4(asks[0][0] - bids[0][0])) if two_sided else None,
            mid=format_fixed(mid_of(bids[0][0], asks[0][0]), MID_DECIMALS) if two_sided else None,
            market=None if facts is None else line_of(facts),
            fee_changes=[] if feed is None else fees_announced(feed.terms, self._wall.now_us()),
        )

    async def _watch_to_look(self, ticker: str, facts: MarketFacts | None) -> MarketFeed | None:
        """Watch a market that trades, unless so many are watched already; None: its book must be read."""
        if ticker not in self._engine.feeds and len(self._engine.feeds) >= LOOKED_AT_MAX:
            return None
        if facts is not None and facts.status not in ("open", "paused"):
            return None
        return await self.open(ticker)


def fees_announced(terms: MarketTerms, from_us: int, until_us: int | None = None) -> list[FeesFrom]:
    """Return what is announced of a market's fees after `from_us`, as text."""
    return [
        FeesFrom(
            at=to_iso(change.at_us),
            taker=None if change.fees is None else _rate(change.fees.taker_e10),
            maker=None if change.fees is None else _rate(change.fees.maker_e10),
        )
        for change in terms.fee_changes
        if change.at_us > from_us and (until_us is None or change.at_us <= until_us)
    ]


def _rate(rate_e10: int) -> str:
    return format_fixed(rate_e10, RATE_DECIMALS)


def line_of(facts: MarketFacts) -> MarketLine:
    """Return the facts of a market as text."""
    return MarketLine(
        ticker=facts.ticker,
        title=facts.title,
        event=facts.event,
        status=facts.status,
        bid=None if facts.yes_bid_e4 is None else format_price(facts.yes_bid_e4),
        bid_size=None if facts.yes_bid_size_e2 is None else format_count(facts.yes_bid_size_e2),
        ask=None if facts.yes_ask_e4 is None else format_price(facts.yes_ask_e4),
        ask_size=None if facts.yes_ask_size_e2 is None else format_count(facts.yes_ask_size_e2),
        last=None if facts.last_e4 is None else format_price(facts.last_e4),
        volume_24h=None if facts.volume_24h_e2 is None else format_count(facts.volume_24h_e2),
        closes_at=None if facts.close_us is None else to_iso(facts.close_us),
    )


def _levels(
    book: Book, outcome: Outcome, depth: int, own: Mapping[PriceE4, CountE2]
) -> list[tuple[PriceE4, CountE2, CountE2]]:
    return [(price, count, CountE2(min(count, own.get(price, 0)))) for price, count in book.bids(outcome, depth)]


def _level_of(price: PriceE4, count: CountE2, own: CountE2) -> BookLevel:
    return BookLevel(price=format_price(price), quantity=format_count(count), own=format_count(own))
