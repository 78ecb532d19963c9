"""Whether the engine can act at the exchange: reads are answered, our signature is accepted, and the streams are live.

Nothing is decided here. The outcome of every request is recorded (`MonitoredExchange`), the stream is checked once a
second, and every problem has a text: `degraded` is `running` with such texts. It passes by itself: the listings of the
account are read at least every half minute, and again every few seconds while they fail.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final, Literal, NoReturn, TypeAlias

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError, VenueRefused
from fsm_exec.core.text import one_line
from fsm_exec.runtime.clock import WallClock

Kind: TypeAlias = Literal["signature", "reads", "stream", "book", "group", "lease"]
READ_GRACE_US: Final = 6_000_000  # one answer that did not come is no state: the listing is read again after 5 s
STREAM_GRACE_US: Final = 5_000_000  # a connection is lost and found again
BOOK_GRACE_US: Final = 15_000_000
WRITE_MEMORY_US: Final = 60_000_000  # a refusal of a write counts for so long: nothing else would show that it passed
CHECK_EVERY_S: Final = 1.0
READ_EVERY_S: Final = 5.0
PERIODS_KEPT: Final = 512
WORDS_MAX: Final = 200
UNAUTHORIZED: Final = frozenset({401, 403})
AUTH_REFUSALS: Final = frozenset(
    {
        "authentication_error",
        "signature_is_missing_from_headers",
        "header_timestamp_expired",
        "forbidden",
        "key_not_accepted",
    }
)
"""Refusals of a write that say who asks is not let in."""


class DegradedPeriod(msgspec.Struct):
    """One problem, from a time to a time; `to_us` None: it lasts."""

    kind: Kind
    words: str
    from_us: int
    to_us: int | None = None


class Health:
    """The state of our access to the exchange. Before `watch` it covers reads and writes only."""

    def __init__(self, wall: WallClock, log: FilteringBoundLogger) -> None:
        self._wall, self._log = wall, log
        self._unread: dict[str, tuple[int, str]] = {}  # by listing: since when it fails, and how
        self._unauthorized: tuple[int, str] | None = None  # since when we are refused, and the exchange's words
        self._write_refused: tuple[int, str] | None = None
        self._why_silent: Callable[[], str | None] = _nothing
        self._stream_error: Callable[[], str | None] = _nothing
        self._books: Callable[[], Iterable[tuple[str, str]]] = tuple
        self.group_problem: Callable[[], str | None] = _nothing  # why nothing can be placed, for want of a group
        self.why_no_lease: Callable[[], str | None] = _nothing  # set by the daemon, where a standby follows
        self._since_us: dict[str, int] = {}  # since when it is so, for what is checked once a second
        self._periods: deque[DegradedPeriod] = deque(maxlen=PERIODS_KEPT)

    def watch(
        self,
        silence: Callable[[], str | None],
        trouble: Callable[[], str | None],
        books: Callable[[], Iterable[tuple[str, str]]],
    ) -> None:
        """Set what is checked once a second: `silence()` returns why the stream is silent, or None; `trouble()` why it
        was lost, in the exchange's words; `books()` the books that are needed and not live, with their state."""
        self._why_silent, self._stream_error, self._books = silence, trouble, books

    # Outcomes of requests.

    def record_read(self, listing: str | None = None) -> None:
        """Record an answered read; `listing` names one that is read again and again."""
        self._unauthorized = None
        if listing is not None:
            self._unread.pop(listing, None)

    def record_failed_read(self, error: VenueError, listing: str | None = None) -> None:
        """Record a read that failed with `error`."""
        now_us, words = self._wall.now_us(), one_line(str(error))[:WORDS_MAX]
        if isinstance(error, VenueRefused) and error.status in UNAUTHORIZED:
            since_us = now_us if self._unauthorized is None else self._unauthorized[0]
            self._unauthorized = (since_us, words)
        elif listing is not None:
            since_us, _ = self._unread.get(listing, (now_us, ""))
            self._unread[listing] = (since_us, words)

    def record_write(self, refusal: str | None, words: str = "") -> None:
        """Record an answered write; `refusal` is the code of a definite refusal."""
        if refusal in AUTH_REFUSALS:
            self._write_refused = (self._wall.now_us(), one_line(f"{refusal}: {words}")[:WORDS_MAX])
        else:
            self._unauthorized = self._write_refused = None

    # What is reported.

    def why_degraded(self) -> tuple[str, ...]:
        """Return the texts of all present problems; none if empty."""
        return tuple(self.problems().values())

    def problems(self) -> dict[Kind, str]:
        """Return the text of each present problem."""
        return dict(self._problems())

    def describe_outage(self, from_us: int, to_us: int) -> str | None:
        """Describe how much of the given period had a problem, and which lasted longest; None below a second."""
        self.check()
        spells = [
            (max(spell.from_us, from_us), min(to_us if spell.to_us is None else spell.to_us, to_us), spell.words)
            for spell in self._periods
        ]
        spells = [spell for spell in spells if spell[0] < spell[1]]
        lost_us, reached_us = 0, from_us
        for begin_us, end_us, _ in sorted(spells):
            lost_us += max(0, end_us - max(begin_us, reached_us))
            reached_us = max(reached_us, end_us)
        if lost_us < 1_000_000:
            return None
        _, words = max((end_us - begin_us, words) for begin_us, end_us, words in spells)
        return f"could not act for {lost_us // 1_000_000} of {(to_us - from_us) // 1_000_000} s: {words}"

    async def run(self, read: Callable[[], Awaitable[object]]) -> NoReturn:
        """Check once a second, forever, and keep what was wrong from when to when. While anything is, call `read` every
        few seconds, so that it is known when the problem has passed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_reading, read)
            while True:
                self.check()
                await trio.sleep(CHECK_EVERY_S)

    async def _keep_reading(self, read: Callable[[], Awaitable[object]]) -> NoReturn:
        while True:
            await trio.sleep(READ_EVERY_S)
            if any(spell.to_us is None for spell in self._periods):
                with suppress(VenueError):
                    await read()

    def check(self) -> None:
        """Begin and end periods by what is wrong now."""
        now_us = self._wall.now_us()
        wrong = self.problems()
        for spell in self._periods:
            if spell.to_us is not None:
                continue
            spell.words = wrong.get(spell.kind, spell.words)  # the newest say the most
            if spell.kind not in wrong:
                spell.to_us = now_us
                self._log.warning("exchange_well_again", kind=spell.kind, words=spell.words)
        lasting = {spell.kind for spell in self._periods if spell.to_us is None}
        for kind, words in wrong.items():
            if kind not in lasting:
                self._periods.append(DegradedPeriod(kind, words, self._start_us(kind, now_us)))
                self._log.warning("degraded", kind=kind, words=words)

    def _start_us(self, kind: Kind, now_us: int) -> int:
        match kind:
            case "reads":
                return min((since_us for since_us, _ in self._unread.values()), default=now_us)
            case "stream":
                return self._since_us.get("stream", now_us)
            case "book":
                return min((us for name, us in self._since_us.items() if name != "stream"), default=now_us)
            case _:
                return now_us

    def _problems(self) -> Iterable[tuple[Kind, str]]:
        now_us = self._wall.now_us()
        if self._write_refused is not None and now_us - self._write_refused[0] > WRITE_MEMORY_US:
            self._write_refused = None
        shut_out = self._unauthorized or self._write_refused
        if shut_out is not None:
            yield "signature", f"the exchange does not accept our signature: {shut_out[1]}"
        for listing, (since_us, words) in self._unread.items():
            if now_us - since_us >= READ_GRACE_US:
                yield "reads", f"the exchange's {listing} cannot be read: {words}"
                break
        if (why := self.why_no_lease()) is not None:
            yield "lease", one_line(why)[:WORDS_MAX]
        silence = self._why_silent()
        if self._has_lasted("stream", silence is not None, now_us, STREAM_GRACE_US):
            yield (
                "stream",
                f"the exchange's stream is not live: {one_line(self._stream_error() or silence or '')[:WORDS_MAX]}",
            )
        books = dict(self._books())
        for ticker in [name for name in self._since_us if name != "stream" and name not in books]:
            del self._since_us[ticker]
        late = [name for name in books if self._has_lasted(name, True, now_us, BOOK_GRACE_US)]
        if late and silence is None:
            others = "" if len(late) == 1 else f" and of {len(late) - 1} more"
            yield "book", f"the book of {late[0]} is {books[late[0]]}{others}"
        no_group = self.group_problem()
        if no_group is not None:
            yield "group", one_line(no_group)[:WORDS_MAX]

    def _has_lasted(self, name: str, is_so: bool, now_us: int, grace_us: int) -> bool:
        if not is_so:
            self._since_us.pop(name, None)
            return False
        return now_us - self._since_us.setdefault(name, now_us) >= grace_us


def _nothing() -> str | None:
    return None
