"""The rate budget: every request waits here until the exchange's token buckets have room for it (wire/README.md 11).

There are two buckets, read and write. Waiting requests are served by urgency, cancels before amends before creates,
renewals of orders that can wait last, and among equals in order of arrival. A share of the write bucket is reserved for
cancels, so that a rush of new orders never delays taking old ones back. Waiting is on trio's clock; all figures are
integers.

A place or an amend that finds no tokens for TOKEN_WAIT_MAX_S is given up as proven not sent: the market has moved on
since it was decided, and a decision made now is worth more. A renewal is given up after RENEWAL_WAIT_MAX_S: while it
waits its order can be neither moved nor cancelled.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

import httpx
import msgspec
import trio

from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.token_bucket import MT_PER_TOKEN, TokenBucket
from fsm_exec.kalshi.token_costs import URGENCY, BucketName, Charge, Rank, TokenCosts
from fsm_exec.kalshi.translate import ImpossibleRequest
from fsm_exec.wire.account import AccountLimits, BucketLimits, EndpointCosts

# The lowest tier's limits, until the account's own are known (wire/README.md 11).
READ_DEFAULT: Final = BucketLimits(refill_rate=200, bucket_capacity=200)
WRITE_DEFAULT: Final = BucketLimits(refill_rate=100, bucket_capacity=100)

CANCEL_SHARE_PER_MILLE: Final = 200
"""The share of the write bucket that only cancels may spend: at the lowest tier 20 tokens, ten cancels at once."""
TOKEN_WAIT_MAX_S: Final = 5  # of a create or an amend
RENEWAL_WAIT_MAX_S: Final = 1
PATIENCE_S: Final[dict[Rank, int]] = {
    "amend": TOKEN_WAIT_MAX_S,
    "create": TOKEN_WAIT_MAX_S,
    "renewal": RENEWAL_WAIT_MAX_S,
}
JITTER_MS: Final = 100
"""Requests do not arrive in the rhythm they were sent in: the first of a burst dials, the next find a connection. So
the exchange may see them within a span shorter by this, and our bucket is smaller by what refills in it."""
MARGIN_PER_MILLE_MAX: Final = 100  # of the capacity
BATCH_MAX: Final = 100  # orders in one batch: each of them has to be looked up if the answer is lost
ONE_PLACE: Final = "/portfolio/events/orders"
ONE_CANCEL: Final = "/portfolio/events/orders/order"
ONE_AMEND: Final = "/portfolio/events/orders/order/amend"
BATCH_CANCEL: Final = "/portfolio/events/orders/batched"
TOKENS_MAX: Final = 10**9  # a limit beyond it is taken for a mistake


class NoTokens(httpx.PoolTimeout):
    """No tokens in time. A leaf of httpx's tree, below the one for "never got a connection": nothing was sent."""


class BucketStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens in thousandths. `refused` counts answers 429, which the budget is there to prevent; `given_up` requests
    that found no tokens in time."""

    capacity_mt: int
    refill_mt_per_s: int
    refill_now_mt_per_s: int
    level_mt: int
    waiting: int
    granted: int
    spent_mt: int
    waited_us: int
    given_up: int
    refused: int


class BudgetStatistics(msgspec.Struct, frozen=True):
    read: BucketStatistics
    write: BucketStatistics


class RateBudget:
    """The buckets of one account. Every request of the account must go through one budget; it is made inside trio."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._costs = TokenCosts()
        self._queues = {"read": _Queue(READ_DEFAULT), "write": _Queue(WRITE_DEFAULT)}
        self._single_costs = self._costs_of_singles()

    async def spend(self, method: str, path: str, orders: int | None = None, rank: Rank | None = None) -> Charge:
        """Wait until the request may be sent, take its tokens, and say which they were.

        `orders` is the number of orders of a batch; `rank` is given where it is not the path's. Raises NoTokens, and
        ImpossibleRequest for a batch that fits the bucket not even when it is full.
        """
        charge = self._costs.charge_for(method, path, orders)
        if rank is not None:
            charge = charge._replace(rank=rank)
        queue = self._queues[charge.bucket]
        queue.check_batch(charge, self._costs.default)
        if not await queue.wait_for(charge, self._costs.default):
            within_s = PATIENCE_S[charge.rank]
            self._log.warning("no_tokens", bucket=charge.bucket, rank=charge.rank, within_s=within_s)
            raise NoTokens(f"no tokens for a {charge.rank} within {within_s} s")
        return charge

    def record_rate_limited(self, bucket: BucketName) -> None:
        """Slow a bucket down after the exchange answered 429 in spite of it."""
        queue = self._queues[bucket]
        queue.slow_down()
        self._log.warning("rate_limited", bucket=bucket, refill_mt_per_s=queue.bucket.rate_mt_per_s)

    def set_limits(self, limits: AccountLimits) -> None:
        """Adopt the account's own limits. A figure that is missing or impossible is skipped, and logged."""
        for name, own in (("read", limits.read), ("write", limits.write)):
            if own is None:
                self._log.warning("limits_untold", bucket=name)
            elif 0 < own.refill_rate <= TOKENS_MAX and 0 < own.bucket_capacity <= TOKENS_MAX:
                self._queues[name].resize(own)
            else:
                self._log.warning("limits_unusable", bucket=name, refill=own.refill_rate)

    def set_costs(self, costs: EndpointCosts) -> None:
        self._costs.set_published(costs)
        self._single_costs = self._costs_of_singles()

    def _costs_of_singles(self) -> tuple[int, int, int]:
        """Return the tokens of a place, a cancel and an amend. They are kept, because every decision reads them."""
        place, cancel, amend = (
            self._costs.charge_for(*one, None).tokens
            for one in (("POST", ONE_PLACE), ("DELETE", ONE_CANCEL), ("POST", ONE_AMEND))
        )
        return place, cancel, amend

    def facts(self) -> BudgetFacts:
        """Return the state of the write bucket, in whole tokens."""
        place, cancel, amend = self._single_costs
        write = self._queues["write"].statistics()
        return BudgetFacts(
            write_left=max(0, write.level_mt // MT_PER_TOKEN),
            write_per_s=write.refill_now_mt_per_s // MT_PER_TOKEN,
            write_capacity=write.capacity_mt // MT_PER_TOKEN,
            place_tokens=place,
            cancel_tokens=cancel,
            amend_tokens=amend,
            cancel_reserve=self._queues["write"].reserve_mt(self._costs.default) // MT_PER_TOKEN,
        )

    def cancels_at_once(self) -> int:
        """Return how many orders one batch of cancels may name: half of a full bucket, so that the tokens of the next
        batch refill while this one is on its way."""
        each = max(1, self._costs.charge_for("DELETE", BATCH_CANCEL, 1).tokens)
        half = self._queues["write"].bucket.capacity_mt // MT_PER_TOKEN // 2
        return max(1, min(BATCH_MAX, half // each))

    def statistics(self) -> BudgetStatistics:
        return BudgetStatistics(self._queues["read"].statistics(), self._queues["write"].statistics())


class _Waiter:
    __slots__ = ("order", "woken")

    def __init__(self, urgency: int, number: int) -> None:
        self.order = (urgency, number)
        self.woken = trio.Event()


class _Queue:
    """One bucket and the requests that wait for it, the most urgent first. Only the first looks at the bucket."""

    def __init__(self, limits: BucketLimits) -> None:
        self.bucket = TokenBucket(usable_tokens(limits), limits.refill_rate, _now_us())
        self._waiters: list[_Waiter] = []
        self._number = 0
        self._granted = self._spent_mt = self._waited_us = self._given_up = self._refused = 0

    def check_batch(self, charge: Charge, default_cost: int) -> None:
        room_mt = self.bucket.capacity_mt - self._floor_mt(charge, default_cost)
        if charge.is_batch and charge.tokens * MT_PER_TOKEN > room_mt:
            raise ImpossibleRequest(
                f"a batch of {charge.tokens} tokens does not fit the {room_mt // MT_PER_TOKEN} of the write bucket "
                "as a whole"
            )

    async def wait_for(self, charge: Charge, default_cost: int) -> bool:
        """Take the tokens when it is this request's turn and they are there. Returns False if that takes too long."""
        began_us = _now_us()
        waiter = _Waiter(URGENCY[charge.rank], self._number)
        self._number += 1
        insort(self._waiters, waiter, key=lambda other: other.order)
        patience_s = PATIENCE_S.get(charge.rank, float("inf"))
        taken = False
        try:
            if self._waiters[0] is waiter:  # the common case: the queue is empty, and there are tokens
                taken = self._try_take(charge, default_cost) == 0
            if not taken:
                with trio.move_on_after(patience_s):
                    await self._wait(waiter, charge, default_cost)
                    taken = True
        finally:
            self._waiters.remove(waiter)
            self._wake_first()
            self._waited_us += _now_us() - began_us
        if not taken:
            self._given_up += 1
        return taken

    async def _wait(self, waiter: _Waiter, charge: Charge, default_cost: int) -> None:
        while True:
            waiter.woken = trio.Event()
            if self._waiters[0] is not waiter:
                await waiter.woken.wait()
                continue
            wait_us = self._try_take(charge, default_cost)
            if wait_us == 0:
                return
            with trio.move_on_after(wait_us / US_PER_S):
                await waiter.woken.wait()

    def _try_take(self, charge: Charge, default_cost: int) -> int:
        """Take the tokens if they are there. Returns 0 if they were taken, otherwise how long to wait, in
        microseconds."""
        self.bucket.refill(_now_us())
        floor_mt = self._floor_mt(charge, default_cost)
        # A request that costs more than a whole bucket is sent once the bucket is full: the exchange is the judge of
        # it.
        tokens_mt = min(charge.tokens * MT_PER_TOKEN, self.bucket.capacity_mt - floor_mt)
        wait_us = self.bucket.wait_us(tokens_mt, floor_mt)
        if wait_us == 0:
            self.bucket.take(tokens_mt)
            self._granted += 1
            self._spent_mt += tokens_mt
        return wait_us

    def _floor_mt(self, charge: Charge, default_cost: int) -> int:
        """Return what must be left after this request: the share of the cancels, or nothing if it is a cancel or a
        read."""
        return 0 if charge.bucket == "read" or charge.rank == "cancel" else self.reserve_mt(default_cost)

    def reserve_mt(self, default_cost: int) -> int:
        """Return what only cancels may spend: their share, but never so much that a request at the default cost cannot
        go."""
        share_mt = self.bucket.capacity_mt * CANCEL_SHARE_PER_MILLE // 1_000
        return max(0, min(share_mt, self.bucket.capacity_mt - default_cost * MT_PER_TOKEN))

    def slow_down(self) -> None:
        self._refused += 1
        self.bucket.slow_down(_now_us())
        self._wake_first()

    def resize(self, limits: BucketLimits) -> None:
        self.bucket.resize(usable_tokens(limits), limits.refill_rate, _now_us())
        self._wake_first()

    def _wake_first(self) -> None:
        if self._waiters:
            self._waiters[0].woken.set()

    def statistics(self) -> BucketStatistics:
        self.bucket.refill(_now_us())
        return BucketStatistics(
            capacity_mt=self.bucket.capacity_mt,
            refill_mt_per_s=self.bucket.refill_mt_per_s,
            refill_now_mt_per_s=self.bucket.rate_mt_per_s,
            level_mt=self.bucket.level_mt,
            waiting=len(self._waiters),
            granted=self._granted,
            spent_mt=self._spent_mt,
            waited_us=self._waited_us,
            given_up=self._given_up,
            refused=self._refused,
        )


def usable_tokens(limits: BucketLimits) -> int:
    """Return the capacity to count with: the exchange's, less a margin for requests that bunch up on their way."""
    margin = min(limits.refill_rate * JITTER_MS // 1_000, limits.bucket_capacity * MARGIN_PER_MILLE_MAX // 1_000)
    return limits.bucket_capacity - margin


def _now_us() -> int:
    """Trio's clock: steady, and virtual in the virtual lane."""
    return round(trio.current_time() * US_PER_S)
