"""One token bucket as arithmetic, without clock or waiting. Tokens are in thousandths (`_mt`), times in microseconds.

It never lets more through than the exchange's own bucket would, whatever the window: capacity + refill x time. A 429
says that the exchange counts differently; after it the bucket refills at half the rate and recovers step by step.
"""

from __future__ import annotations

from typing import Final

from fsm_exec.core.values.units import US_PER_S

MT_PER_TOKEN: Final = 1_000

SLOW_US: Final = 10_000_000  # how long a halved refill lasts before it is doubled again
ONE_BURST_US: Final = 1_000_000  # refusals this close together are one sign, not many
HALVINGS_MAX: Final = 3


class TokenBucket:
    """A bucket that starts full. `level_mt` is what may be spent; `refill` brings it up to date."""

    def __init__(self, capacity_tokens: int, refill_tokens_per_s: int, now_us: int) -> None:
        self.capacity_mt = capacity_tokens * MT_PER_TOKEN
        self.refill_mt_per_s = refill_tokens_per_s * MT_PER_TOKEN
        self.level_mt = self.capacity_mt
        self.halvings = 0
        self._slow_until_us = 0
        self._halved_us: int | None = None
        self._now_us = now_us
        self._carry = 0  # of refill, in thousandths of a token x microseconds: nothing is rounded away

    @property
    def rate_mt_per_s(self) -> int:
        """The present refill rate."""
        return max(1, self.refill_mt_per_s >> self.halvings)

    def refill(self, now_us: int) -> None:
        """Refill up to `now_us`; a clock that steps back refills nothing."""
        while self.halvings and self._slow_until_us <= now_us:
            self._grow_at_one_rate(self._slow_until_us)
            self.halvings -= 1
            self._slow_until_us += SLOW_US
        self._grow_at_one_rate(now_us)

    def wait_us(self, tokens_mt: int, floor_mt: int) -> int:
        """Return how long to wait until `tokens_mt` can be taken with `floor_mt` left; 0: now. Both together must fit
        the capacity. If the refill gets faster in between, the wait is shorter."""
        missing_mt = tokens_mt + floor_mt - self.level_mt
        if missing_mt <= 0:
            return 0
        return -(-(missing_mt * US_PER_S - self._carry) // self.rate_mt_per_s)

    def take(self, tokens_mt: int) -> None:
        assert 0 <= tokens_mt <= self.level_mt
        self.level_mt -= tokens_mt

    def slow_down(self, now_us: int) -> None:
        """Empty the bucket and halve its refill, after the exchange answered 429: its bucket is empty and fills more
        slowly than ours did."""
        self.refill(now_us)
        self.level_mt = self._carry = 0
        if self._halved_us is not None and now_us - self._halved_us < ONE_BURST_US:
            return
        self.halvings = min(self.halvings + 1, HALVINGS_MAX)
        self._halved_us = now_us
        self._slow_until_us = now_us + SLOW_US

    def resize(self, capacity_tokens: int, refill_tokens_per_s: int, now_us: int) -> None:
        """Adopt the exchange's figures. What was spent stays spent: a larger bucket is not a fuller one."""
        self.refill(now_us)
        self.capacity_mt = capacity_tokens * MT_PER_TOKEN
        self.refill_mt_per_s = refill_tokens_per_s * MT_PER_TOKEN
        self._clip()

    def _grow_at_one_rate(self, until_us: int) -> None:
        if until_us <= self._now_us:
            return
        gained, self._carry = divmod(self._carry + self.rate_mt_per_s * (until_us - self._now_us), US_PER_S)
        self.level_mt += gained
        self._now_us = until_us
        self._clip()

    def _clip(self) -> None:
        if self.level_mt >= self.capacity_mt:
            self.level_mt, self._carry = self.capacity_mt, 0
