"""One order of one account, from acceptance to its end, and the record of one of its fills.

An order is held in the terms of the ladder it stands in: a bid for YES in the `yes` ladder at its YES price, an ask
for YES at p in the `no` ladder at 1 - p. There are only bids; two of them meet when their prices add to a dollar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from fsm_exec.core.market.orders import OrderStatus, TimeInForce
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4, in_outcome
from fsm_exec.paper.ids import subaccount_of
from fsm_exec.paper.matching_engine.fill_models import FillCause

NO_CONTRACTS_E2 = CountE2(0)
NO_MONEY_E6 = MoneyE6(0)
SelfTradePrevention: TypeAlias = Literal["taker_at_cross", "maker"]
BookSide: TypeAlias = Literal["bid", "ask"]


@dataclass(slots=True, eq=False)
class Order:
    """Mutable; owned by the exchange. `ahead_e2` is the background quantity that trades before it at its level;
    `accumulator_e6` what the rounding of its earlier fills has overpaid. `number` grows with acceptance. `capped`: the
    order may only reduce a position, and it asked for more than there was to reduce. `exchange_index` is its market's
    shard."""

    number: int
    order_id: str
    account_id: str
    client_order_id: str
    ticker: str
    outcome: Outcome
    price_e4: PriceE4
    initial_e2: CountE2
    remaining_e2: CountE2
    time_in_force: TimeInForce
    self_trade_prevention: SelfTradePrevention
    post_only: bool
    expiration_us: int | None
    cancel_on_pause: bool
    created_us: int
    updated_us: int
    group_id: str | None = None
    capped: bool = False
    exchange_index: int = 0
    status: OrderStatus = "resting"
    reason: str | None = None
    filled_e2: CountE2 = NO_CONTRACTS_E2
    ahead_e2: CountE2 = NO_CONTRACTS_E2
    accumulator_e6: MoneyE6 = NO_MONEY_E6
    taker_cost_e6: MoneyE6 = NO_MONEY_E6
    maker_cost_e6: MoneyE6 = NO_MONEY_E6
    taker_fees_e6: MoneyE6 = NO_MONEY_E6
    maker_fees_e6: MoneyE6 = NO_MONEY_E6

    @property
    def subaccount(self) -> int:
        return subaccount_of(self.account_id)

    @property
    def yes_price_e4(self) -> PriceE4:
        return in_outcome(self.price_e4, self.outcome)

    @property
    def open_e2(self) -> CountE2:
        """What an account may still expect of it. Unlike `remaining_e2`, which the book lowers for a whole batch of
        matches at once, it falls with each fill as it is booked."""
        return CountE2(self.initial_e2 - self.filled_e2) if self.status == "resting" else NO_CONTRACTS_E2

    @property
    def book_side(self) -> BookSide:
        return "bid" if self.outcome == "yes" else "ask"


@dataclass(slots=True, frozen=True)
class FillRecord:
    """One fill of one order. `price_e4` is in the order's own ladder; `fee_e6` the net fee billed for it;
    `position_e2` the account's signed position after it. `cause` is for whoever runs the exchange: no member is told.
    """

    number: int
    trade_id: str
    order: Order
    price_e4: PriceE4
    count_e2: CountE2
    fee_e6: MoneyE6
    is_taker: bool
    position_e2: int
    at_us: int
    cause: FillCause

    @property
    def yes_price_e4(self) -> PriceE4:
        return in_outcome(self.price_e4, self.order.outcome)


class TradeRecord(NamedTuple):
    """One public print. `outcome` is the maker's ladder; the taker bought the opposite."""

    number: int
    trade_id: str
    ticker: str
    outcome: Outcome
    yes_price_e4: PriceE4
    count_e2: CountE2
    at_us: int
