"""How much to buy of an outcome that is thought likelier than its price: fractional Kelly, fees, the position that is
already held and the depth of the book counted in.

A bankroll B, of which the fraction L is played with. With K the all-in cost of everything bought, the old included,
W0 = L B - K is left if the outcome fails and W1 = W0 + contracts if it comes. One more contract raises the expected
logarithm of wealth as long as its all-in price is at most

    r = p W0 / (p W0 + (1 - p) W1)

which is p at nothing and falls with each contract. So the offers are taken in thought, best first, as long as each is
worth its price also once it is bought: the whole contracts of the exact optimum, rounded down. What r is then, less a
minimum edge where one is asked for, is the cap of the execution: no contract of it may cost more, in thought either.
The probability is first shrunk towards the price: p' = w p + (1 - w) ask.

Everything is in exact integers; a quantity is whole contracts.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import largest_within
from fsm_exec.core.values.units import (
    ONE_CONTRACT_E2,
    PPM,
    CountE2,
    MoneyE6,
    PriceE4,
    PriceGrid,
    format_count,
    format_fixed,
    format_money,
    format_price,
)

FRACTION_PPM = 250_000
SHRINK_PPM = PPM
E6_PER_DOLLAR = 1_000_000

WhyNothing: TypeAlias = Literal["no_offer", "no_edge", "no_bankroll", "below_one_contract"]
"""Nobody offers; the best offer costs more than the outcome is worth; what is held already takes the part of the
bankroll that is played with; one contract would be more than the edge is worth. An edge is what is left of it above the
minimum that is asked for."""


class Belief(msgspec.Struct, frozen=True, kw_only=True):
    """The model's probability of the outcome to be bought, how far it is trusted (`shrink_ppm`: all of it is a whole),
    the fraction of the bankroll that is played with, the bankroll, in which the cost of what is held is counted, and
    what each contract has to be worth beyond its all-in price at least."""

    probability_ppm: int
    bankroll_e6: MoneyE6
    fraction_ppm: int = FRACTION_PPM
    shrink_ppm: int = SHRINK_PPM
    min_edge_e6: MoneyE6 = MoneyE6(0)


class Stakes(msgspec.Struct, frozen=True, kw_only=True):
    """What is held already, or may come to be by executions at work: contracts of the outcome to be bought and of the
    other, and what both cost, fees included."""

    own_e2: CountE2 = CountE2(0)
    other_e2: CountE2 = CountE2(0)
    cost_e6: MoneyE6 = MoneyE6(0)


class Size(msgspec.Struct, frozen=True, kw_only=True):
    """Buy `quantity_e2` at an all-in price of at most `cap_e6` each, so at `worst_e4` before fees. 0 contracts for the
    reason `why_nothing`. `probability_ppm` is the shrunk one, `edge_e6` what a contract of the best offer is worth
    beyond its all-in price."""

    quantity_e2: CountE2
    probability_ppm: int
    cap_e6: MoneyE6 = MoneyE6(0)
    worst_e4: PriceE4 = PriceE4(0)
    edge_e6: MoneyE6 = MoneyE6(0)
    why_nothing: WhyNothing | None = None


def check_belief(belief: Belief) -> None:
    """Raises UserError for a probability that leaves no doubt, a fraction or a trust that is none, a bankroll of
    nothing, a minimum edge that no price can leave."""
    if not 0 < belief.probability_ppm < PPM:
        raise UserError("probability must be above 0 and below 1: of what is certain there is nothing to size")
    if not 0 < belief.fraction_ppm <= PPM:
        raise UserError("fraction must be above 0 and at most 1, as 0.25")
    if not 0 < belief.shrink_ppm <= PPM:
        raise UserError("shrink must be above 0 and at most 1: how far the probability is trusted, as 0.8")
    if belief.bankroll_e6 <= 0:
        raise UserError("bankroll must be above 0 dollars")
    if not 0 <= belief.min_edge_e6 < E6_PER_DOLLAR:
        raise UserError("min_edge must be 0 or more and below 1 dollar per contract, as 0.02")


def size_of(belief: Belief, asks: Ladder, grid: PriceGrid, fees: FeeTerms, held: Stakes) -> Size:
    """Size an order by the offers of now, best first; `grid` is in the outcome to be bought. Raises UserError."""
    check_belief(belief)
    p = belief.probability_ppm
    if not asks:
        return Size(quantity_e2=CountE2(0), probability_ppm=p, why_nothing="no_offer")
    ask = asks[0][0]
    p = (belief.shrink_ppm * p + (PPM - belief.shrink_ppm) * ask * 100) // PPM
    edge = MoneyE6(p - fees.all_in(ask, taker=True))  # a whole probability and a dollar are both a million
    none = Size(quantity_e2=CountE2(0), probability_ppm=p, edge_e6=edge)
    lost = belief.bankroll_e6 * belief.fraction_ppm // PPM - held.cost_e6
    w0, w1 = lost + _dollars(held.other_e2), lost + _dollars(held.own_e2)
    if min(w0, w1) <= 0:
        if edge <= belief.min_edge_e6:
            return msgspec.structs.replace(none, why_nothing="no_edge")
        return msgspec.structs.replace(none, why_nothing="no_bankroll")
    bought = 0
    for price, available in asks:
        each = fees.all_in(price, taker=True)
        more = _most(p, w0, w1, each, belief.min_edge_e6, available // ONE_CONTRACT_E2)
        bought += more
        w0, w1 = w0 - more * each, w1 - more * each + more * E6_PER_DOLLAR
        if more < available // ONE_CONTRACT_E2:
            break
    cap = MoneyE6(_reservation_e6(p, w0, w1) - belief.min_edge_e6)
    worst = largest_within(cap, grid, fees)
    if bought == 0 or worst is None:
        return msgspec.structs.replace(
            none, why_nothing="below_one_contract" if edge > belief.min_edge_e6 else "no_edge"
        )
    return Size(
        quantity_e2=CountE2(bought * ONE_CONTRACT_E2),
        probability_ppm=p,
        cap_e6=cap,
        worst_e4=worst,
        edge_e6=edge,
    )


def _most(p: int, w0: int, w1: int, each_e6: int, min_edge_e6: int, available: int) -> int:
    """How many of so many contracts at one all-in price are worth it: the price and the minimum edge are at most r with
    all of them bought. A binary search, since r falls with every contract."""
    dear_e6 = each_e6 + min_edge_e6

    def is_worth_it(number: int) -> bool:
        after0, after1 = w0 - number * each_e6, w1 + number * (E6_PER_DOLLAR - each_e6)
        return after0 > 0 and dear_e6 * (p * after0 + (PPM - p) * after1) <= E6_PER_DOLLAR * p * after0

    low, high = 0, available  # `low` are worth it, more than `high` are not
    while low < high:
        middle = (low + high + 1) // 2
        if is_worth_it(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _reservation_e6(p: int, w0: int, w1: int) -> int:
    """r, rounded down, in millionths of a dollar."""
    return E6_PER_DOLLAR * p * w0 // (p * w0 + (PPM - p) * w1)


def _dollars(count_e2: CountE2) -> int:
    """What so many contracts pay if their outcome comes, in millionths."""
    return count_e2 * (E6_PER_DOLLAR // ONE_CONTRACT_E2)


def describe_size(belief: Belief, size: Size, ask_e4: PriceE4 | None) -> str:
    """How a size came to be, on one line for a person."""
    shrunk = "" if belief.shrink_ppm == PPM else f" shrunk to {format_fixed(size.probability_ppm, 6)}"
    stake = (
        f"probability {format_fixed(belief.probability_ppm, 6)}{shrunk}, {format_fixed(belief.fraction_ppm, 6)} of a "
        f"bankroll of {format_money(belief.bankroll_e6)} dollars"
    )
    if ask_e4 is None:
        return f"{stake}: nobody offers"
    worth = f"{stake}, best offer {format_price(ask_e4)}, worth {format_money(size.edge_e6)} more than it costs all in"
    if belief.min_edge_e6:
        worth += f" (at least {format_money(belief.min_edge_e6)} is asked for)"
    if size.why_nothing == "no_edge":
        return f"{worth}: {'too little' if belief.min_edge_e6 else 'no'} edge"
    if size.why_nothing == "no_bankroll":
        return f"{worth}: what is held takes that part of the bankroll already"
    if size.why_nothing is not None:
        return f"{worth}: less than one contract"
    return f"{worth}: {format_count(size.quantity_e2)} contracts, each at {format_money(size.cap_e6)} all in or less"
