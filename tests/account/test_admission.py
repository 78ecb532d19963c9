"""Each limit at its value, one below and one above; the rule that stands above them all; and what a refusal says."""

from __future__ import annotations

from typing import TypeAlias

import pytest
from msgspec import convert
from msgspec.structs import replace

from fsm_exec.core.account.admission import Request, Situation, why_refused
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake
from fsm_exec.core.errors import RiskRefused, UserError
from fsm_exec.core.market.account import EventShape
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome

S = 1_000_000
Limit: TypeAlias = int | tuple[str, ...]
HALF = MoneyE6(500_000)


def buying(
    contracts: int, *, ticker: str = "A", event: str = "E", series: str = "S", outcome: Outcome = "yes"
) -> Request:
    """So many contracts at 50 cents all in: half a dollar each may be lost."""
    return Request(ticker, event, series, outcome, CountE2(contracts * 100), HALF)


def beside(ticker: str, event: str, series: str) -> Situation:
    """Six dollars may be lost in another market: four of a position, two of an order that rests."""
    return Situation(
        stakes=[Stake(ticker, event, series, CountE2(800), MoneyE6(-4 * S))],
        orders=[OpenOrder(ticker, event, series, "yes", CountE2(400), HALF)],
    )


def refused_by(request: Request, situation: Situation, **limits: Limit) -> str | None:
    """The name of the limit, or None."""
    refusal = why_refused(request, situation, convert(limits, RiskLimits))
    return None if refusal is None else refusal.limit


