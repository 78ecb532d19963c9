"""What every actor is given: store, exchange, clock, and what executions share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.costs.rewards import UNKNOWN_REWARDS, Rewards
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.store_port import Store
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.exchange_reads import SharedListings
from fsm_exec.runtime.fence import Fence
from fsm_exec.runtime.order_lease import HostLease
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders


async def rewards_unknown(_: Execution) -> Rewards:
    """Return what an execution has earned where nobody watches what programmes pay."""
    return UNKNOWN_REWARDS


@dataclass(frozen=True)
class Services:
    """`requests` is the nursery of requests in flight: it outlives the actors, so an answer is never cut off by the end
    of the actor that asked. `names` map orders to executions. `listings` are shared by all order look-ups.
    `describe_outage(from_us, to_us)` describes for how long of that time nothing could be done at the exchange, and
    why. `estimate_rewards` is asked once of an execution that has ended. `loose` has the orders that no working
    execution answers for and that may be live, by client order id: those of quarantined executions, with its id, and
    those without an owner. `host_lease_s` is how long a resting order outlives this host at most; 0: until its
    execution is over. `fence`: the engines that were taken over from; None: no order is in any group."""

    store: Store
    exchange: Exchange
    wall: WallClock
    own: OwnOrders
    log: FilteringBoundLogger
    requests: trio.Nursery
    names: OrderNames
    describe_outage: Callable[[int, int], str | None] = lambda _, __: None
    estimate_rewards: Callable[[Execution], Awaitable[Rewards]] = rewards_unknown
    loose: dict[str, str] = field(default_factory=dict)
    host_lease_s: int = 0
    fence: Fence | None = None
    listings: SharedListings = field(init=False)
    lease: HostLease = field(init=False)

    def add_loose(self, execution: Execution) -> None:
        """Record the open orders of an execution that stopped, and those whose end is doubted, as loose."""
        for child in execution.children:
            if child.is_open or child.suspicion is not None:
                self.loose[child.client_order_id] = execution.execution_id

    def remove_loose(self, execution_id: str) -> None:
        """Remove the loose orders of an execution that is worked again."""
        for name in [name for name, owner in self.loose.items() if owner == execution_id]:
            del self.loose[name]

    def __post_init__(self) -> None:
        object.__setattr__(self, "listings", SharedListings(self.exchange))
        object.__setattr__(self, "lease", HostLease(self.host_lease_s, self.exchange, self.own, self.wall))
