"""What a tape looks like, in figures: the same ones for a recording and for a generated tape.

The definitions are those that reproduce the published table of the index recordings. Common to all:
- prices are in cents and sizes in contracts; a part of a cent counts as a whole one, parts of contracts add up; both
  sides of the book count;
- book figures are weighted by time, over the time the book is two-sided, the first 60 s left out;
- the time before a later snapshot is left out too: the feed was down and the book of that time is not known;
- d is the distance from the best of the other side: a YES bid at p, with the best NO bid at n, stands at 100 - p - n.

Floats are allowed here: these are statistics, nothing is priced or counted with them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fsm_exec.core.market.book import Level
from fsm_exec.core.values.units import Outcome, opposite
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, Trade

LEFT_OUT_US = 60_000_000
WINDOWS_S = (10, 60, 300)
SPREAD_CLASSES = ((1, 1), (2, 2), (3, 3), (4, 6), (7, 99))
NEAR_LEVELS = 3  # "depth 3": the touch and the two cents behind it
DISTANCES = 4
CANCEL_DISTANCES = 8
SIZED_WITHIN_C = 12  # limit sizes are those of orders placed this near to the other side's best
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")

Ladders = dict[Outcome, dict[int, int]]  # cents in the ladder's own price -> hundredths of contracts


@dataclass(frozen=True, kw_only=True)
class BookFigures:
    """`spread_shares`: of the time in each of SPREAD_CLASSES. `touch_below_...`: share of the time the thinner side's
    best level holds less; `near_below_50`: the same of its three best cents. `depths`, `arrivals`, `cancels`: at d = 1,
    2, ...: contracts a side; limit orders a second and side; contracts cancelled a second and resting contract, where
    a decrease that no trade explains is a cancel. Sizes ascend."""

    two_sided_s: float
    spread_c: float
    spread_shares: tuple[float, ...]
    touch_below_50: float
    touch_below_100: float
    near_below_50: float
    depths: tuple[float, ...]
    arrivals: tuple[float, ...]
    cancels: tuple[float, ...]
    limit_sizes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One tape's figures; a window's is None where the tape has too few windows of that length.

    Trades are counted over the whole tape; `trade_sizes` ascend. `fano`: variance over mean of the number of trades in
    windows. `mid_sd`: standard deviation of the mid's changes over windows that follow each other; `mid_max`: the
    largest change over windows that start every second; both take the last two-sided mid.
    """

    book: BookFigures
    trades_per_s: float
    contracts_per_s: float
    trade_sizes: tuple[int, ...]
    fano: tuple[float | None, ...]
    sign_autocorrelation: float
    mid_sd: tuple[float | None, ...]
    mid_max: tuple[float | None, ...]


