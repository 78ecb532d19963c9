"""How many executions the write budget can end in time: pure, and in exact integers.

When its time has come, an execution cancels what it has at the exchange. Cancels go before all else, and in the order
in which they are asked for; so what many executions have to cancel at once must fit what the bucket gives from then
until the grace of the first of them is over. An execution that would not fit is not accepted: one that cannot be
cancelled in time must not begin.

What is assumed: every execution has all the orders live that its method may have; the bucket holds what is kept for
cancels and no more; a fifth of what flows in goes to cancels that are asked for otherwise; and the last second of the
grace is for the answers. A closing leg asks for its cancels when it begins, and needs them done as long after that as
others after their deadline; its own order is paid by what is left over, for it comes after every cancel and ends by
itself. How busy the machine will be cannot be known beforehand: this is about tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S

ANSWERS_US: Final = US_PER_S
OTHERS_PER_MILLE: Final = 200  # of the refill
HALT_TOKENS_S: Final = 30
"""A halt cancels everything at once: the tokens for it must come within this time. With the time for the answers it is
the most that `halt_within_s` ever states while no order is unknown."""


class CancelDemand(NamedTuple):
    """When an execution asks for its cancels (at its closing leg, or its deadline), and of how many orders at most."""

    asks_at_us: int
    orders: int


def why_over_capacity(
    new: CancelDemand, others: Iterable[CancelDemand], budget: BudgetFacts, *, grace_us: int, now_us: int
) -> str | None:
    """Return why `new` cannot be accepted beside `others`, with the numbers; None: it can. Those whose time has come
    already ask now."""
    every = sorted(CancelDemand(max(now_us, one.asks_at_us), one.orders) for one in (new, *others))
    new = CancelDemand(max(now_us, new.asks_at_us), new.orders)
    live = sum(one.orders for one in every)
    needed, given = live * budget.cancel_tokens, budget.cancel_reserve + HALT_TOKENS_S * budget.write_per_s
    if needed > given:
        return (
            f"{len(every)} executions could have {live} orders live, for whose cancels a halt must find {needed} write "
            f"tokens within {HALT_TOKENS_S} s: there are {given}; wait for some to end"
        )
    return _why_crowded(every.index(new), every, budget, grace_us, now_us)


def _why_crowded(
    new: int, every: Sequence[CancelDemand], budget: BudgetFacts, grace_us: int, now_us: int
) -> str | None:
    """Whatever is asked for from one moment to another must be there by the end of the last one's grace; looked at for
    the worst such stretch of time with number `new` of `every` in it. Tokens are in millionths here, so that what a
    microsecond brings is whole."""
    within_us = max(0, grace_us - ANSWERS_US)
    room = budget.cancel_reserve * US_PER_S + _refill(budget, within_us)
    asked = list(accumulate((one.orders * budget.cancel_tokens * US_PER_S for one in every), initial=0))
    refilled = [_refill(budget, one.asks_at_us - now_us) for one in every]
    first = min(range(new + 1), key=lambda number: asked[number] - refilled[number])
    last = max(range(new, len(every)), key=lambda number: asked[number + 1] - refilled[number])
    needed = asked[last + 1] - asked[first]
    given = room + refilled[last] - refilled[first]
    if needed <= given:
        return None
    since_us, until_us = every[first].asks_at_us, every[last].asks_at_us + within_us
    return (
        f"{last - first + 1} executions would have orders to cancel for {needed // US_PER_S} write tokens from "
        f"{to_iso(since_us)} to {to_iso(until_us)}: there are {given // US_PER_S} at {budget.write_per_s} a second; "
        "give another deadline, or wait for some to end"
    )


def _refill(budget: BudgetFacts, us: int) -> int:
    return budget.write_per_s * (1_000 - OTHERS_PER_MILLE) * us // 1_000
