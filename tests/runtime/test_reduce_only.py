"""Executions that only close, on a running engine."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT
from fsm_exec.runtime.submission import ExecutionRequest, MethodRef
from tests.runtime.support import FEES, TICKER, count, price, staged


def to_close(method: str) -> ExecutionRequest:
    return ExecutionRequest(
        ticker=TICKER,
        outcome="no",
        target_e2=count(10),
        method=MethodRef(SHIPPED[method].full_name, SHIPPED[method]),
        limits=resolve_limits(price(55), LINEAR_CENT, FEES, worst=price(55)),
        horizon_us=30_000_000,
        reduce_only=True,
    )


async def test_a_method_whose_orders_rest_is_refused(autojump_clock: MockClock) -> None:
    """What only closes is worked by methods that only take; any other is one line, and nothing is stored of it."""
    async with staged() as stage:
        for name, method in SHIPPED.items():
            if not method.takes_only:
                with pytest.raises(UserError, match=f"method {name}@1 lets orders rest") as refused:
                    await stage.engine.submit(to_close(name))
                assert "\n" not in str(refused.value)
        assert await stage.database.load_executions() == []
        assert {name for name, method in SHIPPED.items() if method.takes_only} == {"close", "market", "twap"}


async def test_it_ends_when_the_account_holds_nothing_more(autojump_clock: MockClock) -> None:
    """The account's positions are read again: what is left keeps it going, nothing ends it, and no other execution
    hears of it."""
    async with staged() as stage:
        other = await stage.submit(horizon_s=60)
        closing = await stage.engine.submit(to_close("close"))
        await trio.sleep(3)
        stage.engine.dispatch.publish_positions({TICKER: count(4)}, stage.wall.now_us())
        await trio.sleep(1)
        working = stage.engine.dispatch.execution_of(closing)
        assert working is not None
        assert working.ending is None
        stage.engine.dispatch.publish_positions({}, stage.wall.now_us())
        await trio.sleep(1)
        gone = stage.engine.dispatch.execution_of(closing)
        assert gone is not None
        assert gone.reason == "external"
        assert [line["what"] for line in stage.lines("note") if "the position is gone" in line["what"]]
        beside = stage.engine.dispatch.execution_of(other)
        assert beside is not None
        assert beside.ending is None
