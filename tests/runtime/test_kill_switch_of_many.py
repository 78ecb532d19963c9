"""The disk fails under many executions at once: all of their orders are taken off the book, by themselves."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from fsm_exec.core.errors import StoreFailed
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.market.orders import CancelAnswer, CancelOrder, OrderListing
from tests.runtime.support import StoreBetween, staged

MANY = 300
LISTINGS_PER_S = 10  # of the lowest tier: 200 tokens a second, 20 for a listing and how late it is
CANCELS_PER_S = 20


class FullDisk(StoreBetween):
    is_full = False

    async def save(self, save: ExecutionSave) -> None:
        if self.is_full:
            raise StoreFailed("database or disk is full")
        await self.inner.save(save)


async def test_no_order_is_left_live_for_want_of_reads_or_of_time(autojump_clock: MockClock) -> None:
    """More of them than listings or cancels that could be paid for in ten seconds."""
    async with staged(FullDisk) as stage:
        exchange = stage.exchange
        reads, writes = trio.CapacityLimiter(1), trio.CapacityLimiter(1)
        listed, cancelled = exchange.fetch_orders, exchange.cancel

        async def orders(
            ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
        ) -> OrderListing:
            async with reads:
                await trio.sleep(1 / LISTINGS_PER_S)
            return await listed(ticker, since_us=since_us, resting=resting)

        async def cancel(order: CancelOrder) -> CancelAnswer:
            async with writes:
                await trio.sleep(1 / CANCELS_PER_S)
            return await cancelled(order)

        def budget() -> BudgetFacts:
            return BudgetFacts(
                write_left=0, write_per_s=CANCELS_PER_S, write_capacity=1, place_tokens=1, cancel_tokens=1
            )

        exchange.fetch_orders, exchange.cancel, exchange.budget = orders, cancel, budget  # type: ignore[method-assign]
        for _ in range(MANY):
            await stage.submit(horizon_s=3_600)
        await trio.sleep(3)
        assert len(exchange.resting) == MANY
        stage.store.is_full = True  # type: ignore[attr-defined]
        stage.engine.stop("user")
        while stage.engine.actors:  # noqa: ASYNC110 - until all have been given up
            await trio.sleep(1)
        assert exchange.resting == []
