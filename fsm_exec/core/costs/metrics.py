"""What an execution cost: the reference design's columns and the all-in shortfall with its decomposition.

Everything is in the execution's own outcome, which it buys; positive = cost. The shortfall (completion form):
    IS = [ sum(q p) + sum(f) + C(U,T) - R(O,T) ] / Q - M_a
with Q the target, U the unfilled rest, T the deadline, M_a the mid at arrival, C the cost of sweeping U from the asks
at T with the taker fee, beyond the visible depth at the last level + 2c (at most 99c), R what selling an over-fill O
back would bring. It decomposes into delay + spread + drift + fees + opportunity + over-fill, identically: sums are
integers of 10^-7 dollars (mids have five decimals, counts two), so the identity is asserted, not approximated.

Beside it, never instead of it: Perold's form (the rest priced at the mid of the deadline), the edge form of the
opportunity (the rest at most at the reservation price, the model probability), what was paid against the arrival
(`costs/arrival.py`), what was asked of the exchange (`costs/message_counts.py`), and what its programmes are estimated
to pay (`costs/rewards.py`): parts of the whole cost, and none of the shortfall, which is what was paid. Positive =
cost, but for the price improvement.
"""

from __future__ import annotations

from typing import TypedDict

import msgspec

from fsm_exec.core.costs.arrival import arrival_columns, paid_columns
from fsm_exec.core.costs.message_counts import MessageCounts
from fsm_exec.core.costs.rewards import UNKNOWN_REWARDS, Rewards
from fsm_exec.core.costs.rows import ChildMetricsRow, MetricsRow
from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.completion import BEYOND_DEPTH_E4, COMPLETION_PRICE_MAX_E4, completion_cost, unwind_value
from fsm_exec.core.values.units import (
    CountE2,
    MoneyE6,
    format_count,
    format_fixed,
    format_money,
    format_price,
    rounded_ratio,
)

__all__ = [
    "BEYOND_DEPTH_E4",
    "COMPLETION_PRICE_MAX_E4",
    "DeadlineBook",
    "Decomposition",
    "completion_cost",
    "compute_child_metrics",
    "compute_metrics",
    "decompose",
    "rewards_of",
    "unwind_value",
]


class MessageColumns(TypedDict, total=False):
    creates: int
    amends: int
    cancels: int
    write_tokens: int
    writes_per_contract: str
    tokens_per_contract: str
    cancels_per_fill: str
    rejected: str


class DeadlineBook(msgspec.Struct, frozen=True, kw_only=True):
    """The book at the deadline in the own outcome, own size removed, with `mid_e5` of the last two-sided book.
    `fresh`: it was taken at the deadline from a live feed."""

    bids: Ladder
    asks: Ladder
    mid_e5: int | None
    fresh: bool


class Decomposition(msgspec.Struct, frozen=True, kw_only=True):
    """Totals for the whole target, 10^-7 dollars."""

    delay: int
    spread: int
    drift: int
    fees: int
    opportunity: int
    over_fill: int
    liquidity_reward: int = 0
    volume_reward: int = 0

    @property
    def shortfall(self) -> int:
        """What was paid and billed; the rewards, which are an estimate, are no part of it."""
        return self.delay + self.spread + self.drift + self.fees + self.opportunity + self.over_fill

    @property
    def total(self) -> int:
        return self.shortfall + self.liquidity_reward + self.volume_reward


