"""Executions that only close, on a running engine: who may work them, and when nothing is left to close."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT
from fsm_exec.runtime.position_watch import CONFIRM_S, LOOK_S
from fsm_exec.runtime.submission import ExecutionRequest, MethodRef
from tests.bending import requests
from tests.bending.bends import Reply
from tests.runtime.support import FEES, TICKER, count, price, staged


def to_close(method: str, *, cents: int = 55) -> ExecutionRequest:
    return ExecutionRequest(
        ticker=TICKER,
        outcome="no",
        target_e2=count(10),
        method=MethodRef(SHIPPED[method].full_name, SHIPPED[method]),
        limits=resolve_limits(price(cents), LINEAR_CENT, FEES, worst=price(cents)),
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
    """Sold by hand while nothing was on offer within its limit: two reads of the positions show it, and no other
    execution hears of it."""
    async with staged() as stage:
        other = await stage.submit(horizon_s=300)
        closing = await stage.engine.submit(replace(to_close("close", cents=51), horizon_us=300_000_000))
        await trio.sleep(60)
        working = stage.engine.dispatch.execution_of(closing)
        assert working is not None
        assert (working.ending, working.children) == (None, ())
        stage.exchange.take_by_hand("no", 3, 52)
        await trio.sleep(LOOK_S + CONFIRM_S + 1)
        gone = stage.engine.dispatch.execution_of(closing)
        assert gone is not None
        assert gone.reason == "external"
        assert [line["what"] for line in stage.lines("note") if "the position is gone" in line["what"]]
        beside = stage.engine.dispatch.execution_of(other)
        assert beside is not None
        assert beside.ending is None


async def test_one_answer_alone_ends_nothing(autojump_clock: MockClock) -> None:
    """The positions are said to be gone once, and are there again at the next look, again and again."""
    async with staged() as stage:
        answers: list[bytes] = []

        def every_other(reply: Reply) -> Reply:
            answers.append(reply.body)
            if len(answers) % 2:
                return reply
            return reply._replace(body=b'{"market_positions": [], "event_positions": [], "cursor": ""}')

        stage.exchange.bends.on_request(requests.rewritten(every_other), "GET", "/portfolio/positions")
        closing = await stage.engine.submit(replace(to_close("close", cents=51), horizon_us=200_000_000))
        execution = await stage.ended(closing)
        assert len(answers) > 10
        assert execution.reason in ("deadline", "no_liquidity")


async def test_positions_that_cannot_be_read_end_nothing(autojump_clock: MockClock) -> None:
    """An exchange that refuses the read is a line in the log, and the execution goes on."""
    async with staged() as stage:
        stage.exchange.bends.on_request(requests.error(500, "internal"), "GET", "/portfolio/positions")
        closing = await stage.engine.submit(replace(to_close("close", cents=51), horizon_us=100_000_000))
        execution = await stage.ended(closing)
        assert execution.reason in ("deadline", "no_liquidity")
        assert stage.lines("positions_not_read")
