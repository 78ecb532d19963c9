"""What one decision saw. Built by the runtime, carried whole inside the event, never updated."""

from __future__ import annotations

import msgspec

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import PriceE4, PriceGrid

VIEW_DEPTH_LEVELS = 10


class MarketView(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One market from one outcome at one moment, with all resting size of this account removed.

    `bids` and `asks` are the best ten levels, best first. `mid_e5` and `spread_e4` are those of the last two-sided book
    (None before the first). `own_other_best_e4` is our own best bid for the other outcome, in its own terms. `feed` is
    the state of the market_feed machine; nothing in a view can be trusted unless it is "live". `write_tokens_left` is
    what the account's rate budget still holds (None: not counted). `signals` is everything smoothed over time (None:
    this market is not observed).
    """

    at_us: int
    book_seq: int
    feed: str
    feed_age_us: int
    status: MarketStatus
    grid: PriceGrid
    bids: Ladder
    asks: Ladder
    mid_e5: int | None
    spread_e4: int | None
    own_other_best_e4: PriceE4 | None = None
    write_tokens_left: int | None = None
    signals: Signals | None = None

    @property
    def is_tradable(self) -> bool:
        return self.feed == "live" and self.status == "open"

    @property
    def is_two_sided(self) -> bool:
        return bool(self.bids and self.asks)

    @property
    def best_bid(self) -> PriceE4 | None:
        return self.bids[0][0] if self.bids else None

    @property
    def best_ask(self) -> PriceE4 | None:
        return self.asks[0][0] if self.asks else None

    @property
    def trusted_mid_e5(self) -> int | None:
        """The mid of this very book; None if the feed is not live or the book one-sided."""
        if self.feed != "live" or not self.is_two_sided:
            return None
        return mid_of(self.bids[0][0], self.asks[0][0])


def mid_of(bid: PriceE4, ask: PriceE4) -> int:
    """(bid + ask) / 2 in 10^-5 dollars: exact, because two prices of four decimals add up."""
    return (bid + ask) * 5
