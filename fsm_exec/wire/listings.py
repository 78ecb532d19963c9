"""Pages of listings whose rows are read one by one: a row nobody here needs and nobody can read spoils no other.

What a row must hold stands with its struct in `rest`; here is only what tells rows apart before they are read.
"""

from __future__ import annotations

import msgspec


class RawMarketsPage(msgspec.Struct, kw_only=True):
    """Rows are `rest.MarketSummary`."""

    markets: list[msgspec.Raw]
    cursor: str = ""


class RawEventsPage(msgspec.Struct, kw_only=True):
    """Rows are `rest.EventSummary`."""

    events: list[msgspec.Raw]
    cursor: str = ""
