"""Book updates through a market's feed: the processor time of one, bare, with signals, and with executions watched.

    python signals.py --rounds 9

The feed does all that a frame makes necessary: the book, the others' ladders, the mid, and the nudge of whoever works
the market. What a watched execution costs depends on what its method reads: a tree that knows no declarations keeps up
all of it for everybody.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
import trio

from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.signals.sweep_cost import SweepWatch
from fsm_exec.core.values.units import LINEAR_CENT, CountE2
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.own_orders import OwnOrders

TAPE_S, SEED = 1_200, 5
START_US = 1_767_625_200_000_000
ROUNDS = 9
READINGS = 300
LOOKING = 25
FEES = fee_terms("quadratic", Decimal(1))
TERMS = MarketTerms(
    ticker="KXTEST-A-1", series="KXTEST", event="KXTEST-A", category="Test", status="open", grid=LINEAR_CENT, fees=FEES
)
DECLARES = "read" in inspect.signature(SweepWatch).parameters


class Way(NamedTuple):
    """`read` is what the methods of the watched executions read (None: all); `observed`: forecasts are made of them."""

    signals: bool = True
    watched: int = 0
    read: frozenset[str] | None = None
    observed: bool = False


NOTHING: frozenset[str] = frozenset()
WALKER = frozenset({"seed_momentum_ppm", "ofi_z_ppm", "ema_slippage_ppm", "dry_up_ppm"})
TAKER = frozenset({"mid_deviation_e5", "mid_mean_60s_e5", "touch_cost_120s_e6", "touch_mean_60s_e2", "ofi_z_ppm"})
WAYS = {
    "bare": Way(signals=False),
    "signals": Way(),
    "one_of_nothing": Way(watched=1, read=NOTHING),
    "ten_of_nothing": Way(watched=10, read=NOTHING),
    "one_of_nothing_observed": Way(watched=1, read=NOTHING, observed=True),
    "ten_of_nothing_observed": Way(watched=10, read=NOTHING, observed=True),
    "ten_walkers": Way(watched=10, read=WALKER),
    "ten_walkers_observed": Way(watched=10, read=WALKER, observed=True),
    "one_of_everything": Way(watched=1),
    "ten_of_everything": Way(watched=10),
}


def play(tape: Tape, way: Way) -> tuple[float, MarketFeed]:
    """Seconds of processor time it took, and the feed as it is at the end."""
    feed = MarketFeed(TERMS, WallClock(START_US), OwnOrders(), lambda *_: None, signals=way.signals)
    feed.subscribe("e000001", lambda: None)
    feed.mark_connected()
    began = time.thread_time()
    for at_us, change in tape.events:
        match change:
            case BookDelta():
                assert feed.apply_change(change.outcome, change.price_e4, change.delta_e2, at_us)
            case Trade():
                feed.record_trade(change.taker, change.yes_price_e4, change.count_e2, at_us)
            case BookSnapshot():
                feed.apply_snapshot(change.yes, change.no, at_us)
                watch(feed, way, at_us)
    return time.thread_time() - began, feed


def watch(feed: MarketFeed, way: Way, at_us: int) -> None:
    """Have the executions of a way watched, each of another size."""
    tracker = feed.net_book.tracker
    declared: dict[str, Any] = {"read": way.read, "forecast": way.observed} if DECLARES else {}
    for n in range(way.watched):
        assert tracker is not None
        deadline_us = START_US + TAPE_S * 1_000_000
        tracker.watch(f"e{n}", SweepWatch("yes", FEES, CountE2(100 * (n + 1)), deadline_us, **declared), at_us)


def reading_us(feed: MarketFeed, now_us: int, read: frozenset[str] | None) -> float:
    """Microseconds of processor time of one reading of these signals."""
    tracker = feed.net_book.tracker
    assert tracker is not None
    asked: tuple[Any, ...] = (read,) if DECLARES else ()
    best = float("inf")
    for _ in range(10):
        began = time.thread_time()
        for _ in range(READINGS):
            tracker.read("yes", now_us, "e0", *asked)
        best = min(best, time.thread_time() - began)
    return best * 1e6 / READINGS


def view_us(feed: MarketFeed, read: frozenset[str] | None) -> float:
    """Microseconds of processor time of the view of a decision, of executions that look at one book after the other."""
    executions = [
        Execution(
            execution_id=f"v{n}",
            instance="aaaaaaaaaa",
            outcome="yes",
            method="simple_limit@1",
            target_e2=CountE2(100 * (n + 1)),
            limits=None,
            accepted_at_us=START_US,
            deadline_us=START_US + 2 * TAPE_S * 1_000_000,
            grace_us=0,
            terms=TERMS,
            arrival=feed.view("yes"),
        )
        for n in range(LOOKING)
    ]
    asked: tuple[Any, ...] = (read,) if DECLARES else ()
    best = float("inf")
    for _ in range(30):
        began = time.thread_time()
        for execution in executions:
            feed.view_for(execution, *asked)
        best = min(best, time.thread_time() - began)
    return best * 1e6 / LOOKING


async def measure(rounds: int) -> dict[str, float]:
    """Microseconds of processor time of a book update, the least of some rounds in turns, of a reading, and of the
    view of a decision. Raises AssertionError unless every way ends with the same book and mid."""
    tape = generate(SEED, TAPE_S, profile="liquid", start_us=START_US)
    best = dict.fromkeys(WAYS, float("inf"))
    ends = []
    for _ in range(rounds):
        for name, way in WAYS.items():
            seconds, feed = play(tape, way)
            best[name] = min(best[name], seconds)
            ends.append((feed.book.yes, feed.book.no, feed.view("yes").mid_e5))
        await trio.lowlevel.checkpoint()
    assert all(end == ends[0] for end in ends)
    figures = {name: seconds * 1e6 / len(tape.events) for name, seconds in best.items()}
    now_us = tape.events[-1][0]
    for name, read in (("nothing", NOTHING), ("walker", WALKER), ("taker", TAKER), ("everything", None)):
        feed = play(tape, WAYS["ten_of_everything"])[1]
        figures[f"reading_{name}"] = reading_us(feed, now_us, read)
        figures[f"view_{name}"] = view_us(feed, read)
    return figures


SHARES = [("bare", name) for name in WAYS if name != "bare"]


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    figures = trio.run(measure, parser.parse_args().rounds)
    sys.stdout.write(msgspec.json.encode({"figures": figures, "shares": SHARES}).decode() + "\n")


if __name__ == "__main__":
    main()
