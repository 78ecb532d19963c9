"""Decisions a second of each algorithm, beside the simplest: what thinking costs, without saving and without sending.

No timing fails a test: the machine is not ours to judge. What must hold is that every decision was one.
"""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace
from pytest_benchmark.fixture import BenchmarkFixture

from fsm_exec.algorithms import SHIPPED, SHIPPED_FAMILIES, Method
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import DecisionDue, OrderAccepted
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import CountE2, PriceE4
from fsm_exec.lab.algorithm_checks.stage import STEP_US, Frame, submitted

DECISIONS = 2_000
HORIZON_US = 600_000_000
FRAME = Frame(
    bids=tuple((PriceE4(4_900 - 100 * n), CountE2(30_000)) for n in range(10)),
    asks=tuple((PriceE4(5_500 + 100 * n), CountE2(30_000)) for n in range(10)),
    signals=Signals(at_us=0, imbalance_ppm=500_000, ofi_z_ppm=0, seed_momentum_ppm=0, ema_slippage_ppm=0, dry_up_ppm=0),
)


def think(method: Method, first: Execution) -> int:
    """Decide as often as asked, at later and later times, on an execution whose plan is made; returns how often."""
    view = first.arrival
    for n in range(DECISIONS):
        at_us = first.accepted_at_us + n * STEP_US // 8
        advance(first, DecisionDue(at_us=at_us, view=replace(view, at_us=at_us)), method)
    return DECISIONS


def begun(method: Method) -> Execution:
    """Accepted, planned, its first orders taken by the exchange: what can rest does."""
    event = submitted(100_000, FRAME, horizon_us=HORIZON_US, target_e4=5_000, worst_e4=5_400)
    accepted = advance(None, event, method)
    assert accepted is not None
    planned = advance(accepted.execution, DecisionDue(at_us=event.at_us, view=event.arrival), method)
    assert planned is not None
    execution = planned.execution
    for child in execution.children:
        rests = child.time_in_force == "good_till_canceled"
        answer = OrderAccepted(
            at_us=event.at_us,
            client_order_id=child.client_order_id,
            order_id=child.client_order_id,
            filled_e2=CountE2(0),
            remaining_e2=child.count_e2 if rests else CountE2(0),
        )
        taken = advance(execution, answer, method)
        assert taken is not None
        execution = taken.execution
    return execution


@pytest.mark.parametrize("name", sorted(SHIPPED_FAMILIES))
def test_decisions_a_second(name: str, benchmark: BenchmarkFixture, figures: list[str]) -> None:
    """The whole of core's step for one look at the book, by an execution that has its orders there."""
    method, simplest = SHIPPED[name], SHIPPED["simple_limit"]
    started = time.perf_counter()
    think(simplest, begun(simplest))
    plain_s = time.perf_counter() - started
    done = benchmark.pedantic(think, args=(method, begun(method)), rounds=3, iterations=1)  # type: ignore[no-untyped-call]
    assert done == DECISIONS
    assert benchmark.stats is not None
    rate = DECISIONS / benchmark.stats.stats.min
    benchmark.extra_info.update(decisions_per_s=round(rate), share_of_simplest=round(rate * plain_s / DECISIONS, 2))
    figures.append(f"{name}: {rate:,.0f} decisions/s, {rate * plain_s / DECISIONS:.2f} of simple_limit's")
