"""What filled the orders of each method, by cause: how much of a result rests on which assumption about makers.

Trades of a tape are facts. That a recorded limit order would have crossed to an order of ours is an assumption, which
the fill model makes; `assumed` says how much of what came without taking stands on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import msgspec

from fsm_exec.lab.experiment.fill_causes import FillsByCause
from fsm_exec.lab.experiment.groups import Group, Scope
from fsm_exec.lab.figure_texts import decimal_text


class FillShares(msgspec.Struct, frozen=True, kw_only=True):
    """Decimal strings: shares of all contracts that were filled, by the causes of fill_models.py, which add up to one;
    `assumed` is the share of crossing and through in what was filled without taking. null: nothing was filled."""

    product: str
    tape: str
    quantity: str
    horizon: int
    method: str
    trade: str | None
    queue: str | None
    crossing: str | None
    through: str | None
    taken: str | None
    assumed: str | None


def fill_rows(scope: Scope, groups: Sequence[Group]) -> list[FillShares]:
    """One for each group and method."""
    return [_row(group, method) for group in groups for method in scope.methods]


def _row(group: Group, method: str) -> FillShares:
    def pooled(count_e2: Callable[[FillsByCause], int]) -> Fraction:
        return group.pooled(lambda e: count_e2(e.runs[method].fills))

    total = pooled(lambda fills: fills.total_e2)
    trade, queue = pooled(lambda fills: fills.trade_e2), pooled(lambda fills: fills.queue_e2)
    crossing, through = pooled(lambda fills: fills.crossing_e2), pooled(lambda fills: fills.through_e2)
    passive = trade + queue + crossing + through
    return FillShares(
        product=group.product,
        tape=group.tape,
        quantity=group.quantity,
        horizon=group.horizon_s,
        method=method,
        trade=_share(trade, total),
        queue=_share(queue, total),
        crossing=_share(crossing, total),
        through=_share(through, total),
        taken=_share(total - passive, total),
        assumed=_share(crossing + through, passive),
    )


def _share(part: Fraction, whole: Fraction) -> str | None:
    return decimal_text(part / whole) if whole else None
