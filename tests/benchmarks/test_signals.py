"""Book updates a second through a market's feed: with signals, with signals and executions watched, and without.

The feed does all that a frame makes necessary: the book, the others' ladders, the mid, and the nudge of whoever works
the market. Ratios count; they are printed at the end of the run.
"""

from __future__ import annotations

import time
from decimal import Decimal

import trio

from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.signals.sweep_cost import SweepWatch
from fsm_exec.core.values.units import LINEAR_CENT, CountE2
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.own_orders import OwnOrders

TAPE_S, SEED = 3_600, 5
START_US = 1_767_625_200_000_000
ROUNDS = 5
WATCHED = 10
FEES = fee_terms("quadratic", Decimal(1))
TERMS = MarketTerms(
    ticker="KXTEST-A-1", series="KXTEST", event="KXTEST-A", category="Test", status="open", grid=LINEAR_CENT, fees=FEES
)


def play(tape: Tape, *, signals: bool, watched: int) -> tuple[float, MarketFeed]:
    """Seconds it took, and the feed as it is at the end."""
    feed = MarketFeed(TERMS, WallClock(START_US), OwnOrders(), lambda *_: None, signals=signals)
    feed.subscribe("e000001", lambda: None)
    feed.mark_connected()
    began = time.perf_counter()
    for at_us, change in tape.events:
        match change:
            case BookSnapshot():
                feed.apply_snapshot(change.yes, change.no, at_us)
                tracker = feed.net_book.tracker
                for n in range(watched if tracker is not None else 0):
                    assert tracker is not None
                    watch = SweepWatch("yes", FEES, CountE2(100 * (n + 1)), START_US + TAPE_S * 1_000_000)
                    tracker.watch(f"e{n}", watch, at_us)
            case BookDelta():
                assert feed.apply_change(change.outcome, change.price_e4, change.delta_e2, at_us)
            case Trade():
                feed.record_trade(change.taker, change.yes_price_e4, change.count_e2, at_us)
    return time.perf_counter() - began, feed


async def test_signals_leave_the_feed_fast(figures: list[str]) -> None:
    """Every way ends with the same book and mid; the best of some rounds counts, taken in turns."""
    tape = generate(SEED, TAPE_S, profile="liquid", start_us=START_US)
    ways = {"off": (False, 0), "on": (True, 0), "one": (True, 1), "ten": (True, WATCHED)}
    best = dict.fromkeys(ways, float("inf"))
    ends = []
    for _ in range(ROUNDS):
        for name, (signals, watched) in ways.items():
            seconds, feed = play(tape, signals=signals, watched=watched)
            best[name] = min(best[name], seconds)
            ends.append((feed.book.yes, feed.book.no, feed.view("yes").mid_e5))
        await trio.lowlevel.checkpoint()
    assert all(end == ends[0] for end in ends)
    updates = len(tape.events)
    rate = {name: updates / seconds for name, seconds in best.items()}
    tracker = feed.net_book.tracker
    assert tracker is not None
    now_us = tape.events[-1][0]
    began = time.perf_counter()
    for _ in range(1_000):
        tracker.read("yes", now_us, "e0")
    reading_us = (time.perf_counter() - began) * 1_000
    figures.append(
        f"book updates: {rate['off']:,.0f}/s without signals, {rate['on']:,.0f}/s with (ratio "
        f"{rate['on'] / rate['off']:.2f}), {rate['one']:,.0f}/s with one execution watched (ratio "
        f"{rate['one'] / rate['off']:.2f}), {rate['ten']:,.0f}/s with {WATCHED} (ratio "
        f"{rate['ten'] / rate['off']:.2f}); one reading of all signals {reading_us:.0f} us"
    )
