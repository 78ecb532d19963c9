"""What is held of one market and what it has brought, as the exchange nets it: to buy NO while YES is held is to sell
the YES first.

Costs are average: what closes takes its share of the cost of what is open. Profit is realised without fees, fees are
counted apart. Cash is paid negative, received positive, fees included; so at any moment
cash = realized - fees - cost, unless something was taken over from the exchange at another price than it gave.
"""

from __future__ import annotations

import msgspec

from fsm_exec.core.market.account import Settlement
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, MoneyE6, Outcome, PriceE4


class Holding(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """`count_e2` is signed: + YES, - NO. `cost_e6` (0 or more) is what the open contracts cost without fees,
    `realized_e6` the profit of closed ones without fees, `fees_e6` all fees paid. `traded_e2` counts all contracts
    bought, of either outcome, and `traded_e6` what they cost. `taken_over_e6` is the cost of what was taken over from
    the exchange without a fill, and is no cash of ours."""

    count_e2: CountE2 = CountE2(0)
    cost_e6: MoneyE6 = MoneyE6(0)
    realized_e6: MoneyE6 = MoneyE6(0)
    fees_e6: MoneyE6 = MoneyE6(0)
    traded_e2: CountE2 = CountE2(0)
    traded_e6: MoneyE6 = MoneyE6(0)
    taken_over_e6: MoneyE6 = MoneyE6(0)

    @property
    def cash_e6(self) -> MoneyE6:
        """What it brought so far, signed, with what was taken over counted as paid."""
        return MoneyE6(self.realized_e6 - self.fees_e6 - self.cost_e6)

    @property
    def balance_change_e6(self) -> MoneyE6:
        """What fills and settlements moved the account's balance by."""
        return MoneyE6(self.cash_e6 + self.taken_over_e6)

    @property
    def outcome(self) -> Outcome | None:
        """Which outcome is held; None: nothing."""
        if self.count_e2 == 0:
            return None
        return "yes" if self.count_e2 > 0 else "no"

    def closable_e2(self, outcome: Outcome) -> CountE2:
        """How many contracts buying `outcome` would close."""
        return CountE2(max(0, -self.count_e2 if outcome == "yes" else self.count_e2))

    def bought(self, outcome: Outcome, price_e4: PriceE4, count_e2: CountE2, fee_e6: MoneyE6) -> Holding:
        """The holding after a fill: `count_e2` contracts of `outcome` at its own price, for a fee. Close, then open."""
        closing = min(count_e2, self.closable_e2(outcome))
        cost = self.cost_e6 * closing // abs(self.count_e2) if closing else 0
        return msgspec.structs.replace(
            self,
            count_e2=self.count_e2 + (count_e2 if outcome == "yes" else -count_e2),
            cost_e6=self.cost_e6 - cost + (count_e2 - closing) * price_e4,
            realized_e6=self.realized_e6 + closing * (ONE_DOLLAR_E4 - price_e4) - cost,
            fees_e6=self.fees_e6 + fee_e6,
            traded_e2=self.traded_e2 + count_e2,
            traded_e6=self.traded_e6 + count_e2 * price_e4,
        )

    def taken_over(self, count_e2: CountE2, cost_e6: MoneyE6) -> Holding:
        """The holding with signed changes of contracts and cost that no fill explains; no profit is made of them."""
        return msgspec.structs.replace(
            self,
            count_e2=self.count_e2 + count_e2,
            cost_e6=self.cost_e6 + cost_e6,
            taken_over_e6=self.taken_over_e6 + cost_e6,
        )

    def paid_out(self, payout_e6: MoneyE6) -> Holding:
        """The holding after its market settled for `payout_e6` altogether: nothing is open any more."""
        return msgspec.structs.replace(
            self,
            count_e2=CountE2(0),
            cost_e6=MoneyE6(0),
            realized_e6=self.realized_e6 + payout_e6 - self.cost_e6,
        )

    def plus(self, other: Holding) -> Holding:
        """What both have brought, of which nothing is open in either."""
        return self._combined(other, 1)

    def minus(self, other: Holding) -> Holding:
        """The inverse of `plus`."""
        return self._combined(other, -1)

    def _combined(self, other: Holding, sign: int) -> Holding:
        return Holding(
            realized_e6=MoneyE6(self.realized_e6 + sign * other.realized_e6),
            fees_e6=MoneyE6(self.fees_e6 + sign * other.fees_e6),
            traded_e2=CountE2(self.traded_e2 + sign * other.traded_e2),
            traded_e6=MoneyE6(self.traded_e6 + sign * other.traded_e6),
            taken_over_e6=MoneyE6(self.taken_over_e6 + sign * other.taken_over_e6),
        )

    def settled(self, settlement: Settlement) -> Holding:
        """The holding after this settlement. Where the exchange states no value, what it paid is the payout."""
        if settlement.value_e4 is None:
            return self.paid_out(settlement.revenue_e6)
        return self.paid_out(self.value_e6(settlement.value_e4))

    def value_e6(self, yes_value_e4: PriceE4) -> MoneyE6:
        """What is held is worth if a YES contract is worth so much, 0 to 1 dollar."""
        each = yes_value_e4 if self.count_e2 > 0 else ONE_DOLLAR_E4 - yes_value_e4
        return MoneyE6(abs(self.count_e2) * each)


NOTHING = Holding()
