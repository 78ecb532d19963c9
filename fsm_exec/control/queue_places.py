"""How much stands before our resting orders, as the exchange says: read only while somebody looks, and seldom.

One read answers for all orders of a market and is good for ten seconds; whoever looks meanwhile is told the same. A
read that fails is no answer: the place is not known, and looking at an execution works all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import trio

from fsm_exec.core.errors import LocalError, VenueError
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.values.units import US_PER_S, CountE2

GOOD_US: Final = 10 * US_PER_S
KNOWN_US: Final = 2 * GOOD_US
READ_S: Final = 2.0
"""For how long somebody who looks waits for it."""
MARKETS_KEPT: Final = 1_000
NONE_KNOWN: Final[Mapping[str, CountE2]] = {}


class QueuePlaces:
    """Reads and keeps them, by the exchange's order id. `now_us` is the wall time in unix microseconds."""

    def __init__(self, reads: AccountReads, now_us: Callable[[], int]) -> None:
        self._reads, self._now_us = reads, now_us
        self._read: dict[str, tuple[int, Mapping[str, CountE2]]] = {}
        self._locks: dict[str, trio.Lock] = {}

    def known(self, ticker: str) -> Mapping[str, CountE2]:
        """Return what the last read told, if that is not long ago, without asking; as `load`."""
        at_us, found = self._read.get(ticker, (0, NONE_KNOWN))
        return found if 0 <= self._now_us() - at_us < KNOWN_US else NONE_KNOWN

    async def load(self, ticker: str) -> Mapping[str, CountE2]:
        """Return how many contracts stand before each of our resting orders of a market; empty where it is not
        known."""
        async with self._locks.setdefault(ticker, trio.Lock()):
            at_us, found = self._read.get(ticker, (0, NONE_KNOWN))
            if 0 <= self._now_us() - at_us < GOOD_US:
                return found
            found = NONE_KNOWN
            with trio.move_on_after(READ_S):
                with suppress(VenueError, LocalError):  # a damaged row's ticker is none
                    places = await self._reads.fetch_queue_positions([ticker])
                    found = {place.order_id: place.ahead_e2 for place in places}
            if len(self._read) >= MARKETS_KEPT:
                self._read.clear()
                self._locks.clear()
            self._read[ticker] = self._now_us(), found
            return found
