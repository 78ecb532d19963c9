"""A book as the frame of a snapshot: for recordings that begin, or go on after a gap, where the exchange sent none."""

from __future__ import annotations

import msgspec

from fsm_exec.core.market.book import Book
from fsm_exec.core.values.units import Outcome, format_count, format_price


def book_frame(ticker: str, book: Book) -> bytes:
    """The frame as the exchange would have sent it: ladders ascend, an empty one is left out. It has no number."""
    message: dict[str, object] = {"market_ticker": ticker}
    outcomes: tuple[Outcome, Outcome] = ("yes", "no")
    for outcome in outcomes:
        levels = [[format_price(price), format_count(count)] for price, count in reversed(book.bids(outcome))]
        if levels:
            message[f"{outcome}_dollars_fp"] = levels
    return msgspec.json.encode({"type": "orderbook_snapshot", "msg": message})