def compute_metrics(
    execution: Execution,
    deadline: DeadlineBook | None,
    *,
    activity: MessageCounts | None = None,
    market_volume: CountE2 | None = None,
    rewards: Rewards = UNKNOWN_REWARDS,
) -> MetricsRow:
    """The row of an ended execution. `deadline` may be None only where nothing depends on it (all was filled).
    `activity` is counted from its journal, `market_volume` what was traded in its market since it was accepted,
    `rewards` what it is estimated to have earned.

    What cannot be known is None and named in `flags`; it is never 0.
    """
    fills = execution.fills
    filled = sum(fill.count_e2 for fill in fills)
    value_e6 = sum(fill.count_e2 * fill.price_e4 for fill in fills)
    fees_e6 = MoneyE6(sum(fill.fee_e6 for fill in fills))
    flags: list[str] = []
    parts = decompose(execution, deadline, flags)
    target = execution.limits.target_e4 if execution.limits is not None else None
    arrival_mid = execution.arrival.trusted_mid_e5
    if any(child.late for child in execution.children):
        flags.append("late_fill")
    if market_volume is not None and market_volume < filled:
        flags.append("volume_incomplete")
        market_volume = None
    average = rounded_ratio(value_e6, filled * 10**4, 6) if filled else None
    return MetricsRow(
        execution_id=execution.execution_id,
        target_quantity=format_count(execution.target_e2),
        filled_quantity=format_count(CountE2(filled)),
        fill_rate=str(rounded_ratio(filled, execution.target_e2, 6)),
        target_price=None if target is None else format_price(target),
        average_fill_price=None if average is None else str(average),
        slippage=None
        if not filled or target is None
        else str(rounded_ratio(value_e6 - filled * target, filled * target, 6)),
        time_to_first_fill=_seconds_until(fills, execution.accepted_at_us, 1),
        time_to_full_fill=_seconds_until(fills, execution.accepted_at_us, execution.target_e2),
        walks_executed=execution.walks,
        splits_used=sum(child.order_id is not None for child in execution.children),
        arrival_mid=None if arrival_mid is None else format_fixed(arrival_mid, 5),
        fees=format_money(fees_e6),
        shortfall=None if parts is None else str(rounded_ratio(parts.total, execution.target_e2 * 10**5, 6)),
        delay_e7=None if parts is None else parts.delay,
        spread_e7=None if parts is None else parts.spread,
        drift_e7=None if parts is None else parts.drift,
        fees_e7=fees_e6 * 10,
        opportunity_e7=None if parts is None else parts.opportunity,
        over_fill_e7=None if parts is None else parts.over_fill,
        shortfall_e7=None if parts is None else parts.total,
        perold_e7=_perold(execution, deadline),
        edge_opportunity_e7=_edge_opportunity(execution, deadline),
        market_volume=None if market_volume is None else format_count(market_volume),
        participation=None if not market_volume else str(rounded_ratio(filled, market_volume, 6)),
        maker_fees=format_money(MoneyE6(sum(fill.fee_e6 for fill in fills if not fill.is_taker))),
        taker_fees=format_money(MoneyE6(sum(fill.fee_e6 for fill in fills if fill.is_taker))),
        unresolved=_unresolved(execution),
        flags=",".join(dict.fromkeys(flags)),
        liquidity_reward_e7=None if rewards.liquidity_e7 is None else -rewards.liquidity_e7,
        volume_reward_e7=None if rewards.volume_e7 is None else -rewards.volume_e7,
        **arrival_columns(execution.arrival),
        **paid_columns(fills, execution.arrival),
        **_message_columns(activity, fills),
    )


def rewards_of(row: MetricsRow) -> Rewards:
    """Return the rewards of a row as they were estimated."""
    liquidity, volume = row.liquidity_reward_e7, row.volume_reward_e7
    return Rewards(
        liquidity_e7=None if liquidity is None else -liquidity, volume_e7=None if volume is None else -volume
    )


def compute_child_metrics(execution: Execution) -> tuple[ChildMetricsRow, ...]:
    """A row for each order that was decided, in that order."""
    return tuple(_child_row(execution, child) for child in execution.children)


def _child_row(execution: Execution, child: ChildOrder) -> ChildMetricsRow:
    fills = tuple(sorted((*child.fills, *child.late), key=lambda fill: (fill.traded_at_us, fill.fill_id)))
    filled = sum(fill.count_e2 for fill in fills)
    paid = paid_columns(fills, execution.arrival)
    return ChildMetricsRow(
        execution_id=execution.execution_id,
        client_order_id=child.client_order_id,
        quantity=format_count(child.count_e2),
        filled_quantity=format_count(CountE2(filled)),
        fill_rate=str(rounded_ratio(filled, child.count_e2, 6)),
        average_fill_price=str(rounded_ratio(_value(fills), filled * 10**4, 6)) if filled else None,
        arrival_slippage=paid["arrival_slippage"],
        price_improvement=paid["price_improvement"],
        fees=format_money(MoneyE6(sum(fill.fee_e6 for fill in fills))),
        maker_share=paid["maker_share"],
        spread_e7=_spread(fills),
        time_to_first_fill=_seconds_until(fills, child.sent_at_us, 1),
        time_to_full_fill=_seconds_until(fills, child.sent_at_us, child.count_e2),
        walks=child.walks,
    )


def _value(fills: tuple[Fill, ...]) -> int:
    return sum(fill.count_e2 * fill.price_e4 for fill in fills)


def _spread(fills: tuple[Fill, ...]) -> int | None:
    """Return what the fills paid against the mid just before each; None without any, or where a mid is missing."""
    total = 0
    for fill in fills:
        if fill.mid_e5 is None:
            return None
        total += fill.count_e2 * (fill.price_e4 * 10 - fill.mid_e5)
    return total if fills else None


def _seconds_until(fills: tuple[Fill, ...], since_us: int, count: int) -> int | None:
    """Whole seconds to the fill that reaches `count`; None if it never came."""
    reached = 0
    for fill in fills:
        reached += fill.count_e2
        if reached >= count:
            return max(0, fill.traded_at_us - since_us) // 1_000_000
    return None


