"""The person, or program, that gives twenty orders a day, each under a key of its own until it is accepted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio
from msgspec.structs import replace

from fsm_exec.control.schema import Submission
from fsm_exec.control.service import Control
from fsm_exec.core.errors import ExecError
from fsm_exec.core.values.units import PriceE4, complement, format_price
from fsm_exec.paper.venue.exchange import Exchange
from tests.soak.month.markets import tickers_of
from tests.soak.month.schedule import TRADING_ENDS_H, TRADING_H, Day

ORDERS_A_DAY = 20
METHODS = ("deadline_walker", "adaptive_limit", "simple_limit", "twap", "dynamic_depth_walker", "basic")
AGAIN_S = 20.0
LONG_H, MIDDLE_MIN, SHORT_MIN = 6, 45, 5


@dataclass
class Order:
    """An order of a day. `execution_id` once it is accepted."""

    key: str
    submission: Submission
    execution_id: str | None = None
    deadline_us: int = 0
    refusals: int = 0


class Trader:
    """`control` is what answers now, None: nothing does."""

    def __init__(self, exchange: Exchange, control: Callable[[], Control | None], now_us: Callable[[], int]) -> None:
        self._exchange, self._control, self._now_us = exchange, control, now_us
        self.orders: list[Order] = []

    async def trade(self, day: Day, nursery: trio.Nursery) -> None:
        """Give the orders of a day at equal distances; six-hour ones in its first half."""
        for number in range(ORDERS_A_DAY):
            await trio.sleep(max(0, self.given_us(day, number) - self._now_us()) / 1_000_000)
            nursery.start_soon(self._give, self._order(day, number))

    @staticmethod
    def given_us(day: Day, number: int) -> int:
        """Return when an order of a day is given."""
        step_h = (TRADING_ENDS_H - LONG_H - TRADING_H) / ORDERS_A_DAY
        return day.at_us(TRADING_H + number * step_h)

    async def give_again(self, day: Day, number: int) -> str:
        """Give an order once more under its key, which must be refused, and then under another; return why it was
        refused, empty: it was not."""
        order, control, why = self._given(day, number), self._control(), ""
        assert control is not None
        try:
            await control.submit(order.submission)
        except ExecError as error:
            why = str(error)
        await self._give(Order(f"{order.key}.again", replace(order.submission, key=f"{order.key}.again")))
        return why

    async def cancel(self, day: Day, number: int) -> str:
        """Cancel an order that is at work; return its execution."""
        control, execution_id = self._control(), self._given(day, number).execution_id
        assert control is not None
        assert execution_id is not None
        await control.cancel(execution_id)
        return execution_id

    def _given(self, day: Day, number: int) -> Order:
        return next(order for order in self.orders if order.key == _key(day, number))

    def _order(self, day: Day, number: int) -> Order:
        ticker = tickers_of(day)[number % 2]
        outcome = "yes" if (number // 2) % 2 == 0 else "no"
        horizon_s = (LONG_H * 3_600, SHORT_MIN * 60, MIDDLE_MIN * 60, SHORT_MIN * 60)[number % 4]
        patient = number % 4 == 0 and number % 8 == 0  # rests all the time far below the market
        return Order(
            key=_key(day, number),
            submission=Submission(
                key=_key(day, number),
                ticker=ticker,
                outcome="yes" if outcome == "yes" else "no",
                quantity=str(5 + number),
                method="simple_limit" if patient else METHODS[(day.number + number) % len(METHODS)],
                limit=format_price(self._limit(ticker, outcome, -1_500 if patient else 200)),
                horizon_s=horizon_s,
            ),
        )

    async def _give(self, order: Order) -> None:
        self.orders.append(order)
        while order.execution_id is None:
            control = self._control()
            if control is not None:
                try:
                    accepted = await control.submit(order.submission)
                except ExecError:
                    order.refusals += 1
                else:
                    order.execution_id = accepted.execution_id
                    order.deadline_us = self._now_us() + (order.submission.horizon_s or 0) * 1_000_000
                    return
            await trio.sleep(AGAIN_S)

    def _limit(self, ticker: str, outcome: str, above_e4: int) -> PriceE4:
        """Return a price so far above the best offer, on the grid of cents and within it."""
        book = self._exchange.markets[ticker].book
        offers = book.recorded("no" if outcome == "yes" else "yes")
        offer = complement(max(price for price, _ in offers)) if offers else PriceE4(5_000)
        return PriceE4(min(9_800, max(200, (offer + above_e4) // 100 * 100)))


def _key(day: Day, number: int) -> str:
    return f"{day.date.isoformat()}.{number}"
