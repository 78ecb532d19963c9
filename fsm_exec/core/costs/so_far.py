"""What an execution has cost so far: a figure to watch while it works, not the shortfall, which waits for its end."""

from __future__ import annotations

from fsm_exec.core.execution.execution import Execution


def cost_so_far_e7(execution: Execution) -> int | None:
    """Return what the fills cost above the mid at arrival, fees included, in 10^-7 dollars for all of them together.

    Positive: a cost. None: the arrival was not known. The unfilled rest has no part in it, so it may still grow.
    """
    mid_e5 = execution.arrival.trusted_mid_e5
    if mid_e5 is None:
        return None
    paid_e6 = sum(
        fill.count_e2 * fill.price_e4 + fill.fee_e6
        for child in execution.children
        for fill in (*child.fills, *child.late)
    )
    return paid_e6 * 10 - execution.filled_e2 * mid_e5
