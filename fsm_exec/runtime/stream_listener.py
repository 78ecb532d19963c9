"""The stream's listener: books go to their feeds, events about orders to the execution that owns them.

An order is ours by its client order id (`order_names`). A fill is joined to its order by order id only; a fill that
cannot be joined is logged and left alone: its owner asks for its fills before it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from structlog.typing import FilteringBoundLogger

from fsm_exec.core.execution.events import AnyEvent
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.fees import FeeTerms, describe_fees
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import FeeChange, MarketStatus
from fsm_exec.core.recovery.order_lookup import fill_event, order_event
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.group_cancels import GroupCancels
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.stream_state import StreamState


class FactSink(Protocol):
    """The receiver of events about executions, at work or ended."""

    def deliver(self, execution_id: str, event: AnyEvent) -> None:
        """Hand an event to the execution that owns it, at work or ended. It is always accepted."""
        ...

    def execution_of(self, execution_id: str) -> Execution | None:
        """Return the newest state of an execution in memory, or None."""
        ...

    def is_in_other_market(self, execution_id: str, client_order_id: str, report: OrderReport | FillReport) -> bool:
        """Return whether an order of this name is in another market than its execution works, and so is none of its
        orders."""
        ...

    def take_unknown_fills(self, fills: Sequence[FillReport]) -> None:
        """Take fills of orders that no execution in memory has."""
        ...

    def publish_market_status(self, ticker: str, status: MarketStatus) -> None:
        """Pass on that a market opens, pauses or closes, to every execution that works it."""
        ...


class EngineStreamListener:
    """`names` map orders to executions, `facts` takes the events; `stream` and `feeds` take the rest.
    `take_foreign_fill` is called with fills of orders that are not known as ours. With a fence there are
    `group_cancels`, and `on_group` is called with what became of an order group, by its id."""

    def __init__(
        self,
        names: OrderNames,
        stream: StreamState,
        feeds: Mapping[str, MarketFeed],
        facts: FactSink,
        wall: WallClock,
        log: FilteringBoundLogger,
        take_foreign_fill: Callable[[FillReport], None] | None = None,
    ) -> None:
        self.names = names
        self._take_foreign_fill = take_foreign_fill
        self.group_cancels: GroupCancels | None = None
        self.on_group: Callable[[str, str], None] | None = None
        self._stream, self._feeds, self._facts, self._wall, self._log = stream, feeds, facts, wall, log

    def connected(self) -> None:
        self._stream.connected()

    def disconnected(self, why: str) -> None:
        self._stream.disconnected(why)

    def heard(self) -> None:
        self._stream.heard()

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        if (feed := self._feeds.get(ticker)) is not None:
            feed.apply_snapshot(yes, no, at_us)

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and not feed.apply_change(outcome, price, delta, at_us):
            self._log.error("book_broken", ticker=ticker, outcome=outcome, price_e4=price, delta_e2=delta)

    def book_gap(self, tickers: Sequence[str]) -> None:
        for ticker in tickers:
            if (feed := self._feeds.get(ticker)) is not None:
                feed.mark_gap()

    def book_broken(self, ticker: str) -> None:
        self.book_gap([ticker])

    def market_status(self, ticker: str, status: MarketStatus) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and feed.set_status(status):
            self._log.info("market_status", ticker=ticker, status=status)
            self._facts.publish_market_status(ticker, status)

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and feed.set_grid(grid):
            self._log.info("market_grid", ticker=ticker, ranges=[str(r) for r in grid.ranges])

    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and feed.set_fees(fees, tuple(later)):
            announced = [f"{to_iso(change.at_us)}: {describe_fees(change.fees)}" for change in later]
            self._log.info("market_fees", ticker=ticker, fees=describe_fees(fees), later=announced)

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        self.heard()
        if (feed := self._feeds.get(ticker)) is not None:
            feed.record_trade(taker, yes_price, count, at_us)

    def fill(self, report: FillReport) -> None:
        name = self.names.name_of(report)
        owner = None if name is None else self.names.owner_of(name)
        if owner is None and self._take_foreign_fill is not None:
            self._take_foreign_fill(report)
        feed = self._feeds.get(report.ticker)
        if feed is not None:
            feed.record_own_fill(report)
        if name is None:
            self._facts.take_unknown_fills([report])
            return
        if owner is None or self._facts.is_in_other_market(owner, name, report):
            self._log.info("fill_of_others", order_id=report.order_id, fill_id=report.fill_id)
            return
        mid = None if feed is None else feed.mid_before(report.at_us, report.outcome)
        event = fill_event(report, name, mid, self._wall.now_us(), self._facts.execution_of(owner))
        self._facts.deliver(owner, event)

    def order(self, report: OrderReport, *, looked_up: bool = False) -> None:
        """Pass a report of an order on. `looked_up`: of a listing later than all we did to the order."""
        owner = self.names.owner_of(report.client_order_id)
        if owner is not None and not self._facts.is_in_other_market(owner, report.client_order_id, report):
            self.names.learn(report.client_order_id, report.order_id)

            def pass_on(report: OrderReport) -> None:
                execution, at_us = self._facts.execution_of(owner), self._wall.now_us()
                child = None if execution is None else execution.child(report.client_order_id)
                event = order_event(report, at_us, looked_up=looked_up, child=child, listed=False)
                self._facts.deliver(owner, event)

            cancels = self.group_cancels
            if cancels is None:
                pass_on(report)
            elif not self._may_surprise(owner, report) or not cancels.keep_back(report, pass_on):
                pass_on(cancels.explain(report))

    def _may_surprise(self, owner: str, report: OrderReport) -> bool:
        """Whether an end of this order would be somebody else's doing: it is to rest, and we do not cancel it."""
        execution = self._facts.execution_of(owner)
        child = None if execution is None else execution.child(report.client_order_id)
        if child is None or not child.is_open or child.state == "cancelling":
            return False
        return child.time_in_force == "good_till_canceled"

    def order_group(self, group_id: str, change: str) -> None:
        if self.on_group is not None:
            self.on_group(group_id, change)
