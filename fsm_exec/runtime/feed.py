"""One market's feed: the newest book, its trustworthiness, and the mids a fill will be judged against.

Book changes never enter an inbox. The feed keeps the book; whoever works this market is nudged when the touch moves,
and looks when it is ready. The states are those of the market_feed table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from fsm_exec.core.book import Book, BookError, Level
from fsm_exec.core.machine import step
from fsm_exec.core.market import MarketStatus, MarketTerms
from fsm_exec.core.units import CountE2, Outcome, PriceE4, PriceGrid, complement, opposite
from fsm_exec.core.view import VIEW_DEPTH_LEVELS, View, mid_of
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.own_orders import OwnOrders

MIDS_KEPT = 4_096
YES_PLUS_NO_E5 = 100_000  # mid(yes) + mid(no) is a dollar


class MarketFeed:
    """`on_change(ticker, source, trigger, state)` is told of every transition, for the log."""

    def __init__(
        self,
        terms: MarketTerms,
        wall: Wall,
        own: OwnOrders,
        on_change: Callable[[str, str, str, str], None],
    ) -> None:
        self.terms = terms
        self.status: MarketStatus = terms.status
        self.state = "disconnected"
        self.book = Book()
        self.book_seq = 0
        self._wall, self._own, self._on_change = wall, own, on_change
        self._heard_us = wall.now_us()
        self._touch: object = None
        self._mids: deque[tuple[int, int]] = deque(maxlen=MIDS_KEPT)  # exchange time, YES mid, when the mid changed
        self._mid_e5: int | None = None
        self._spread_e4: int | None = None
        self._listeners: dict[str, Callable[[], None]] = {}
        self._grids = {"yes": terms.grid, "no": terms.grid.mirrored()}

    # What the stream tells.

    def connected(self) -> None:
        if self.state == "disconnected":
            self._fire("dial")

    def disconnected(self) -> None:
        if self.state != "disconnected":
            self._fire("lost")

    def gap(self) -> None:
        self.heard()
        if self.state == "live":
            self._fire("gap")

    def quiet(self) -> None:
        if self.state == "live":
            self._fire("quiet")

    def heard(self) -> None:
        self._heard_us = self._wall.now_us()
        if self.state == "stale":
            self._fire("frame")

    def snapshot(self, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        self.heard()
        self.book = Book(yes, no)
        self.book_seq += 1
        if self.state in ("subscribing", "gapped"):
            self._fire("snapshot")
        self._book_moved(self._wall.now_us() if at_us is None else at_us)

    def change(self, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> bool:
        """Apply one change; False if the book cannot be trusted any more (the feed is then gapped)."""
        self.heard()
        if self.state != "live":
            return True  # before the snapshot; it will contain this
        try:
            self.book.change(outcome, price, delta)
        except BookError:
            self.gap()
            return False
        self.book_seq += 1
        self._book_moved(at_us)
        return True

    def set_status(self, status: MarketStatus) -> bool:
        """The market opened, paused or closed; False if that is known."""
        if status == self.status:
            return False
        self.status = status
        self._nudge()
        return True

    def set_grid(self, grid: PriceGrid) -> bool:
        """The market takes other YES prices from now on; False if these are known."""
        if grid == self.terms.grid:
            return False
        self.terms = replace(self.terms, grid=grid)
        self._grids = {"yes": grid, "no": grid.mirrored()}
        self._nudge()
        return True

    # What executions ask.

    def subscribe(self, name: str, nudge: Callable[[], None]) -> None:
        self._listeners[name] = nudge

    def unsubscribe(self, name: str) -> None:
        self._listeners.pop(name, None)

    def view(self, outcome: Outcome, depth: int = VIEW_DEPTH_LEVELS) -> View:
        """What one decision sees now; `depth` 0 gives every level."""
        now_us = self._wall.now_us()
        ticker = self.terms.ticker
        other = opposite(outcome)
        mid = self._mid_e5
        return View(
            at_us=now_us,
            book_seq=self.book_seq,
            feed=self.state,
            feed_age_us=now_us - self._heard_us,
            status=self.status,
            grid=self._grids[outcome],
            bids=self.book.bids(outcome, depth, self._own.levels(ticker, outcome)),
            asks=self.book.asks(outcome, depth, self._own.levels(ticker, other)),
            mid_e5=mid if mid is None or outcome == "yes" else YES_PLUS_NO_E5 - mid,
            spread_e4=self._spread_e4,
            own_other_best_e4=self._own.best(ticker, other),
        )

    def mid_before(self, at_us: int, outcome: Outcome) -> int | None:
        """The mid that stood just before exchange time `at_us`; None if it is older than what is kept."""
        found = bisect_left(self._mids, (at_us, -1))
        if found == 0:
            return None
        mid = self._mids[found - 1][1]
        return mid if outcome == "yes" else YES_PLUS_NO_E5 - mid

    def _book_moved(self, at_us: int) -> None:
        """The touch is that of the others: ours may stand at the top for minutes while they move behind it."""
        ticker = self.terms.ticker
        yes = _best(self.book.yes, self._own.levels(ticker, "yes"))
        no = _best(self.book.no, self._own.levels(ticker, "no"))
        if (yes, no) == self._touch:
            return
        self._touch = (yes, no)
        if yes is not None and no is not None:  # a one-sided book leaves the last mid and spread standing
            self._measure(yes[0], complement(no[0]), at_us)
        self._nudge()

    def _measure(self, bid: PriceE4, ask: PriceE4, at_us: int) -> None:
        mid = mid_of(bid, ask)
        self._spread_e4 = ask - bid
        if mid != self._mid_e5:
            self._mid_e5 = mid
            last_us = self._mids[-1][0] if self._mids else at_us
            self._mids.append((max(at_us, last_us), mid))  # exchange times may step back by a millisecond

    def _nudge(self) -> None:
        for nudge in list(self._listeners.values()):
            nudge()

    def _fire(self, trigger: str) -> None:
        source = self.state
        self.state = step("market_feed", source, trigger)
        self._on_change(self.terms.ticker, source, trigger, self.state)
        self._nudge()


def _best(side: dict[PriceE4, CountE2], own: dict[PriceE4, CountE2]) -> Level | None:
    """The highest level at which somebody else stands, with what is theirs."""
    if not own:
        return max(side.items(), default=None)
    theirs = ((price, CountE2(count - own.get(price, 0))) for price, count in side.items())
    return max((level for level in theirs if level[1] > 0), default=None)
