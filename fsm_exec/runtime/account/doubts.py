"""Markets in doubt: the stream told of a trade by hand, and says another position after it than our books come to.

Another trade was not told of, then, and the books are of no state that the account was ever in: what seems to reduce
risk may add it. Until a look has found the rest nothing is let in by them. The look is asked for at once, and again,
less and less often, while it does not agree: a listing may lag.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

import trio

AGAIN_S: Final = 1.0  # from one look to the next that is asked for, at first
AGAIN_MAX_S: Final = 30.0
DOUBTED_S: Final = 12.0  # by then looks have shown twice what they show


class Doubts:
    """Hold one while its trade is booked and compared; a look clears what it began after."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[int, float]] = {}  # by market: the looks begun by then, and trio's time of it
        self._looks = 0
        self._none = trio.Event()
        self._none.set()
        self._wanted = trio.Event()
        self._pause_s, self._earliest_s = AGAIN_S, 0.0

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, ticker: str) -> bool:
        """Put a market in doubt; return whether it was in none before."""
        is_new = ticker not in self._held
        self._held[ticker] = (self._looks, trio.current_time())
        if self._none.is_set():
            self._none = trio.Event()
        return is_new

    def clear(self, ticker: str) -> None:
        """Take a market out of doubt; nothing happens if it is in none."""
        self._held.pop(ticker, None)
        if not self._held:
            self._none.set()

    def ask_for_look(self) -> None:
        """Have the account looked at as soon as it may be."""
        self._wanted.set()

    def begin_look(self) -> int:
        """Count a look at the account and return its number; it answers what was asked so far."""
        self._wanted = trio.Event()
        self._looks += 1
        return self._looks

    def clear_by_look(self, number: int, differing: Container[str]) -> None:
        """Clear what was in doubt when the look of that number began and does not differ in it, or has
        been in doubt for long: what still differs then moves on, and is the look's own to explain."""
        long_ago_s = trio.current_time() - DOUBTED_S
        for ticker, (looks, since_s) in list(self._held.items()):
            if looks < number and (ticker not in differing or since_s <= long_ago_s):
                self.clear(ticker)

    def end_look(self) -> None:
        """Say when the next look may be, and ask for it if there is doubt left."""
        self._pause_s = self._pause_s if self._held else AGAIN_S
        self._earliest_s = trio.current_time() + self._pause_s
        if self._held:
            self._pause_s = min(2 * self._pause_s, AGAIN_MAX_S)
            self._wanted.set()

    async def wait_for_request(self) -> None:
        """Wait until a look is asked for and may be."""
        await self._wanted.wait()
        await trio.sleep_until(self._earliest_s)

    async def wait_for_none(self) -> None:
        """Wait until nothing is in doubt."""
        await self._none.wait()
