"""A copy that follows a disk: what it held at any of the last moments, as a tool that ships the log of a database to
another machine leaves it there."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable

KEPT_US = 6_000_000  # the longest lag that is drawn, and a little


class LaggingCopy:
    """Tell `follow` of every transaction of the database; `now_us` is the true time."""

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us
        self._states: deque[tuple[int, bytes]] = deque()
        self._changes = -1

    def follow(self, connection: sqlite3.Connection) -> None:
        """Keep what the database holds now, if that is new."""
        if connection.total_changes == self._changes or connection.in_transaction:
            return
        self._changes = connection.total_changes
        now_us = self._now_us()
        if self._states and self._states[-1][0] == now_us:
            self._states.pop()
        self._states.append((now_us, connection.serialize()))
        while len(self._states) > 1 and self._states[1][0] <= now_us - KEPT_US:
            self._states.popleft()

    def content(self, as_of_us: int) -> bytes | None:
        """What the copy holds if it knows of everything up to then; None: not even the first transaction."""
        known = [content for at_us, content in self._states if at_us <= as_of_us]
        return known[-1] if known else None
