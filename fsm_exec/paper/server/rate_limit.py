"""Rate limits of a member: two token buckets, for reads and for writes, and what each operation costs.

Buckets refill continuously, without windows or penalty (wire/README.md 11). A refused request costs nothing. Requests
that name no member share one bucket: the source's measurement lies between 51 and 77 of them a second.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from fsm_exec.core.values.units import US_PER_S
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.timing.clock import TimeSource

BucketName: TypeAlias = Literal["read", "write"]
DEFAULT_COST = 10
CANCEL_COST = 2
LOOKUP_COST = 2
UPGRADE_COST = 30
UPGRADE = "/account/api_usage_level/upgrade"


class Rate(NamedTuple):
    """Tokens: so many a second, and so many at most."""

    refill: int
    capacity: int


class Tier(NamedTuple):
    name: str
    read: Rate
    write: Rate


BASIC = Tier("basic", Rate(200, 400), Rate(100, 100))
TIERS = {
    tier.name: tier
    for tier in (
        BASIC,
        Tier("advanced", Rate(300, 600), Rate(300, 600)),
        Tier("expert", Rate(600, 600), Rate(600, 1_200)),
        Tier("premier", Rate(1_000, 1_000), Rate(1_000, 2_000)),
        Tier("paragon", Rate(2_000, 2_000), Rate(2_000, 4_000)),
        Tier("prime", Rate(4_000, 4_000), Rate(4_000, 8_000)),
        Tier("prestige", Rate(10_000, 10_000), Rate(8_000, 16_000)),
    )
}
ANONYMOUS = Rate(600, 600)


class EndpointCost(NamedTuple):
    """One line of the public list of costs that are not the default."""

    method: str
    path: str
    cost: int


COSTS = (
    EndpointCost("GET", "/portfolio/orders/{order_id}", LOOKUP_COST),
    EndpointCost("DELETE", "/portfolio/events/orders", CANCEL_COST),
    EndpointCost("DELETE", "/portfolio/events/orders/{order_id}", CANCEL_COST),
    EndpointCost("DELETE", "/portfolio/events/orders/batched", CANCEL_COST),
    EndpointCost("POST", UPGRADE, UPGRADE_COST),
)


class TokenBucket:
    """Counted in millionths of a token, so that a microsecond of refill is exact."""

    __slots__ = ("_at_us", "_level", "_rate")

    def __init__(self, rate: Rate, now_us: int) -> None:
        self._rate = rate
        self._level = rate.capacity * US_PER_S
        self._at_us = now_us

    def take(self, tokens: int, now_us: int) -> bool:
        """Take all `tokens`, or none and return False."""
        elapsed_us = max(0, now_us - self._at_us)
        self._at_us = max(now_us, self._at_us)
        self._level = min(self._rate.capacity * US_PER_S, self._level + elapsed_us * self._rate.refill)
        if tokens * US_PER_S > self._level:
            return False
        self._level -= tokens * US_PER_S
        return True


class RateLimiter:
    """The buckets of every member of one exchange, all of one tier but for those who asked for the next above Basic."""

    def __init__(self, wall: TimeSource, tier: Tier = BASIC) -> None:
        self.tier = tier
        self._wall = wall
        self._buckets: dict[tuple[str, BucketName], TokenBucket] = {}
        self._upgraded: set[str] = set()
        self._anonymous = TokenBucket(ANONYMOUS, 0)

    def upgrade(self, account: Account) -> None:
        """Grant the Advanced tier for good. Of a higher one nothing changes but the grant."""
        if self.is_upgraded(account):
            return
        self._upgraded.add(account.account_id)
        for name in ("read", "write"):
            self._buckets.pop((account.account_id, name), None)

    def is_upgraded(self, account: Account) -> bool:
        return account.account_id in self._upgraded

    def tier_of(self, account: Account) -> Tier:
        return TIERS["advanced"] if self.tier.name == "basic" and self.is_upgraded(account) else self.tier

    def charge(self, account: Account | None, name: BucketName, tokens: int) -> None:
        """Take `tokens` from the member's bucket. Raises ApiError 429 if it does not hold them. `account` None:
        anonymous."""
        now_us = self._wall.now_us()
        if account is None:
            bucket = self._anonymous
        else:
            key = (account.account_id, name)
            known = self._buckets.get(key)
            if known is None:
                tier = self.tier_of(account)
                known = TokenBucket(tier.read if name == "read" else tier.write, now_us)
                self._buckets[key] = known
            bucket = known
        if not bucket.take(tokens, now_us):
            raise errors.too_many_requests()
