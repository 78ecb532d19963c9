"""The recorder of books: those of worked markets, stored at an interval, on arrival and at each decision that acts.

They are stored net of our own orders, with the liquidity figures of the reference design, the volume so far and the
market's category. Those of the interval warm the signals up after a restart, unless the newest is too old; they, and
those of decisions, are deleted after some days, a few at a time, so that no delete holds up the saves of orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.costs.rows import BookRow
from fsm_exec.core.errors import SaveRefused, UnitError
from fsm_exec.core.market.ladder_codec import decode_ladder, encode_ladder
from fsm_exec.core.market.liquidity import measure_liquidity
from fsm_exec.core.store_port import ObservationStore
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed

DAY_US: Final = 86_400_000_000
DELETE_EVERY_S: Final = 3_600.0
DELETE_BATCH: Final = 200
DELETE_PAUSE_S: Final = 0.25
WARM_FROM_US: Final = 240_000_000  # two taus of the longest mean, and the two minutes of the momentum
Why = Literal["interval", "decision", "arrival"]


class DepthSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`warm_max_age_s`: with an older book than that the signals start from nothing after a restart."""

    interval_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = 10
    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 7
    warm_max_age_s: Annotated[int, msgspec.Meta(ge=0, le=600)] = 60


class BookRecorder:
    """Stores books, deletes old ones, and loads the newest after a restart."""

    def __init__(
        self,
        store: ObservationStore,
        feeds: Mapping[str, MarketFeed],
        wall: WallClock,
        log: FilteringBoundLogger,
        settings: DepthSettings,
    ) -> None:
        self._store, self._feeds, self._wall, self._log = store, feeds, wall, log
        self._settings = settings

    def snapshot_row(self, feed: MarketFeed, why: Why, execution_id: str | None) -> BookRow | None:
        """Build the row of the book as it is now; None unless the feed is live."""
        if feed.state != "live":
            return None
        yes, no = (tuple(feed.net_book.side(outcome).best_first()) for outcome in ("yes", "no"))
        return BookRow(
            ticker=feed.terms.ticker,
            execution_id=execution_id,
            taken_at_us=self._wall.now_us(),
            why=why,
            yes_depth=encode_ladder(yes),
            no_depth=encode_ladder(no),
            liquidity=measure_liquidity(yes, no),
            volume_e2=feed.volume_e2,
            category=feed.terms.category,
        )

    async def save(self, row: BookRow) -> None:
        """Store a row; one that the database refuses is logged. Raises StoreFailed."""
        try:
            await self._store.save_book(row)
        except SaveRefused:
            self._log.exception("book_refused", ticker=row.ticker, why=row.why)

    async def record_periodically(self) -> None:
        """Store a book of each worked market at the interval, forever."""
        while True:
            await trio.sleep(self._settings.interval_s)
            for feed in list(self._feeds.values()):
                row = self.snapshot_row(feed, "interval", None) if feed.is_worked else None
                if row is not None:
                    await self.save(row)

    async def delete_expired(self) -> None:
        """Delete books that are older than their retention, forever."""
        while True:
            before_us = self._wall.now_us() - self._settings.retention_days * DAY_US
            forgotten = await self._store.forget_books(before_us, DELETE_BATCH)
            await trio.sleep(DELETE_PAUSE_S if forgotten == DELETE_BATCH else DELETE_EVERY_S)

    async def warm_up(self, feed: MarketFeed) -> None:
        """Load stored books into a feed that has not begun, if the newest is fresh enough."""
        now_us = self._wall.now_us()
        rows = await self._store.load_recent_books(feed.terms.ticker, now_us - WARM_FROM_US)
        if not rows or now_us - rows[-1].taken_at_us > self._settings.warm_max_age_s * 1_000_000:
            return
        try:
            books = [(row.taken_at_us, decode_ladder(row.yes_depth), decode_ladder(row.no_depth)) for row in rows]
        except (msgspec.DecodeError, UnitError) as error:
            self._log.warning("stored_books_unreadable", ticker=feed.terms.ticker, error=str(error))
            return
        gap_us = max((later[0] - book[0] for book, later in pairwise(books)), default=0)
        if gap_us > 3 * self._settings.interval_s * 1_000_000:
            books = books[-1:]  # no engine watched in between
        feed.net_book.warm_up(books)
        self._log.info("signals_warm", ticker=feed.terms.ticker, books=len(books))
