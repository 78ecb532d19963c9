"""Order groups: how many contracts the orders of one group may trade within 15 seconds.

The window rolls: a trade counts for 15 s after it happened. When the limit is reached (the official text: "hit"),
or by the member's own trigger, every order of the group is cancelled and new ones are refused until a reset, which
forgets what was counted. Only bookkeeping is here; the exchange cancels.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from fsm_exec.core.errors import UnitError
from fsm_exec.core.values.units import ONE_CONTRACT_E2, CountE2, parse_count
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.wire.writes import GroupLimit

WINDOW_US = 15_000_000
LIMIT_MAX_E2 = CountE2(1_000_000 * ONE_CONTRACT_E2)
GROUPS_MAX = 100_000  # of one account


@dataclass(slots=True, eq=False)
class OrderGroup:
    """`resting` holds the group's live orders in time order; all are on the shard `exchange_index`."""

    group_id: str
    account_id: str
    limit_e2: CountE2
    exchange_index: int = 0
    triggered: bool = False
    resting: dict[str, Order] = field(default_factory=dict)
    _traded: deque[tuple[int, int]] = field(default_factory=deque)

    def record_trade(self, count: CountE2, at_us: int) -> None:
        self._traded.append((at_us, count))

    def has_reached_limit(self, now_us: int) -> bool:
        """Whether the last 15 s hold the limit or more."""
        while self._traded and self._traded[0][0] <= now_us - WINDOW_US:
            self._traded.popleft()
        return sum(count for _, count in self._traded) >= self.limit_e2

    def reset(self) -> None:
        self.triggered = False
        self._traded.clear()


def limit_of(asked: GroupLimit) -> CountE2:
    """The limit a request names. Raises ApiError 400."""
    whole = None if asked.contracts_limit is None else asked.contracts_limit * ONE_CONTRACT_E2
    exact = None
    if asked.contracts_limit_fp is not None:
        try:
            exact = parse_count(asked.contracts_limit_fp)
        except UnitError as error:
            raise errors.invalid_parameters(str(error)) from error
    limit = whole if exact is None else exact
    if limit is None:
        raise errors.invalid_parameters("contracts_limit is required")
    if whole is not None and exact is not None and whole != exact:
        raise errors.invalid_parameters("contracts_limit and contracts_limit_fp do not agree")
    if not ONE_CONTRACT_E2 <= limit <= LIMIT_MAX_E2:
        raise errors.invalid_parameters("contracts_limit is not between 1 and 1000000")
    return CountE2(limit)
