"""A tape: one market's background flow, in time order, in parsed integers. Recorded or generated, drawn beforehand.

Times are unix microseconds of the tape's own; the player moves them to the exchange's clock. In a tape a trade stands
immediately before the decrease it caused: that is what the overlay needs to count it once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from fsm_exec.core.market.book import Book
from fsm_exec.core.market.book import Level as BookLevel
from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid

COPY = "-COPY"  # between a ticker and the number of its copy


class BookSnapshot(msgspec.Struct, frozen=True):
    """Both ladders of bids, each in its own prices."""

    yes: tuple[BookLevel, ...]
    no: tuple[BookLevel, ...]

    def states(self, book: Book) -> bool:
        """Whether it is this very book: the changes before it led there, so nothing was missed."""
        return (dict(self.yes), dict(self.no)) == (book.yes, book.no)


class BookDelta(msgspec.Struct, frozen=True):
    """A signed change of one bid level, in the ladder's own price."""

    outcome: Outcome
    price_e4: PriceE4
    delta_e2: CountE2


class Trade(msgspec.Struct, frozen=True):
    """A taker bought `taker` (for `no`: sold YES)."""

    taker: Outcome
    yes_price_e4: PriceE4
    count_e2: CountE2


Change: TypeAlias = BookSnapshot | BookDelta | Trade
TapeEvent: TypeAlias = tuple[int, Change]


class TapeHeader(msgspec.Struct, frozen=True, kw_only=True):
    ticker: str
    series: str
    event: str
    category: str
    title: str
    price_level_structure: str
    grid: PriceGrid
    fee_type: str = "quadratic"
    fee_multiplier: Decimal = Decimal(1)


class Tape(msgspec.Struct, frozen=True):
    """`events` ascend in time and start with a snapshot. `cut_off`: of a recording that ends in the middle of a line,
    as a crash leaves it; these are the frames before."""

    header: TapeHeader
    events: tuple[TapeEvent, ...]
    cut_off: bool = False

    @property
    def first_us(self) -> int:
        return self.events[0][0]

    @property
    def length_us(self) -> int:
        return self.events[-1][0] - self.events[0][0]


def copies(tape: Tape, number: int) -> list[Tape]:
    """The tape and further markets that play the same: who trades in one meets nobody from another."""
    ticker = tape.header.ticker
    others = [replace(tape.header, ticker=f"{ticker}{COPY}{copy}") for copy in range(2, number + 1)]
    return [tape, *(replace(tape, header=header) for header in others)]


def ticker_of_tape(ticker: str) -> str:
    """The market that a copy of it plays; other tickers as they are."""
    original, found, number = ticker.rpartition(COPY)
    return original if found and number.isdecimal() else ticker


def tape_header(
    ticker: str, structure: str, *, category: str, title: str = "", fee_type: str = "quadratic"
) -> TapeHeader:
    """A header with series and event read off the ticker (SERIES-EVENT-MARKET)."""
    parts = ticker.split("-")
    return TapeHeader(
        ticker=ticker,
        series=parts[0],
        event="-".join(parts[:-1]) or ticker,
        category=category,
        title=title or ticker,
        price_level_structure=structure,
        grid=grid_of(structure),
        fee_type=fee_type,
    )
