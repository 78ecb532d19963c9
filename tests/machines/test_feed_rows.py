"""The rows of the market feed, driven through the feed itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, PriceE4
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.own_orders import OwnOrders
from states import TABLES, Row

TERMS = MarketTerms(
    ticker="KXTEST-1",
    series="KXTEST",
    event="KXTEST-E",
    category="Economics",
    status="open",
    grid=LINEAR_CENT,
    fees=FeeTerms(taker_e10=700_000_000, maker_e10=0),
)
LEVEL = (PriceE4(4_000), CountE2(500))
Drive = Callable[[MarketFeed], object]

TO: dict[str, tuple[Drive, ...]] = {
    "disconnected": (),
    "subscribing": (lambda f: f.mark_connected(),),
    "live": (lambda f: f.mark_connected(), lambda f: f.apply_snapshot([LEVEL], [LEVEL], 1)),
}
TO["gapped"] = (*TO["live"], lambda f: f.mark_gap())
TO["stale"] = (*TO["live"], lambda f: f.mark_quiet())

TRIGGER: dict[str, Drive] = {
    "dial": lambda f: f.mark_connected(),
    "snapshot": lambda f: f.apply_snapshot([LEVEL], [], 2),
    "gap": lambda f: f.mark_gap(),
    "quiet": lambda f: f.mark_quiet(),
    "frame": lambda f: f.mark_heard(),
    "lost": lambda f: f.mark_disconnected(),
}


@pytest.mark.parametrize("row", TABLES["market_feed"].rows, ids=str)
async def test_every_row_is_driven_by_what_the_stream_tells(row: Row) -> None:
    """From the row's state, what the stream tells makes exactly this transition, and everybody hears of it."""
    told: list[tuple[str, str, str, str]] = []
    nudges: list[None] = []
    feed = MarketFeed(TERMS, WallClock(0), OwnOrders(), lambda *change: told.append(change))
    for drive in TO[row.source]:
        drive(feed)
    assert feed.state == row.source
    told.clear()
    feed.subscribe("me", lambda: nudges.append(None))
    TRIGGER[row.trigger](feed)
    assert told == [("KXTEST-1", row.source, row.trigger, row.dest)]
    assert feed.state == row.dest
    assert nudges


@pytest.mark.parametrize("state", TABLES["market_feed"].states)
@pytest.mark.parametrize("trigger", TABLES["market_feed"].triggers)
async def test_what_a_state_has_no_row_for_moves_nothing(state: str, trigger: str) -> None:
    """The stream may tell anything at any time; the feed takes what fits its state and never raises."""
    told: list[tuple[str, str, str, str]] = []
    feed = MarketFeed(TERMS, WallClock(0), OwnOrders(), lambda *change: told.append(change))
    for drive in TO[state]:
        drive(feed)
    told.clear()
    TRIGGER[trigger](feed)
    rows = {(row.source, row.trigger, row.dest) for row in TABLES["market_feed"].rows}
    at = state
    for _, source, fired, dest in told:  # a stale feed is live again first: anything at all is a frame
        assert (source, fired, dest) in rows
        assert (source, fired in (trigger, "frame")) == (at, True)
        at = dest
    assert feed.state == at