def _perold(execution: Execution, deadline: DeadlineBook | None) -> int | None:
    """Total of Perold's form: [sum(q (p - M_a)) + sum(f) + U (M_T - M_a)], in 10^-7 dollars."""
    arrival = execution.arrival.trusted_mid_e5
    unfilled = max(0, execution.target_e2 - sum(fill.count_e2 for fill in execution.fills))
    if arrival is None:
        return None
    missed = 0
    if unfilled:
        if deadline is None or deadline.mid_e5 is None:
            return None
        missed = unfilled * (deadline.mid_e5 - arrival)
    return sum(f.count_e2 * (f.price_e4 * 10 - arrival) + f.fee_e6 * 10 for f in execution.fills) + missed


def _edge_opportunity(execution: Execution, deadline: DeadlineBook | None) -> int | None:
    """Total of U max(0, min(C(U,T) / U, r) - M_a), r the model probability: right for a desk that would not have
    chased beyond it. None without an edge, in 10^-7 dollars."""
    arrival = execution.arrival.trusted_mid_e5
    unfilled = max(0, execution.target_e2 - sum(fill.count_e2 for fill in execution.fills))
    if arrival is None or execution.edge is None:
        return None
    if not unfilled:
        return 0
    if deadline is None:
        return None
    completion, _ = completion_cost(deadline.asks, CountE2(unfilled), execution.terms.fees_at(execution.deadline_us))
    reserved = unfilled * execution.edge.probability_ppm // 10
    return max(0, min(completion * 10, reserved) - unfilled * arrival)


def _unresolved(execution: Execution) -> int:
    """Writes whose outcome is not known."""
    doubtful = {child.client_order_id for child in execution.children if child.state == "unknown"}
    return len({entry.effect_id for entry in execution.outbox}) + len(
        doubtful - {entry.client_order_id for entry in execution.outbox}
    )


def _message_columns(activity: MessageCounts | None, fills: tuple[Fill, ...]) -> MessageColumns:
    if activity is None:
        return MessageColumns()
    filled = sum(fill.count_e2 for fill in fills)
    columns = MessageColumns(
        creates=activity.creates,
        amends=activity.amends,
        cancels=activity.cancels,
        write_tokens=activity.tokens,
        rejected=",".join(f"{code}:{times}" for code, times in activity.refused),
    )
    if filled:
        columns["writes_per_contract"] = str(rounded_ratio(activity.writes * 100, filled, 6))
        columns["tokens_per_contract"] = str(rounded_ratio(activity.tokens * 100, filled, 6))
        columns["cancels_per_fill"] = str(rounded_ratio(activity.cancels, len(fills), 6))
    return columns


def decompose(execution: Execution, deadline: DeadlineBook | None, flags: list[str]) -> Decomposition | None:
    """Return the shortfall's parts, the rest priced by the book `deadline`; None: they are not known, and `flags` gets
    why. Raises LocalError if they do not add up."""
    arrival = execution.arrival.trusted_mid_e5
    if arrival is None:
        flags.append("no_arrival_mid")
        return None
    fills = execution.fills
    fees = execution.terms.fees_at(execution.deadline_us)
    target = execution.target_e2
    filled = sum(fill.count_e2 for fill in fills)
    unfilled, over = CountE2(max(0, target - filled)), CountE2(max(0, filled - target))
    first = execution.first_write_mid_e5
    if first is None:
        first = arrival  # nothing was ever sent: t_1 = t_a
    completion, unwound = MoneyE6(0), MoneyE6(0)
    if unfilled or over:
        if deadline is None:
            flags.append("no_deadline_book")
            return None
        if not deadline.fresh:
            flags.append("not_the_deadline_book")
        completion, beyond = completion_cost(deadline.asks, unfilled, fees)
        if beyond:
            flags.append("beyond_depth")
        unwound = unwind_value(deadline.bids, over, fees)
    spread = drift = 0
    for fill in fills:
        mid = fill.mid_e5
        if mid is None:
            flags.append("fill_mid_missing")
            mid = first
        spread += fill.count_e2 * (fill.price_e4 * 10 - mid)
        drift += fill.count_e2 * (mid - first)
    parts = Decomposition(
        delay=target * (first - arrival),
        spread=spread,
        drift=drift,
        fees=sum(fill.fee_e6 for fill in fills) * 10,
        opportunity=completion * 10 - unfilled * first,
        over_fill=over * first - unwound * 10,
    )
    paid_e6 = sum(fill.count_e2 * fill.price_e4 + fill.fee_e6 for fill in fills)
    if parts.total != (paid_e6 + completion - unwound) * 10 - target * arrival:
        raise LocalError(f"{execution.execution_id}: the cost does not decompose exactly")
    return parts
