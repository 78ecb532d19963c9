"""What every actor is handed: the outside, the time, and the markets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.events import AnyEvent
from fsm_exec.core.ports import Exchange, Store
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.lookup import SharedListings
from fsm_exec.runtime.own_orders import OwnOrders


@dataclass(frozen=True)
class Services:
    """`requests` is the nursery of requests under way: it outlives the actors, so an answer is never cut off by the
    end of the one who asked. `deliver(execution_id, event)` hands a fact to whoever owns it, also after its end;
    `learned(client_order_id, order_id)` tells the router an exchange id. `listings` are shared by all who
    are in doubt."""

    store: Store
    exchange: Exchange
    wall: Wall
    own: OwnOrders
    log: FilteringBoundLogger
    requests: trio.Nursery
    deliver: Callable[[str, AnyEvent], bool]
    learned: Callable[[str, str], None]
    listings: SharedListings = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "listings", SharedListings(self.exchange))
