"""The stream's listener: books go to their feeds, facts about orders to the inbox of the execution that owns them.

An order is ours if its client order id names this database's instance. A fill is joined by order id only; what cannot
be joined is logged and left alone: the owner asks for its fills before it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.book import Level
from fsm_exec.core.events import AnyEvent, OrderDisputed, OrderProven
from fsm_exec.core.execution import Execution
from fsm_exec.core.inquiry import filled, reported
from fsm_exec.core.market import MarketStatus
from fsm_exec.core.orders import FillReport, OrderReport
from fsm_exec.core.ownership import name_of_ours
from fsm_exec.core.units import CountE2, Outcome, PriceE4, PriceGrid
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.feed import MarketFeed

QUIET_US = 25_000_000  # the exchange pings every 10 s: two missed, and a book is not to be trusted


class Router:
    """`deliver(execution_id, event)` hands a fact to its owner; it answers False if there is none."""

    def __init__(
        self,
        instance: str,
        feeds: dict[str, MarketFeed],
        wall: Wall,
        deliver: Callable[[str, AnyEvent], bool],
        log: FilteringBoundLogger,
    ) -> None:
        self._prefix = f"fx{instance}-"
        self._feeds, self._wall, self._deliver, self._log = feeds, wall, deliver, log
        self._client_ids: dict[str, str] = {}  # by the exchange's order id
        self._adopted: dict[
            str, str
        ] = {}  # execution by client order id: orders a restored copy had under its old name
        self._heard_us = wall.now_us()
        self._when_connected: Callable[[], None] = _nothing
        self._when_strange: Callable[[FillReport], None] = self._of_others
        self._work_of: Callable[[str], Execution | None] = _no_work
        self._when_market: Callable[[str, MarketStatus], None] = _no_market
        self._is_elsewhere: Callable[[str, str, OrderReport | FillReport], bool] = _in_its_market
        self.is_connected = False

    def when_connected(self, call: Callable[[], None]) -> None:
        """Have `call` told of every connection of the stream."""
        self._when_connected = call

    def when_strange(self, call: Callable[[FillReport], None]) -> None:
        """Have `call` told of every fill of an order that nobody in memory has."""
        self._when_strange = call

    def when_market(self, call: Callable[[str, MarketStatus], None]) -> None:
        """Have `call` told when a market opens, pauses or closes."""
        self._when_market = call

    def ask_work(self, work_of: Callable[[str], Execution | None]) -> None:
        """Have `work_of(execution_id)` give the newest of an execution that is in memory."""
        self._work_of = work_of

    def ask_where(self, is_elsewhere: Callable[[str, str, OrderReport | FillReport], bool]) -> None:
        """Have `is_elsewhere(execution_id, client_order_id, report)` asked about every order that bears a name of
        ours: whether it is in another market than that execution works, and so is not its order."""
        self._is_elsewhere = is_elsewhere

    def owner_of(self, client_order_id: str) -> str | None:
        """The id of the execution an order of this database belongs to; None for anybody else's."""
        if not client_order_id.startswith(self._prefix):
            return self._adopted.get(client_order_id)
        return client_order_id.removeprefix(self._prefix).split("-", 1)[0]

    def name_of(self, report: FillReport) -> str | None:
        """The client order id of a fill's order, as far as it is known."""
        return report.client_order_id or self._client_ids.get(report.order_id)

    def knows(self, order_id: str) -> bool:
        """Whether the name of this order is known: it is, or was, of an execution in memory."""
        return order_id in self._client_ids

    def learned(self, client_order_id: str, order_id: str) -> None:
        self._client_ids[order_id] = client_order_id
        if not client_order_id.startswith(self._prefix):
            named = name_of_ours(client_order_id)
            if named is not None:
                self._adopted[client_order_id] = named.execution_id

    def ids_of(self, client_order_id: str) -> tuple[str, ...]:
        """Under which the exchange has named this order: one, unless a message was wrong."""
        return tuple(order_id for order_id, name in self._client_ids.items() if name == client_order_id)

    def forget(self, order_ids: Iterable[str]) -> None:
        """Orders of an execution that has left memory: the store knows whose they are."""
        for order_id in order_ids:
            name = self._client_ids.pop(order_id, None)
            if name is not None:
                self._adopted.pop(name, None)

    async def watch_silence(self) -> None:
        """Mark the feeds stale when nothing at all has come for too long."""
        while True:
            await trio.sleep(1)
            if self._wall.now_us() - self._heard_us > QUIET_US:
                for feed in self._feeds.values():
                    feed.quiet()

    def connected(self) -> None:
        self.is_connected = True
        self.heard()
        for feed in self._feeds.values():
            feed.connected()
        self._when_connected()

    def trouble(self) -> str | None:
        """Why the stream tells nothing; None: it does."""
        if not self.is_connected:
            return "there is no connection"
        silent_us = self._wall.now_us() - self._heard_us
        return f"it is silent for {silent_us // 1_000_000} s" if silent_us > QUIET_US else None

    def disconnected(self, why: str) -> None:
        self.is_connected = False
        self._log.warning("stream_lost", why=why)
        for feed in self._feeds.values():
            feed.disconnected()

    def heard(self) -> None:
        self._heard_us = self._wall.now_us()
        for feed in self._feeds.values():
            feed.heard()

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None:
        if (feed := self._feeds.get(ticker)) is not None:
            feed.snapshot(yes, no, at_us)

    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and not feed.change(outcome, price, delta, at_us):
            self._log.error("book_broken", ticker=ticker, outcome=outcome, price_e4=price, delta_e2=delta)

    def book_gap(self, tickers: Sequence[str]) -> None:
        for ticker in tickers:
            if (feed := self._feeds.get(ticker)) is not None:
                feed.gap()

    def book_broken(self, ticker: str) -> None:
        self.book_gap([ticker])

    def market_status(self, ticker: str, status: MarketStatus) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and feed.set_status(status):
            self._log.info("market_status", ticker=ticker, status=status)
            self._when_market(ticker, status)

    def market_grid(self, ticker: str, grid: PriceGrid) -> None:
        feed = self._feeds.get(ticker)
        if feed is not None and feed.set_grid(grid):
            self._log.info("market_grid", ticker=ticker, ranges=[str(r) for r in grid.ranges])

    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None:
        self.heard()
        if (feed := self._feeds.get(ticker)) is not None:
            feed.trade(taker, yes_price, count, at_us)

    def fill(self, report: FillReport) -> None:
        name = self.name_of(report)
        feed = self._feeds.get(report.ticker)
        if feed is not None:
            feed.filled(report)
        if name is None:
            self._when_strange(report)
            return
        owner = self.owner_of(name)
        if owner is None or self._is_elsewhere(owner, name, report):
            self._of_others(report)
            return
        mid = None if feed is None else feed.mid_before(report.at_us, report.outcome)
        self._hand_over(name, filled(report, name, mid, self._wall.now_us(), self._work_of(owner)))

    def _of_others(self, report: FillReport) -> None:
        self._log.info("fill_of_others", order_id=report.order_id, fill_id=report.fill_id)

    def order(self, report: OrderReport, *, looked_up: bool = False) -> None:
        """`looked_up`: of a listing later than all we did to the order."""
        owner = self.owner_of(report.client_order_id)
        if owner is not None and not self._is_elsewhere(owner, report.client_order_id, report):
            self.learned(report.client_order_id, report.order_id)
            self._hand_over(report.client_order_id, reported(report, self._wall.now_us(), looked_up=looked_up))

    def hand_over(self, event: OrderDisputed | OrderProven) -> None:
        """What listings say about what was told of an order before."""
        self._hand_over(event.client_order_id, event)

    def _hand_over(self, client_order_id: str, event: AnyEvent) -> None:
        owner = self.owner_of(client_order_id)
        if owner is None or not self._deliver(owner, event):
            self._log.error("order_without_owner", client_order_id=client_order_id)


def _nothing() -> None:
    """Nobody wants to know."""


def _in_its_market(_: str, __: str, ___: OrderReport | FillReport) -> bool:
    """Nobody knows better."""
    return False


def _no_work(_: str) -> None:
    """Nobody is in memory."""


def _no_market(_: str, __: MarketStatus) -> None:
    """Nobody wants to know."""
