"""A listener of the stream that only notes whether it answers, and why it does not."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from fsm_exec.core.market.book import Level
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.market.terms import FeeChange, MarketStatus
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid


class StreamProbe:
    """A listener and a log that notes whether a stream answers, and why it does not; and when each order of the account
    was first heard of, by its name."""

    def __init__(self) -> None:
        self.answered = False
        self.why = ""
        self.anything = trio.Event()
        self.orders: dict[str, float] = {}

    def heard(self) -> None:
        self.answered = True
        self.anything.set()

    def warning(self, event: str, **values: object) -> None:
        if event == "stream_lost":
            self.why = str(values.get("why", ""))
            self.anything.set()

    def debug(self, event: str, **values: object) -> None:
        """Not needed here."""

    info = exception = debug

    def connected(self) -> None:
        """Subscriptions were sent; the answer is what counts."""

    def disconnected(self, why: str) -> None:
        self.why = why

    def book_snapshot(self, ticker: str, yes: Sequence[Level], no: Sequence[Level], at_us: int | None) -> None: ...
    def book_change(self, ticker: str, outcome: Outcome, price: PriceE4, delta: CountE2, at_us: int) -> None: ...
    def book_gap(self, tickers: Sequence[str]) -> None: ...
    def book_broken(self, ticker: str) -> None: ...
    def trade(self, ticker: str, taker: Outcome, yes_price: PriceE4, count: CountE2, at_us: int) -> None: ...
    def market_status(self, ticker: str, status: MarketStatus) -> None: ...
    def market_grid(self, ticker: str, grid: PriceGrid) -> None: ...
    def market_fees(self, ticker: str, fees: FeeTerms, later: Sequence[FeeChange]) -> None: ...
    def fill(self, report: FillReport) -> None: ...
    def order_group(self, group_id: str, change: str) -> None: ...
    def order(self, report: OrderReport) -> None:
        self.orders.setdefault(report.client_order_id, trio.current_time())
