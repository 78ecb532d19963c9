"""What flows through one side of a market: cancels, takers, and the reference design's growth of resting size.

A decrease of a level is either a trade or a cancel, and its two frames come in either order, on different
channels, with times that may differ by a second. Per price a signed balance is kept for a while: trades whose decrease
has not come, or decreases (counted as cancels until then) whose trade has not.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from fsm_exec.core.values.ewma import DecayedSum
from fsm_exec.core.values.fixed_point import decay_q30
from fsm_exec.core.values.units import PPM, CountE2, PriceE4

CANCEL_TAU_US: Final = 60_000_000
FAST_TAU_US: Final = 10_000_000
SLOW_TAU_US: Final = 120_000_000
MATCH_US: Final = 2_000_000  # how far apart a trade's two frames may be
BUCKET_US: Final = 10_000_000
FANO_TAU_US: Final = 600_000_000
FANO_BUCKETS_MIN: Final = 12
FANO_TRADES_MIN: Final = 5
SAMPLES: Final = 120  # of the reference design's momentum: two minutes, one a second
SAMPLES_MIN: Final = 30


class CancelFlow:
    """Cancelled contracts, near the best price only."""

    __slots__ = ("_balances", "sum")

    def __init__(self) -> None:
        self.sum = DecayedSum(CANCEL_TAU_US)
        self._balances: dict[PriceE4, tuple[int, int]] = {}  # price: (balance, when)

    def record_decrease(self, price: PriceE4, by: int, at_us: int) -> None:
        balances = self._balances
        kept = balances.get(price)
        if kept is None or abs(at_us - kept[1]) > MATCH_US:
            self.sum.add(by, at_us)
            balances[price] = -by, at_us
            return
        balance = kept[0]
        if balance < by:
            self.sum.add(by - balance if balance > 0 else by, at_us)
        self._keep(price, balance - by, at_us)

    def record_trade(self, price: PriceE4, count: CountE2, at_us: int) -> None:
        balance = self._balance(price, at_us)
        mistaken = min(count, max(-balance, 0))
        if mistaken:
            self.sum.add(-min(mistaken, max(0, self.sum.value(at_us))), at_us)
        self._keep(price, balance + count, at_us)

    def _balance(self, price: PriceE4, at_us: int) -> int:
        kept = self._balances.get(price)
        return kept[0] if kept is not None and abs(at_us - kept[1]) <= MATCH_US else 0

    def _keep(self, price: PriceE4, balance: int, at_us: int) -> None:
        if balance:
            self._balances[price] = balance, at_us
        else:
            self._balances.pop(price, None)


class TakerFlow:
    """Contracts sold into one side's bids: fast and slow rates, and how unevenly they come."""

    __slots__ = ("_bucket", "_first", "_squares", "_volume", "_volumes", "_weights", "fast", "slow", "trades")

    def __init__(self) -> None:
        self.fast, self.slow = DecayedSum(FAST_TAU_US), DecayedSum(SLOW_TAU_US)
        self.trades = 0
        self._bucket = self._first = self._volume = 0
        self._weights = self._volumes = self._squares = 0  # decayed sums over finished buckets, Q20

    def begin(self, at_us: int) -> None:
        """Count buckets without trades from here on."""
        self._bucket = self._first = at_us // BUCKET_US

    def record_sale(self, count: CountE2, at_us: int) -> None:
        self.fast.add(count, at_us)
        self.slow.add(count, at_us)
        bucket = at_us // BUCKET_US
        if bucket > self._bucket:
            self._weights, self._volumes, self._squares = self._finished(bucket)
            self._bucket, self._volume = bucket, 0
        self._volume += count
        self.trades += count > 0

    def fano_e2(self, at_us: int) -> int | None:
        """Variance over mean of the contracts in 10 s, x 100; None with too few trades."""
        bucket = at_us // BUCKET_US
        if bucket - self._first < FANO_BUCKETS_MIN or self.trades < FANO_TRADES_MIN:
            return None
        weights, volumes, squares = self._finished(bucket)
        if volumes <= 0 or weights <= 0:
            return None
        return max(0, (squares * weights - volumes * volumes) // (volumes * weights))

    def _finished(self, bucket: int) -> tuple[int, int, int]:
        """The sums as they stand when `bucket` begins: the last one had a volume, those after it had none."""
        passed = bucket - self._bucket
        if passed <= 0:
            return self._weights, self._volumes, self._squares
        one = decay_q30(BUCKET_US, FANO_TAU_US)
        weights = (self._weights * one >> 30) + (1 << 20)
        volumes = (self._volumes * one >> 30) + (self._volume << 20)
        squares = (self._squares * one >> 30) + (self._volume**2 << 20)
        if passed > 1:
            rest = decay_q30(BUCKET_US * (passed - 1), FANO_TAU_US)
            empty = ((1 << 30) - rest) * (1 << 20) // ((1 << 30) - one)  # 1 + w + w^2 + ... of the empty ones
            weights = (weights * rest >> 30) + empty
            volumes, squares = volumes * rest >> 30, squares * rest >> 30
        return weights, volumes, squares


class ReferenceMomentum:
    """(size now - mean size of the last two minutes) / mean, from a snapshot a second: the formula of the reference
    design, kept for its walkers. Each sample is what stood at the full second."""

    __slots__ = ("_runs", "_seconds", "_sum", "next_us", "size")

    def __init__(self) -> None:
        self._runs: deque[tuple[int, int]] = deque()  # of snapshots of one size: the size, and how many
        self._seconds = self._sum = 0  # of all runs
        self.size = 0
        self.next_us = 0  # when the next second begins; 0: none has begun

    def put(self, size: int, at_us: int) -> None:
        """The size from `at_us` on."""
        if at_us >= self.next_us:
            self.sample(at_us)
        self.size = size

    def sample(self, at_us: int) -> None:
        """Take the snapshots of the seconds that have passed."""
        next_us = at_us - at_us % 1_000_000 + 1_000_000
        if self.next_us:
            number = (next_us - self.next_us) // 1_000_000
            self._runs.append((self.size, number))
            self._seconds += number
            self._sum += self.size * number
            while self._seconds - self._runs[0][1] >= SAMPLES:
                size, number = self._runs.popleft()
                self._seconds -= number
                self._sum -= size * number
        self.next_us = next_us

    def ppm(self, at_us: int) -> int | None:
        """None with fewer than 30 snapshots, or when nothing rested in any."""
        new = max(0, at_us - self.next_us + 1_000_000) // 1_000_000 if self.next_us else 0
        number = min(self._seconds + new, SAMPLES)
        total = self._sum + self.size * new
        surplus = self._seconds + new - number
        for size, seconds in self._runs:
            if surplus <= 0:
                break
            dropped = min(seconds, surplus)
            total -= size * dropped
            surplus -= dropped
        total -= self.size * max(0, surplus)
        if number < SAMPLES_MIN or total <= 0:
            return None
        return (self.size * number - total) * PPM // total
