"""Each limit of the account's risk through daemon, engine and exchange: below it and at it a request is let in, above
it it is refused in words that say which limit, its value, what is used and what was asked."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from fsm_exec.control.account_schema import RiskSeen
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Status
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import US_PER_S, parse_count, parse_money, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.control.conftest import OTHER, TICKER, Desk, a_desk, error_of
from tests.control.test_close import hold

Asked = dict[str, Any]
LOOK_S = 31


async def is_let_in(desk: Desk, key: str, **changes: object) -> bool:
    """Submit YES that rests; of one that is refused it is by the account's risk."""
    answer = await desk.submit(key=key, target_price=None, **changes)
    if answer.status_code == 201:
        return True
    assert (answer.status_code, error_of(answer).code) == (422, "risk_limit"), answer.text
    return False


async def words_of_refusal(desk: Desk, key: str, **changes: object) -> str:
    answer = await desk.submit(key=key, target_price=None, **changes)
    assert (answer.status_code, error_of(answer).code) == (422, "risk_limit"), answer.text
    return error_of(answer).message


@pytest.mark.parametrize("level", ["market", "event", "series", "account"])
async def test_worst_cases(autojump_clock: MockClock, level: str) -> None:
    """Ten contracts at caps of 0.25 twice, in one market or in two of an event: 5 dollars are let in, a millionth less
    for each too, a millionth more is not."""
    limits: dict[str, Any] = {f"max_worst_case_{level}_dollars": 5}
    for cap in ("0.249999", "0.25", "0.250001"):
        async with a_desk(ControlLimits(), RiskLimits(**limits)) as desk:
            first = TICKER if level == "market" else OTHER
            assert await is_let_in(desk, "k1", ticker=first, cap="0.25", quantity="10")
            if cap != "0.250001":
                assert await is_let_in(desk, "k2", cap=cap, quantity="10")
                continue
            assert await words_of_refusal(desk, "k2", cap=cap, quantity="10") == (
                f"refused by max_worst_case_{level}_dollars: allowed 5 dollars, used 2.50 dollars, asked 2.51 dollars "
                "more"
            )


@pytest.mark.parametrize(
    ("limit", "allowed", "used", "asked"),
    [
        ("max_contracts_per_market", "10 contracts", "9.00 contracts", "1.01 contracts more"),
        ("max_executions", "10", "10", "1 more"),
        ("max_submissions_per_minute", "10", "10", "1 more"),
    ],
)
async def test_numbers(autojump_clock: MockClock, limit: str, allowed: str, used: str, asked: str) -> None:
    """Nine and ten are let in, and no hundredth more."""
    limits: dict[str, Any] = {limit: 10}
    async with a_desk(ControlLimits(), RiskLimits(**limits)) as desk:
        quantity = "1.01" if limit == "max_contracts_per_market" else "1"
        for number in range(9):
            assert await is_let_in(desk, f"k{number}", limit="0.20", quantity="1")
        if limit == "max_contracts_per_market":
            words = await words_of_refusal(desk, "k10", limit="0.20", quantity=quantity)
            assert await is_let_in(desk, "k9", limit="0.20", quantity="1")
        else:
            assert await is_let_in(desk, "k9", limit="0.20", quantity="1")
            words = await words_of_refusal(desk, "k10", limit="0.20", quantity=quantity)
        assert words == f"refused by {limit}: allowed {allowed}, used {used}, asked {asked}"
        if limit == "max_submissions_per_minute":
            await trio.sleep(61)
            assert await is_let_in(desk, "k10", limit="0.20", quantity="1")


