"""One market's feed: the newest book, its trustworthiness, and the mids a fill will be judged against.

Book changes never enter an inbox. The feed keeps the book; the executions that work this market are nudged when the
touch moves, and read it when they are ready. The states are those of the market_feed table.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from fsm_exec.core.algorithm.market_view import VIEW_DEPTH_LEVELS, MarketView, mid_of
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.machine import step
from fsm_exec.core.market.book import Book, BookError, Ladder, Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import FillReport
from fsm_exec.core.market.terms import FeeChange, MarketStatus, MarketTerms
from fsm_exec.core.signals.forecasts import SIGNALS_OF_FORECASTS
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.signals.sweep_cost import KEPT_UP, SweepWatch
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid, complement, opposite
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.net_book import NetBook
from fsm_exec.runtime.own_orders import OwnOrders

MIDS_KEPT = 4_096
TRADES_KEPT = 16_384
FILLS_KEPT = 256
YES_PLUS_NO_E5 = 100_000  # mid(yes) + mid(no) is a dollar
SIGNALS_OF_ONE: Final = KEPT_UP | {"dry_up_ppm"}  # they depend on what the execution still wants


class _Shown(NamedTuple):
    """The ladders of a view, and what they were built from: the book, and our bids for its outcome and the other."""

    book_seq: int
    ours: Mapping[PriceE4, CountE2]
    theirs: Mapping[PriceE4, CountE2]
    ladders: tuple[Ladder, Ladder]


class MarketFeed:
    """`on_change(ticker, source, trigger, state)` is called with every transition, for the log. `signals` False: only
    the book is kept."""

    def __init__(
        self,
        terms: MarketTerms,
        wall: WallClock,
        own: OwnOrders,
        on_change: Callable[[str, str, str, str], None],
        *,
        signals: bool = True,
    ) -> None:
        self.terms = terms
        self.status: MarketStatus = terms.status
        self.state = "disconnected"
        self.book = Book()
        self.book_seq = 0
        self._wall, self._own, self._on_change = wall, own, on_change
        self.heard_us = wall.now_us()  # when anything of it came last
        self.ahead_us: int | None = None  # our clock before the exchange's stamp when the newest change came
        self.net_book = NetBook(terms.ticker, own, SignalTracker(terms.fees) if signals else None)
        self.volume_e2 = CountE2(0)  # contracts traded since this feed began
        self.whole_since_us: int | None = None  # since when nothing was missed; None: something is being missed
        self._trades: deque[tuple[int, CountE2]] = deque(maxlen=TRADES_KEPT)  # time, and the volume before it
        self._taken: deque[str] = deque(maxlen=FILLS_KEPT)  # own fills that were trades, reported more than once
        self._mids: deque[tuple[int, int]] = deque(maxlen=MIDS_KEPT)  # exchange time, YES mid, when the mid changed
        self._mid_e5: int | None = None
        self._spread_e4: int | None = None
        self.on_acted: Callable[[Execution, MarketView], None] | None = None
        self._listeners: dict[str, Callable[[], None]] = {}
        self._grids = {"yes": terms.grid, "no": terms.grid.mirrored()}
        self._shown: dict[tuple[Outcome, int], _Shown] = {}  # the ladders of the newest views, by outcome and depth

    # Updates from the stream.

    def mark_connected(self) -> None:
        """Take in that the stream is connected."""
        if self.state == "disconnected":
            self._fire("dial")

    def mark_disconnected(self) -> None:
        """Take in that the connection is lost."""
        if self.state != "disconnected":
            self._fire("lost")

    def mark_gap(self) -> None:
        """Take in that changes of the book were lost: it is not trusted until the next snapshot."""
        self.mark_heard()
        if self.state == "live":
            self._fire("gap")

    def mark_quiet(self) -> None:
        """Take in that nothing has come on the stream for too long."""
        if self.state == "live":
            self._fire("quiet")

    def mark_heard(self) -> None:
        """Take in that something has come on the stream."""
        self.heard_us = self._wall.now_us()
        if self.state == "stale":
            self._fire("frame")

    def apply_snapshot(self, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        """Replace the book; `at_us` is the exchange's time, None if it gave none."""
        self.mark_heard()
        self.book = Book(yes, no)
        self.book_seq += 1
        at_us = self._wall.now_us() if at_us is None else at_us
        self.net_book.start(self.book, at_us)
        self._measure(at_us)
        if self.state in ("subscribing", "gapped"):
            self._fire("snapshot")
        else:
            self._nudge()

    def apply_change(self, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> bool:
        """Apply one change; return False if the book cannot be trusted any more (the feed is then gapped)."""
        self.mark_heard()
        self.ahead_us = self.heard_us - at_us
        if self.state != "live":
            return True  # before the snapshot; it will contain this
        try:
            self.book.change(outcome, price, delta)
        except BookError:
            self.mark_gap()
            return False
        self.book_seq += 1
        if self.net_book.apply_change(self.book, outcome, price, at_us):
            self._measure(at_us)
            self._nudge()
        return True

    def refresh_own(self) -> None:
        """Take in that our own orders may have changed."""
        if self.state == "live" and self.net_book.refresh_own(self.book):
            self._measure(self.net_book.at_us)
            self._nudge()

    def record_trade(self, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        """Record a public trade."""
        self._trades.append((at_us, self.volume_e2))
        self.volume_e2 = CountE2(self.volume_e2 + count)
        if self.net_book.tracker is not None and self.state == "live":
            self.net_book.tracker.trade(taker, yes_price, count, at_us)

    def record_own_fill(self, report: FillReport) -> None:
        """Take a fill of ours out of the flow: what we took is no flow of other traders."""
        if self.net_book.tracker is None or not report.is_taker or report.fill_id in self._taken:
            return
        self._taken.append(report.fill_id)
        self.net_book.tracker.took(report.outcome, report.count_e2, report.at_us)

    def set_status(self, status: MarketStatus) -> bool:
        """Set the market's status; return False if it is unchanged."""
        if status == self.status:
            return False
        self.status = status
        self._nudge()
        return True

    def set_grid(self, grid: PriceGrid) -> bool:
        """Set the YES prices the market accepts; return False if they are unchanged."""
        if grid == self.terms.grid:
            return False
        self.terms = replace(self.terms, grid=grid)
        self._grids = {"yes": grid, "no": grid.mirrored()}
        self._nudge()
        return True

    def set_fees(self, fees: FeeTerms, later: tuple[FeeChange, ...]) -> bool:
        """Set what the market bills from now on, and later; return False if that was known. Executions learn of it
        before their next decision."""
        terms = self.terms.with_fees_from(self._wall.now_us(), fees, later)
        if self.net_book.tracker is not None:
            self.net_book.tracker.fees = fees
        if terms == self.terms:
            return False
        self.terms = terms
        self._nudge()
        return True

    def set_terms(self, terms: MarketTerms) -> None:
        """Set the terms the exchange gave; until then they were an execution's own."""
        self.set_grid(terms.grid)
        self.terms = terms
        if self.net_book.tracker is not None:
            self.net_book.tracker.fees = terms.fees_at(self._wall.now_us())
        self.set_status(terms.status)

    def go_on_from(self, tracker: SignalTracker) -> None:
        """Replace the signals by those of somebody who has watched this market for longer, up to this very moment.
        Raises ValueError if that one sees another book."""
        self.net_book.go_on_from(tracker)

    # What executions read.

    def subscribe(self, name: str, nudge: Callable[[], None]) -> None:
        """Have `nudge` called whenever the view may have changed."""
        self._listeners[name] = nudge

    @property
    def is_worked(self) -> bool:
        """Whether an execution works this market."""
        return bool(self._listeners)

    def unsubscribe(self, name: str) -> None:
        """Stop the nudges, and the signals that were computed for this execution."""
        self._listeners.pop(name, None)
        if self.net_book.tracker is not None:
            self.net_book.tracker.unwatch(name)

    def view_for(self, execution: Execution, read: frozenset[str] | None = None) -> MarketView:
        """Return what this execution's next decision sees, with the signals of `read` (None: all). What it costs to
        take is followed from its first view until it unsubscribes, if that or the observer asks for it."""
        tracker, now_us = self.net_book.tracker, self._wall.now_us()
        if tracker is None or self.state != "live":
            return self._view_at(now_us, execution.outcome, VIEW_DEPTH_LEVELS, None)
        name = execution.execution_id
        if read is None or self.on_acted is not None or not read.isdisjoint(SIGNALS_OF_ONE):
            remaining = CountE2(max(0, execution.target_e2 - execution.filled_e2))
            if name in tracker.watches:
                tracker.want(name, remaining, now_us)
            else:
                outcome, fees, observed = execution.outcome, self.terms.fees_at(now_us), self.on_acted is not None
                watch = SweepWatch(outcome, fees, remaining, execution.deadline_us, read, forecast=observed)
                tracker.watch(name, watch, now_us)
        signals = tracker.read(execution.outcome, now_us, name, read)
        return self._view_at(now_us, execution.outcome, VIEW_DEPTH_LEVELS, signals)

    def seen_by_observer(self, execution: Execution, view: MarketView) -> MarketView:
        """Return the view of a decision that is about to act, with the signals that forecasts are made of instead of
        its method's. To be called before anything else can happen: the market moves on while the decision is saved."""
        tracker = self.net_book.tracker
        if self.on_acted is None or tracker is None or view.signals is None:
            return view
        signals = tracker.read(execution.outcome, view.at_us, execution.execution_id, SIGNALS_OF_FORECASTS)
        return replace(view, signals=signals)

    def view_with_signals(self, outcome: Outcome) -> MarketView:
        """Return the whole market as it is now, with the signals that are given to everybody."""
        tracker, now_us = self.net_book.tracker, self._wall.now_us()
        live = tracker is not None and self.state == "live"
        signals = tracker.read(outcome, now_us, None, frozenset()) if tracker is not None and live else None
        return self._view_at(now_us, outcome, 0, signals)

    def volume_since(self, at_us: int) -> CountE2 | None:
        """Return the contracts traded since then; None if something was missed in that time."""
        if self.whole_since_us is None or self.whole_since_us > at_us:
            return None
        if len(self._trades) == TRADES_KEPT and self._trades[0][0] >= at_us:
            return None
        before = next((volume for when_us, volume in self._trades if when_us >= at_us), self.volume_e2)
        return CountE2(self.volume_e2 - before)

    def notify_acted(self, execution: Execution, view: MarketView) -> None:
        """Pass on that an execution has decided on writes, with what the observer saw; both are durable."""
        if self.on_acted is not None:
            self.on_acted(execution, view)

    def view(self, outcome: Outcome, depth: int = VIEW_DEPTH_LEVELS) -> MarketView:
        """Return the market now, without signals; `depth` 0 gives every level."""
        return self._view_at(self._wall.now_us(), outcome, depth, None)

    def _view_at(self, now_us: int, outcome: Outcome, depth: int, signals: Signals | None) -> MarketView:
        mid = self._mid_e5
        bids, asks = self._ladders(outcome, depth)
        return MarketView(
            at_us=now_us,
            book_seq=self.book_seq,
            feed=self.state,
            feed_age_us=now_us - self.heard_us,
            status=self.status,
            grid=self._grids[outcome],
            bids=bids,
            asks=asks,
            mid_e5=mid if mid is None or outcome == "yes" else YES_PLUS_NO_E5 - mid,
            spread_e4=self._spread_e4,
            own_other_best_e4=self._own.best(self.terms.ticker, opposite(outcome)),
            signals=signals,
        )

    def _ladders(self, outcome: Outcome, depth: int) -> tuple[Ladder, Ladder]:
        """Return the bids and offers without our own: built once for all views of one book and one state of ours."""
        ticker = self.terms.ticker
        ours, theirs = self._own.levels(ticker, outcome), self._own.levels(ticker, opposite(outcome))
        shown = self._shown.get((outcome, depth))
        if shown is None or shown.book_seq != self.book_seq or shown.ours is not ours or shown.theirs is not theirs:
            bids, asks = self.book.bids(outcome, depth, ours), self.book.asks(outcome, depth, theirs)
            shown = self._shown[outcome, depth] = _Shown(self.book_seq, ours, theirs, (bids, asks))
        return shown.ladders

    def mid_before(self, at_us: int, outcome: Outcome) -> int | None:
        """Return the mid that stood just before exchange time `at_us`; None if it is older than what is kept."""
        found = bisect_left(self._mids, (at_us, -1))
        if found == 0:
            return None
        mid = self._mids[found - 1][1]
        return mid if outcome == "yes" else YES_PLUS_NO_E5 - mid

    def _measure(self, at_us: int) -> None:
        """Compute mid and spread from the net book: ours may stand at the top for minutes while the other orders move
        behind it."""
        bid, offered = self.net_book.side("yes").best, self.net_book.side("no").best
        if not bid or not offered:
            return  # a one-sided book leaves the last mid and spread standing
        ask = complement(offered)
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
        if trigger in ("lost", "gap"):
            self.whole_since_us = None
        elif trigger == "snapshot":
            self.whole_since_us = self._wall.now_us()
        self._on_change(self.terms.ticker, source, trigger, self.state)
        self._nudge()
