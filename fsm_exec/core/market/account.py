"""What the exchange says about the account and the public market beside orders, fills and books, in exact units."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from fsm_exec.core.market.orders import NotSent, Refused, Unknown
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, MoneyE6, Outcome, PriceE4


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """`available_e6` is what new orders may use; `portfolio_e6` the exchange's own value of what is held, None if it
    does not state one."""

    available_e6: MoneyE6
    portfolio_e6: MoneyE6 | None
    at_us: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """What is held of one market. `count_e2` is signed: + YES, - NO. The others are None where the exchange does not
    state them."""

    ticker: str
    count_e2: CountE2
    traded_e6: MoneyE6 | None
    exposure_e6: MoneyE6 | None
    realized_e6: MoneyE6 | None
    fees_e6: MoneyE6 | None
    changed_at_us: int | None


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What was held of one market when it settled, and what that paid. `result` is yes, no, scalar, or a word that is
    not known here.

    `value_e4` is what one YES contract paid; None: the exchange states no value that its own sum can be reckoned from.
    `revenue_e6` is what all contracts paid together, as stated: in whole cents. `fee_e6` are the fees of the fills.
    """

    ticker: str
    event: str
    result: str
    value_e4: PriceE4 | None
    yes_count_e2: CountE2
    no_count_e2: CountE2
    yes_cost_e6: MoneyE6
    no_cost_e6: MoneyE6
    revenue_e6: MoneyE6
    fee_e6: MoneyE6
    at_us: int

    def payout_e6(self) -> MoneyE6 | None:
        """What the contracts paid together, exactly; None: unknown but for the whole cents of `revenue_e6`."""
        if self.value_e4 is None:
            return None
        return MoneyE6(self.yes_count_e2 * self.value_e4 + self.no_count_e2 * (ONE_DOLLAR_E4 - self.value_e4))


class MarketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One market as a listing shows it: up to 15 s old, so nothing trades on its quotes. All prices are YES prices.

    None: not stated, or no quote. `determination_us` is when its result is expected. `settlement_value_e4` is what one
    YES contract pays, known from the result on. `is_settled`: it has paid.
    """

    ticker: str
    title: str
    event: str
    status: MarketStatus
    yes_bid_e4: PriceE4 | None = None
    yes_bid_size_e2: CountE2 | None = None
    yes_ask_e4: PriceE4 | None = None
    yes_ask_size_e2: CountE2 | None = None
    last_e4: PriceE4 | None = None
    volume_24h_e2: CountE2 | None = None
    close_us: int | None = None
    determination_us: int | None = None
    result: str | None = None
    settlement_value_e4: PriceE4 | None = None
    is_settled: bool = False


class MarketSearch(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found. `has_more`: not everything that may fit was read, or is in `markets`."""

    markets: tuple[MarketFacts, ...]
    has_more: bool


class BudgetFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the account may still write, in whole tokens (wire/README.md 11). `write_left` is there now and grows by
    `write_per_s` up to `write_capacity`; `place_tokens`, `amend_tokens` and `cancel_tokens` are what one of
    each takes.
    `cancel_reserve` of them nothing but cancels may spend."""

    write_left: int
    write_per_s: int
    write_capacity: int
    place_tokens: int
    cancel_tokens: int
    cancel_reserve: int = 0
    amend_tokens: int = 10

    def cancelling_us(self, orders: int) -> int:
        """How long the tokens for so many cancels take to come, if nothing else is written; in microseconds."""
        missing = max(0, orders * self.cancel_tokens - self.write_left)
        return -(-missing * 1_000_000 // max(1, self.write_per_s))


class QueuePosition(msgspec.Struct, frozen=True):
    """`ahead_e2` contracts are filled before this order is. `ticker` may be empty: not stated."""

    order_id: str
    ticker: str
    ahead_e2: CountE2


class OrderGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of one shard that may fill `limit_e2` contracts together in any 15 s; beyond that all are cancelled.
    `order_ids` None: a listing, which does not name them."""

    group_id: str
    limit_e2: CountE2 | None
    cancels_by_itself: bool
    order_ids: tuple[str, ...] | None = None
    exchange_index: int = 0


class GroupCreated(msgspec.Struct, frozen=True):
    group_id: str


class GroupChanged(msgspec.Struct, frozen=True):
    """Done: what was asked holds for this group."""

    group_id: str


GroupCreateAnswer: TypeAlias = GroupCreated | Refused | NotSent | Unknown
GroupAnswer: TypeAlias = GroupChanged | Refused | NotSent | Unknown


class EventShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one event says about its markets. `mutually_exclusive`: at most one of `tickers` ends YES. `exhaustive`: and
    one of them does, which the exchange never states: the user's configuration does, by series."""

    event: str
    series: str
    mutually_exclusive: bool
    tickers: tuple[str, ...]
    exhaustive: bool = False


class PublicTrade(msgspec.Struct, frozen=True, kw_only=True):
    """Anybody's trade. `taker` bought this outcome; the price is the YES price."""

    trade_id: str
    ticker: str
    taker: Outcome
    yes_price_e4: PriceE4
    count_e2: CountE2
    at_us: int
    is_block: bool