@pytest.mark.parametrize(("more_us", "left"), [(1, None), (0, None), (-1, "599"), (-300 * US_PER_S, "300")])
async def test_the_time_before_the_close(autojump_clock: MockClock, more_us: int, left: str | None) -> None:
    """600 s before the close and earlier are let in, a microsecond later is not; what sells is, to the end."""
    async with a_desk(ControlLimits(), RiskLimits(no_new_within_s_of_close=600)) as desk:
        await trio.sleep(LOOK_S)
        await hold(desk, quantity="8")
        await trio.sleep(61)  # what was known of the close is old
        desk.exchange.markets[TICKER].close_us = desk.wall.now_us() + 600 * US_PER_S + more_us
        if left is None:
            assert await is_let_in(desk, "k1", limit="0.20", quantity="1")
            return
        assert await words_of_refusal(desk, "k1", limit="0.20", quantity="1") == (
            "refused by no_new_within_s_of_close: allowed 600 s or more before the close, "
            f"used {left} s are left, asked now"
        )
        assert await is_let_in(desk, "k2", outcome="no", limit="0.50", quantity="2")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (RiskLimits(only_series=("KXOTHER",)), "refused by only_series: allowed KXOTHER, used -, asked KXTEST"),
        (RiskLimits(never_series=("KXTEST",)), "refused by never_series: allowed none of KXTEST, used -, asked KXTEST"),
        (RiskLimits(only_series=("KXTEST",), never_series=("KXOTHER",)), None),
    ],
)
async def test_series(autojump_clock: MockClock, limits: RiskLimits, words: str | None) -> None:
    """One that is not among the allowed, or among the forbidden, is refused; another is let in."""
    async with a_desk(ControlLimits(), limits) as desk:
        if words is None:
            assert await is_let_in(desk, "k1", limit="0.20")
        else:
            assert await words_of_refusal(desk, "k1", limit="0.20") == words


async def test_writes_of_a_minute(autojump_clock: MockClock) -> None:
    """Two orders are placed, the third halts the engine: the status says by which limit, and what is asked then is
    refused with the way back."""
    async with a_desk(ControlLimits(), RiskLimits(max_writes_per_minute=2)) as desk:
        for number in range(3):
            await is_let_in(desk, f"k{number}", limit="0.20", quantity="1")
            await trio.sleep(2)
            placed = len([order for order in desk.exchange.orders.values() if order.ticker == TICKER])
            assert placed == min(number + 1, 2)
        status = msgspec.json.decode((await desk.http.get("/v1/status")).content, type=Status)
        assert status.state == "halted"
        assert "more than 2 orders and amends in 60 s (max_writes_per_minute of [risk])" in (status.why_halted or "")
        refused = error_of(await desk.submit(key="k9"))
        assert (refused.code, "fsm-exec resume" in refused.message) == ("not_running", True)


@pytest.mark.parametrize("kind", ["daily_loss", "drawdown"])
@pytest.mark.parametrize("halts", [False, True])
@pytest.mark.parametrize(("bid", "is_reached"), [("0.40", False), ("0.39", True)])
async def test_losses(autojump_clock: MockClock, kind: str, bid: str, *, halts: bool, is_reached: bool) -> None:
    """Six contracts bought for 0.53: closing them while others bid 0.40 loses a little less than a dollar, fees
    included, and at 0.39 a little more; the limit, its value and the loss are named."""
    name = f"{kind}_halt_dollars" if halts else f"{kind}_dollars"
    limits: dict[str, Any] = {name: 1}
    async with a_desk(ControlLimits(), RiskLimits(**limits)) as desk:
        await trio.sleep(LOOK_S)
        await hold(desk, quantity="6")
        desk.exchange.apply(TICKER, BookSnapshot(((parse_price(bid), parse_count("50")),), ()))
        await trio.sleep(LOOK_S)
        risk = msgspec.json.decode((await desk.http.get("/v1/risk")).content, type=RiskSeen)
        used = {one.limit: one.used for one in risk.limits}[name]
        assert used is not None
        assert 940_000 < parse_money(used) < 1_060_000
        assert (parse_money(used) >= 1_000_000) == is_reached
        if not is_reached:
            assert risk.state == "active"
            assert await is_let_in(desk, "k1", limit="0.20", quantity="1")
            return
        assert risk.state == ("halted" if halts else "reducing")
        assert risk.why == f"the {kind.replace('_', ' ')} is {used[:4]} dollars; {name} is 1"
        if halts:
            refused = error_of(await desk.submit(key="k1"))
            assert (refused.code, risk.why in refused.message) == ("not_running", True)
        else:
            assert await words_of_refusal(desk, "k1", limit="0.20", quantity="1") == (
                f"refused by state: allowed what raises no worst case, used reducing, asked 1.00 yes of {TICKER}"
            )