def measure(tape: Tape) -> Figures:
    """All figures of one tape; it must be longer than the 60 s that are left out."""
    book = _BookSums()
    mids = _Mids(tape.first_us)
    trades = [(at_us, change) for at_us, change in tape.events if isinstance(change, Trade)]
    counted_from_us = tape.first_us + LEFT_OUT_US
    ladders: Ladders = {"yes": {}, "no": {}}
    known_us = tape.first_us
    after_trade = False
    for at_us, change in tape.events:
        bests = max(ladders["yes"], default=0), max(ladders["no"], default=0)
        start_us = max(known_us, counted_from_us)
        if at_us > start_us and not isinstance(change, BookSnapshot) and all(bests):
            book.wait(ladders, bests, at_us - start_us)
        mids.until(at_us)
        known_us = at_us
        match change:
            case BookSnapshot():
                if at_us > tape.first_us:
                    mids.forget()
                ladders = {
                    "yes": _ladder(change.yes),
                    "no": _ladder(change.no),
                }
            case BookDelta():
                if at_us > counted_from_us and all(bests):
                    distance = 100 - _cents(change.price_e4) - bests[change.outcome == "yes"]
                    book.change(distance, change.delta_e2, after_trade)
                _change(ladders[change.outcome], _cents(change.price_e4), change.delta_e2)
            case Trade():
                pass
        after_trade = isinstance(change, Trade)
        mids.now(max(ladders["yes"], default=0), max(ladders["no"], default=0))
    sizes = [max(1, trade.count_e2 // 100) for _, trade in trades]
    seconds = max(1, tape.length_us) / 1e6
    paths = mids.paths()
    return Figures(
        book=book.figures(),
        trades_per_s=len(sizes) / seconds,
        contracts_per_s=sum(sizes) / seconds,
        trade_sizes=tuple(sorted(sizes)),
        fano=tuple(fano([at_us - tape.first_us for at_us, _ in trades], tape.length_us, w) for w in WINDOWS_S),
        sign_autocorrelation=autocorrelation([1 if trade.taker == "yes" else -1 for _, trade in trades]),
        mid_sd=tuple(_mid_sd(paths, window) for window in WINDOWS_S),
        mid_max=tuple(_mid_max(paths, window) for window in WINDOWS_S),
    )


# Single statistics


def fano(times_us: Sequence[int], length_us: int, window_s: int) -> float | None:
    """Variance over mean of the number of events in whole windows; None with fewer than two, or without events."""
    windows = length_us // (window_s * 1_000_000)
    counts = [0] * windows
    for at_us in times_us:
        index = at_us // (window_s * 1_000_000)
        if index < windows:
            counts[index] += 1
    return _variance(counts) / _mean(counts) if windows > 1 and any(counts) else None


def autocorrelation(values: Sequence[int]) -> float:
    """At lag 1, about the mean; 0 where nothing varies."""
    mean = _mean(values)
    total = sum((value - mean) ** 2 for value in values)
    return sum((a - mean) * (b - mean) for a, b in pairwise(values)) / total if total else 0.0


def ks_distance(one: Sequence[int], other: Sequence[int]) -> float:
    """Kolmogorov-Smirnov: the largest difference of the two distribution functions. Both must be sorted."""
    if not one or not other:
        return 1.0
    return max(
        abs(bisect_right(one, value) / len(one) - bisect_right(other, value) / len(other)) for value in {*one, *other}
    )


def log_mean_sd(sizes: Sequence[int]) -> tuple[float, float]:
    """Mu and sigma of the lognormal with the same mean and variance of logarithms."""
    logs = [math.log(max(1, size)) for size in sizes]
    return _mean(logs), math.sqrt(_variance(logs))


def median(ordered: Sequence[int]) -> float:
    """Return the median of sorted values; 0 without values."""
    if not ordered:
        return 0.0
    middle = len(ordered) // 2
    return float(ordered[middle]) if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _variance(values: Sequence[float]) -> float:
    mean = _mean(values)
    return _mean([(value - mean) ** 2 for value in values])


# Walking the book


def _cents(price_e4: int) -> int:
    return -(-price_e4 // 100)


def _ladder(levels: Sequence[Level]) -> dict[int, int]:
    ladder: dict[int, int] = {}
    for price_e4, count_e2 in levels:
        _change(ladder, _cents(price_e4), count_e2)
    return ladder


def _change(ladder: dict[int, int], cents: int, delta_e2: int) -> None:
    left = ladder.get(cents, 0) + delta_e2
    if left > 0:
        ladder[cents] = left
    else:
        ladder.pop(cents, None)


class _BookSums:
    """Sums over time of what the book shows, and what arrives in it and leaves it."""

    def __init__(self) -> None:
        self._time_us = 0
        self._spread_us: dict[int, int] = {}
        self._touch_50_us = self._touch_100_us = self._near_50_us = 0
        self._resting = [0] * (CANCEL_DISTANCES + 1)  # hundredths times microseconds, both sides
        self._cancelled = [0] * (CANCEL_DISTANCES + 1)
        self._arrived = [0] * (DISTANCES + 1)
        self._sizes: list[int] = []

    def wait(self, ladders: Ladders, bests: tuple[int, int], wait_us: int) -> None:
        """The book stood so for `wait_us`."""
        self._time_us += wait_us
        spread = 100 - sum(bests)
        self._spread_us[spread] = self._spread_us.get(spread, 0) + wait_us
        touch = min(ladders[outcome][best] for outcome, best in zip(OUTCOMES, bests, strict=True))
        self._touch_50_us += wait_us * (touch < 50_00)
        self._touch_100_us += wait_us * (touch < 100_00)
        near = min(
            sum(ladders[outcome].get(best - behind, 0) for behind in range(NEAR_LEVELS))
            for outcome, best in zip(OUTCOMES, bests, strict=True)
        )
        self._near_50_us += wait_us * (near < 50_00)
        for outcome, best in zip(OUTCOMES, bests, strict=True):
            other = ladders[opposite(outcome)]
            for distance in range(max(1, spread), CANCEL_DISTANCES + 1):
                self._resting[distance] += wait_us * other.get(100 - best - distance, 0)

    def change(self, distance: int, delta_e2: int, after_trade: bool) -> None:
        if delta_e2 > 0:
            if 1 <= distance <= DISTANCES:
                self._arrived[distance] += 1
            if distance <= SIZED_WITHIN_C:
                self._sizes.append(max(1, delta_e2 // 100))
        elif not after_trade and 1 <= distance <= CANCEL_DISTANCES:
            self._cancelled[distance] -= delta_e2

    def figures(self) -> BookFigures:
        time_us = max(1, self._time_us)
        resting = [of_hundredths // 100 for of_hundredths in self._resting]
        return BookFigures(
            two_sided_s=self._time_us / 1e6,
            spread_c=sum(spread * wait_us for spread, wait_us in self._spread_us.items()) / time_us,
            spread_shares=tuple(
                sum(wait_us for spread, wait_us in self._spread_us.items() if low <= spread <= high) / time_us
                for low, high in SPREAD_CLASSES
            ),
            touch_below_50=self._touch_50_us / time_us,
            touch_below_100=self._touch_100_us / time_us,
            near_below_50=self._near_50_us / time_us,
            depths=tuple(there / time_us / 2 for there in resting[1 : DISTANCES + 1]),
            arrivals=tuple(arrived / time_us / 2 * 1e6 for arrived in self._arrived[1:]),
            cancels=tuple(
                gone * 1e6 / there if there else 0.0
                for gone, there in zip(self._cancelled[1:], self._resting[1:], strict=True)
            ),
            limit_sizes=tuple(sorted(self._sizes)),
        )


class _Mids:
    """The last two-sided mid at every second after the first 60, in half cents, one path for each stretch of feed."""

    def __init__(self, first_us: int) -> None:
        self._next_us = first_us + LEFT_OUT_US
        self._mid: int | None = None
        self._paths: list[list[int]] = [[]]

    def until(self, at_us: int) -> None:
        while self._next_us < at_us:
            if self._mid is not None:
                self._paths[-1].append(self._mid)
            self._next_us += 1_000_000

    def now(self, yes_best: int, no_best: int) -> None:
        if yes_best and no_best:
            self._mid = yes_best + 100 - no_best

    def forget(self) -> None:
        self._mid = None
        self._paths.append([])

    def paths(self) -> list[list[int]]:
        return self._paths


def _moves(paths: list[list[int]], window_s: int, step_s: int) -> Iterator[float]:
    """Changes of the mid in cents."""
    for path in paths:
        for start in range(0, len(path) - window_s, step_s):
            yield (path[start + window_s] - path[start]) / 2


def _mid_sd(paths: list[list[int]], window_s: int) -> float | None:
    moves = list(_moves(paths, window_s, window_s))
    return math.sqrt(_variance(moves)) if len(moves) > 1 else None


def _mid_max(paths: list[list[int]], window_s: int) -> float | None:
    return max((abs(move) for move in _moves(paths, window_s, 1)), default=None)
