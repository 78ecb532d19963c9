"""Listings: what may be asked of one, and how it is cut into pages. Newest first, new items never shift a page."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from fsm_exec.core.values.units import US_PER_S

Item = TypeVar("Item")


class Span(NamedTuple):
    """A span of time that a filter names, in unix seconds: after `min_s` and before `max_s`, both ends excluded."""

    min_s: int | None = None
    max_s: int | None = None

    @property
    def is_given(self) -> bool:
        return self.min_s is not None or self.max_s is not None

    def holds(self, at_us: int | None) -> bool:
        """Whether a moment lies in it; one that has not come lies in none that is given."""
        if at_us is None:
            return not self.is_given
        return (self.min_s is None or at_us > self.min_s * US_PER_S) and (
            self.max_s is None or at_us < self.max_s * US_PER_S
        )


ANY_TIME = Span()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What a listing was asked for. Times are unix seconds, both ends included."""

    limit: int = 100
    cursor: str = ""
    tickers: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    series: str | None = None
    status: str | None = None
    order_id: str | None = None
    min_s: int | None = None
    max_s: int | None = None
    exchange_index: int | None = None

    def within(self, at_us: int) -> bool:
        at_s = at_us // 1_000_000
        return (self.min_s is None or at_s >= self.min_s) and (self.max_s is None or at_s <= self.max_s)

    def on(self, exchange_index: int) -> bool:
        return self.exchange_index in (None, -1, exchange_index)

    def names(self, ticker: str) -> bool:
        return not self.tickers or ticker in self.tickers

    def names_event(self, event: str) -> bool:
        return not self.events or event in self.events


def newest_first(
    items: Sequence[Item], page: Page, wanted: Callable[[Item], bool], number: Callable[[Item], int]
) -> tuple[list[Item], str]:
    """One page, and the cursor of the next: the number of the last item shown. Numbers ascend along `items`."""
    below = _decode_cursor(page.cursor)
    found: list[Item] = []
    # Straight to where the page begins: the pages of a long listing must not each walk through those before it.
    end = len(items) if below is None else bisect_left(items, below, key=number)
    for at in range(end - 1, -1, -1):
        item = items[at]
        if not wanted(item):
            continue
        if len(found) == page.limit:
            return found, base64.urlsafe_b64encode(str(number(found[-1])).encode()).decode()
        found.append(item)
    return found, ""


def _decode_cursor(cursor: str) -> int | None:
    """A cursor that is not one of ours lists from the start, as the real exchange does."""
    if not cursor:
        return None
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
