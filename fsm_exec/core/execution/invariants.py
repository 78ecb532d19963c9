"""What must be true of an execution after every step (1, 2, 8 and 11 of fsm_exec/README.md, as far as it shows)."""

from __future__ import annotations

from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.execution import CHILD_ENDS, Execution, PendingAmend
from fsm_exec.core.values.units import PriceE4


class InvariantBroken(LocalError):
    """Our bug. The draft is dropped and the execution quarantined before anything is done."""


def check(execution: Execution, before: Execution | None = None) -> None:
    """Raises InvariantBroken with the number of the invariant. `before` has been checked: of its orders those that are
    still the same are not looked at again, one by one."""
    limits, children = execution.limits, execution.children
    # What an order that is over adds, but for its late fills, is what it counts: most are, and a call each is dear.
    committed = sum(
        child.counted_e2 if child.state in CHILD_ENDS else child.committed_e2 - child.late_e2 for child in children
    )
    if committed > execution.target_e2:
        raise InvariantBroken(f"1: {committed} filled, live or unknown of a target of {execution.target_e2}")
    if execution.slices and sum(part.count_e2 for part in execution.slices) != execution.target_e2:
        raise InvariantBroken(f"8: the slices are not the target {execution.target_e2}")
    if before is not None and (before.limits, before.terms, before.outcome) == (
        limits,
        execution.terms,
        execution.outcome,
    ):
        known = before.children
        children = (
            *(one for one, was in zip(children, known, strict=False) if one is not was),
            *children[len(known) :],
        )
    grid = execution.terms.grid.seen_from(execution.outcome)
    for child in children:
        # Nothing says that post-only survives an amend, so an amended price counts as a taker's.
        prices: list[tuple[PriceE4, bool]] = [(child.price_e4, not child.post_only or child.walks > 0)]
        if isinstance(child.write, PendingAmend) and child.write.price_e4 != child.price_e4:
            prices.append((child.write.price_e4, True))
        for price, taker in prices:
            # By the lowest fees there have been: those of the moment are the decision's (core.execution.order_checks),
            # and an order that was right then may have to wait for its cancel.
            if limits is None or execution.terms.least_all_in(price, taker=taker) > limits.cap_e6:
                raise InvariantBroken(f"2: order {child.client_order_id} at {price} with its fee is beyond the cap")
            if not grid.contains(price):
                raise InvariantBroken(f"11: order {child.client_order_id} at {price} is off the grid")
        if child.counted_e2 != sum(fill.count_e2 for fill in child.fills):
            raise InvariantBroken(f"3: order {child.client_order_id} counts {child.counted_e2} against its fills")
        if not child.counted_e2 <= child.reported_e2 <= child.count_e2:
            raise InvariantBroken(f"3: order {child.client_order_id}: counted, reported and count are out of order")
