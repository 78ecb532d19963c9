"""What profit and positions need beside the books: which markets there are, and the last prices that were stored of
them. Each of these reads is short: an engine saves nothing while one of them runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import Profit, profit_of
from fsm_exec.core.account.rows import MarketHolding, holding_of
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.ladder_codec import decode_ladder
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import parse_fixed
from fsm_exec.store.damaged_rows import decode_column, decode_rows, text_of
from fsm_exec.store.reads.account_reads import load_all_books, load_books

_EACH: Final = (  # by index from one ticker to the next: as many steps as there are markets, not rows
    "{name} (ticker) AS (SELECT min(ticker) FROM {table} UNION ALL SELECT (SELECT min(ticker) FROM {table} later "
    "WHERE later.ticker > {name}.ticker) FROM {name} WHERE {name}.ticker IS NOT NULL)"
)
_TABLES: Final = {"worked": "execution_state", "by_hand": "account_fills", "taken_over": "account_adjustments"}
_WITH_TICKERS: Final = (*_TABLES, "account_openings", "settlements")
_TRADED: Final = (
    f"WITH RECURSIVE {', '.join(_EACH.format(name=name, table=table) for name, table in _TABLES.items())} "
    f"SELECT ticker FROM ({' UNION '.join(f'SELECT ticker FROM {name}' for name in _WITH_TICKERS)}) "
    "WHERE ticker IS NOT NULL ORDER BY ticker"
)
LAST_BOOK: Final = (
    "SELECT b.id, b.ticker, b.taken_at, b.yes_depth, b.no_depth, m.taker_fee_rate, m.maker_fee_rate "
    "FROM order_book_snapshots b JOIN markets m USING (ticker) WHERE b.ticker = :ticker "
    "ORDER BY b.taken_at DESC LIMIT 1"
)


def load_traded_tickers(connection: sqlite3.Connection) -> list[str]:
    """Load the tickers of all markets that may have books, in their order."""
    return [str(ticker) for (ticker,) in connection.execute(_TRADED)]


def load_holding(connection: sqlite3.Connection, ticker: str, damage: list[str]) -> MarketHolding | None:
    """Load what the books of one market come to; None: there is nothing in them. What is damaged is left out and named
    in `damage`."""
    books = load_books(connection, ticker, damage)
    return holding_of(books) if books.entries or books.settlement is not None else None


def load_stored_marks(
    connection: sqlite3.Connection, tickers: Sequence[str], damage: list[str] | None = None
) -> dict[str, Mark]:
    """Load the last stored book of each of these markets, by ticker; those of which none is stored are not in it. What
    is damaged is named in `damage`; without it the first raises DamagedRow."""
    return {mark.ticker: mark for mark in decode_rows(_last_books(connection, tickers), _mark, damage)}


def _last_books(connection: sqlite3.Connection, tickers: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for ticker in tickers:
        yield from connection.execute(LAST_BOOK, {"ticker": ticker})


def _mark(row: tuple[Any, ...]) -> Mark:
    number, ticker, taken_at, yes_depth, no_depth, taker, maker = row
    table = "order_book_snapshots"
    yes, no = (
        decode_column(table, number, name, decode_ladder, text_of(table, number, name, depth).encode())
        for name, depth in (("yes_depth", yes_depth), ("no_depth", no_depth))
    )
    book = Book(yes, no)
    rates = (
        decode_column("markets", ticker, name, lambda text: parse_fixed(text, 10), rate)
        for name, rate in (("taker_fee_rate", taker), ("maker_fee_rate", maker))
    )
    return Mark(
        ticker=text_of(table, number, "ticker", ticker),
        yes_bids=book.bids("yes"),
        no_bids=book.bids("no"),
        fees=FeeTerms(*rates),
        at_us=decode_column(table, number, "taken_at", from_iso, taken_at),
        source="stored",
    )


def load_profit(connection: sqlite3.Connection, time_zone: str = "UTC", damage: list[str] | None = None) -> Profit:
    """Reckon the profit of a database that no engine has open, at the last prices that are stored. What is damaged is
    left out and named in `damage`; without it the first raises DamagedRow. Raises UserError for a time zone."""
    books = list(load_all_books(connection, damage))
    marks = load_stored_marks(connection, [one.ticker for one in books if one.settlement is None], damage)
    return profit_of(books, marks, time_zone)
