"""What time alone makes an execution do: look again, close, end."""

from __future__ import annotations

from itertools import pairwise

import trio
from trio.testing import MockClock

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.core.algorithm.algorithm import Action, Algorithm, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import CancelOrder
from fsm_exec.core.values.units import LINEAR_CENT
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from tests.runtime.support import FEES, TICKER, Stage, count, price, staged

S = 1_000_000
HORIZON_S = 30
LEAD_S = 5


class Patient:
    """Places at once, and only counts when it is asked afterwards."""

    closing_lead_us: int | None = None
    resting_at_most = 1
    takes_only = False
    signals_read: frozenset[str] | None = None

    def __init__(self, look_every_us: int | None) -> None:
        self.look_every_us = look_every_us
        self.asked_us: list[int] = []

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return (Slice(level=1, count_e2=goal.target_e2),)

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        self.asked_us.append(progress.at_us)
        part = progress.slices[0]
        if part.working is not None:
            return ()
        return (PlaceAction(level=1, price_e4=progress.goal.limits.target_e4, count_e2=part.free_e2),)


async def submit(stage: Stage, algorithm: Algorithm) -> str:
    return await stage.engine.submit(
        ExecutionRequest(
            ticker=TICKER,
            outcome="yes",
            target_e2=count(10),
            method=MethodRef("test@1", algorithm),
            limits=resolve_limits(price(48), LINEAR_CENT, FEES),
            horizon_us=HORIZON_S * S,
        )
    )


async def test_an_algorithm_with_a_rhythm_is_asked_in_it_though_nothing_moves(autojump_clock: MockClock) -> None:
    """Every two seconds in a silent market; without one it is asked about facts only."""
    for every_us in (2 * S, None):
        async with staged() as stage:
            patient = Patient(every_us)
            name = await submit(stage, patient)
            await stage.ended(name)
            quiet = [at_us for at_us in patient.asked_us if at_us > patient.asked_us[0] + 2 * S]
            if every_us is None:
                assert quiet == []
            else:
                assert len(quiet) in (HORIZON_S // 2 - 1, HORIZON_S // 2 - 2)
                assert {round((b - a) / S, 1) for a, b in pairwise(quiet)} == {2.0}


async def test_the_closing_leg_comes_at_its_time_in_a_silent_market(autojump_clock: MockClock) -> None:
    """Nothing but the clock moves: the order is cancelled five seconds before the deadline, and one takes the rest."""
    async with staged() as stage:
        method = SHIPPED_FAMILIES["passive_mid"].method("closing_mid", 1, {"closing_lead_s": LEAD_S})
        name = await submit(stage, method)
        execution = stage.engine.actors[name].execution
        await trio.sleep(HORIZON_S - LEAD_S - 1)
        assert len(stage.exchange.cancels) == 0
        while stage.exchange.resting:  # noqa: ASYNC110 - nobody announces that the order is gone
            await trio.sleep(0.01)
        stage.exchange.move("no", 52, 20)  # for the last order to take
        while len(stage.exchange.held) < 2:  # noqa: ASYNC110 - nobody announces that the last order has arrived
            await trio.sleep(0.01)
        first_cancel_us = min(at_us for at_us, write in stage.exchange.requests if isinstance(write, CancelOrder))
        assert abs(first_cancel_us - (execution.deadline_us - LEAD_S * S)) < S // 10
        last = stage.exchange.places[-1]
        assert (last.time_in_force, last.price_e4, last.count_e2) == ("immediate_or_cancel", 4_800, 1_000)
        ended = await stage.ended(name)
        assert (ended.reason, ended.filled_e2) == ("completed", 1_000)
        assert ended.ended_at_us is not None
        assert ended.ended_at_us < execution.deadline_us - 2 * S, "not only at the deadline"
