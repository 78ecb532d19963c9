"""Invariants 16 and 17, and what became of the work, where a second machine has taken over from the first.

Everything is read off the exchange's own books; the engines' tables of groups and epochs are not looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fsm_exec.core.market.client_order_id import order_prefix
from fsm_exec.core.values.units import US_PER_MS, US_PER_S
from fsm_exec.paper.matching_engine.orders import Order

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.machine import Machine
    from fsm_exec.lab.simulation.world import World

AT_WORK_US = 45 * US_PER_S  # by then the second is at work, after it was told, on an exchange that answers


class FenceRules:
    """`decided_us` is when the second machine had itself named in the record, `worked_us` when it was at work, in true
    time; None: not yet."""

    def __init__(self, world: World, first: Machine, second: Machine) -> None:
        self._world, self.first, self.second = world, first, second
        self.decided_us: int | None = None
        self.worked_us: int | None = None
        self._began_us = 0  # the life in which it came to work
        self._has_placed = False

    @property
    def worked_again_ms(self) -> int | None:
        """How long it took from then, or from its last start; None: the second did not have to take over."""
        if self.decided_us is None or self.worked_us is None:
            return None
        return (self.worked_us - max(self.decided_us, self._began_us)) // US_PER_MS

    def is_of_first(self, order: Order) -> bool:
        """Whether an engine of the first machine has sent it. The second may send one again under its name."""
        name = order.client_order_id
        return name.startswith(order_prefix(self.first.instance)) and name not in self.second.witness.sent

    def resting_of_first(self) -> list[Order]:
        """Its orders that are live."""
        return [
            order
            for orders in self._world.account.resting.values()
            for order in orders.values()
            if self.is_of_first(order) and order.client_order_id not in self.second.witness.orphans
        ]

    def accepted(self, order: Order) -> None:
        """The exchange has taken an order in, or another price for it."""
        if self.is_of_first(order):
            if self._has_placed or self.worked_us is not None:
                self.second.witness.found(
                    f"16: order {order.client_order_id} of the machine before arrives after the fence"
                )
            return
        self._has_placed = True
        for other in self.resting_of_first():
            self.second.witness.found(
                f"16: order {order.client_order_id} arrives and {other.client_order_id} of the machine before rests"
            )

    def look(self) -> None:
        """What must hold at any moment."""
        world, now_us = self._world, self._world.now_us()
        if self.worked_us is None and self.second.is_up():
            self.worked_us, self._began_us = self.second.process.started_us, self.second.process.began_us
            world.history.add("second at work", self.worked_us - (self.decided_us or 0))
        if self.worked_us is not None:
            for order in self.resting_of_first():
                self.second.witness.found(f"16: {order.client_order_id} of the machine before rests after the fence")
        elif self.decided_us is not None and self._may_work() and now_us > self.since_us() + AT_WORK_US:
            self.second.witness.found(
                f"16: the second machine is not at work {AT_WORK_US // US_PER_S} s after it was told: "
                f"{self.second.processes[-1].failed if self.second.processes else None}"
            )

    def _may_work(self) -> bool:
        """Whether a process runs there, or should: none does while a death that was drawn lasts."""
        processes = self.second.processes
        return not processes or not processes[-1].life.is_over or processes[-1].failed is not None

    def since_us(self) -> int:
        """From when on nothing stood in the second's way: the exchange answers, and its process runs."""
        assert self.decided_us is not None
        began_us = self.second.process.began_us if self.second.processes else 0
        calm_us = self._world.calm_us if self._world.has_faults else 0
        return max(self.decided_us, began_us, calm_us)

    def has_two_at_work(self) -> bool:
        """Whether the first machine's engine still runs although the second has been told to take over."""
        return self.decided_us is not None and not self.first.is_gone and self.first.is_up()

    def check_end(self) -> None:
        """What must hold when all is at rest: the first machine's engine has stopped by itself."""
        self.look()
        if self.has_two_at_work():
            state = None if self.first.process.engine is None else self.first.process.engine.state
            self.second.witness.found(f"16: the engine of the machine before is still at work ({state})")
