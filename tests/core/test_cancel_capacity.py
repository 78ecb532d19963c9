"""How many executions can be ended in time: whatever is accepted one after the other, its cancels are paid in time."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.core.execution.cancel_capacity import (
    ANSWERS_US,
    HALT_TOKENS_S,
    OTHERS_PER_MILLE,
    CancelDemand,
    why_over_capacity,
)
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.values.units import US_PER_S

NOW_US = 1_700_000_000_000_000
GRACE_US = 5_000_000
BASIC = BudgetFacts(
    write_left=90, write_per_s=100, write_capacity=90, place_tokens=10, cancel_tokens=2, cancel_reserve=18
)


def accepted(asked: list[CancelDemand], budget: BudgetFacts = BASIC) -> list[CancelDemand]:
    taken: list[CancelDemand] = []
    for one in asked:
        if why_over_capacity(one, taken, budget, grace_us=GRACE_US, now_us=NOW_US) is None:
            taken.append(one)
    return taken


def latest_us(taken: list[CancelDemand], budget: BudgetFacts) -> Fraction:
    """By how much the last cancel of anybody is paid after it was asked for: a bucket served in the order of asking,
    which has nothing in it but what is kept, and of whose refill others take their share."""
    per_us = Fraction(budget.write_per_s * (1_000 - OTHERS_PER_MILLE), 1_000 * US_PER_S)
    level, at_us, worst = Fraction(budget.cancel_reserve), Fraction(NOW_US), Fraction(0)
    for one in sorted(taken):
        asks_us = max(Fraction(NOW_US), Fraction(one.asks_at_us))
        if asks_us > at_us:
            level, at_us = min(Fraction(budget.cancel_reserve), level + (asks_us - at_us) * per_us), asks_us
        needed = Fraction(one.orders * budget.cancel_tokens)
        if needed > level:
            at_us, level = at_us + (needed - level) / per_us, needed
        level -= needed
        worst = max(worst, at_us - asks_us)
    return worst


ASKED = st.lists(
    st.builds(CancelDemand, st.integers(-3, 30).map(lambda s: NOW_US + s * US_PER_S // 2), st.integers(1, 40)),
    max_size=60,
)
BUDGETS = st.builds(
    lambda per_s, capacity, cancel: BudgetFacts(
        write_left=0,
        write_per_s=per_s,
        write_capacity=capacity,
        place_tokens=10,
        cancel_tokens=cancel,
        cancel_reserve=capacity // 5,
    ),
    st.integers(1, 200),
    st.integers(0, 300),
    st.integers(1, 10),
)


@settings(max_examples=300, deadline=None)
@given(asked=ASKED, budget=BUDGETS)
def test_what_is_accepted_is_paid_in_time(asked: list[CancelDemand], budget: BudgetFacts) -> None:
    """In whatever order they came; and a halt finds the tokens for all of them within its bound."""
    taken = accepted(asked, budget)
    assert latest_us(taken, budget) <= GRACE_US - ANSWERS_US + 1
    tokens = sum(one.orders for one in taken) * budget.cancel_tokens
    assert tokens <= budget.cancel_reserve + HALT_TOKENS_S * budget.write_per_s


@settings(max_examples=100, deadline=None)
@given(asked=ASKED, budget=BUDGETS)
def test_nobody_is_refused_for_nothing(asked: list[CancelDemand], budget: BudgetFacts) -> None:
    """Whoever is refused would have made a cancel late, or a halt too long."""
    taken: list[CancelDemand] = []
    for one in asked:
        if why_over_capacity(one, taken, budget, grace_us=GRACE_US, now_us=NOW_US) is None:
            taken.append(one)
            continue
        tokens = (sum(other.orders for other in taken) + one.orders) * budget.cancel_tokens
        too_long = tokens > budget.cancel_reserve + HALT_TOKENS_S * budget.write_per_s
        assert too_long or latest_us([*taken, one], budget) > GRACE_US - ANSWERS_US - 1


def test_the_lowest_tier() -> None:
    """100 tokens a second, a cancel 2: 4 s of four fifths and the 18 that are kept are 338 tokens, 169 orders at once.
    Ten seconds later there is room for as many again, and a halt has room for 1,509."""
    at_once = [CancelDemand(NOW_US + 60 * US_PER_S, 1)] * 500
    assert len(accepted(at_once)) == 169
    twice = [*at_once, *[CancelDemand(NOW_US + 70 * US_PER_S, 1)] * 500]
    assert len(accepted(twice)) == 2 * 169
    assert len(accepted([CancelDemand(NOW_US + 60 * US_PER_S, 3)] * 500)) == 56
    spread = [CancelDemand(NOW_US + n * US_PER_S, 1) for n in range(60, 5_000)]
    assert len(accepted(spread)) == 1_509
    assert accepted([CancelDemand(NOW_US + 60 * US_PER_S, 200)]) == []


def test_the_reason_has_the_numbers() -> None:
    """How many, of what, from when to when; of a halt too."""
    every = [CancelDemand(NOW_US + 60 * US_PER_S, 1)] * 169
    why = why_over_capacity(every[0], every, BASIC, grace_us=GRACE_US, now_us=NOW_US)
    assert why is not None
    assert "170 executions would have orders to cancel for 340 write tokens from 2023-11-14T22:14:20" in why
    assert "there are 338 at 100 a second; give another deadline, or wait for some to end" in why
    spread = [CancelDemand(NOW_US + n * US_PER_S, 1) for n in range(1_509)]
    halt = why_over_capacity(
        CancelDemand(NOW_US + 9_000 * US_PER_S, 1), spread, BASIC, grace_us=GRACE_US, now_us=NOW_US
    )
    assert halt is not None
    assert "1510 executions could have 1510 orders live" in halt
    assert "3020 write tokens within 30 s: there are 3018" in halt
