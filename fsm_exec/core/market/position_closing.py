"""What closes a position: which outcome is bought, how much of it, and at which limits. Pure.

To close YES is to buy NO: the exchange nets the two, and pays a dollar for each pair. So a price to receive for what is
held is a price to pay for the other outcome, a dollar less; whoever closes thinks in the first, orders are in the
second.
"""

from __future__ import annotations

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Ladder, sweep
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import (
    ONE_DOLLAR_E4,
    CountE2,
    MoneyE6,
    Outcome,
    PriceE4,
    PriceGrid,
    complement,
    format_count,
    format_price,
    opposite,
)

POSITION_GONE = "the position is gone"
"""How the note of an execution begins that ended because nothing was left to close."""
ROOM_TICKS = 2
"""How far beyond the price that closes all of it now the limit is, unless one is given: books move while one types."""


class CloseTerms(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that closes. `held` and `held_e2` (above zero) are the position; the execution buys `quantity_e2` of
    `outcome`, the other one, within `limits`, which are in that outcome's terms. `on_offer_e2` is what of the quantity
    could be closed at once within them, by the book that was looked at."""

    ticker: str
    held: Outcome
    held_e2: CountE2
    outcome: Outcome
    quantity_e2: CountE2
    limits: Limits
    on_offer_e2: CountE2

    @property
    def least_e4(self) -> PriceE4:
        """The least received per contract that is held, before fees."""
        return complement(self.limits.worst_e4)

    @property
    def least_net_e6(self) -> MoneyE6:
        """The same after the taker fee, in millionths of a dollar."""
        return MoneyE6(ONE_DOLLAR_E4 * 100 - self.limits.cap_e6)


def closing_outcome(position_e2: int) -> Outcome:
    """The outcome whose buying closes a position (signed: + YES, - NO; not zero)."""
    return "no" if position_e2 > 0 else "yes"


def close_terms(
    terms: MarketTerms,
    position_e2: int,
    offers: Ladder,
    *,
    asked_e2: CountE2 | None = None,
    least_e4: PriceE4 | None = None,
) -> CloseTerms:
    """The terms of an execution that closes `position_e2` (signed: + YES, - NO), or `asked_e2` of it.

    `offers` are those of the outcome that is bought (`closing_outcome`), best first, in its own terms and without our
    own orders. `least_e4` is the least to be received per contract that is held, in the position's terms; without it
    the limit is the price at which all of it can be closed now, and two ticks of room. Raises UserError if nothing is
    held, for a quantity or limit that is none, and without a limit where the book offers too little."""
    if position_e2 == 0:
        raise UserError(f"{terms.ticker}: nothing is held, so there is nothing to close")
    if asked_e2 is not None and asked_e2 <= 0:
        raise UserError("quantity must be above 0 contracts")
    outcome, held_e2 = closing_outcome(position_e2), CountE2(abs(position_e2))
    quantity_e2 = held_e2 if asked_e2 is None else CountE2(min(asked_e2, held_e2))
    grid = terms.grid.seen_from(outcome)
    if least_e4 is None:
        worst = _price_of_all(terms.ticker, opposite(outcome), quantity_e2, offers, grid)
    else:
        worst = complement(least_e4)
        if not grid.contains(worst):
            raise UserError(
                f"{terms.ticker}: limit {format_price(least_e4)} is not on the market's grid of prices; "
                "round it to a valid tick above 0 and below 1 dollar"
            )
    within = tuple(level for level in offers if level[0] <= worst)
    return CloseTerms(
        ticker=terms.ticker,
        held=opposite(outcome),
        held_e2=held_e2,
        outcome=outcome,
        quantity_e2=quantity_e2,
        limits=resolve_limits(worst, grid, terms.fees, worst=worst),
        on_offer_e2=CountE2(quantity_e2 - sweep(within, quantity_e2)[1]),
    )


def _price_of_all(ticker: str, held: Outcome, quantity_e2: CountE2, offers: Ladder, grid: PriceGrid) -> PriceE4:
    """The price that takes all of the quantity from `offers`, and some ticks of room."""
    takes, left_e2 = sweep(offers, quantity_e2)
    if not takes:
        raise UserError(
            f"{ticker}: nobody bids for {held} now, so no limit can be formed; give one, the least you want a contract"
        )
    if left_e2 > 0:
        raise UserError(
            f"{ticker}: the book bids for {format_count(CountE2(quantity_e2 - left_e2))} {held} now, and "
            f"{format_count(quantity_e2)} are to be closed; give a limit, the least you want a contract, or a "
            "smaller quantity"
        )
    price = takes[-1][0]
    for _ in range(ROOM_TICKS):
        price = grid.ceil(price + 1) or price
    return price
