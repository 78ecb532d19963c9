"""Reading what the exchange holds, again and again until it answers.

A read that found no answer is worth repeating for ever: nothing is lost by waiting, and nothing may be decided without
it. A definite no (a revoked key, an account that is closed) is the caller's to tell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueUnavailable
from fsm_exec.core.orders import FillListing, OrderListing
from fsm_exec.core.ports import Exchange

FIRST_PAUSE_S = 0.5
PAUSE_MAX_S = 15.0

T = TypeVar("T")


async def until_answered(read: Callable[[], Awaitable[T]], what: str, log: FilteringBoundLogger) -> T:
    """What `read` brings. Raises VenueRefused."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await read()
        except VenueUnavailable as error:
            log.warning("exchange_does_not_answer", what=what, again_in_s=pause_s, error=str(error))
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)


async def listings(
    exchange: Exchange, since_us: int, log: FilteringBoundLogger, ticker: str | None = None
) -> tuple[tuple[OrderListing, ...], FillListing]:
    """All that is needed to tell executions accepted after `since_us` what they missed: their orders, whatever rests,
    and then the fills, so that an order listed as ended has its fills. Raises VenueRefused."""
    orders = await until_answered(lambda: exchange.orders(ticker, since_us=since_us), "orders", log)
    resting = await until_answered(lambda: exchange.orders(ticker, resting=True), "resting orders", log)
    fills = await until_answered(lambda: exchange.fills(ticker, since_us=since_us), "fills", log)
    return (orders, resting), fills
