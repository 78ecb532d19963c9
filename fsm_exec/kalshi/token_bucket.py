"""One token bucket, as arithmetic: no clock, no waiting. Tokens in thousandths (`_mt`), times in microseconds.

It never lets more through than the exchange's own bucket would, whatever the window: capacity + refill x time. After
a 429, which says that the exchange counts otherwise than we do, it refills at half the rate, and comes back step by
step.
"""

from __future__ import annotations

from typing import Final

MT_PER_TOKEN: Final = 1_000
US_PER_S: Final = 1_000_000

SLOW_US: Final = 10_000_000  # how long a halved refill lasts before it is doubled again
ONE_BURST_US: Final = 1_000_000  # refusals this close together are one sign, not many
HALVINGS_MAX: Final = 3


class TokenBucket:
    """`level_mt` is what may be spent; it is brought up to date by `grow`. Starts full."""

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
        """The refill as it is now."""
        return max(1, self.refill_mt_per_s >> self.halvings)

    def refill(self, now_us: int) -> None:
        """Refill up to `now_us`; a clock that steps back refills nothing."""
        while self.halvings and self._slow_until_us <= now_us:
            self._grow_at_one_rate(self._slow_until_us)
            self.halvings -= 1
            self._slow_until_us += SLOW_US
        self._grow_at_one_rate(now_us)

    def wait_us(self, tokens_mt: int, floor_mt: int) -> int:
        """How long until `tokens_mt` can be taken and `floor_mt` are still left; 0: now. Both must fit the capacity.
        Should the refill get faster meanwhile, it is sooner."""
        missing_mt = tokens_mt + floor_mt - self.level_mt
        if missing_mt <= 0:
            return 0
        return -(-(missing_mt * US_PER_S - self._carry) // self.rate_mt_per_s)

    def take(self, tokens_mt: int) -> None:
        assert 0 <= tokens_mt <= self.level_mt
        self.level_mt -= tokens_mt

    def slow_down(self, now_us: int) -> None:
        """The exchange answered 429: its bucket is empty, so ours is, and it fills more slowly than we thought."""
        self.refill(now_us)
        self.level_mt = self._carry = 0
        if self._halved_us is not None and now_us - self._halved_us < ONE_BURST_US:
            return
        self.halvings = min(self.halvings + 1, HALVINGS_MAX)
        self._halved_us = now_us
        self._slow_until_us = now_us + SLOW_US

    def resize(self, capacity_tokens: int, refill_tokens_per_s: int, now_us: int) -> None:
        """Take over the exchange's own figures. What was spent stays spent: a larger bucket is not a fuller one."""
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
