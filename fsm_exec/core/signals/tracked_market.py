"""What is known of one market between two changes of its book: the others' ladders, and all that is smoothed of it.

`signal_tracker` keeps it up, `signal_reading` reads it.
"""

from __future__ import annotations

from typing import Final

from fsm_exec.core.market.bid_ladder import BidLadder
from fsm_exec.core.signals.forecasts import DEPTH_TAU_US
from fsm_exec.core.signals.order_flow import CancelFlow, ReferenceMomentum, TakerFlow
from fsm_exec.core.values.ewma import DecayedLevel, DecayedMean, DecayedSum, put_both
from fsm_exec.core.values.fixed_point import ln_ppm
from fsm_exec.core.values.units import ONE_CONTRACT_E2, Outcome

FLOW_TAU_US: Final = 15_000_000
TOUCH_TAU_US: Final = 60_000_000
MID_TAU_US: Final = 60_000_000
COST_TAU_US: Final = 120_000_000


class TrackedSide:
    """The bids for one outcome and what is smoothed about them."""

    __slots__ = ("cancels", "depth", "log_depth", "momentum", "side", "takers", "touch_cost")

    def __init__(self) -> None:
        self.side = BidLadder()
        self.cancels = CancelFlow()
        self.takers = TakerFlow()
        self.momentum = ReferenceMomentum()
        self.depth, self.log_depth = DecayedLevel(DEPTH_TAU_US), DecayedMean(DEPTH_TAU_US)
        self.touch_cost = DecayedLevel(COST_TAU_US)  # of taking the offer, when these bids are the own outcome's

    def measure_depth(self, at_us: int) -> None:
        near = self.side.near_e2
        log = ln_ppm(near + ONE_CONTRACT_E2, ONE_CONTRACT_E2)
        put_both(self.depth, self.log_depth, near, log, at_us)


class TrackedMarket:
    """Empty at first. Of the times, `began_us` is when the book was last whole, `trades_since_us` since when no trade
    was missed, `event_us` when the book last changed and `trade_us` when the last trade was (None: there was none)."""

    __slots__ = (
        *("began_us", "event_us", "events", "flow", "mid", "no", "ofi"),
        *("touch", "trade_us", "trades", "trades_since_us", "yes"),
    )

    def __init__(self) -> None:
        self.clear(0)

    def clear(self, at_us: int) -> None:
        """Forget everything."""
        self.yes, self.no = TrackedSide(), TrackedSide()
        self.ofi, self.flow = DecayedSum(FLOW_TAU_US), DecayedSum(FLOW_TAU_US)
        self.touch, self.mid = DecayedLevel(TOUCH_TAU_US), DecayedMean(MID_TAU_US)
        self.began_us = self.trades_since_us = self.event_us = at_us
        self.trade_us: int | None = None
        self.events = self.trades = 0

    def of(self, outcome: Outcome) -> TrackedSide:
        """The bids for this outcome."""
        return self.yes if outcome == "yes" else self.no

    def side(self, outcome: Outcome) -> BidLadder:
        """The bids of the others for this outcome."""
        return self.yes.side if outcome == "yes" else self.no.side
