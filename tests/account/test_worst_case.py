"""The worst case by hand: small books whose figures can be checked on paper."""

from __future__ import annotations

from fsm_exec.core.account.worst_case import OpenOrder, Stake, exposure_of, loss_e6, worst_case_e6
from fsm_exec.core.market.account import EventShape
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome

DOLLAR = 1_000_000
CONTRACT = 100
RACE = EventShape(event="RACE", series="R", mutually_exclusive=True, tickers=("A", "B"))


def stake(ticker: str, contracts: int, cash_cents: int, event: str = "RACE", series: str = "R") -> Stake:
    """Contracts + YES, - NO; what was paid is negative."""
    return Stake(ticker, event, series, CountE2(contracts * CONTRACT), MoneyE6(cash_cents * 10_000))


def order(
    ticker: str, outcome: Outcome, contracts: int, cents: int, event: str = "RACE", series: str = "R"
) -> OpenOrder:
    """Up to so many contracts at so many cents, all in."""
    return OpenOrder(ticker, event, series, outcome, CountE2(contracts * CONTRACT), MoneyE6(cents * 10_000))


def test_a_position_loses_what_was_paid() -> None:
    """Ten YES bought for 4.50 lose 4.50 if the market ends NO; ten NO likewise if it ends YES."""
    assert worst_case_e6([stake("A", 10, -450)], [], None) == -4_500_000
    assert worst_case_e6([stake("A", -10, -450)], [], None) == -4_500_000


def test_markets_of_an_exclusive_event_share_their_outcomes() -> None:
    """YES of both costs 9 together: none of both loses it all, and one of both pays 10, so an exhaustive event wins."""
    both = [stake("A", 10, -450), stake("B", 10, -450)]
    assert worst_case_e6(both, [], RACE) == -9_000_000
    exhaustive = EventShape(event="RACE", series="R", mutually_exclusive=True, tickers=("A", "B"), exhaustive=True)
    assert worst_case_e6(both, [], exhaustive) == 1_000_000


def test_no_of_two_exclusive_markets_loses_once() -> None:
    """NO of both costs 9: at most one of the two ends YES, so 10 come back at least. Independent, both could."""
    both = [stake("A", -10, -450), stake("B", -10, -450)]
    assert worst_case_e6(both, [], RACE) == 1_000_000
    assert worst_case_e6(both, [], None) == -9_000_000


def test_an_order_counts_where_it_makes_worse() -> None:
    """YES and NO resting at 50 cents each: either may fill alone, so 5 can be lost, and not nothing."""
    assert worst_case_e6([], [order("A", "yes", 10, 50), order("A", "no", 10, 50)], None) == -5_000_000


def test_a_closing_order_raises_nothing() -> None:
    """Selling what is held (buying NO for at most a dollar) leaves the worst case where it is."""
    held = [stake("A", 10, -450)]
    assert worst_case_e6(held, [order("A", "no", 10, 99)], None) == worst_case_e6(held, [], None)
    assert worst_case_e6(held, [order("A", "no", 20, 99)], None) < worst_case_e6(held, [], None)


def test_the_levels_add_up() -> None:
    """Series and account are sums of events, positive ones too; contracts are the most either way."""
    stakes = [stake("A", -10, -450), stake("B", -10, -450), stake("X", 5, -100, event="OTHER")]
    exposure = exposure_of(stakes, [order("Z", "no", 3, 50, event="", series="")], {"RACE": RACE})
    assert exposure.by_event == {"RACE": 1_000_000, "OTHER": -1_000_000, "Z": -1_500_000}
    assert exposure.by_series == {"R": 0, "Z": -1_500_000}
    assert exposure.account_e6 == -1_500_000
    assert exposure.by_market == {"A": -4_500_000, "B": -4_500_000, "X": -1_000_000, "Z": -1_500_000}
    assert exposure.contracts_e2 == {"A": 1_000, "B": 1_000, "X": 500, "Z": 300}
    assert (loss_e6(-5), loss_e6(5)) == (5, 0)


def test_a_market_the_shape_does_not_name_is_alone() -> None:
    """A shape older than a market of its event says nothing about it, and its event is not exhaustive any more."""
    old = EventShape(event="RACE", series="R", mutually_exclusive=True, tickers=("A",), exhaustive=True)
    assert worst_case_e6([stake("A", 10, -450)], [], old) == 5_500_000
    assert worst_case_e6([stake("A", 10, -450), stake("NEW", 10, -100)], [], old) == -5_500_000
