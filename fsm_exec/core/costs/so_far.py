"""What an execution has cost so far: figures to watch while it works, not the shortfall, which waits for its end."""

from __future__ import annotations

import msgspec

from fsm_exec.core.costs.metrics import DeadlineBook, Decomposition, decompose
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.book import Ladder


class CostStep(msgspec.Struct, frozen=True, gc=False):
    """What the fills up to `at_us` cost, part by part, in 10^-7 dollars for all of them together; positive is a cost.

    The parts are those of `costs/metrics.py`, of what is filled: the mid's move from arrival to the first order
    (delay), from there to each fill (drift), the price against that mid (spread), and what was billed (fees)."""

    at_us: int
    delay: int
    spread: int
    drift: int
    fees: int

    @property
    def total(self) -> int:
        return self.delay + self.spread + self.drift + self.fees


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


def cost_steps(execution: Execution) -> list[CostStep]:
    """Return how `cost_so_far_e7` built up: nothing at acceptance, then one step for each fill, in the order of the
    exchange's time; empty if the arrival was not known. A fill whose mid is not known has no drift."""
    arrival = execution.arrival.trusted_mid_e5
    if arrival is None:
        return []
    first = arrival if execution.first_write_mid_e5 is None else execution.first_write_mid_e5
    steps = [CostStep(execution.accepted_at_us, 0, 0, 0, 0)]
    for fill in execution.fills:
        step, mid = steps[-1], first if fill.mid_e5 is None else fill.mid_e5
        steps.append(
            CostStep(
                at_us=max(step.at_us, fill.traded_at_us),
                delay=step.delay + fill.count_e2 * (first - arrival),
                spread=step.spread + fill.count_e2 * (fill.price_e4 * 10 - mid),
                drift=step.drift + fill.count_e2 * (mid - first),
                fees=step.fees + fill.fee_e6 * 10,
            )
        )
    return steps


def cost_if_completed(execution: Execution, bids: Ladder, asks: Ladder) -> Decomposition | None:
    """Return what all of the target would cost if the rest were bought from this book; None: the arrival was not
    known."""
    return decompose(execution, DeadlineBook(bids=bids, asks=asks, mid_e5=None, fresh=True), [])
