"""Composes a market's terms from its market, its event and its series (wire/README.md 4.4, 7, 9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fsm_exec.core.market.terms import MarketStatus, MarketTerms
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import ONE_DOLLAR_E4, PriceE4, PriceGrid, PriceRange, parse_price
from fsm_exec.kalshi.fee_plan import NOTHING_ANNOUNCED, Announcements, fee_plan
from fsm_exec.kalshi.translate import Malformed, malformed_as
from fsm_exec.wire import client_bodies
from fsm_exec.wire.field_values import missing_field, required_text
from fsm_exec.wire.rest import PriceRange as PriceRangeRow

# wire/README.md 7. These are the statuses of a market, not those of the listing's filter.
STATUS_OF_WORD: Final[dict[str, MarketStatus]] = {
    "initialized": "unopened",
    "active": "open",
    "inactive": "paused",
    "closed": "closed",
    "determined": "closed",
    "disputed": "closed",
    "amended": "closed",
    "finalized": "closed",
}
CATEGORY_MAX: Final = 100  # characters that are kept
EXCHANGE_INDEX_MAX: Final = 1_000  # there are four shards; a number beyond it is taken for a mistake


def terms_of(
    market: client_bodies.Market,
    event: client_bodies.Event,
    series: client_bodies.Series,
    now_us: int,
    announced: Announcements = NOTHING_ANNOUNCED,
) -> MarketTerms:
    """Compose the terms; all three must have their names. Raises Malformed for what cannot be right, UserError for fees
    without a published formula."""
    ticker = required_text(market.ticker, "ticker")
    with malformed_as(f"market {ticker[:40]}"):
        word = required_text(market.status, "status")
        ranges = market.price_ranges
        if ranges is None:
            raise missing_field("price_ranges")
    status = STATUS_OF_WORD.get(word)
    if status is None:  # never guessed: a new status may well mean "not now"
        raise Malformed(f"market {ticker[:40]}: status {word[:40]!r} is not known")
    fees = fee_plan(market, event, series, now_us, announced)
    return MarketTerms(
        ticker=ticker,
        series=required_text(series.ticker, "series ticker"),
        event=required_text(event.event_ticker, "event ticker"),
        category=one_line((series.category or "")[:CATEGORY_MAX]),
        status=status,
        grid=grid_of(ticker, ranges),
        fees=fees.now,
        fee_changes=fees.later,
        exchange_index=_exchange_index(ticker, market.exchange_index, event.exchange_index),
    )


def _exchange_index(ticker: str, of_market: int | None, of_event: int | None) -> int:
    """Return the shard of a market (wire/README.md 6.5): its event's where it does not say, else the first one. Raises
    Malformed."""
    index = of_event if of_market is None else of_market
    if index is None:
        return 0
    if not 0 <= index <= EXCHANGE_INDEX_MAX:
        raise Malformed(f"market {ticker[:40]}: exchange_index {str(index)[:20]} is no shard")
    return index


def grid_of(ticker: str, price_ranges: Sequence[PriceRangeRow]) -> PriceGrid:
    """Return the grid of a market's YES prices. Raises Malformed."""
    with malformed_as(f"market {ticker[:40]}: price_ranges"):
        ranges = tuple(PriceRange(parse_price(r.start), parse_price(r.end), parse_price(r.step)) for r in price_ranges)
    if not ranges or any(r.step_e4 <= 0 or r.start_e4 >= r.end_e4 for r in ranges):
        raise Malformed(f"market {ticker[:40]}: price_ranges describe no grid")
    grid = PriceGrid(ranges)
    if grid.floor(PriceE4(ONE_DOLLAR_E4 - 1)) is None:
        raise Malformed(f"market {ticker[:40]}: price_ranges hold no price")
    return grid
