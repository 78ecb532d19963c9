"""Counts of what became durable in this process: kept at every save, so they cost a few additions and no more."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from typing import Final

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.execution.execution import EXECUTION_ENDS
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.values.units import CountE2, MoneyE6, parse_count, parse_money
from fsm_exec.store.alert_rows import Quarantine

STEP: Final = re.compile(r"(execution|child_order) \S+: \w+ -\w+-> (\w+)", re.ASCII)
PARTS: Final = ("delay", "spread", "drift", "fees", "opportunity", "over_fill", "liquidity_reward", "volume_reward")
MEASURED_KEPT_MAX: Final = 4_096  # executions whose cost is taken off again when a late fill changes it


class Counts:
    """`transitions` are by machine and new state, `ended` by end and reason; `fills`, `filled_e2` and `fees_e6` by
    `maker` and `taker`; `cost_e7` by part, in 10^-7 dollars, of executions that ended in this process."""

    def __init__(self) -> None:
        self.transitions: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[tuple[str, str]] = Counter()
        self.accepted = 0
        self.quarantines = 0
        self.fills: Counter[str] = Counter()
        self.filled_e2: Counter[str] = Counter()
        self.fees_e6: Counter[str] = Counter()
        self.cost_e7: Counter[str] = Counter(dict.fromkeys(PARTS, 0))
        self._measured: OrderedDict[str, MetricsRow] = OrderedDict()

    def count(self, saved: ExecutionSave | Quarantine) -> None:
        """Count a step or a quarantine; called by the store once it is durable."""
        if isinstance(saved, Quarantine):
            self.quarantines += saved.why is not None
            return
        self.accepted += saved.journal.seq == 1
        for machine, state in STEP.findall(saved.journal.steps):
            self.transitions[machine, state] += 1
            if machine == "execution" and state in EXECUTION_ENDS:
                self.ended[state, saved.reason or "completed"] += 1
        for fill in saved.fills:
            role = "taker" if fill.is_taker else "maker"
            self.fills[role] += 1
            self.filled_e2[role] += parse_count(fill.quantity)
            self.fees_e6[role] += parse_money(fill.fee)

    def add_cost(self, row: MetricsRow) -> None:
        """Add what an execution cost; one that was measured before is measured anew."""
        earlier = self._measured.pop(row.execution_id, None)
        for part in PARTS:
            self.cost_e7[part] += _part_e7(row, part) - (0 if earlier is None else _part_e7(earlier, part))
        self._measured[row.execution_id] = row
        if len(self._measured) > MEASURED_KEPT_MAX:
            self._measured.popitem(last=False)

    def filled(self, role: str) -> CountE2:
        """Return the contracts filled so."""
        return CountE2(self.filled_e2[role])

    def fees(self, role: str) -> MoneyE6:
        """Return the fees paid so."""
        return MoneyE6(self.fees_e6[role])


def _part_e7(row: MetricsRow, part: str) -> int:
    value: int | None = getattr(row, f"{part}_e7")
    return value or 0
