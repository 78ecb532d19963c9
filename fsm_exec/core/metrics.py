"""What an execution cost: the seed's columns and the all-in shortfall with its decomposition.

Everything is in the execution's own outcome, which it buys; positive = cost. The shortfall (completion form):
    IS = [ sum(q p) + sum(f) + C(U,T) - R(O,T) ] / Q - M_a
with Q the target, U the unfilled rest, T the deadline, M_a the mid at arrival, C the cost of sweeping U from the asks
at T with the taker fee, beyond the visible depth at the last level + 2c (at most 99c), R what selling an over-fill O
back would bring. It decomposes into delay + spread + drift + fees + opportunity + over-fill, identically: sums are
integers of 10^-7 dollars (mids have five decimals, counts two), so the identity is asserted, not approximated.
"""

from __future__ import annotations

import msgspec

from fsm_exec.core.book import Ladder, sweep
from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution import Execution
from fsm_exec.core.fees import FeeTerms
from fsm_exec.core.ports import MetricsRow
from fsm_exec.core.units import (
    CountE2,
    MoneyE6,
    PriceE4,
    format_count,
    format_fixed,
    format_money,
    format_price,
    rounded_ratio,
)

BEYOND_DEPTH_E4 = 200  # completing more than is visible costs the last level + 2 cents
COMPLETION_PRICE_MAX_E4 = 9_900


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

    @property
    def total(self) -> int:
        return self.delay + self.spread + self.drift + self.fees + self.opportunity + self.over_fill


def completion_cost(asks: Ladder, count: CountE2, fees: FeeTerms) -> tuple[MoneyE6, bool]:
    """C(U,T) and whether it went beyond the visible depth. An empty side is priced at the maximum."""
    takes, left = sweep(asks, count)
    cost = sum(price * size + fees.model_fee(price, size, taker=True) for price, size in takes)
    if left:
        last = asks[-1][0] if asks else COMPLETION_PRICE_MAX_E4
        price = PriceE4(min(last + BEYOND_DEPTH_E4, COMPLETION_PRICE_MAX_E4))
        cost += price * left + fees.model_fee(price, left, taker=True)
    return MoneyE6(cost), bool(left)


def unwind_value(bids: Ladder, count: CountE2, fees: FeeTerms) -> MoneyE6:
    """R(O,T): what selling `count` back brings after the taker fee; beyond the visible depth nothing."""
    takes, _ = sweep(bids, count)
    return MoneyE6(sum(price * size - fees.model_fee(price, size, taker=True) for price, size in takes))


def metrics(execution: Execution, deadline: DeadlineBook | None) -> MetricsRow:
    """The row of an ended execution. `deadline` may be None only where nothing depends on it (all was filled).

    What cannot be known is None and named in `flags`; it is never 0.
    """
    fills = execution.fills
    filled = sum(fill.count_e2 for fill in fills)
    value_e6 = sum(fill.count_e2 * fill.price_e4 for fill in fills)
    fees_e6 = MoneyE6(sum(fill.fee_e6 for fill in fills))
    flags: list[str] = []
    parts = _decompose(execution, deadline, flags)
    target = execution.limits.target_e4 if execution.limits is not None else None
    arrival_mid = execution.arrival.trusted_mid_e5
    if any(child.late for child in execution.children):
        flags.append("late_fill")
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
        time_to_first_fill=_seconds_until(execution, 1),
        time_to_full_fill=_seconds_until(execution, execution.target_e2),
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
        flags=",".join(dict.fromkeys(flags)),
    )


def _seconds_until(execution: Execution, count: int) -> int | None:
    """Whole seconds from acceptance to the fill that reaches `count`; None if it never came."""
    reached = 0
    for fill in execution.fills:
        reached += fill.count_e2
        if reached >= count:
            return max(0, fill.traded_at_us - execution.accepted_at_us) // 1_000_000
    return None


def _decompose(execution: Execution, deadline: DeadlineBook | None, flags: list[str]) -> Decomposition | None:
    arrival = execution.arrival.trusted_mid_e5
    if arrival is None:
        flags.append("no_arrival_mid")
        return None
    fills = execution.fills
    fees = execution.terms.fees
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
