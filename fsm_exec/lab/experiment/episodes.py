"""What is tried: moments of a tape at which an order is given, and the conditions all methods find there.

The filters and limits are those of the reference measurements: a start at equal intervals from five minutes after the
opening, where the book is two-sided, not wider than 8 cents and not at the edge of the dollar; every limit price at
most 6 cents above the mid at arrival, unless the experiment says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book, Ladder
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome, PriceGrid
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.matching_engine.price_level import QueueModel
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.venue.incentives import DailyRewards

FIRST_START_US = 300 * US_PER_S  # after the tape's first event: an opening book is not yet a market
LEAD_MIN_US = 2 * US_PER_S
LEAD_LATENCIES = 10  # connecting, signing in and asking for the book are so many ways there and back, and some more
TAIL_US = 10 * US_PER_S  # the tape must go on this long after the deadline: the execution's grace and then some

SPREAD_MAX_E4 = 800
BID_MIN_E4, ASK_MAX_E4 = 500, 9_500
REACH_E4 = 600  # no limit price is further above the floored mid at arrival than this

MakerFee = Literal["0", "1.75", "3.5"]
FEE_TYPES: dict[MakerFee, str] = {
    "0": "quadratic",
    "1.75": "quadratic_with_maker_fees",
    "3.5": "quadratic_with_combo_maker_fees",
}
"""The maker rate in per cent where the taker's is 7 per cent, as the series' `fee_type` says it."""


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment holds equal. `latency_us` is the way from a decision to the match; public frames and answers
    take half of it each. `maker_fee` None: as the tape's own market. `reach_e4` is how far above the floored mid at
    arrival the worst price lies. `fill_model`: which recorded limit orders cross to ours. `fee_multiplier`, a decimal,
    scales all fees; None: as the tape's own market. `rewards`: the programmes that pay in every market."""

    queue_model: QueueModel = "proportional"
    fill_model: FillModel = "recorded"
    latency_us: int = 200_000
    maker_fee: MakerFee | None = None
    reach_e4: int = REACH_E4
    fee_multiplier: str | None = None
    rewards: DailyRewards | None = None

    @property
    def legs(self) -> Latency:
        return Latency(feed_us=self.feed_us, entry_us=self.latency_us, response_us=self.latency_us // 2)

    @property
    def feed_us(self) -> int:
        return self.latency_us // 2

    @property
    def lead_us(self) -> int:
        """How long before the start the engine connects, so that it sees a live book then."""
        return max(LEAD_MIN_US, LEAD_LATENCIES * self.latency_us)


class EpisodeStart(NamedTuple):
    """A moment to give an order at. `opening` is the book when the engine connects, `first` the index of the first
    event after that; `book` is the book at the moment itself."""

    number: int
    at_us: int
    opening: BookSnapshot
    first: int
    book: BookSnapshot

    def has_room(self, tape: Tape, horizon_us: int) -> bool:
        return self.at_us + horizon_us + TAIL_US <= tape.events[-1][0]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for at a start."""

    outcome: Outcome
    quantity_e2: CountE2
    horizon_us: int


def with_fees(tape: Tape, conditions: Conditions) -> Tape:
    """The tape with the conditions' fees, as far as they state any. The maker's is a share of the taker's, so the
    market's multiplier scales both."""
    header = tape.header
    if conditions.maker_fee is not None:
        header = msgspec.structs.replace(header, fee_type=FEE_TYPES[conditions.maker_fee])
    if conditions.fee_multiplier is not None:
        header = msgspec.structs.replace(header, fee_multiplier=Decimal(conditions.fee_multiplier))
    return tape if header is tape.header else msgspec.structs.replace(tape, header=header)


def daily_volume(tape: Tape) -> CountE2:
    """How many contracts a day has at the rate of the whole tape."""
    traded = sum(change.count_e2 for _, change in tape.events if isinstance(change, Trade))
    return CountE2(traded * 86_400 * US_PER_S // max(US_PER_S, tape.length_us))


def find_starts(tape: Tape, every_us: int, conditions: Conditions) -> list[EpisodeStart]:
    """The moments that pass the filters, by the book that an engine sees then. Numbers count from zero."""
    starts: list[EpisodeStart] = []
    last_us = tape.events[-1][0]
    openings, views, books = _Books(tape), _Books(tape), _Books(tape)  # one each: none of them ever has to go back
    at_us = tape.first_us + FIRST_START_US
    while at_us + TAIL_US <= last_us:
        openings.advance(at_us - conditions.lead_us)
        books.advance(at_us)
        if passes_conditions(views.advance(at_us - conditions.feed_us)):
            starts.append(EpisodeStart(len(starts), at_us, openings.stated(), openings.next, books.stated()))
        at_us += every_us
    return starts


def passes_conditions(book: Book) -> bool:
    """Whether an order may be given on this book. The filters are the same from either outcome."""
    bid, ask = book.best_bid("yes"), book.best_ask("yes")
    if bid is None or ask is None:
        return False
    return ask - bid <= SPREAD_MAX_E4 and bid >= BID_MIN_E4 and ask <= ASK_MAX_E4


def limits_at(mid_e5: int, grid: PriceGrid, fees: FeeTerms, reach_e4: int = REACH_E4) -> Limits:
    """The floored mid at arrival is the target, `reach_e4` above it the worst price. `grid` is in the own outcome.

    Raises UserError where the grid has no price at or below the mid.
    """
    target = grid.floor(mid_e5 // 10)
    if target is None:
        raise UserError("the mid is below the lowest price of the grid; use another tape")
    worst = grid.floor(target + reach_e4)
    return resolve_limits(target, grid, fees, worst=target if worst is None else worst)


def events_between(tape: Tape, start: EpisodeStart, until_us: int) -> Iterator[tuple[int, Change]]:
    """What the tape brings after the start's moment, up to and including `until_us`."""
    for index in range(start.first, len(tape.events)):
        at_us, change = tape.events[index]
        if at_us > until_us:
            return
        if at_us > start.at_us:
            yield at_us, change


def ladder(book: BookSnapshot, outcome: Outcome) -> Ladder:
    """The bids of `outcome`, best first."""
    return Book(book.yes, book.no).bids(outcome)


class _Books:
    """The tape's book at one moment after the other. `next` is the index of the first event still to come."""

    def __init__(self, tape: Tape) -> None:
        self._events = tape.events
        self._book = Book()
        self.next = 0

    def advance(self, at_us: int) -> Book:
        """The book once all events up to `at_us` have happened; it changes with the next call."""
        while self.next < len(self._events) and self._events[self.next][0] <= at_us:
            change = self._events[self.next][1]
            match change:
                case BookSnapshot():
                    self._book = Book(change.yes, change.no)
                case BookDelta():
                    self._book.change(change.outcome, change.price_e4, change.delta_e2)
                case Trade():
                    pass
            self.next += 1
        return self._book

    def stated(self) -> BookSnapshot:
        return BookSnapshot(tuple(self._book.yes.items()), tuple(self._book.no.items()))
