"""What is held of a market is worth: what closing it now brings, and beside it what it is worth at the mid.

To close is to sell to the bids of what is held, best first, as one taker order: fee and rounding of the balance are
taken off at each price, as the exchange bills them. What the bids do not take is worth nothing.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.algorithm.market_view import mid_of
from fsm_exec.core.market.book import Ladder, sweep
from fsm_exec.core.market.fees import FeeTerms, fill_fee
from fsm_exec.core.values.units import CountE2, MoneyE6, complement

Source: TypeAlias = Literal["book", "quote", "stored"]
"""The live book, the best prices of a listing, or what was stored last."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The bids of both outcomes, each best first in its own price, and the fees of the market."""

    ticker: str
    yes_bids: Ladder
    no_bids: Ladder
    fees: FeeTerms
    at_us: int
    source: Source = "book"

    def closing_value_e6(self, count_e2: CountE2) -> MoneyE6:
        """What closing `count_e2` (signed: + YES, - NO) brings now, all fees taken off."""
        value, accumulator = MoneyE6(0), MoneyE6(0)
        takes, _ = sweep(self.yes_bids if count_e2 > 0 else self.no_bids, CountE2(abs(count_e2)))
        for price_e4, count in takes:
            model = self.fees.model_fee(price_e4, count, taker=True)
            bill = fill_fee(model, MoneyE6(count * price_e4), accumulator)
            value, accumulator = MoneyE6(value + bill.balance_change), bill.accumulator
        return value

    def mid_value_e6(self, count_e2: CountE2) -> MoneyE6 | None:
        """What `count_e2` (signed) are worth at the mid, rounded down; None: the book has one side."""
        if not self.yes_bids or not self.no_bids:
            return None
        mid_e5 = mid_of(self.yes_bids[0][0], complement(self.no_bids[0][0]))
        each_e5 = mid_e5 if count_e2 > 0 else 100_000 - mid_e5
        return MoneyE6(abs(count_e2) * each_e5 // 10)
