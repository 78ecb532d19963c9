"""The account's risk through the API: what a refusal says, what is used of each limit, and the ways back."""

from __future__ import annotations

import httpx
import msgspec

from fsm_exec.cli.doctor import risk_check
from fsm_exec.control.account_schema import RiskSeen
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.market_schema import Estimate
from fsm_exec.core.account.limits import RiskLimits
from tests.control.conftest import TICKER, Desk, a_desk, error_of

LIMITS = RiskLimits(max_worst_case_market_dollars=5, daily_loss_dollars=100)


def seen(answer: httpx.Response) -> RiskSeen:
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=RiskSeen)


async def test_a_refusal_names_the_limit_and_the_limit_what_is_used() -> None:
    """What is reserved counts; a request past the limit is refused with its value, what is used and what was asked; the
    opportunity is stored."""
    async with a_desk(ControlLimits(), LIMITS) as desk:
        await desk.accepted(quantity="10")
        told = seen(await desk.http.get("/v1/risk"))
        assert (told.state, told.worst_case) == ("active", "3.147000")
        used = {one.limit: (one.allowed, one.used) for one in told.limits}
        assert used["max_worst_case_market_dollars"] == ("5", "3.147000")
        assert used["max_contracts_per_market"] == (None, "10.00")
        assert "drawdown_dollars" in told.brakes_off
        assert "daily_loss_dollars" not in told.brakes_off
        refused = await desk.submit(key="k2", quantity="10")
        assert (refused.status_code, error_of(refused).code) == (422, "risk_limit")
        for words in ("max_worst_case_market_dollars", "allowed 5 dollars", "used 3.15", "asked 3.15"):
            assert words in error_of(refused).message
        assert await desk.executions() == 1


async def test_an_estimate_says_what_of_the_limits_it_would_use_and_uses_nothing() -> None:
    """Before and with it; past a limit that is its refusal; a hundred of them count for nothing."""
    async with a_desk(ControlLimits(), msgspec.structs.replace(LIMITS, max_submissions_per_minute=3)) as desk:
        wanted = {"ticker": TICKER, "outcome": "yes", "quantity": "10", "limit": "0.30", "horizon_s": 60}
        for _ in range(10):
            answer = await desk.http.post("/v1/estimate", content=msgspec.json.encode(wanted))
        (use,) = msgspec.json.decode(answer.content, type=Estimate).limits
        assert (use.limit, use.used, use.after) == ("max_worst_case_market_dollars", "0.000000", "3.147000")
        large = await desk.http.post("/v1/estimate", content=msgspec.json.encode(wanted | {"quantity": "20"}))
        told = msgspec.json.decode(large.content, type=Estimate)
        assert ["max_worst_case_market_dollars" in why for why in told.refusals] == [True]
        await desk.accepted()


async def test_the_ways_back_are_refused_while_there_is_nothing_to_return_from() -> None:
    """In one line, as the caller's mistake."""
    async with a_desk(ControlLimits(), LIMITS) as desk:
        for path in ("/v1/risk/resume", "/v1/risk/reduce"):
            refused = await desk.http.post(path)
            assert (refused.status_code, error_of(refused).code) == (422, "invalid")


async def test_an_engine_without_an_account_says_so(desk: Desk) -> None:
    """No limit of risk holds there, and nobody may think so."""
    refused = await desk.http.get("/v1/risk")
    assert (refused.status_code, "keeps no account" in error_of(refused).message) == (409, True)


def test_doctor_says_the_limits_and_which_brakes_are_off() -> None:
    """By their names in the configuration."""
    check = risk_check(LIMITS)
    assert check.verdict == "ok"
    assert "market 5" in check.text
    assert "brakes off: daily_loss_halt_dollars, drawdown_dollars" in check.text
    assert risk_check(RiskLimits()).verdict == "warn"
