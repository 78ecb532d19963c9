"""The account's risk through the API: what a refusal says, what is used of each limit, and the ways back."""

from __future__ import annotations

import httpx
import msgspec
import trio
from trio.testing import MockClock

from fsm_exec.cli.daemon.risk_commands import describe_standing
from fsm_exec.cli.doctor.installation import risk_check
from fsm_exec.control.account_schema import RiskSeen
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.market_schema import Estimate
from fsm_exec.control.schema import RiskStanding, Status
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import parse_count, parse_money, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.control.conftest import TICKER, Desk, a_desk, error_of
from tests.control.test_close import hold

LOOK_S = 31

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


async def test_the_status_says_how_the_brake_stands_and_why(autojump_clock: MockClock) -> None:
    """Active until a loss reaches its limit, then reducing, with loss and limit; a person reads it on a line."""
    async with a_desk(ControlLimits(), RiskLimits(daily_loss_dollars=1)) as desk:

        async def standing() -> RiskStanding:
            status = msgspec.json.decode((await desk.http.get("/v1/status")).content, type=Status)
            assert status.risk is not None
            return status.risk

        first = await standing()
        assert (first.state, first.why, first.since, first.worst_case) == ("active", "", None, "0.000000")
        await trio.sleep(LOOK_S)
        await hold(desk, quantity="8")
        desk.exchange.apply(TICKER, BookSnapshot(((parse_price("0.30"), parse_count("20")),), ()))
        await trio.sleep(LOOK_S)
        seen = await standing()
        assert (seen.state, seen.account_read) == ("reducing", True)
        assert seen.why.startswith("the daily loss is ")
        assert seen.why.endswith("; daily_loss_dollars is 1")
        assert seen.since is not None
        assert parse_money(seen.worst_case) >= 8 * 530_000
        line = describe_standing(seen)
        assert line.startswith(f"reducing since {seen.since[:19]}Z: {seen.why}; at most 4.")
        unread = msgspec.structs.replace(seen, account_read=False)
        assert describe_standing(unread).removeprefix(line).startswith("; the account has not been read yet")


async def test_the_status_of_an_engine_without_an_account_says_so(desk: Desk) -> None:
    """Null, and in words."""
    seen = msgspec.json.decode((await desk.http.get("/v1/status")).content, type=Status).risk
    assert (seen, describe_standing(seen)) == (None, "no account is kept, so no limit of it holds")


def test_doctor_says_the_limits_and_which_brakes_are_off() -> None:
    """By their names in the configuration."""
    check = risk_check(LIMITS)
    assert check.verdict == "ok"
    assert "market 5" in check.text
    assert "brakes off: daily_loss_halt_dollars, drawdown_dollars" in check.text
    assert risk_check(RiskLimits()).verdict == "warn"
