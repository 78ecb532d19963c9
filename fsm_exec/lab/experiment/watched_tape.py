"""A tape as an engine watches it that has been there all along: its signals at one moment after the other.

An episode begins two seconds before its start, and an engine that came then would know nothing about the market that
takes time to know. One that trades there has watched it for long, so each episode is handed what that one knows: the
same tracker, driven by the tape from its beginning, once.
"""

from __future__ import annotations

import pickle

from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.values.units import CountE2
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade


class WatchedTape:
    """Moments are asked for in their order: one that lies behind the last is reached from the beginning again."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self._begin()

    def _begin(self) -> None:
        header = self.tape.header
        self._tracker = SignalTracker(fee_terms(header.fee_type, header.fee_multiplier))
        self._next = self._seen_us = 0
        self._kept: tuple[int, bytes] | None = None  # the signals asked for last, and when

    def watch_until(self, seen_us: int) -> SignalTracker:
        """The signals once all events up to `seen_us` are known; they change with the next call."""
        if seen_us < self._seen_us:
            self._begin()
        self._seen_us = seen_us
        events = self.tape.events
        while self._next < len(events) and events[self._next][0] <= seen_us:
            apply_to(self._tracker, *events[self._next])
            self._next += 1
        return self._tracker

    def signals_at(self, seen_us: int) -> SignalTracker:
        """As `watch_until`, for good: a copy that is the caller's own. All episodes of a start ask for the same."""
        if self._kept is None or self._kept[0] != seen_us:
            self._kept = (seen_us, pickle.dumps(self.watch_until(seen_us)))
        copy: SignalTracker = pickle.loads(self._kept[1])
        return copy


def apply_to(tracker: SignalTracker, at_us: int, change: Change) -> None:
    """Tell a tracker what a tape holds."""
    match change:
        case BookSnapshot():
            tracker.begin(change.yes, change.no, at_us)
        case BookDelta():
            held = tracker.side(change.outcome).count_at(change.price_e4)
            tracker.put(change.outcome, change.price_e4, CountE2(held + change.delta_e2), at_us)
        case Trade():
            tracker.trade(change.taker, change.yes_price_e4, change.count_e2, at_us)


_watched: WatchedTape | None = None


def signals_known_at(tape: Tape, seen_us: int) -> SignalTracker:
    """What an engine knows of a tape that has watched it from its beginning until `seen_us`. The tape asked for last is
    kept at hand: an experiment works through one after the other."""
    global _watched
    if _watched is None or _watched.tape is not tape:
        _watched = WatchedTape(tape)
    return _watched.signals_at(seen_us)
