"""Orders that only reduce, in the worst case: they count with what they can close, all of them together."""

from __future__ import annotations

from itertools import product
from random import Random

from fsm_exec.core.account.admission import Request, Situation, why_refused
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake, contracts_e2, worst_case_e6
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome

ROUNDS = 3_000
DOLLAR = 1_000_000


def stake(contracts: int, cash_cents: int = 0) -> Stake:
    return Stake("A", "E", "S", CountE2(contracts * 100), MoneyE6(cash_cents * 10_000))


def order(outcome: Outcome, contracts: int, cents: int, *, reduces_only: bool = False) -> OpenOrder:
    return OpenOrder("A", "E", "S", outcome, CountE2(contracts * 100), MoneyE6(cents * 10_000), reduces_only)


def close(outcome: Outcome, contracts: int, cents: int) -> OpenOrder:
    return order(outcome, contracts, cents, reduces_only=True)


def test_closes_of_one_position_raise_nothing_together() -> None:
    """Two that close all of it, and one that closes more than there is: as if there were none."""
    for held, outcome in ((stake(10, -450), "no"), (stake(-10, -450), "yes")):
        closes = [close(outcome, 10, 60), close(outcome, 10, 70), close(outcome, 99, 100)]  # type: ignore[arg-type]
        assert worst_case_e6([held], closes, None) == worst_case_e6([held], [], None) == -4_500_000
        assert contracts_e2([held], closes) == 1_000


def test_a_close_without_a_position_is_nothing() -> None:
    """What was held has been sold by hand, or is of the same outcome: there is nothing that the order could buy."""
    for held in ([], [stake(-5)]):
        assert worst_case_e6(held, [close("no", 10, 60)], None) == worst_case_e6(held, [], None)
        assert contracts_e2(held, [close("no", 10, 60)]) == contracts_e2(held, [])


def test_a_second_close_is_let_in_whatever_the_limits() -> None:
    """In a position past every limit, while all that is left is to reduce: a close beside a close is not refused."""
    limits = RiskLimits(
        max_worst_case_market_dollars=1, max_worst_case_account_dollars=1, max_contracts_per_market=1, max_executions=1
    )
    situation = Situation(
        stakes=[stake(10, -450)], orders=[close("no", 10, 60)], executions=1, state="reducing", now_us=0
    )
    second = Request("A", "E", "S", "no", CountE2(1_000), MoneyE6(90 * 10_000), reduces_only=True)
    assert why_refused(second, situation, limits) is None
    plain = Request("A", "E", "S", "no", CountE2(1_000), MoneyE6(90 * 10_000))
    assert why_refused(plain, situation, limits) is not None


def lowest_by_hand(held: int, cash_cents: int, orders: list[OpenOrder]) -> int:
    """The least in cents over both outcomes and all ways in which whole contracts of the orders can fill. What is
    bought and can be closed comes first: then most can be closed."""
    worst = []
    for filled in product(*(range(one.count_e2 // 100 + 1) for one in orders)):
        bought = {"yes": 0, "no": 0}
        closed = {"yes": 0, "no": 0}
        cost = 0
        for one, count in zip(orders, filled, strict=True):
            (closed if one.reduces_only else bought)[one.outcome] += count
            cost += one.all_in_e6 // 10_000 * count
        most_no = min(max(0, held) + bought["yes"], held + bought["yes"] + closed["yes"])
        most_yes = min(max(0, -held) + bought["no"], bought["no"] - held + closed["no"])
        if closed["no"] <= max(0, most_no) and closed["yes"] <= max(0, most_yes):
            worst.append(cash_cents - cost + 100 * (max(0, held) + bought["yes"] + closed["yes"]))
            worst.append(cash_cents - cost + 100 * (max(0, -held) + bought["no"] + closed["no"]))
    return min(worst)


def test_no_way_to_fill_is_worse_than_the_figure() -> None:
    """Random positions and orders against every way they can fill: never worse than the figure, and exactly it where
    nothing is bought beside that could be closed."""
    rng = Random(20_261_130)
    exact = 0
    for _ in range(ROUNDS):
        held, cash = rng.randint(-3, 3), rng.randint(-300, 100)
        orders = [
            order(rng.choice(("yes", "no")), rng.randint(0, 3), rng.randint(1, 100), reduces_only=rng.random() < 0.6)
            for _ in range(rng.randint(0, 4))
        ]
        figure = worst_case_e6([stake(held, cash)], orders, None)
        lowest = lowest_by_hand(held, cash, orders) * 10_000
        assert figure <= lowest, (held, cash, orders)
        if all(one.reduces_only for one in orders):
            exact += 1
            assert figure == lowest, (held, cash, orders)
    assert exact > ROUNDS // 20
