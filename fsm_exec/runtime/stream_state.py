"""The state of the stream: its connection, and for how long it has been silent."""

from __future__ import annotations

from collections.abc import Mapping

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.values.units import US_PER_S
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed

QUIET_US = 25_000_000  # the exchange pings every 10 s: two missed, and a book is not to be trusted


class StreamState:
    """`is_connected`, and `reconnected`, which is set at every connection but the first: something may have been missed
    before it. Every feed follows it."""

    def __init__(self, feeds: Mapping[str, MarketFeed], wall: WallClock, log: FilteringBoundLogger) -> None:
        self._feeds, self._wall, self._log = feeds, wall, log
        self._heard_us = wall.now_us()
        self._was_connected = False
        self.is_connected = False
        self.losses = 0  # connections that ended, since the start
        self.reconnected = trio.Event()

    def connected(self) -> None:
        self.is_connected = True
        self.heard()
        for feed in self._feeds.values():
            feed.mark_connected()
        if self._was_connected:
            self.reconnected.set()
        self._was_connected = True

    def disconnected(self, why: str) -> None:
        self.is_connected = False
        self.losses += 1
        self._log.warning("stream_lost", why=why)
        for feed in self._feeds.values():
            feed.mark_disconnected()

    def heard(self) -> None:
        """Record that a frame or a ping came."""
        self._heard_us = self._wall.now_us()
        for feed in self._feeds.values():
            feed.mark_heard()

    def why_silent(self) -> str | None:
        """Return why the stream brings nothing; None if it works."""
        if not self.is_connected:
            return "there is no connection"
        silent_us = self._wall.now_us() - self._heard_us
        return f"it is silent for {silent_us // US_PER_S} s" if silent_us > QUIET_US else None

    async def watch_silence(self) -> None:
        """Mark the feeds stale when nothing at all has come for too long. Runs forever."""
        while True:
            left_us = self._heard_us + QUIET_US - self._wall.now_us()
            if left_us < 0:
                for feed in self._feeds.values():
                    feed.mark_quiet()
            # In whole seconds: before that it cannot have been silent for so long, whatever comes.
            await trio.sleep(max(0, left_us) // US_PER_S + 1)
