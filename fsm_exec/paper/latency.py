"""The three legs between a member and the exchange, in microseconds of exchange time.

feed: a public frame from event to member; entry: a write from member to match; response: any answer, and private
frames, from match to member. Constant here; a drawn distribution can take this struct's place.
"""

from __future__ import annotations

import msgspec


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    feed_us: int = 100_000
    entry_us: int = 200_000
    response_us: int = 100_000


NO_LATENCY = Latency(feed_us=0, entry_us=0, response_us=0)
