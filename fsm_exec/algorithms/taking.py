"""Taking the offer when it is cheap against what waiting costs.

    fair = mid + imbalance_e6 x (queue imbalance - 1/2) + flow_e6 x scaled order-flow imbalance
               + trend_ppm x (mid - its mean of 60 s)
    V    = the value of waiting with so much time left + usual_weight_ppm x (usual cost at the touch - usual_e6)
    take up to the highest price p with p + taker fee(p) - fair <= V, if that is the ask or above

V is what is still paid above fair by an order that waits: less of it comes, the longer there is to wait. What it is
depends on the market, so it moves with what taking at its touch usually costs (the mean of 120 s).

Nothing is taken in a deep book, where an order that waits is never dear, nor in a market that nobody has watched for
long enough to know its usual cost, its mid and its depth. Order flow that is not known changes nothing.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final

import msgspec

from fsm_exec.core.algorithm.algorithm import Progress, SliceProgress
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.limits import largest_within
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, US_PER_S, MoneyE6, PriceE4

E6_PER_E5: Final = 10
SIGNALS_OF_TAKING: Final = frozenset({"mid_mean_60s_e5", "touch_cost_120s_e6", "touch_mean_60s_e2", "ofi_z_ppm"})

CostE6 = Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)]
"""Dollars a contract in millionths: 10,000 is a cent."""


class Taking(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A value is that of waiting with so many seconds left; between them it is a straight line, outside it is the
    nearest. `shift_e6` is added to all.

    `every_s` is the least time since the newest order was placed. Nothing is taken where more than `deep_touch`
    contracts stand at one touch on average (60 s)."""

    imbalance_e6: CostE6 = 10_000
    flow_e6: CostE6 = 1_600
    trend_ppm: Annotated[int, msgspec.Meta(ge=-10 * PPM, le=10 * PPM)] = 0
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
    every_s: Annotated[int, msgspec.Meta(ge=1, le=3_600)] = 1
    deep_touch: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 2_000

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


class Known(msgspec.Struct, frozen=True):
    """What must be known of a market before anything is taken there."""

    mid_e6: int
    mid_mean_e6: int
    usual_e6: int
    touch_e2: int
    imbalance_ppm: int
    flow_ppm: int


def price_to_take(progress: Progress, part: SliceProgress, view: MarketView, rule: Taking) -> PriceE4 | None:
    """The highest price worth paying now, at or above the ask and within the worst price; None if there is none."""
    goal, placed_us, known = progress.goal, part.last_placed_at_us, _known_of(view)
    if known is None or known.touch_e2 > rule.deep_touch * ONE_CONTRACT_E2:
        return None
    if placed_us is not None and progress.at_us < placed_us + rule.every_s * US_PER_S:
        return None
    worth_e6 = _fair_e6(known, rule) + _value_e6(goal.deadline_us - progress.at_us, known.usual_e6, rule)
    highest = largest_within(MoneyE6(worth_e6), goal.grid, goal.fees) if worth_e6 > 0 else None
    if highest is None or view.asks[0][0] > min(highest, goal.limits.worst_e4):
        return None
    return min(highest, goal.limits.worst_e4)


def _known_of(view: MarketView) -> Known | None:
    signals, mid_e5 = view.signals, view.trusted_mid_e5
    if signals is None or mid_e5 is None or signals.imbalance_ppm is None:
        return None
    mean_e5, usual_e6, touch_e2 = signals.mid_mean_60s_e5, signals.touch_cost_120s_e6, signals.touch_mean_60s_e2
    if mean_e5 is None or usual_e6 is None or touch_e2 is None:
        return None
    return Known(
        mid_e6=mid_e5 * E6_PER_E5,
        mid_mean_e6=mean_e5 * E6_PER_E5,
        usual_e6=usual_e6,
        touch_e2=touch_e2,
        imbalance_ppm=signals.imbalance_ppm,
        flow_ppm=signals.ofi_z_ppm or 0,
    )


def _fair_e6(known: Known, rule: Taking) -> int:
    """What a contract is worth now, by the mid and by what presses on it."""
    pressure = rule.imbalance_e6 * (known.imbalance_ppm - PPM // 2) + rule.flow_e6 * known.flow_ppm
    return known.mid_e6 + (pressure + rule.trend_ppm * (known.mid_e6 - known.mid_mean_e6)) // PPM


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
