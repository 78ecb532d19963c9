"""Our own sizes by level: kept by differences, and always what the orders add up to."""

from __future__ import annotations

import random
from typing import get_args

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.execution import CHILD_LIVE, ChildOrder, Execution
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, Outcome, PriceE4
from fsm_exec.runtime.own_orders import OwnOrders

STEPS = 3_000
STATES = (*sorted(CHILD_LIVE), "filled", "settling")
TERMS = MarketTerms(
    ticker="KXOWN-1",
    series="KXOWN",
    event="KXOWN-E",
    category="Testing",
    status="open",
    grid=LINEAR_CENT,
    fees=FeeTerms(taker_e10=0, maker_e10=0),
)
VIEW = MarketView(
    at_us=0,
    book_seq=0,
    feed="live",
    feed_age_us=0,
    status="open",
    grid=LINEAR_CENT,
    bids=(),
    asks=(),
    mid_e5=None,
    spread_e4=None,
    own_other_best_e4=None,
)


def with_orders(name: str, outcome: Outcome, dice: random.Random) -> Execution:
    """An execution with up to three orders somewhere near, in any state."""
    children = tuple(
        ChildOrder(
            client_order_id=f"{name}-{n}",
            level=n,
            attempt=1,
            price_e4=PriceE4(100 * dice.randint(40, 44)),
            count_e2=CountE2(100 * dice.randint(1, 3)),
            time_in_force="good_till_canceled",
            post_only=False,
            expiration_s=None,
            sent_at_us=0,
            state=dice.choice(STATES),
            counted_e2=CountE2(100 * dice.randint(0, 1)),
        )
        for n in range(dice.randint(0, 3))
    )
    return Execution(
        execution_id=name,
        instance="abcdefghij",
        outcome=outcome,
        method="simple_limit@1",
        target_e2=CountE2(1_000),
        limits=None,
        accepted_at_us=0,
        deadline_us=1,
        grace_us=0,
        terms=TERMS,
        arrival=VIEW,
        children=children,
    )


def test_the_levels_are_always_the_sum_of_the_orders() -> None:
    """After any changes and removals the levels kept are those that a new account of the same orders adds up to, and
    they are another mapping exactly when they may have changed."""
    seed = random.randrange(2**32)
    dice, own = random.Random(seed), OwnOrders()
    outcomes: tuple[Outcome, ...] = get_args(Outcome)
    newest: dict[str, Execution] = {}
    for _ in range(STEPS):
        outcome, name = dice.choice(outcomes), f"e{dice.randint(1, 5)}"
        seen = {each: (own.levels("KXOWN-1", each), dict(own.levels("KXOWN-1", each))) for each in outcomes}
        execution = with_orders(f"{name}{outcome}", outcome, dice)
        if dice.random() < 0.2:
            own.remove(execution)
            newest.pop(execution.execution_id, None)
        else:
            own.update(execution)
            newest[execution.execution_id] = execution
        again = OwnOrders()
        for known in newest.values():
            again.update(known)
        for each in outcomes:
            assert own.levels("KXOWN-1", each) == again.levels("KXOWN-1", each), f"seed {seed}"
            before, content = seen[each]
            assert before == content, "a mapping that was given out has changed"
            assert own.levels("KXOWN-1", each) == before or own.levels("KXOWN-1", each) is not before
        assert own.count() == again.count()
