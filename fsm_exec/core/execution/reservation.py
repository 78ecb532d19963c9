"""What an unfinished execution may still cost: the most it may still buy, all of it at its cap.

It is derived from the execution and kept nowhere else but beside its snapshot, so it cannot be forgotten at a restart
or given back twice. Fills take from it, corrections of fills give it back, the end leaves nothing.
"""

from __future__ import annotations

from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.units import ONE_CONTRACT_E2, CountE2, MoneyE6, ceil_div


def open_e2(execution: Execution) -> CountE2:
    """The contracts it may still buy: 0 once it has ended, and where it has no limits and so may buy nothing. One in
    quarantine counts: it may be resumed, and its orders may live."""
    if execution.is_ended or execution.limits is None:
        return CountE2(0)
    return CountE2(max(0, execution.target_e2 - execution.filled_e2))


def reserved_e6(execution: Execution) -> MoneyE6:
    """What those contracts cost at most, fees included, in millionths of a dollar and rounded up."""
    if execution.limits is None:
        return MoneyE6(0)
    return MoneyE6(ceil_div(open_e2(execution) * execution.limits.cap_e6, ONE_CONTRACT_E2))
