"""Whether a request may be let in at all while more can be lost by it: the limits that are no worst case; the brake.

What was let in counts by the true time. A limit of the engine's own clock is held against that clock.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from typing import TYPE_CHECKING

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.lab.simulation.actions import Contradict

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World

MINUTE_US = 60 * US_PER_S
UNDER_WAY_US = 2 * US_PER_S  # from the decision to let a request in until it is durable, at most


class RiskRules:
    """Tell `brake_stored` of each commit, and `accepted` of what is let in."""

    def __init__(self, limits: RiskLimits, world: World) -> None:
        self._limits, self._world = limits, world
        self._accepted_us: deque[int] = deque()
        self._by_life = 0  # by which they were let in
        self._brake, self._braked_us = "active", 0
        self._given_up = any(isinstance(action, Contradict) for _, action in world.scenario.steps)

    def brake_stored(self, connection: sqlite3.Connection) -> None:
        """Look since when the stored brake is on."""
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'risk_state'").fetchone() is None:
            return
        row = connection.execute("SELECT state FROM risk_state").fetchone()
        state = "active" if row is None else str(row[0])
        if state != self._brake:
            self._brake, self._braked_us = state, self._world.now_us()

    def accepted(self, execution: Execution) -> list[str]:
        """Count an execution that has become durable. Return what forbids it unless nothing more can be lost by it."""
        self._count()
        world, limits, name = self._world, self._limits, execution.execution_id
        now_us, ticker, found = world.now_us(), execution.terms.ticker, list[str]()
        if self._brake != "active" and self._braked_us < now_us - UNDER_WAY_US:
            found.append(f"the brake is {self._brake}")
        if execution.terms.series in limits.never_series:
            found.append(f"the series {execution.terms.series} is forbidden")
        if (limit := limits.max_executions) is not None and not self._given_up:
            others = [kept.execution for kept in world.witness.durable.values()]
            working = sum(not each.is_ended for each in others if each.execution_id != name)
            if working + 1 > limit:
                found.append(f"{working} are at work, the limit is {limit}")
        if (limit := limits.max_submissions_per_minute) is not None and len(self._accepted_us) > limit:
            found.append(f"it is number {len(self._accepted_us)} of a minute, the limit is {limit}")
        market, window_s = world.exchange.markets[ticker], limits.no_new_within_s_of_close
        if window_s is not None and market.status == "active":
            left_us = market.close_us - world.process.wall_us()
            if left_us < window_s * US_PER_S - UNDER_WAY_US:
                found.append(f"it is {left_us} us before the close, the limit is {window_s} s")
        return found

    def _count(self) -> None:
        """Count one that is let in now; of what an earlier process let in this one need not know all."""
        world, now_us = self._world, self._world.now_us()
        if world.process.life.number != self._by_life:
            self._accepted_us.clear()
            self._by_life = world.process.life.number
        while self._accepted_us and self._accepted_us[0] <= now_us - MINUTE_US + UNDER_WAY_US:
            self._accepted_us.popleft()
        self._accepted_us.append(now_us)
