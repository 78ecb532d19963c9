"""Reads what the exchange announces of fees (wire/README.md 9): changes of a series and of an event.

Both listings are read whole, for all markets at once, and are good for some minutes. A listing that cannot be read
stops nothing: what was known of it stays, and it is read again with the next terms. Neither does one that does not
answer: who needs terms waits `WITHIN_S` for it and no more for a while; the markets that are watched are told by their
poll, which has the time. A read of an event or a series may
be 15 s old, so a change whose time has just come, and what a frame has just said of an event, win over it.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import msgspec
import trio

from fsm_exec.core.errors import VenueError
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode, log_left_out
from fsm_exec.kalshi.fee_plan import Announced, Announcements, Stated
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import client_bodies as wire
from fsm_exec.wire import raw_listings
from fsm_exec.wire.field_values import required_text

EVENT_CHANGES: Final = "/events/fee_changes"
SERIES_CHANGES: Final = "/series/fee_changes"
PAGE_ROWS: Final = 1_000
GOOD_US: Final = 300 * US_PER_S
WITHIN_S: Final = 4.0
HANGING_US: Final = 60 * US_PER_S
"""For how long nobody waits for listings that did not answer within that."""
STALE_US: Final = 60 * US_PER_S
"""For how long after its time a change may not be shown by other reads, with a margin."""


class FeeChanges:
    """Reads and keeps what is announced. `wall_us` is the wall time in unix microseconds."""

    def __init__(self, endpoints: Endpoints, wall_us: Callable[[], int], log: Log) -> None:
        self._endpoints, self._wall_us, self._log = endpoints, wall_us, log
        self._series: Sequence[Announced] = ()
        self._events: Sequence[Announced] = ()
        self._unread = {path: Trouble(log, "fee_changes_unread") for path in (SERIES_CHANGES, EVENT_CHANGES)}
        self._read_us: int | None = None
        self._hung_us: int | None = None  # when a listing did not answer in time, last
        self._told: dict[str, tuple[int, Stated]] = {}  # what a frame said of an event last, and when

    @property
    def known(self) -> Announcements:
        """What is known now."""
        now_us = self._wall_us()
        told = {event: stated for event, (at_us, stated) in self._told.items() if now_us - at_us < STALE_US}
        return Announcements(self._series, self._events, told)

    def note_event(self, event: str, stated: Stated) -> None:
        """Note what a frame says of an event's fees: they hold now. The listings are read again."""
        now_us = self._wall_us()
        self._told = {name: told for name, told in self._told.items() if now_us - told[0] < STALE_US}
        self._told[event] = now_us, stated
        self._read_us = None

    async def refresh(self, within_s: float = math.inf) -> None:
        """Read both listings, unless they are fresh. Raises nothing: the log says what could not be read, or not
        `within_s`; what is known holds on."""
        now_us = self._wall_us()
        if self._read_us is not None and 0 <= now_us - self._read_us < GOOD_US:
            return
        if within_s < math.inf and self._hung_us is not None and 0 <= now_us - self._hung_us < HANGING_US:
            return
        self._read_us = now_us  # before it is read: others that want it meanwhile need not read it too
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, SERIES_CHANGES, self._read_series, within_s)
            nursery.start_soon(self._read, EVENT_CHANGES, self._read_events, within_s)

    async def _read(self, path: str, read: Callable[[], Awaitable[None]], within_s: float) -> None:
        error = ""
        with trio.move_on_after(within_s) as scope:
            try:
                await read()
            except VenueError as failure:
                error = str(failure)[:300]
        if scope.cancelled_caught:
            self._hung_us = self._wall_us()
            error = f"no answer within {within_s:g} s: the fees known so far are taken for what holds"
        if not error:
            self._unread[path].end()
            return
        self._read_us = None
        self._unread[path].record(error, path=path)

    async def _read_series(self) -> None:
        content = await self._endpoints.fetch(SERIES_CHANGES)
        rows = decode(content, raw_listings.RawSeriesFeeChanges).series_fee_change_arr
        self._series = self._with_recent(list(self._announced(rows, _series_change)), self._series)

    async def _read_events(self) -> None:
        found: list[Announced] = []

        def take(content: bytes) -> str | None:
            page = decode(content, raw_listings.RawEventFeeChangesPage)
            found.extend(self._announced(page.event_fee_changes, _event_change))
            return page.cursor

        await self._endpoints.fetch_pages(EVENT_CHANGES, {}, take, rows=PAGE_ROWS)
        self._events = self._with_recent(found, self._events)

    def _announced(self, rows: Sequence[msgspec.Raw], read: Callable[[msgspec.Raw], Announced]) -> Iterator[Announced]:
        for raw in rows:
            try:
                yield read(raw)
            except Malformed as error:
                log_left_out(self._log, raw, error)

    def _with_recent(self, found: list[Announced], known: Sequence[Announced]) -> Sequence[Announced]:
        """Return what is listed, and what was listed until its time came just now, in the order of their times."""
        now_us = self._wall_us()
        recent = [one for one in known if now_us - STALE_US < one.at_us <= now_us and one not in found]
        return sorted([*found, *recent], key=lambda one: one.at_us)


def _series_change(raw: msgspec.Raw) -> Announced:
    row = decode(raw, wire.SeriesFeeChange)
    with translate.malformed_as("a change of fees"):
        name, at = required_text(row.series_ticker, "series_ticker"), required_text(row.scheduled_ts, "scheduled_ts")
    return Announced(name, translate.time_us(at), Stated(row.fee_type, row.fee_multiplier))


def _event_change(raw: msgspec.Raw) -> Announced:
    row = decode(raw, wire.EventFeeChange)
    with translate.malformed_as("a change of fees"):
        name, at = required_text(row.event_ticker, "event_ticker"), required_text(row.scheduled_ts, "scheduled_ts")
    return Announced(name, translate.time_us(at), Stated(row.fee_type_override, row.fee_multiplier_override))
