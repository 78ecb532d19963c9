"""What a member owns: cash, one signed position a market, and what its resting orders reserve.

A position is netted: buying NO while holding YES sells the YES first. `revenue` is the signed cash of a fill without
its fee: what opens costs its price, what closes pays a dollar less the price. So cash, plus a dollar for every YES
contract held against a NO contract, plus the fees, is the same before and after every trade.
Resting orders reserve count x price in their own ladder and the maker fee; what closes a position reserves nothing,
first come first. An order without funds is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, MoneyE6, Outcome, PriceE4
from fsm_exec.paper.matching_engine.orders import FillRecord, Order

MarketResult: TypeAlias = Literal["yes", "no", "scalar"]


@dataclass(slots=True)
class Position:
    """`count_e2` is signed: + YES, - NO. `cost_e6` is what the open contracts cost, without fees; `open_fees_e6` the
    fees that were paid to open them."""

    count_e2: int = 0
    cost_e6: int = 0
    open_fees_e6: int = 0
    realized_e6: int = 0
    fees_e6: int = 0
    traded_e6: int = 0
    traded_e2: int = 0
    updated_us: int = 0

    def closable_e2(self, outcome: Outcome) -> int:
        """How many contracts buying `outcome` would close."""
        return max(0, -self.count_e2 if outcome == "yes" else self.count_e2)

    def revenue_e6(self, outcome: Outcome, price: PriceE4, count: CountE2) -> MoneyE6:
        """Signed cash, without fee, of buying `count` of `outcome` at its `price` now."""
        closing = min(count, self.closable_e2(outcome))
        return MoneyE6(closing * (ONE_DOLLAR_E4 - price) - (count - closing) * price)

    def buy(self, outcome: Outcome, price: PriceE4, count: CountE2, fee: MoneyE6, at_us: int) -> None:
        """Book a fill: net first, then open."""
        held = abs(self.count_e2)
        closing = min(count, self.closable_e2(outcome))
        if closing:
            cost = self.cost_e6 * closing // held
            self.cost_e6 -= cost
            self.open_fees_e6 -= self.open_fees_e6 * closing // held
            self.realized_e6 += closing * (ONE_DOLLAR_E4 - price) - cost
        self.cost_e6 += (count - closing) * price
        self.open_fees_e6 += fee * (count - closing) // count
        self.count_e2 += count if outcome == "yes" else -count
        self.fees_e6 += fee
        self.traded_e6 += count * price
        self.traded_e2 += count
        self.updated_us = at_us

    def worth_e6(self, value: PriceE4) -> MoneyE6:
        """What the contracts are worth if a YES contract is worth `value`."""
        each = value if self.count_e2 > 0 else ONE_DOLLAR_E4 - value
        return MoneyE6(abs(self.count_e2) * each)

    def pay_out(self, value: PriceE4, at_us: int) -> MoneyE6:
        """End the position at the value of a YES contract. Returns the signed change of cash."""
        payout = self.worth_e6(value)
        self.realized_e6 += payout - self.cost_e6
        self.count_e2 = self.cost_e6 = self.open_fees_e6 = 0
        self.updated_us = at_us
        return payout


@dataclass(slots=True, frozen=True)
class SettlementRecord:
    """What one account held of a market when it settled, and what that paid: `value_e4` for a YES contract."""

    number: int
    ticker: str
    result: MarketResult
    value_e4: PriceE4
    count_e2: int
    cost_e6: int
    revenue_e6: MoneyE6
    fees_e6: int
    at_us: int


@dataclass(slots=True, frozen=True)
class Transfer:
    """Money that came from outside, or went there: below 0."""

    number: int
    transfer_id: str
    amount_e6: MoneyE6
    at_us: int


@dataclass(slots=True, eq=False)
class Account:
    """`orders` and `fills` are in time order; `resting` holds the live orders of each market in time order. `reserves`
    caches the reserves of markets in which nothing has changed since they were computed."""

    account_id: str
    user_id: str
    cash_e6: int
    positions: dict[str, Position] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    settlements: list[SettlementRecord] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    client_ids: dict[str, str] = field(default_factory=dict)
    resting: dict[str, dict[str, Order]] = field(default_factory=dict)
    reserves: dict[str, Reserve] = field(default_factory=dict)

    def position(self, ticker: str) -> Position:
        return self.positions.setdefault(ticker, Position())

    def resting_in(self, ticker: str) -> dict[str, Order]:
        return self.resting.setdefault(ticker, {})

    def add_order(self, order: Order, fees: FeeTerms) -> None:
        """Add an order, the last in time."""
        self.orders.append(order)
        self.resting_in(order.ticker)[order.order_id] = order
        if (reserve := self.reserves.get(order.ticker)) is not None:
            reserve.add(order, fees)

    def drop_cached_reserve(self, ticker: str) -> None:
        """Drop the cached reserve of a market whose orders or position have changed."""
        self.reserves.pop(ticker, None)


def joined(accounts: Sequence[Account]) -> Account:
    """Several subaccounts of a member as one listing shows them: their orders, fills and settlements in time order. The
    only one as it is."""
    if len(accounts) == 1:
        return accounts[0]
    settled = sorted((each for account in accounts for each in account.settlements), key=lambda each: each.at_us)
    return replace(
        accounts[0],
        orders=sorted((order for account in accounts for order in account.orders), key=lambda order: order.number),
        fills=sorted((fill for account in accounts for fill in account.fills), key=lambda fill: fill.number),
        settlements=[replace(each, number=number) for number, each in enumerate(settled, 1)],
    )


@dataclass(slots=True)
class Reserve:
    """What resting orders of one market reserve, and how many contracts of each outcome could still be bought only to
    close."""

    reserved_e6: int
    closable_e2: dict[Outcome, int]

    def add(self, order: Order, fees: FeeTerms) -> None:
        """One more order, the last in time."""
        closing = min(self.closable_e2[order.outcome], order.remaining_e2)
        self.closable_e2[order.outcome] -= closing
        opening = CountE2(order.remaining_e2 - closing)
        self.reserved_e6 += opening * order.price_e4
        if fees.maker_e10:
            self.reserved_e6 += fees.model_fee(order.price_e4, opening, taker=False)


def compute_reserve(account: Account, ticker: str, fees: FeeTerms, *, without: Order | None = None) -> Reserve:
    """Compute the reserve from the orders. `without` leaves one out, to see what its replacement may use."""
    position = account.position(ticker)
    reserve = Reserve(0, {"yes": position.closable_e2("yes"), "no": position.closable_e2("no")})
    for order in account.resting_in(ticker).values():
        if order is not without:
            reserve.add(order, fees)
    return reserve


def cached_reserve(account: Account, ticker: str, fees: FeeTerms) -> Reserve:
    """Return the reserve, computed again only after a change: a member with thousands of orders needs it at each new
    one."""
    known = account.reserves.get(ticker)
    if known is None:
        known = account.reserves[ticker] = compute_reserve(account, ticker, fees)
    return known
