"""Leaving nothing live behind: the one exception to "save first".

An execution that cannot go on (its save failed, or a fact contradicts what it holds) has its orders cancelled without
a saved decision. They are found in the exchange's own listing, by client order id, so that an order whose answer was
still on its way is found too. What the cancels did is learned by reconciliation.

A disk that fails makes every execution come here at once: they share listings, and have the time that the cancels of
all live orders take.
"""

from __future__ import annotations

import trio

from fsm_exec.core.errors import VenueError
from fsm_exec.core.execution import Execution
from fsm_exec.core.orders import CancelOrder
from fsm_exec.core.recovery import OVERLAP_US
from fsm_exec.runtime.services import Services

EMERGENCY_CANCEL_S = 10.0
PAUSE_S = 0.5


async def cancel_all_orders_of(execution: Execution, services: Services) -> None:
    """Until no order of `execution` rests or may still arrive, or the time is up: then their expiration ends them."""
    clean = False
    cancelling_s = services.exchange.budget().cancelling_us(services.own.count()) / 1_000_000
    with trio.move_on_after(EMERGENCY_CANCEL_S + cancelling_s):
        clean = await _cancel_once(execution, services)
        while not clean:
            await trio.sleep(PAUSE_S)
            clean = await _cancel_once(execution, services)
    services.log.warning("emergency_ended", execution=execution.execution_id, nothing_live=clean)


async def _cancel_once(execution: Execution, services: Services) -> bool:
    """Cancel whatever the listing shows alive; True if it shows every open order, and all of them ended."""
    doubtful = {child.client_order_id for child in execution.children if child.is_open}
    if not doubtful:
        return True
    try:
        listing = await services.listings.orders(execution.terms.ticker, execution.begun_us - OVERLAP_US)
    except VenueError as error:
        services.log.warning("emergency_listing_failed", execution=execution.execution_id, error=str(error))
        return False
    clean = True
    for report in listing.orders:
        if report.client_order_id not in doubtful:
            continue
        doubtful.discard(report.client_order_id)
        if report.status == "resting":
            clean = False
            order = CancelOrder(
                effect_id=f"{execution.execution_id}:emergency",
                client_order_id=report.client_order_id,
                order_id=report.order_id,
                ticker=execution.terms.ticker,
            )
            answer = await services.exchange.cancel(order)
            services.log.warning("emergency_cancel", order=report.client_order_id, answer=str(answer))
    return clean and not doubtful