@pytest.mark.parametrize(
    ("limit", "situation"),
    [
        ("max_worst_case_market_dollars", beside("A", "E", "S")),
        ("max_worst_case_event_dollars", beside("B", "E", "S")),
        ("max_worst_case_series_dollars", beside("B", "F", "S")),
        ("max_worst_case_account_dollars", beside("B", "F", "T")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_worst_case_at_below_and_above_its_limit(limit: str, situation: Situation) -> None:
    """Six dollars are used and four asked: ten and eleven allow it, nine refuses; so does a hundredth of a contract
    above ten."""
    assert refused_by(buying(8), situation, **{limit: 11}) is None
    assert refused_by(buying(8), situation, **{limit: 10}) is None
    assert refused_by(buying(8), situation, **{limit: 9}) == limit
    a_little_more = Request("A", "E", "S", "yes", CountE2(801), HALF)
    assert refused_by(a_little_more, situation, **{limit: 10}) == limit


def test_a_level_counts_what_is_in_it_alone() -> None:
    """What may be lost in another market, event or series does not use up the narrower limits."""
    elsewhere = beside("B", "F", "T")
    narrow = ("max_worst_case_market_dollars", "max_worst_case_event_dollars", "max_worst_case_series_dollars")
    assert refused_by(buying(8), elsewhere, **dict.fromkeys(narrow, 4)) is None


def test_contracts_of_a_market_at_below_and_above() -> None:
    """Twelve may be held already, eight more are asked: twenty and more allow it, nineteen refuses."""
    situation = beside("A", "E", "S")
    assert refused_by(buying(8), situation, max_contracts_per_market=21) is None
    assert refused_by(buying(8), situation, max_contracts_per_market=20) is None
    assert refused_by(buying(8), situation, max_contracts_per_market=19) == "max_contracts_per_market"


def test_executions_at_work_at_below_and_above() -> None:
    """With three at work a fourth is let in by four and five, not by three."""
    situation = Situation(executions=3)
    assert refused_by(buying(1), situation, max_executions=5) is None
    assert refused_by(buying(1), situation, max_executions=4) is None
    assert refused_by(buying(1), situation, max_executions=3) == "max_executions"


def test_submissions_a_minute_at_below_and_above() -> None:
    """After three in the last minute a fourth is let in by four and five, not by three."""
    situation = Situation(submissions_last_minute=3)
    assert refused_by(buying(1), situation, max_submissions_per_minute=5) is None
    assert refused_by(buying(1), situation, max_submissions_per_minute=4) is None
    assert refused_by(buying(1), situation, max_submissions_per_minute=3) == "max_submissions_per_minute"


@pytest.mark.parametrize("which", ["close", "determination"])
def test_the_time_before_close_at_below_and_above(which: str) -> None:
    """With a minute left sixty seconds and less allow it; a microsecond later, or with a limit a second longer, not."""
    limit = "no_new_within_s_of_close"
    closing = Situation(close_us=60 * S) if which == "close" else Situation(close_us=10**15, determination_us=60 * S)
    assert refused_by(buying(1), replace(closing, now_us=0), no_new_within_s_of_close=59) is None
    assert refused_by(buying(1), replace(closing, now_us=0), no_new_within_s_of_close=60) is None
    assert refused_by(buying(1), replace(closing, now_us=1), no_new_within_s_of_close=60) == limit
    assert refused_by(buying(1), replace(closing, now_us=0), no_new_within_s_of_close=61) == limit
    assert refused_by(buying(1), replace(closing, now_us=61 * S), no_new_within_s_of_close=1) == limit


def test_a_close_nobody_knows_cannot_be_far() -> None:
    """A limit that cannot be compared refuses; without the limit nobody asks."""
    assert refused_by(buying(1), Situation(), no_new_within_s_of_close=1) == "no_new_within_s_of_close"
    assert refused_by(buying(1), Situation()) is None


def test_series_are_allowed_or_forbidden() -> None:
    """Only those on the one list, none on the other; a market in no series is on neither."""
    assert refused_by(buying(1), Situation(), only_series=("S",)) is None
    assert refused_by(buying(1), Situation(), only_series=("T",)) == "only_series"
    assert refused_by(buying(1), Situation(), never_series=("T",)) is None
    assert refused_by(buying(1), Situation(), never_series=("S", "T")) == "never_series"
    assert refused_by(buying(1, series=""), Situation(), only_series=("S",)) == "only_series"
    assert refused_by(buying(1, series=""), Situation(), never_series=("S",)) == "never_series"


def test_what_raises_nothing_passes_every_limit() -> None:
    """To sell what is held is let in past all limits at once, in `reducing` too; a halt alone refuses it. What turns
    the position around is refused."""
    held = Situation(
        stakes=[Stake("A", "E", "S", CountE2(10_000_000), MoneyE6(-50_000 * S))],
        executions=100,
        submissions_last_minute=100,
        state="reducing",
        close_us=1,
        now_us=0,
    )
    limits = RiskLimits(
        max_worst_case_market_dollars=1,
        max_worst_case_event_dollars=1,
        max_worst_case_series_dollars=1,
        max_worst_case_account_dollars=1,
        max_contracts_per_market=1,
        max_executions=1,
        max_submissions_per_minute=1,
        no_new_within_s_of_close=60,
        only_series=("T",),
        never_series=("S",),
    )
    assert why_refused(buying(100_000, outcome="no"), held, limits) is None
    halted = Situation(stakes=held.stakes, state="halted")
    refusal = why_refused(buying(1, outcome="no"), halted, RiskLimits())
    assert refusal is not None
    assert refusal.limit == "state"
    assert "risk resume" in refusal.allowed
    more = why_refused(buying(300_000, outcome="no"), held, limits)
    assert more is not None


def test_a_hedge_across_an_exclusive_event_raises_nothing_of_the_event() -> None:
    """YES of A is held; YES of B may cost where A wins, not where it loses: let in while `reducing`, unless the market
    has a limit of its own."""
    shape = EventShape(event="E", series="S", mutually_exclusive=True, tickers=("A", "B"), exhaustive=True)
    situation = Situation(
        stakes=[Stake("A", "E", "S", CountE2(1_000), MoneyE6(-4 * S))], shapes={"E": shape}, state="reducing"
    )
    assert refused_by(buying(8, ticker="B"), situation, max_worst_case_event_dollars=1) is None
    assert refused_by(buying(8, ticker="B"), situation, max_worst_case_market_dollars=3) is not None
    unknown = Situation(stakes=situation.stakes, state="reducing")
    assert refused_by(buying(8, ticker="B"), unknown) == "state"


def test_a_refusal_says_which_limit_its_value_what_is_used_and_asked() -> None:
    """One line for a person, and the four parts for a program."""
    refusal = why_refused(buying(8), beside("A", "E", "S"), RiskLimits(max_worst_case_event_dollars=9))
    assert refusal is not None
    error = refusal.to_error()
    assert isinstance(error, RiskRefused)
    assert isinstance(error, UserError)
    assert (error.limit, error.allowed, error.used, error.asked) == (
        "max_worst_case_event_dollars",
        "9 dollars",
        "6.00 dollars",
        "4.00 dollars more",
    )
    assert str(error) == (
        "refused by max_worst_case_event_dollars: allowed 9 dollars, used 6.00 dollars, asked 4.00 dollars more"
    )
