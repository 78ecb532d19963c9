"""What every actor is handed: the outside, the time, and the markets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.store_port import Store
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.exchange_reads import SharedListings
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders


@dataclass(frozen=True)
class Services:
    """`requests` is the nursery of requests under way: it outlives the actors, so an answer is never cut off by the
    end of the one who asked. `names` say which execution an order belongs to. `listings` are shared by all who are in
    doubt.
    `describe_outage(from_us, to_us)` says for how long of that time nothing could be done at the exchange, and why.
    `loose` are orders that no execution at work answers for and that may be live, by client order id: those of
    quarantined executions, with its id, and those that nobody owns."""

    store: Store
    exchange: Exchange
    wall: WallClock
    own: OwnOrders
    log: FilteringBoundLogger
    requests: trio.Nursery
    names: OrderNames
    describe_outage: Callable[[int, int], str | None] = lambda _, __: None
    loose: dict[str, str] = field(default_factory=dict)
    listings: SharedListings = field(init=False)

    def add_loose(self, execution: Execution) -> None:
        """Nobody works it any more: what is open of it, or whose end is doubted, may be live."""
        for child in execution.children:
            if child.is_open or child.suspicion is not None:
                self.loose[child.client_order_id] = execution.execution_id

    def remove_loose(self, execution_id: str) -> None:
        """Somebody works it again."""
        for name in [name for name, owner in self.loose.items() if owner == execution_id]:
            del self.loose[name]

    def __post_init__(self) -> None:
        object.__setattr__(self, "listings", SharedListings(self.exchange))
