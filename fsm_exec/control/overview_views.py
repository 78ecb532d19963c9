"""The overview as an answer: what the engine holds in memory, and the newest endings of the database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from heapq import nsmallest
from typing import Final

from fsm_exec.control.alert_schema import AlertsQuery
from fsm_exec.control.alert_views import AlertViews
from fsm_exec.control.overview_schema import BudgetSeen, Overview, OverviewQuery, WorkingExecution
from fsm_exec.control.schema import Status
from fsm_exec.core.costs.so_far import cost_so_far_e7
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S, MoneyE6, format_count, format_money, format_price
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.store import SqliteStore
from fsm_exec.store.reads.api_queries import Filter

ALERTS_SHOWN: Final = 5
UNWATCHED: Final = "unwatched"


class OverviewViews:
    """`status` is the service's own, so that the overview says nothing else than it does."""

    def __init__(
        self,
        engine: Engine,
        store: SqliteStore,
        wall: WallClock,
        alerts: AlertViews,
        status: Callable[[], Awaitable[Status]],
    ) -> None:
        self._engine, self._store, self._wall, self._alerts, self._status = engine, store, wall, alerts, status

    async def overview(self, query: OverviewQuery) -> Overview:
        """Return how everything stands now."""
        ended = await self._store.load_listing(Filter(ended=True, limit=query.ended)) if query.ended else []
        alerts = await self._alerts.alerts(AlertsQuery(limit=ALERTS_SHOWN, standing=True))
        status = await self._status()
        budget = self._engine.budget()
        return Overview(
            at=to_iso(self._wall.now_us()),
            status=status,
            budget=BudgetSeen(left=budget.write_left, capacity=budget.write_capacity, per_s=budget.write_per_s),
            working=self.working(query.working),
            ended=ended,
            alerts=alerts.alerts,
        )

    def working(self, at_most: int) -> list[WorkingExecution]:
        """Return the executions at work that end first."""
        return working_of(self._engine.executions_at_work(), self._engine.feeds, self._wall.now_us(), at_most)


def working_of(
    executions: Iterable[Execution], feeds: Mapping[str, MarketFeed], now_us: int, at_most: int
) -> list[WorkingExecution]:
    """Return the executions that end first, with the books of `feeds` beside their prices."""
    first = nsmallest(at_most, executions, key=lambda one: (one.deadline_us, one.execution_id))
    return [working_execution(one, feeds.get(one.terms.ticker), now_us) for one in first]


def working_execution(execution: Execution, feed: MarketFeed | None, now_us: int) -> WorkingExecution:
    """Return one execution as it stands. Without a feed neither bid nor ask is known."""
    view = None if feed is None else feed.view(execution.outcome, depth=1)
    own = [child.price_e4 for child in execution.children if child.is_open]
    cost_e7 = cost_so_far_e7(execution)
    return WorkingExecution(
        execution_id=execution.execution_id,
        ticker=execution.terms.ticker,
        outcome=execution.outcome,
        method=execution.method,
        state=execution.state,
        ending=None if execution.ending is None else execution.ending.reason,
        filled_quantity=format_count(execution.filled_e2),
        target_quantity=format_count(execution.target_e2),
        price=format_price(max(own)) if own else None,
        orders=len(own),
        bid=None if view is None or view.best_bid is None else format_price(view.best_bid),
        ask=None if view is None or view.best_ask is None else format_price(view.best_ask),
        feed=UNWATCHED if view is None else view.feed,
        limit=None if execution.limits is None else format_price(execution.limits.worst_e4),
        accepted_at=to_iso(execution.accepted_at_us),
        deadline=to_iso(execution.deadline_us),
        seconds_left=max(0, execution.deadline_us - now_us) // US_PER_S,
        cost=None if cost_e7 is None else format_money(_rounded(cost_e7)),
    )


def _rounded(amount_e7: int) -> MoneyE6:
    """Return 10^-7 dollars in millionths, half away from zero."""
    whole = (abs(amount_e7) + 5) // 10
    return MoneyE6(-whole if amount_e7 < 0 else whole)
