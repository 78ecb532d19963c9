"""What happened, line by line, and one hash over it: two runs with the same hash were the same run.

Only what the simulation decides goes in. Raw frames (their masks are random), signatures and real times stay out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class History:
    """`now_us` is the world's true time; lines are stamped with it. Lines are kept only if `keeps` is set."""

    def __init__(self, now_us: Callable[[], int], *, keeps: bool = False) -> None:
        self.now_us = now_us
        self._hash = hashlib.blake2b(digest_size=8)
        self._began_us = now_us()
        self.keeps = keeps
        self.lines: list[str] = []
        self.count = 0

    def add(self, what: str, *details: object) -> None:
        line = f"{self.now_us() - self._began_us:>11} {what} {' '.join(map(str, details))}"
        self._hash.update(line.encode() + b"\n")
        self.count += 1
        if self.keeps:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
