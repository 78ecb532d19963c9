"""Rows that the store keeps of books, costs, rewards, markouts and forecasts: decimal strings, None where a figure is
not known."""

from __future__ import annotations

import msgspec

from fsm_exec.core.market.liquidity import Liquidity
from fsm_exec.core.signals.forecasts import Forecast
from fsm_exec.core.values.units import CountE2, Outcome


class BookRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `order_book_snapshots`: own sizes removed, in YES terms; depth as JSON arrays of decimal strings.
    `volume_e2`: contracts traded since the engine began to hear of them."""

    ticker: str
    execution_id: str | None
    taken_at_us: int
    why: str
    yes_depth: bytes
    no_depth: bytes
    liquidity: Liquidity | None = None
    volume_e2: CountE2 | None = None
    category: str | None = None


class MetricsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `execution_metrics`. Decimal strings, whole seconds, exact 10^-7 dollar totals; None = unknown.
    Positive = cost, but for `price_improvement`. The rewards, at most 0, are no part of the shortfall."""

    execution_id: str
    target_quantity: str
    filled_quantity: str
    fill_rate: str
    target_price: str | None
    average_fill_price: str | None
    slippage: str | None
    time_to_first_fill: int | None
    time_to_full_fill: int | None
    walks_executed: int
    splits_used: int
    arrival_mid: str | None
    fees: str
    shortfall: str | None
    delay_e7: int | None
    spread_e7: int | None
    drift_e7: int | None
    fees_e7: int
    opportunity_e7: int | None
    over_fill_e7: int | None
    shortfall_e7: int | None
    flags: str
    arrival_bid: str | None = None
    arrival_ask: str | None = None
    arrival_bid_size: str | None = None
    arrival_ask_size: str | None = None
    arrival_bid_depth_1c: str | None = None
    arrival_bid_depth_3c: str | None = None
    arrival_bid_depth_5c: str | None = None
    arrival_ask_depth_1c: str | None = None
    arrival_ask_depth_3c: str | None = None
    arrival_ask_depth_5c: str | None = None
    arrival_micro_price: str | None = None
    arrival_slippage: str | None = None
    half_spread_ratio: str | None = None
    price_improvement: str | None = None
    maker_share: str | None = None
    maker_fees: str | None = None
    taker_fees: str | None = None
    market_volume: str | None = None
    participation: str | None = None
    perold_e7: int | None = None
    edge_opportunity_e7: int | None = None
    creates: int | None = None
    amends: int | None = None
    cancels: int | None = None
    write_tokens: int | None = None
    writes_per_contract: str | None = None
    tokens_per_contract: str | None = None
    cancels_per_fill: str | None = None
    unresolved: int | None = None
    rejected: str | None = None
    liquidity_reward_e7: int | None = None
    volume_reward_e7: int | None = None

    @property
    def rewards_e7(self) -> int:
        """What the exchange's programmes are estimated to pay, as a cost: at most 0; what is not known counts
        nothing."""
        return (self.liquidity_reward_e7 or 0) + (self.volume_reward_e7 or 0)

    @property
    def cost_e7(self) -> int | None:
        """The shortfall with the rewards; None: it is not known."""
        return None if self.shortfall_e7 is None else self.shortfall_e7 + self.rewards_e7

    def without_rewards(self) -> MetricsRow:
        """Return the row of an execution that no programme pays."""
        return msgspec.structs.replace(self, liquidity_reward_e7=0, volume_reward_e7=0)


class ChildMetricsRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `child_metrics`: the same of one order, times from when it was sent."""

    execution_id: str
    client_order_id: str
    quantity: str
    filled_quantity: str
    fill_rate: str
    average_fill_price: str | None
    arrival_slippage: str | None
    price_improvement: str | None
    fees: str
    maker_share: str | None
    spread_e7: int | None
    time_to_first_fill: int | None
    time_to_full_fill: int | None
    walks: int


class RewardRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `execution_rewards`: what an execution earned of one programme, scored in so many seconds."""

    execution_id: str
    program_id: str
    seconds: int
    earned_e12: int


class MarkoutRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `markouts`: the mid `horizon_s` after a fill, in its outcome; None with the reason `why`."""

    order_id: str
    fill_id: str
    horizon_s: int
    mid: str | None
    why: str | None


class MarkoutDue(msgspec.Struct, frozen=True):
    """A fill whose markouts are not all stored; `known` are the horizons that are."""

    ticker: str
    outcome: Outcome
    order_id: str
    fill_id: str
    traded_at_us: int
    known: frozenset[int]


class OpenForecast(msgspec.Struct, frozen=True):
    """A stored forecast that waits for what comes."""

    number: int
    execution_id: str
    ticker: str
    forecast: Forecast
