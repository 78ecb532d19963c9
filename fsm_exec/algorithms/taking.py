"""Taking the offer when it is cheap against what waiting costs.

    fair = mid + imbalance_e6 x (queue imbalance - 1/2) + flow_e6 x scaled order-flow imbalance
    V    = the value of waiting with so much time left + usual_weight_ppm x (usual cost at the touch - usual_e6)
    take up to the highest price p with p + taker fee(p) - fair <= V, if that is the ask or above

V is what is still paid above fair by an order that waits: less of it comes, the longer there is to wait. What it is
depends on the market, so it moves with what taking at its touch usually costs (the mean of 120 s).

Nothing is taken where the mid wanders by as much as taking costs: there an order that waits is reached soon enough.
Without the two signals that tell, nothing is taken either; any other that is missing changes nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from fsm_exec.core.algorithm.algorithm import Progress, SliceProgress
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.limits import largest_within
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import PPM, US_PER_S, MoneyE6, PriceE4

E6_PER_E5: Final = 10

CostE6 = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
"""Dollars a contract in millionths: 10,000 is a cent."""


class Taking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value is that of waiting with so many seconds left; between them it is a straight line, outside
    it is the nearest. `shift_e6` is added to all.

    `every_s` is the least time since the newest order was placed. `unrest_max_ppm`: nothing is taken where the mid's
    mean deviation from its mean (60 s) is not below that share of the usual cost at the touch."""

    imbalance_e6: CostE6 = 10_000
    flow_e6: CostE6 = 1_600
    value_2s_e6: CostE6 = 26_700
    value_6s_e6: CostE6 = 24_300
    value_15s_e6: CostE6 = 21_900
    value_30s_e6: CostE6 = 19_500
    value_60s_e6: CostE6 = 18_300
    value_110s_e6: CostE6 = 15_900
    value_180s_e6: CostE6 = 12_300
    shift_e6: CostE6 = 0
    usual_e6: CostE6 = 28_000
    usual_weight_ppm: Annotated[int, msgspec.Meta(ge=0, le=10 * PPM)] = 600_000
    every_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = 2
    unrest_max_ppm: Annotated[int, msgspec.Meta(ge=0, le=100 * PPM)] = PPM

    @property
    def values(self) -> tuple[tuple[int, int], ...]:
        """(time left in seconds, value of waiting), the shortest time first."""
        return (
            (2, self.value_2s_e6),
            (6, self.value_6s_e6),
            (15, self.value_15s_e6),
            (30, self.value_30s_e6),
            (60, self.value_60s_e6),
            (110, self.value_110s_e6),
            (180, self.value_180s_e6),
        )


def price_to_take(progress: Progress, part: SliceProgress, view: MarketView, rule: Taking) -> PriceE4 | None:
    """The highest price worth paying now, at or above the ask and within the worst price; None if there is none."""
    goal, signals, mid_e5 = progress.goal, view.signals, view.trusted_mid_e5
    placed_us = part.last_placed_at_us
    usual_e6 = None if signals is None else signals.touch_cost_120s_e6
    if signals is None or mid_e5 is None or usual_e6 is None or not _is_calm(signals, usual_e6, rule):
        return None
    if placed_us is not None and progress.at_us < placed_us + rule.every_s * US_PER_S:
        return None
    worth_e6 = _fair_e6(mid_e5, signals, rule) + _value_e6(goal.deadline_us - progress.at_us, usual_e6, rule)
    highest = largest_within(MoneyE6(worth_e6), goal.grid, goal.fees) if worth_e6 > 0 else None
    if highest is None or view.asks[0][0] > min(highest, goal.limits.worst_e4):
        return None
    return min(highest, goal.limits.worst_e4)


def _is_calm(signals: Signals, usual_e6: int, rule: Taking) -> bool:
    """Whether this is a market to take in."""
    deviation_e5 = signals.mid_deviation_e5
    return deviation_e5 is not None and deviation_e5 * E6_PER_E5 * PPM < rule.unrest_max_ppm * usual_e6


def _fair_e6(mid_e5: int, signals: Signals, rule: Taking) -> int:
    """What a contract is worth now, by the mid and by what presses on it."""
    fair = mid_e5 * E6_PER_E5
    if signals.imbalance_ppm is not None:
        fair += rule.imbalance_e6 * (signals.imbalance_ppm - PPM // 2) // PPM
    if signals.ofi_z_ppm is not None:
        fair += rule.flow_e6 * signals.ofi_z_ppm // PPM
    return fair


def _value_e6(left_us: int, usual_e6: int, rule: Taking) -> int:
    """What waiting is expected to cost above fair with so much time left."""
    return _between(left_us, rule) + rule.shift_e6 + rule.usual_weight_ppm * (usual_e6 - rule.usual_e6) // PPM


def _between(left_us: int, rule: Taking) -> int:
    (first_s, first), *_, (_, last) = rule.values
    if left_us <= first_s * US_PER_S:
        return first
    for (early_s, early), (late_s, late) in pairwise(rule.values):
        if left_us <= late_s * US_PER_S:
            return early + (late - early) * (left_us - early_s * US_PER_S) // ((late_s - early_s) * US_PER_S)
    return last
