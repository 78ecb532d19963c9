"""What filled an order: contracts by the cause that the paper exchange kept of each fill."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fsm_exec.core.values.units import CountE2
from fsm_exec.paper.matching_engine.fill_models import FillCause
from fsm_exec.paper.matching_engine.orders import FillRecord

NOTHING_E2 = CountE2(0)


class FillsByCause(msgspec.Struct, frozen=True):
    """Contracts filled, by cause (fill_models.py says what each means). Their sum is all that was filled."""

    trade_e2: CountE2 = NOTHING_E2
    queue_e2: CountE2 = NOTHING_E2
    crossing_e2: CountE2 = NOTHING_E2
    through_e2: CountE2 = NOTHING_E2
    taken_e2: CountE2 = NOTHING_E2

    @property
    def total_e2(self) -> CountE2:
        return CountE2(sum(msgspec.structs.astuple(self)))


def count_by_cause(fills: Iterable[FillRecord]) -> FillsByCause:
    """Count the contracts of the fills by their cause."""
    counts: dict[FillCause, int] = {}
    for fill in fills:
        counts[fill.cause] = counts.get(fill.cause, 0) + fill.count_e2
    return FillsByCause(**{f"{cause}_e2": CountE2(count) for cause, count in counts.items()})
