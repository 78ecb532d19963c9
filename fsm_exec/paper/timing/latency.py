"""The three legs between a member and the exchange, in microseconds of exchange time.

feed: a public frame from event to member; entry: a write from member to match; response: any answer, and private
frames, from match to member. A leg is a constant, or drawn for each thing that travels it.

Drawn legs never change the order on one connection: a WebSocket frame waits for those before it (outbox), and a REST
connection has one request under way at a time. Requests on several connections can overtake each other, as they do.
"""

from __future__ import annotations

import random
from typing import TypeAlias

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.paper.random_draws import lognormal_us


class Lognormal(msgspec.Struct, frozen=True, kw_only=True):
    """Half of the draws are below `median_us`, 99 % below `p99_us`. Raises UserError unless 0 < median <= p99."""

    median_us: int
    p99_us: int

    def __post_init__(self) -> None:
        if not 0 < self.median_us <= self.p99_us:
            raise UserError(
                f"a latency with median {self.median_us} us and 99th percentile {self.p99_us} us cannot be; "
                "give a median above 0 and a percentile that is not below it"
            )


Leg: TypeAlias = int | Lognormal


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """`seed` makes the draws of the drawn legs."""

    feed_us: Leg = 100_000
    entry_us: Leg = 200_000
    response_us: Leg = 100_000
    seed: int = 0


NO_LATENCY = Latency(feed_us=0, entry_us=0, response_us=0)


class Legs:
    """The draws of one exchange. Each leg has a sequence of its own: more reads do not change what the feed does."""

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._feed, self._entry, self._response = (
            random.Random(f"latency:{latency.seed}:{leg}") for leg in ("feed", "entry", "response")
        )

    def feed_us(self) -> int:
        return _draw_us(self._latency.feed_us, self._feed)

    def entry_us(self) -> int:
        return _draw_us(self._latency.entry_us, self._entry)

    def response_us(self) -> int:
        return _draw_us(self._latency.response_us, self._response)


def _draw_us(leg: Leg, draw: random.Random) -> int:
    return leg if isinstance(leg, int) else lognormal_us(draw, leg.median_us, leg.p99_us)
