"""Whether a market is fast: its mid strays from its mean of the last minute by as much as taking usually costs.

There an order that is left behind loses more than crossing the spread would have cost, so it is quoted and taken by
settings of its own. The class is asked at each decision anew and remembers nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final

import msgspec

from fsm_exec.algorithms.quoting import Ticks
from fsm_exec.algorithms.toolkit import check_weight
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import PPM

E6_PER_E5: Final = 10
SIGNALS_OF_CLASS: Final = frozenset({"mid_deviation_e5", "touch_cost_120s_e6"})


class FastMarket(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A market is fast from `ratio_ppm` on: the mid's mean deviation (60 s) over the usual cost of taking at the touch
    (120 s). There the ramp begins at `a0`, and the quote comes down by `down_ticks`."""

    ratio_ppm: Annotated[int, msgspec.Meta(ge=0, le=1_000 * PPM)] = PPM
    a0: Decimal = Decimal("0.3")
    down_ticks: Ticks = 2

    def __post_init__(self) -> None:
        check_weight("a0", self.a0, 0, 10)


def is_fast(signals: Signals | None, fast: FastMarket) -> bool:
    """Whether the market is fast now; one that is not known well enough is not."""
    if signals is None or signals.mid_deviation_e5 is None or signals.touch_cost_120s_e6 is None:
        return False
    return signals.mid_deviation_e5 * E6_PER_E5 * PPM >= fast.ratio_ppm * signals.touch_cost_120s_e6
