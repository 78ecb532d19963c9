"""This account's resting size per market and level, as far as the engine knows it: it is taken out of every view."""

from __future__ import annotations

from collections import defaultdict

from fsm_exec.core.execution.execution import CHILD_LIVE, Execution
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4


class OwnOrders:
    """Our resting orders. Each actor updates its own execution after every durable step."""

    def __init__(self) -> None:
        self._resting: dict[tuple[str, Outcome], dict[str, tuple[tuple[PriceE4, CountE2], ...]]] = defaultdict(dict)
        self._levels: dict[tuple[str, Outcome], dict[PriceE4, CountE2]] = {}  # summed up, once somebody has asked

    def update(self, execution: Execution) -> None:
        """Replace what `execution` has resting."""
        resting = tuple(
            (child.price_e4, CountE2(child.count_e2 - max(child.counted_e2, child.reported_e2)))
            for child in execution.children
            if child.state in CHILD_LIVE
        )
        self._replace(execution, resting)

    def remove(self, execution: Execution) -> None:
        """Remove an execution that is not worked any more, and whose orders are cancelled."""
        self._replace(execution, ())

    def _replace(self, execution: Execution, resting: tuple[tuple[PriceE4, CountE2], ...]) -> None:
        side = execution.terms.ticker, execution.outcome
        orders = self._resting[side]
        before = orders.get(execution.execution_id, ())
        if resting == before:
            return
        if resting:
            orders[execution.execution_id] = resting
        else:
            del orders[execution.execution_id]
        levels = self._levels.get(side)
        if levels is None:
            return
        # A new mapping, by which readers see that it changed; of the difference, since others may have many orders.
        levels = self._levels[side] = dict(levels)
        for price, count in before:
            levels[price] = CountE2(levels[price] - count)
        for price, count in resting:
            levels[price] = CountE2(levels.get(price, 0) + count)
        for price, _ in before:
            if not levels.get(price, 1) and not any(price == at for each in orders.values() for at, _ in each):
                del levels[price]

    def count(self) -> int:
        """Return how many of our orders are live."""
        return sum(len(orders) for side in self._resting.values() for orders in side.values())

    def levels(self, ticker: str, outcome: Outcome) -> dict[PriceE4, CountE2]:
        """Return our bids for `outcome` by price. The caller must not change the mapping."""
        levels = self._levels.get((ticker, outcome))
        if levels is not None:
            return levels
        levels = self._levels[ticker, outcome] = {}
        for resting in self._resting[ticker, outcome].values():
            for price, count in resting:
                levels[price] = CountE2(levels.get(price, 0) + count)
        return levels

    def by_execution(self, ticker: str, outcome: Outcome) -> dict[str, tuple[tuple[PriceE4, CountE2], ...]]:
        """Return the bids for `outcome` of each execution that has any, by its id. The caller must not change the
        mapping."""
        return self._resting.get((ticker, outcome), {})

    def best(self, ticker: str, outcome: Outcome) -> PriceE4 | None:
        """Return our highest bid for `outcome`, or None."""
        return max(self.levels(ticker, outcome), default=None)
