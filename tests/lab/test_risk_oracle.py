"""The simulation's own reckoning of risk, by hand; and an engine that looks at no account is found out by it."""

from __future__ import annotations

import pytest

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import PriceE4
from fsm_exec.lab.simulation.risk_oracle import (
    Books,
    Figures,
    Held,
    Layout,
    MayFill,
    figures_of,
    passed_by,
    raises_risk,
)
from fsm_exec.lab.simulation.scenario import draw
from fsm_exec.lab.simulation.world import World, simulate

DOLLAR_E6 = 1_000_000
APART = Layout({"KX-A-1": "KX-A", "KX-A-2": "KX-A", "KX-B-1": "KX-B"}, frozenset())
EXCLUSIVE = Layout(APART.events, frozenset({"KX-A"}))


def test_what_is_held_is_worth_the_same_however_it_was_bought() -> None:
    """100 YES at 0.60 and then 100 NO at 0.30 leave 10 dollars less the fees; a NO is a YES sold for a dollar less."""
    held = Held().bought("yes", 10_000, PriceE4(6_000), 1_000)
    assert held == Held(10_000, -60_001_000)
    assert held.bought("no", 10_000, PriceE4(3_000), 1_000) == Held(0, 9_998_000)
    short = Held().bought("no", 10_000, PriceE4(3_000), 0)
    figures = figures_of(Books({"KX-A-1": short}, ()), APART)
    assert figures.markets == {"KX-A-1": -30 * DOLLAR_E6}


def test_markets_that_exclude_each_other_share_their_outcomes() -> None:
    """100 NO each at 0.30 and 0.40 lose 30 or 40 dollars and win the other; apart they may lose both."""
    held = {
        "KX-A-1": Held().bought("no", 10_000, PriceE4(3_000), 0),
        "KX-A-2": Held().bought("no", 10_000, PriceE4(4_000), 0),
        "KX-B-1": Held().bought("yes", 10_000, PriceE4(500), 0),
    }
    apart, exclusive = figures_of(Books(held, ()), APART), figures_of(Books(held, ()), EXCLUSIVE)
    assert (apart.events["KX-A"], exclusive.events["KX-A"]) == (-70 * DOLLAR_E6, 30 * DOLLAR_E6)
    assert (apart.account, exclusive.account, exclusive.series["KX"]) == (-75 * DOLLAR_E6, 25_000_000, 25_000_000)


def test_an_order_counts_where_it_makes_it_worse() -> None:
    """What would win if it filled may stay unfilled; only the outcome in which it loses is worse. The fee is in it."""
    held = {"KX-A-1": Held().bought("yes", 10_000, PriceE4(6_000), 0)}
    order = MayFill("KX-A-1", "no", 10_000, 300_000 + 14_700)
    before, after = figures_of(Books(held, ()), APART), figures_of(Books(held, (order,)), APART)
    assert before.markets == after.markets == {"KX-A-1": -60 * DOLLAR_E6}
    assert not raises_risk(before, after, "KX-A-1", APART)
    more = figures_of(Books(held, (order._replace(count_e2=30_000),)), APART)
    assert more.markets == {"KX-A-1": -60 * DOLLAR_E6}  # if it ends YES 300 NO lose 94.41 and 100 YES win 40: less
    assert figures_of(Books({}, (order,)), APART).account == -31_470_000
    assert (before.contracts_e2, more.contracts_e2) == ({"KX-A-1": 10_000}, {"KX-A-1": 20_000})


def test_what_only_closes_never_counts_with_more_than_is_held() -> None:
    """Two that close 60 of 100 each close 100 together; nothing held, nothing closed."""
    held = {"KX-A-1": Held().bought("yes", 10_000, PriceE4(1_000), 0)}
    close = MayFill("KX-A-1", "no", 6_000, 950_000, closes=True)
    figures = figures_of(Books(held, (close, close)), APART)
    assert figures.markets == {"KX-A-1": -10 * DOLLAR_E6}
    assert figures.contracts_e2 == {"KX-A-1": 10_000}
    assert figures_of(Books({}, (close,)), APART).account == 0


def test_a_limit_is_passed_only_by_what_makes_it_worse() -> None:
    """At the limit, a millionth above it, and above it already."""
    limits = RiskLimits(max_worst_case_market_dollars=30)
    nothing = figures_of(Books({"KX-A-1": Held()}, ()), APART)

    def with_cost(cost_e6: int) -> Figures:
        return figures_of(Books({"KX-A-1": Held(0, -cost_e6)}, ()), APART)

    assert passed_by(nothing, with_cost(30_000_000), "KX-A-1", APART, limits) == []
    assert len(passed_by(nothing, with_cost(30_000_001), "KX-A-1", APART, limits)) == 1
    assert passed_by(with_cost(40_000_000), with_cost(40_000_000), "KX-A-1", APART, limits) == []
    assert len(passed_by(with_cost(40_000_000), with_cost(40_000_001), "KX-A-1", APART, limits)) == 1


def test_an_engine_without_limits_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Histories that have limits, lived through by an engine that was given none, let more in than they allow."""
    monkeypatch.setattr(World, "limits", None)
    found = [line for seed in range(1, 6) for line in simulate(draw(seed)).findings]
    assert any(line.startswith("13: ") and "is let in and the worst case" in line for line in found)
    assert all(line.startswith("13: ") for line in found)
