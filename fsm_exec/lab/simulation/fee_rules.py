"""Invariant 2 where fees change: no contract costs more than the cap by the fees of the moment at which it is bought.

What an execution has known of its market's fees since it was accepted has to be heeded, whatever goes wrong later; on
an exchange on which nothing goes wrong, all that was announced has to be known. The fees are the exchange's own.
"""

from __future__ import annotations

from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.lab.simulation.wire_rules import all_in_e6
from fsm_exec.paper.matching_engine.orders import FillRecord


class FeeRules:
    """`must_know`: nothing goes wrong that could keep an engine from reading what is announced."""

    def __init__(self, *, must_know: bool) -> None:
        self._must_know = must_know
        self._accepted: dict[str, MarketTerms] = {}

    def accepted(self, execution: Execution) -> None:
        """An execution is stored; the terms of the first time count."""
        self._accepted.setdefault(execution.execution_id, execution.terms)

    def broken_by_fill(self, fill: FillRecord, execution: Execution, fees: FeeTerms) -> list[str]:
        """What is wrong with a fill of `execution` that the exchange bills by `fees`."""
        terms = self._accepted.get(execution.execution_id)
        limits = execution.limits
        if limits is None or terms is None:
            return []
        if not self._must_know and fees not in terms.fees_within(fill.at_us, fill.at_us):
            return []
        cost_e6 = all_in_e6(fill.price_e4, fees, taker=fill.is_taker)
        if cost_e6 <= limits.cap_e6:
            return []
        name = fill.order.client_order_id
        return [f"2: order {name} is filled at {fill.price_e4}, with the fee of then {cost_e6}: beyond {limits.cap_e6}"]
