"""The hard limits of an execution: the worst price a child may carry, and the cap on price plus fee.

worst = max(target, largest grid price <= target x (1 + max_slippage)) unless the user gives `worst_price` or `cap`;
cap = worst + f_taker(worst). Vectors: target 0.50: worst 0.51, cap 0.527493; target 0.05: worst 0.05, cap 0.053325.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import MoneyE6, PriceE4, PriceGrid, format_money, format_price

MAX_SLIPPAGE = Decimal("0.02")
LIMIT_BELOW_MARKET = "limit below the market"
"""How the note of an execution begins that ended because nobody offered within its limit."""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """In the execution's own outcome. No child ever carries a price above `worst_e4` or costs more than `cap_e6`."""

    target_e4: PriceE4
    worst_e4: PriceE4
    cap_e6: MoneyE6


def resolve_limits(
    target: PriceE4,
    grid: PriceGrid,
    fees: FeeTerms,
    *,
    cap: MoneyE6 | None = None,
    worst: PriceE4 | None = None,
    max_slippage: Decimal = MAX_SLIPPAGE,
) -> Limits:
    """The limits of one execution. `grid` is in its own outcome. Raises UserError for prices that cannot be used."""
    if not grid.contains(target):
        raise UserError(f"target price {format_price(target)} is not on the market's grid; round it to a valid tick")
    if worst is not None and cap is not None:
        raise UserError("give either a cap or a worst price, not both")
    if cap is not None:
        worst = largest_within(cap, grid, fees)
        if worst is None:
            raise UserError(f"cap {format_money(cap)} allows no price at all; raise it")
        return _with_target_inside(Limits(target, worst, cap))
    if worst is None:
        slipped = grid.floor(int(target * (1 + max_slippage)))
        worst = target if slipped is None else max(target, slipped)
    elif not grid.contains(worst):
        raise UserError(f"worst price {format_price(worst)} is not on the market's grid; round it to a valid tick")
    return _with_target_inside(Limits(target, worst, fees.all_in(worst, taker=True)))


def _with_target_inside(limits: Limits) -> Limits:
    """A target beyond the limits would be an order core refuses: better refused to the user's face."""
    if limits.target_e4 > limits.worst_e4:
        raise UserError(
            f"target price {format_price(limits.target_e4)} is above the worst price allowed, "
            f"{format_price(limits.worst_e4)}; lower it, or raise the worst price or the cap"
        )
    return limits


def largest_within(cap: MoneyE6, grid: PriceGrid, fees: FeeTerms, *, taker: bool = True) -> PriceE4 | None:
    """The largest grid price x with x + f(x) <= cap. x + f(x) increases in x, so this is a binary search."""
    low, high = 0, 9_999  # invariant: low fits (0 costs nothing), anything above high does not
    while low < high:
        middle = (low + high + 1) // 2
        if fees.all_in(PriceE4(middle), taker=taker) <= cap:
            low = middle
        else:
            high = middle - 1
    return grid.floor(low)
