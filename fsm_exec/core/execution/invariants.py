"""What must be true of an execution after every step (1, 2, 8 and 11 of fsm_exec/README.md, as far as it shows)."""

from __future__ import annotations

from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.execution import Execution, PendingAmend
from fsm_exec.core.values.units import PriceE4


class InvariantBroken(LocalError):
    """Our bug. The draft is dropped and the execution quarantined before anything is done."""


def check(execution: Execution) -> None:
    """Raises InvariantBroken with the number of the invariant."""
    limits = execution.limits
    committed = sum(child.committed_e2 for child in execution.children)
    late = sum(child.late_e2 for child in execution.children)
    if committed - late > execution.target_e2:
        raise InvariantBroken(f"1: {committed} filled, live or unknown of a target of {execution.target_e2}")
    if execution.slices and sum(part.count_e2 for part in execution.slices) != execution.target_e2:
        raise InvariantBroken(f"8: the slices are not the target {execution.target_e2}")
    grid = execution.terms.grid.seen_from(execution.outcome)
    for child in execution.children:
        # Nothing says that post-only survives an amend, so an amended price counts as a taker's.
        prices: list[tuple[PriceE4, bool]] = [(child.price_e4, not child.post_only or child.walks > 0)]
        if isinstance(child.write, PendingAmend):
            prices.append((child.write.price_e4, True))
        for price, taker in prices:
            if limits is None or execution.terms.fees.all_in(price, taker=taker) > limits.cap_e6:
                raise InvariantBroken(f"2: order {child.client_order_id} at {price} with its fee is beyond the cap")
            if not grid.contains(price):
                raise InvariantBroken(f"11: order {child.client_order_id} at {price} is off the grid")
        if child.counted_e2 != sum(fill.count_e2 for fill in child.fills):
            raise InvariantBroken(f"3: order {child.client_order_id} counts {child.counted_e2} against its fills")
        if not child.counted_e2 <= child.reported_e2 <= child.count_e2:
            raise InvariantBroken(f"3: order {child.client_order_id}: counted, reported and count are out of order")
