"""Forecasts and their outcomes: made when a decision acts, completed when their time has come.

The outcome of an order comes from the store. A forecast about an order that was amended or cancelled before its time
proves nothing, and is stored as missed; so is one that came due while no engine ran, or whose feed had a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from structlog.typing import FilteringBoundLogger

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.rows import OpenForecast
from fsm_exec.core.errors import SaveRefused
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import ChildRow, ExecutionSave
from fsm_exec.core.signals.forecasts import Forecast, fill_forecast, forecasts_of
from fsm_exec.core.signals.sweep_cost import sweep_side
from fsm_exec.core.store_port import ObservationStore
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, CountE2, complement, opposite, parse_price
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.timer_queue import TimerQueue

LAG_US: Final = 1_000_000
LATE_US: Final = 5_000_000  # looked at later than this, the book is not that of the time any more
ORDERS_KEPT: Final = 4_096
AT: Final = " at "


class ForecastRecorder:
    """Stores forecasts, and later what happened."""

    def __init__(
        self, store: ObservationStore, feeds: Mapping[str, MarketFeed], wall: WallClock, log: FilteringBoundLogger
    ) -> None:
        self._store, self._feeds, self._wall, self._log = store, feeds, wall, log
        self._timers: TimerQueue[None] = TimerQueue(wall)
        self._orders: dict[str, ChildRow] = {}  # as last heard of, the newest

    def on_saved(self, save: ExecutionSave) -> None:
        """Keep the newest states of the orders in a durable step."""
        for child in save.children:
            self._orders.pop(child.client_order_id, None)
            self._orders[child.client_order_id] = child
        while len(self._orders) > ORDERS_KEPT:
            del self._orders[next(iter(self._orders))]

    @staticmethod
    def forecasts_of(execution: Execution, view: MarketView) -> list[Forecast]:
        """Make the forecasts of a decision that acted, having seen `view`."""
        if view.signals is None:
            return []
        found = forecasts_of(view.signals, execution.outcome, view.trusted_mid_e5, execution.deadline_us)
        ahead = dict(view.bids)
        for child in execution.children:
            if child.state == "intended" and child.time_in_force == "good_till_canceled":
                row = f"{child.client_order_id}{AT}{child.price_e4}"
                before = ahead.get(child.price_e4, CountE2(0))
                fill = fill_forecast(view.signals, execution.outcome, row, before, child.count_e2)
                if fill is not None:
                    found.append(fill)
        return found

    async def save(self, execution: Execution, forecasts: list[Forecast]) -> None:
        """Store forecasts, and schedule their completion. Raises StoreFailed."""
        await self._store.save_forecasts(execution.execution_id, execution.terms.ticker, forecasts)
        for forecast in forecasts:
            self._timers.push(forecast.due_at_us, None)

    async def load_pending(self) -> None:
        """Schedule the open forecasts of an earlier process. Raises StoreFailed."""
        for waiting in await self._store.load_open_forecasts(None):
            self._timers.push(waiting.forecast.due_at_us, None)

    async def run(self) -> None:
        """Complete due forecasts, forever. Raises StoreFailed."""
        while True:
            due = await self._timers.wait_due(LAG_US)
            waiting = await self._store.load_open_forecasts(due[-1][0])
            happened = [(one.number, self._outcome(one)) for one in waiting]
            if not happened:
                continue
            try:
                await self._store.complete_forecasts(happened, self._wall.now_us())
            except SaveRefused:
                self._log.exception("forecasts_refused", rows=len(happened))

    def _outcome(self, waiting: OpenForecast) -> int | None:
        forecast = waiting.forecast
        if forecast.kind == "fill_30s":
            return self._fill_outcome(forecast)
        feed = self._feeds.get(waiting.ticker)
        if feed is None or feed.whole_since_us is None or feed.whole_since_us > forecast.due_at_us:
            return None
        if forecast.kind == "mid_30s":
            mid = feed.mid_before(forecast.due_at_us + 1, forecast.outcome)
            return None if mid is None else mid * 10
        bids, offers = feed.net_book.side(forecast.outcome), feed.net_book.side(opposite(forecast.outcome))
        late = self._wall.now_us() - forecast.due_at_us > LATE_US
        if late or forecast.count_e2 is None or not bids.best or not offers.best:
            return None
        if forecast.kind == "dry_up":
            return PPM if offers.near_e2 < forecast.count_e2 else 0
        swept = sweep_side(offers, forecast.count_e2, feed.terms.fees_at(self._wall.now_us()))
        mid_e6 = (bids.best + complement(offers.best)) * 50
        return (swept.value_e6 + swept.fee_e6) * ONE_CONTRACT_E2 // forecast.count_e2 - mid_e6

    def _fill_outcome(self, forecast: Forecast) -> int | None:
        name, _, price_e4 = (forecast.subject or "").partition(AT)
        order = self._orders.get(name)
        if order is None:
            return None
        if order.state == "filled":
            return PPM
        stays = order.state in ("resting", "partial") and str(parse_price(order.price)) == price_e4
        return 0 if stays else None
