"""Tickers bring boards up to date while somebody watches them, once for all who do, and at most so often.

The more there is to make and to send, the longer a ticker waits after it: all it does is to take a small part of one
processor at most, however busy the engine is and however many watch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.web.live.board import Board, Weight

GAP_S: Final = 0.25
SHARE: Final = 0.033  # of a processor
CHANGE_S: Final = (
    40e-6  # to find, make and encode a fragment; these three measured with fifty viewers of a thousand rows
)
SEND_S: Final = 100e-6  # to send a viewer an event
CHARACTER_S: Final = 1.3e-9  # and for each of its characters
AFTER_FAILURE_S: Final = 2.0
STREAMS_MAX: Final = 64


class TooManyStreams(Exception):
    """All places for event streams are taken."""


class Ticker(ABC):
    """One board, and how it is brought up to date."""

    def __init__(self) -> None:
        self.board = Board()

    @abstractmethod
    async def refresh(self) -> None:
        """Bring the board up to date and publish it. Called again after `pause_s`."""


def pause_s(published: Weight, viewers: int) -> float:
    """Return how long a ticker waits after a publication for so many viewers, in seconds."""
    cost_s = published.changes * CHANGE_S
    if published.changes:
        cost_s += viewers * (SEND_S + published.characters * CHARACTER_S)
    return max(GAP_S, cost_s / SHARE)


@dataclass
class _Watched:
    ticker: Ticker
    viewers: int = 0
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class Tickers:
    """The tickers that are watched now, by their keys, and the places for viewers. `nursery` runs them."""

    def __init__(self, nursery: trio.Nursery, log: FilteringBoundLogger) -> None:
        self._nursery, self._log = nursery, log
        self._watched: dict[str, _Watched] = {}
        self._streams: set[trio.CancelScope] = set()
        self._is_over = False

    def __len__(self) -> int:
        """The viewers of all boards."""
        return len(self._streams)

    @contextmanager
    def watch(self, key: str, make: Callable[[], Ticker]) -> Iterator[Ticker]:
        """Watch the ticker of this key, which is made if nobody does yet, until the block ends or the page stops.
        Raises TooManyStreams."""
        if len(self._streams) >= STREAMS_MAX or self._is_over:
            raise TooManyStreams
        watched = self._watched.get(key)
        if watched is None:
            watched = self._watched[key] = _Watched(make())
            self._nursery.start_soon(self._run, watched)
        watched.viewers += 1
        scope = trio.CancelScope()
        self._streams.add(scope)
        try:
            with scope:
                yield watched.ticker
        finally:
            self._streams.discard(scope)
            watched.viewers -= 1
            if not watched.viewers:
                watched.scope.cancel()
                del self._watched[key]

    def close(self) -> None:
        """End all streams, and let no new one begin."""
        self._is_over = True
        for scope in list(self._streams):
            scope.cancel()

    async def _run(self, watched: _Watched) -> None:
        with watched.scope:
            while True:
                try:
                    await watched.ticker.refresh()
                    await trio.sleep(pause_s(watched.ticker.board.published, watched.viewers))
                except Exception:  # a bug of a page must not take the daemon down
                    self._log.exception("page_ticker_failed")
                    await trio.sleep(AFTER_FAILURE_S)
